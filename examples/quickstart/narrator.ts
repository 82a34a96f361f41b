import { styleText } from 'node:util';

const colours = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;
const paint = (format: Parameters<typeof styleText>[0], text: string) => (colours ? styleText(format, text) : text);

/** Prints the run as a story, and keeps count of what did not happen. */
export const narrator = {
  missed: 0,
  chapter(title: string): void {
    console.log(`\n${paint('bold', title)}`);
  },
  say(text: string): void {
    console.log(`  ${text}`);
  },
  /** Something the gateway told by itself. */
  event(text: string): void {
    console.log(`  ${paint('cyan', '»')} ${paint('cyan', text)}`);
  },
  /** A step: it happened, or the run has failed. */
  check(happened: boolean, text: string): void {
    if (!happened) this.missed += 1;
    console.log(`  ${happened ? paint('green', '✓') : paint('red', '✗ did not happen:')} ${text}`);
  },
};
