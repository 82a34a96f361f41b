import type { CallOutcome } from './call.ts';

/** Money set aside for one call. The first `settle` or `release` that succeeds ends it; whatever comes later changes nothing. */
export interface CostHold {
  /**
   * Writes what the call cost and gives the rest back, in one transaction. A hold that has expired is recorded all the same: the
   * money is spent.
   */
  settle(outcome?: CallOutcome): Promise<void>;
  /** Gives everything back: the call was not made, or cost nothing. */
  release(): Promise<void>;
}

/** Makes a hold that ends once. A failed ending may be tried again. */
export function endingOnce(settle: (outcome: CallOutcome) => Promise<void>, release: () => Promise<void>): CostHold {
  let ended: Promise<void> | undefined;
  const end = (how: () => Promise<void>): Promise<void> => {
    ended ??= how().catch((error: unknown) => {
      ended = undefined;
      throw error;
    });
    return ended;
  };
  return { settle: (outcome = {}) => end(() => settle(outcome)), release: () => end(release) };
}
