import type { Allowed, Degraded, LimitLevel } from './decision.ts';
import type { Cost } from './demand.ts';

/** How a reservation is made exact. */
export interface Settling {
  /** What each limit is charged for so much. */
  costs(actual: Cost): readonly number[];
  /** Tells the limits what was used, undefined for nothing; whether they took it. */
  settle(actual: readonly number[] | undefined): Promise<boolean>;
  /** Aborted where a place was lost. */
  readonly lost: AbortSignal;
}

/**
 * What a call was let through with, to be made exact when it is known.
 *
 * A reservation that nobody settles counts as used, and gives its place among calls at once back when its process ends.
 */
export class Reservation implements Allowed {
  /** Tells a reservation from a refusal. */
  readonly allowed = true;
  /** The limit with the least left. */
  readonly limit: string;
  /** The highest cost that limit would let through now. */
  readonly remaining: number;
  /** Given where the store could not be asked in time: which of the limits' `onStoreError` answered. */
  declare readonly degraded?: Degraded;
  /** Each limit, where they were asked for. */
  declare readonly levels?: readonly LimitLevel[];
  readonly #settling: Settling;
  #settled: Promise<boolean> | undefined;

  /** @internal */
  constructor({ limit, remaining, degraded, levels }: Allowed, settling: Settling) {
    this.limit = limit;
    this.remaining = remaining;
    if (degraded !== undefined) this.degraded = degraded;
    if (levels !== undefined) this.levels = levels;
    this.#settling = settling;
  }

  /**
   * Aborted with a {@link RateLimitError} with `ERR_LEASE_LOST` where a place among calls at once was lost, because the store could not
   * be told in time that the call still runs. Stop the call then: another may run in its place.
   */
  get signal(): AbortSignal {
    return this.#settling.lost;
  }

  /**
   * Makes it exact: what was reserved and not used is given back, what was used beyond it is charged, up to the debt that the limit
   * allows. The first call counts; later ones answer what it answered.
   *
   * @returns false where the store could not be told in time: what was reserved then counts as used
   * @throws `RangeError` where the cost is not a whole number from 0, or of no limit
   */
  async settle(actual: Cost): Promise<boolean> {
    this.#settled ??= this.#settling.settle(this.#settling.costs(actual));
    return this.#settled;
  }

  /** Gives all of it back, as {@link Reservation.settle} with 0 does: the call was not made. */
  async release(): Promise<boolean> {
    this.#settled ??= this.#settling.settle(undefined);
    return this.#settled;
  }

  /** Gives it back unless it was settled. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
