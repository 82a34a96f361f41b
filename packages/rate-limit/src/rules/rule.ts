/** What becomes of what was used before, where a limit is changed while it runs. */
export type Carry = 'used' | 'proportional' | 'reset';

/**
 * Amounts that are reserved and not settled yet, in three numbers: the spell of time that runs, what was reserved in it, and what
 * was reserved in the spell before. What is older has expired.
 */
export type Held = Float64Array;

/**
 * What is used of a limit, as the same share of another one, rounded up. Where more is let through than before, no less is left: the
 * arithmetic of floats may end a hair above a whole number.
 */
export function scaled(used: number, from: number, to: number): number {
  const share = Math.ceil((used * to) / from);
  return to >= from && used <= from ? Math.min(share, used + to - from) : share;
}

/** What a reservation took from one limit, and what of it was used. */
export interface Settlement {
  /** What was reserved. */
  readonly reserved: number;
  /** What was used. */
  readonly actual: number;
  /** When it was reserved, in µs of the clock that counts. */
  readonly takenAt: number;
}

/**
 * How a limit decides: pure arithmetic over a few whole numbers a key.
 *
 * The numbers of a key are `slots` numbers of an array from `at` on, all 0 for a key that is new. Times are whole µs. Every method
 * but `advance` and `carry` is to be called after `advance` with the same `now`.
 */
export interface Rule {
  /** Which algorithm. */
  readonly kind: 'token-bucket' | 'sliding-window' | 'calendar-quota' | 'concurrency';
  /** Whether time is that of the calendar, which may be set, instead of time that only passes. */
  readonly byCalendar: boolean;
  /** How many numbers the state of a key is. */
  readonly slots: number;
  /** The highest cost that ever fits. */
  readonly most: number;
  /** The numbers that tell one setting of this algorithm from another. */
  readonly settings: readonly number[];
  /** The period that `most` is of, in ms, where it is of one. */
  readonly windowMs: number | undefined;

  /** Brings the state to `now`. */
  advance(state: Float64Array, at: number, now: number, held?: Held): void;
  /** In how many µs `cost` fits if nothing else comes and what is reserved has been settled by then: 0 is now, Infinity never. */
  wait(state: Float64Array, at: number, now: number, cost: number): number;
  /** Charges `cost`. */
  take(state: Float64Array, at: number, now: number, cost: number): void;
  /** Notes that `cost`, just taken, may be given back. */
  hold(held: Held, now: number, cost: number): void;
  /** Makes what was reserved exact. */
  settle(state: Float64Array, at: number, now: number, settlement: Settlement, held?: Held): void;
  /** Gives back up to `cost`. */
  refund(state: Float64Array, at: number, now: number, cost: number, held?: Held): void;
  /** The highest cost that fits now. */
  left(state: Float64Array, at: number, now: number): number;
  /** In how many µs more fits than now; 0 where everything is left. */
  moreIn(state: Float64Array, at: number, now: number): number;
  /** In how many µs all of it fits again if nothing else comes. */
  fullIn(state: Float64Array, at: number, now: number): number;
  /** The rule that each of so many processes goes by which cannot ask what the others do. */
  part(processes: number): Rule;
  /**
   * Turns the state of a key under the rule `from` of the same kind, as it was last left, into one under this rule; `from`'s is not needed
   * any more. `kept` is for a process that does not go by the latest limits: what was used stays used, be it more than the limit.
   */
  carry(state: Float64Array, from: Rule, now: number, mode: Carry | 'kept'): Float64Array;
}
