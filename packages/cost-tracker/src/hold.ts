import type { CallOutcome } from './call.ts';

/** Money set aside for one call. The first `settle` or `release` that succeeds ends it; whatever comes later changes nothing. */
export interface CostHold {
  /** Key of the call within its tenant: what is learnt after it was settled can be recorded under it. */
  readonly id: string;
  /** What is held, a decimal. */
  readonly amountUsd: string;
  /** Of a model: the most tokens that it may answer with, where they were limited. */
  readonly maxOutputTokens?: number;
  /**
   * Writes what the call cost and gives the rest back, in one transaction. A hold that has expired is recorded all the same: the
   * money is spent.
   */
  settle(outcome?: CallOutcome): Promise<void>;
  /** Gives everything back: the call was not made, or cost nothing. */
  release(): Promise<void>;
}

/** How a hold ends. */
interface Endings {
  settle(outcome: CallOutcome): Promise<void>;
  release(): Promise<void>;
}

/** Makes a hold that ends once. A failed ending may be tried again. */
export function endingOnce(held: Omit<CostHold, 'settle' | 'release'>, { settle, release }: Endings): CostHold {
  let ended: Promise<void> | undefined;
  const end = (how: () => Promise<void>): Promise<void> => {
    ended ??= how().catch((error: unknown) => {
      ended = undefined;
      throw error;
    });
    return ended;
  };
  return { ...held, settle: (outcome = {}) => end(() => settle(outcome)), release: () => end(release) };
}
