import { checkKeys } from './options.ts';

/**
 * What a call used, in parts that never overlap: cached tokens are not input tokens, reasoning is not output. All parts of a side add
 * up to what the provider calls its total.
 */
export type UsageParts = Readonly<Partial<Record<UsagePart, number>>>;

/** One part of what a call used. Those that end in `Tokens` add up to the tokens of their side. */
export type UsagePart = InputPart | OutputPart | CountedPart;

/** What is sent. */
export type InputPart =
  | 'inputTokens'
  | 'cacheReadTokens'
  | 'cacheWriteTokens'
  | 'cacheWrite1hTokens'
  | 'inputAudioTokens'
  | 'cacheReadAudioTokens'
  | 'inputImageTokens'
  | 'inputVideoTokens';

/** What comes back. */
export type OutputPart = 'outputTokens' | 'reasoningTokens' | 'outputAudioTokens' | 'outputImageTokens';

/** What is counted by the piece. */
export type CountedPart = 'requests' | 'webSearches' | 'fileSearches' | 'codeExecutions';

/** Parts that are sent: text that is in no cache, text read from the cache, written to it for minutes or an hour, and other media. */
export const inputParts: readonly InputPart[] = [
  'inputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'cacheWrite1hTokens',
  'inputAudioTokens',
  'cacheReadAudioTokens',
  'inputImageTokens',
  'inputVideoTokens',
];

/** Parts that come back: visible text, reasoning, and other media. */
export const outputParts: readonly OutputPart[] = ['outputTokens', 'reasoningTokens', 'outputAudioTokens', 'outputImageTokens'];

/** Parts that are no tokens. */
export const countedParts: readonly CountedPart[] = ['requests', 'webSearches', 'fileSearches', 'codeExecutions'];

const allParts: readonly UsagePart[] = [...inputParts, ...outputParts, ...countedParts];

/** Whole numbers up to 2^53 − 1, of known parts; parts of 0 are left out. */
export function checkUsage(usage: UsageParts, name: string): UsageParts {
  checkKeys(usage, allParts, name);
  const parts: [string, number][] = [];
  for (const part of allParts) {
    const count = usage[part];
    if (count === undefined) continue;
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`${name}.${part} must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, not ${String(count)}`);
    }
    if (count > 0) parts.push([part, count]);
  }
  return Object.fromEntries(parts);
}

/** All tokens that were sent. */
export function inputTokensOf(usage: UsageParts): number {
  return sum(usage, inputParts);
}

/** All tokens that came back. */
export function outputTokensOf(usage: UsageParts): number {
  return sum(usage, outputParts);
}

/** Part by part: what `usage` has more than `before`; negative where it has less. */
export function difference(usage: UsageParts, before: UsageParts): UsageParts {
  const parts = allParts.map((part) => [part, (usage[part] ?? 0) - (before[part] ?? 0)] as const);
  return Object.fromEntries(parts.filter(([, count]) => count !== 0));
}

/** Part by part: both together. */
export function together(a: UsageParts, b: UsageParts): UsageParts {
  const parts = allParts.map((part) => [part, (a[part] ?? 0) + (b[part] ?? 0)] as const);
  return Object.fromEntries(parts.filter(([, count]) => count !== 0));
}

function sum(usage: UsageParts, parts: readonly UsagePart[]): number {
  return parts.reduce((total, part) => total + (usage[part] ?? 0), 0);
}
