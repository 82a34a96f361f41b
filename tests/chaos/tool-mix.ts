import type { TenantCall } from './tenant-calls.ts';

type Tool = (number: number) => Omit<TenantCall, 'number' | 'tenant'>;

const ok = (text: string) => ({ outcome: 'ok', text }) as const;
const failed = (text: string) => ({ outcome: 'error', text }) as const;

const echo =
  (name: string): Tool =>
  (number) => ({ name, args: { text: `${number}`, call: number }, answer: ok(`${number}`) });
const add =
  (name: string): Tool =>
  (number) => ({ name, args: { a: number, b: 0, call: number }, answer: ok(`${number}`) });

const tools: readonly (readonly [weight: number, tool: Tool])[] = [
  [0.2, echo('address__echo')],
  [0.2, add('address__add')],
  [0.1, (number) => ({ name: 'address__fail', args: { message: `${number}`, call: number }, answer: failed(`${number}`) })],
  [0.08, (number) => ({ name: 'address__throw', args: { call: number }, answer: failed('thrown as asked') })],
  [0.12, slowTool],
  [0.14, add('program__add')],
  [0.01, (number) => ({ name: 'program__crash', args: { call: number } })],
  [0.15, echo('flaky__echo')],
];

/** The part of the time after the point makes the answer this call's own. */
function slowTool(number: number): ReturnType<Tool> {
  const ms = 20 + number / 1e6;
  return { name: 'address__slow', args: { ms, call: number }, answer: ok(`slept ${ms}`) };
}

/** What a seed decides of each call. */
export function chooser(random: () => number) {
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const tool = (): Tool => {
    let left = random();
    return (tools.find(([weight]) => {
      left -= weight;
      return left < 0;
    }) ?? [0, echo('address__echo')])[1];
  };
  return { random, pick, tool };
}
