import type { Answer, Call } from './call.ts';

/** Carries a call on. */
export type Next = (call: Call) => Promise<Answer>;

/** A step around the next one: may refuse (by throwing), change the call, or look at its answer. */
export type Stage = (call: Call, next: Next) => Promise<Answer>;

/** Puts stages around each other, the first outermost, and `innermost` inside them all. */
export function pipeline(stages: readonly Stage[], innermost: Next): Next {
  return stages.reduceRight<Next>((next, stage) => (call) => stage(call, next), innermost);
}
