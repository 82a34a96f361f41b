// What Postgres cannot keep: NUL, and halves of surrogate pairs; and the character that marks what stands for them.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters in question
const unstorable = /[\u0000\u001b\ud800-\udfff]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the mark
const stored = /\u001b([0-9a-f]{4})/g;

/** A text as Postgres can keep it: itself, but for characters that hardly any text has. Different texts stay different. */
export function storable(text: string): string {
  return text.replace(unstorable, (character) => `\u001b${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The text that {@link storable} was given. */
export function restored(text: string): string {
  return text.includes('\u001b') ? text.replace(stored, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))) : text;
}
