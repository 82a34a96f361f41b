import { type Clock, systemClock } from '../clock.ts';
import { begin, type ExecuteOptions, type Execution, type Policy, type Protected, run } from '../execution.ts';
import { onlyKnown, wholeNumber } from '../options.ts';
import { role } from '../policy-role.ts';
import { HedgeDelay, type QuantileDelay } from './hedge-delay.ts';
import { type HedgeCounts, HedgedCall, type HedgeSettings } from './hedged-call.ts';
import { checkedBudget, payIn, type RetryBudget } from './retry-budget.ts';

/** When a call is made a second time while the first still runs. */
export interface HedgeOptions {
  /** After how long without an answer, in ms, or from what calls take. */
  readonly delayMs: number | QuantileDelay;
  /** Attempts beside the first. @defaultValue `1` */
  readonly maxHedges?: number;
  /** A budget of further attempts to share with retries and other hedges. No limit unless given. */
  readonly budget?: RetryBudget;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** Numbers of a hedge since it was made. */
export interface HedgeMetrics {
  /** Calls, however many attempts each took. */
  readonly calls: number;
  /** Further attempts started. */
  readonly hedges: number;
  /** Calls that a further attempt answered. */
  readonly won: number;
  /** Further attempts that were due but not started, because the budget was spent. */
  readonly budgetExhausted: number;
}

/**
 * Starts a call once more when it has not answered after a delay, and takes the first success: `hedge` of the context counts
 * the attempts, so that each can go elsewhere. Only for calls that may be made twice.
 *
 * An attempt that fails starts the next one at once. If all fail, the error that came last is thrown, a refusal of our own only
 * if there is no other. The `signal` of each loser is aborted with a {@link HedgeLostError}; a stream or a response that it
 * opens all the same is closed. The winner's `signal` stays tied to the call, so that a later abort reaches what it opened.
 */
export function hedge(options: HedgeOptions): Hedge {
  onlyKnown('hedge', options, ['delayMs', 'maxHedges', 'budget', 'clock']);
  const { delayMs, maxHedges = 1, budget, clock = systemClock } = options;
  return new Hedge({
    delay: new HedgeDelay(delayMs),
    maxHedges: wholeNumber('maxHedges', maxHedges, 1, 100),
    budget: checkedBudget(budget),
    clock,
  });
}

/** What {@link hedge} makes. */
export class Hedge implements Policy {
  /** @internal */
  readonly [role] = 'hedge';
  readonly #settings: HedgeSettings;
  readonly #counts: HedgeCounts = { hedges: 0, won: 0, budgetExhausted: 0 };
  #calls = 0;

  /** @internal */
  constructor(settings: HedgeSettings) {
    this.#settings = settings;
  }

  /** Runs `fn`, and runs it again where it is slow. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** The numbers of the hedge now. */
  metrics(): HedgeMetrics {
    return { calls: this.#calls, ...this.#counts };
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, parent: Execution): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      parent.throwIfAborted();
      this.#calls += 1;
      if (this.#settings.budget !== undefined) payIn(this.#settings.budget, parent);
      new HedgedCall(this.#settings, this.#counts, { fn, parent }, resolve, reject);
    });
  }
}
