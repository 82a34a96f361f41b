import { seededRandom } from './seeded-random.ts';

/** What happens to one request of a language model. */
export type LlmFault =
  | { readonly kind: 'none' }
  /** Answered with this status; the wait is asked for in the named header. */
  | { readonly kind: 'status'; readonly status: number; readonly waitMs?: number; readonly header?: 'retry-after' | 'retry-after-ms' }
  /** The connection ends after so many items of a stream; without a stream, in the middle of the answer. */
  | { readonly kind: 'cut'; readonly afterItems: number }
  /** Nothing is ever answered. */
  | { readonly kind: 'hang' };

/** Items of a stream that is whole. */
export const llmItems = 5;

/** From which value of a random number on it is which fault. */
const shares: readonly (readonly [upTo: number, make: (random: () => number) => LlmFault])[] = [
  [0.2, (random) => ({ kind: 'status', status: 429, waitMs: 40 + Math.floor(random() * 120), header: 'retry-after-ms' })],
  [0.22, () => ({ kind: 'status', status: 429, waitMs: 1_000, header: 'retry-after' })],
  [0.26, (random) => ({ kind: 'status', status: 503, waitMs: 40 + Math.floor(random() * 80), header: 'retry-after-ms' })],
  [0.3, () => ({ kind: 'status', status: 529 })],
  [0.35, () => ({ kind: 'status', status: 500 })],
  [0.43, (random) => ({ kind: 'cut', afterItems: Math.floor(random() * llmItems) })],
  [0.45, () => ({ kind: 'hang' })],
  [1, () => ({ kind: 'none' })],
];

/** The fault of the nth attempt (from 1) of a call: the same for the same seed, in whatever order requests arrive. */
export function llmFault(seed: number, call: number, attempt: number): LlmFault {
  const random = seededRandom(seed + call * 7_919 + attempt * 104_729);
  const chosen = random();
  return shares.find(([upTo]) => chosen < upTo)?.[1](random) ?? { kind: 'none' };
}

/** What a model's name says about all its requests: `429-50` is status 429 with a wait of 50 ms, `seeded` what the seed says. */
export function faultOfModel(model: string, seed: number, call: number, attempt: number): LlmFault {
  const [, status, waitMs] = /^(\d{3})-(\d+)$/.exec(model) ?? [];
  if (status === undefined) return llmFault(seed, call, attempt);
  return { kind: 'status', status: Number(status), waitMs: Number(waitMs), header: 'retry-after-ms' };
}
