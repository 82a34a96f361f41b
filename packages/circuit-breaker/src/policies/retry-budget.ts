import { type Clock, systemClock } from '../clock.ts';
import type { Execution } from '../execution.ts';
import { longestTimerMs, numberWithin, onlyKnown } from '../options.ts';

/** How many further attempts a {@link RetryBudget} allows. */
export interface RetryBudgetOptions {
  /** Further attempts for each first call. @defaultValue `0.2` */
  readonly ratio?: number;
  /** Further attempts a second that are allowed however few calls there are. @defaultValue `10` */
  readonly minPerSecond?: number;
  /** For how long a call is remembered, in ms. @defaultValue `10_000` */
  readonly ttlMs?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** Numbers of a budget at one moment. */
export interface RetryBudgetMetrics {
  /** Further attempts that it would allow at that moment. */
  readonly available: number;
  /** Further attempts that it allowed since it was made. */
  readonly withdrawn: number;
  /** Further attempts that it refused since it was made. */
  readonly refused: number;
}

/**
 * A budget of further attempts that any number of retries and hedges share, so that an outage is not multiplied by them:
 * `retry({ budget })`, `hedge({ budget })`.
 *
 * Time is cut into tenths of `ttlMs`; this tenth and the nine before it are remembered, in which at any moment
 * `withdrawals <= ratio * calls + minPerSecond * ttlMs / 1000`. Over any S tenths in a row there are hence no more further
 * attempts than `ratio` × the calls in them and in the nine tenths before, plus `minPerSecond * ttlMs / 1000` for every ten
 * tenths begun. A new budget allows the minimum of a whole `ttlMs` at once.
 *
 * After `RetryBudget` of Twitter's Finagle.
 */
export function retryBudget(options: RetryBudgetOptions = {}): RetryBudget {
  onlyKnown('retryBudget', options, ['ratio', 'minPerSecond', 'ttlMs', 'clock']);
  const { ratio = 0.2, minPerSecond = 10, ttlMs = 10_000, clock = systemClock } = options;
  return new RetryBudget(
    numberWithin('ratio', ratio, 0, 1),
    numberWithin('minPerSecond', minPerSecond, 0, 1_000_000),
    numberWithin('ttlMs', ttlMs, 1, longestTimerMs),
    clock,
  );
}

const tenths = 10;
const rounding = 1e-9; // 0.29 × 100 is a little less than 29

/** What {@link retryBudget} makes. */
export class RetryBudget {
  readonly #ratio: number;
  readonly #reserve: number;
  readonly #tenthMs: number;
  readonly #clock: Clock;
  readonly #callsIn = new Float64Array(tenths);
  readonly #withdrawnIn = new Float64Array(tenths);
  #calls = 0;
  #spent = 0;
  #tenth = Number.NEGATIVE_INFINITY; // the newest one remembered, counted from the clock's zero
  #withdrawn = 0;
  #refused = 0;

  /** @internal */
  constructor(ratio: number, minPerSecond: number, ttlMs: number, clock: Clock) {
    this.#ratio = ratio;
    this.#reserve = (minPerSecond * ttlMs) / 1_000;
    this.#tenthMs = ttlMs / tenths;
    this.#clock = clock;
  }

  /** Pays in for a first call. The policies do that themselves. */
  deposit(): void {
    const at = this.#settle();
    this.#callsIn[at] = (this.#callsIn[at] ?? 0) + 1;
    this.#calls += 1;
  }

  /** Takes leave for one further attempt; false where the budget is spent. */
  tryWithdraw(): boolean {
    const at = this.#settle();
    if (this.#balance() < 1) {
      this.#refused += 1;
      return false;
    }
    this.#withdrawnIn[at] = (this.#withdrawnIn[at] ?? 0) + 1;
    this.#spent += 1;
    this.#withdrawn += 1;
    return true;
  }

  /** The numbers of the budget now. */
  metrics(): RetryBudgetMetrics {
    this.#settle();
    return { available: Math.max(0, Math.floor(this.#balance())), withdrawn: this.#withdrawn, refused: this.#refused };
  }

  #balance(): number {
    return this.#ratio * this.#calls + this.#reserve - this.#spent + rounding;
  }

  /** Forgets what is too old, and returns where the present is counted. */
  #settle(): number {
    const now = Math.floor(this.#clock.now() / this.#tenthMs);
    for (let tenth = Math.max(this.#tenth + 1, now - tenths + 1); tenth <= now; tenth += 1) this.#forget(place(tenth));
    this.#tenth = Math.max(this.#tenth, now);
    return place(this.#tenth);
  }

  #forget(at: number): void {
    this.#calls -= this.#callsIn[at] ?? 0;
    this.#spent -= this.#withdrawnIn[at] ?? 0;
    this.#callsIn[at] = this.#withdrawnIn[at] = 0;
  }
}

function place(tenth: number): number {
  return ((tenth % tenths) + tenths) % tenths; // a clock may start below zero
}

/**
 * Pays for the first call of an execution, once: an attempt of a policy further out that shares the budget is no first call.
 *
 * @internal
 */
export function payIn(budget: RetryBudget, execution: Execution): void {
  if (execution.paidInto === budget) return;
  execution.paidInto = budget;
  budget.deposit();
}

/**
 * Returns `budget` if it is one.
 *
 * @internal
 */
export function checkedBudget(budget: RetryBudget | undefined): RetryBudget | undefined {
  // by what it can do, so that one of another copy of the package fits
  if (budget === undefined || (typeof budget?.deposit === 'function' && typeof budget.tryWithdraw === 'function')) return budget;
  throw new RangeError(`budget must be made by retryBudget(), not ${String(budget)}`);
}
