import { commonLimit, commonOptions, type Limit, type LimitOptions } from '../limit.ts';
import { onlyKnown, wholeNumber } from '../options.ts';
import { largestAmount, longestMs } from '../rate.ts';
import { type Carry, type Rule, type Settlement, scaled } from './rule.ts';

/** How much a sliding window lets through. */
export interface SlidingWindowOptions<Subject = unknown> extends LimitOptions<Subject> {
  /** The most in any interval of `windowMs`. */
  readonly limit: number;
  /** The length of the window, in ms, up to 366 days. */
  readonly windowMs: number;
  /** Into how many parts the window is divided: of n parts, a steady load gets n / (n + 1) of the limit. @defaultValue `20` */
  readonly precision?: number;
}

/** A limit that lets through so many in any window of time. */
export interface SlidingWindow<Subject = unknown> extends Limit<Subject> {
  /** The most in any interval of `windowMs`. */
  readonly limit: number;
  /** The length of the window, in ms. */
  readonly windowMs: number;
}

/**
 * A sliding window: in any interval of `windowMs` it lets through at most `limit`.
 *
 * Kept as one count a part of the window. A part is forgotten when all of it lies behind the window, not when half of it does, and
 * none is weighed by its share: weighing it lets nearly twice the limit through at worst.
 */
export function slidingWindow<Subject = unknown>(options: SlidingWindowOptions<Subject>): SlidingWindow<Subject> {
  onlyKnown('slidingWindow', options, [...commonOptions, 'limit', 'windowMs', 'precision']);
  const limit = wholeNumber('slidingWindow: limit', options.limit, 1, largestAmount);
  const windowMs = wholeNumber('slidingWindow: windowMs', options.windowMs, 1, longestMs);
  const precision = wholeNumber('slidingWindow: precision', options.precision ?? 20, 1, 1_000);
  return {
    ...commonLimit('slidingWindow', options, 'requests'),
    description: `${limit} in any ${windowMs / 1_000} s`,
    limit,
    windowMs,
    rule: new SlidingWindowRule(limit, windowMs, precision),
  };
}

/** State: the number of the newest part, the sum of all counts, and the counts, each in the place that its part's number gives. */
export class SlidingWindowRule implements Rule {
  readonly kind = 'sliding-window';
  readonly byCalendar = false;
  readonly slots: number;
  readonly most: number;
  readonly windowMs: number;
  readonly #partUs: number;
  readonly #parts: number;

  constructor(limit: number, windowMs: number, precision: number) {
    this.most = limit;
    this.windowMs = windowMs;
    this.#partUs = Math.ceil((windowMs * 1_000) / precision);
    this.#parts = precision + 1; // an interval as long as the window may touch one more
    this.slots = 2 + this.#parts;
  }

  get settings(): readonly number[] {
    return [this.#partUs, this.#parts, this.most];
  }

  advance(state: Float64Array, at: number, now: number): void {
    const newest = state[at] as number;
    const current = Math.floor(now / this.#partUs);
    if (current > newest) {
      const gone = Math.min(current - newest, this.#parts);
      for (let part = current - gone + 1; part <= current; part += 1) this.#count(state, at, part, -this.#counted(state, at, part));
      state[at] = current;
    } else if (newest - current >= this.#parts) this.#gather(state, at, current);
  }

  wait(state: Float64Array, at: number, now: number, cost: number): number {
    if (cost > this.most) return Number.POSITIVE_INFINITY;
    let over = (state[at + 1] as number) + cost - this.most;
    if (over <= 0) return 0;
    const newest = state[at] as number;
    let part = newest - this.#parts;
    while (over > 0) {
      part += 1;
      over -= this.#counted(state, at, part);
    }
    return (part + this.#parts) * this.#partUs - now;
  }

  take(state: Float64Array, at: number, _now: number, cost: number): void {
    this.#count(state, at, state[at] as number, cost);
  }

  hold(): void {}

  settle(state: Float64Array, at: number, _now: number, { reserved, actual, takenAt }: Settlement): void {
    const newest = state[at] as number;
    const part = Math.floor(takenAt / this.#partUs);
    if (actual > reserved)
      this.#count(state, at, newest, Math.max(0, Math.min(actual - reserved, 2 * this.most - (state[at + 1] as number))));
    else if (part <= newest && part > newest - this.#parts) {
      this.#count(state, at, part, -Math.min(reserved - actual, this.#counted(state, at, part)));
    }
  }

  refund(state: Float64Array, at: number, _now: number, cost: number): void {
    const newest = state[at] as number;
    let left = cost;
    for (let part = newest - this.#parts + 1; part <= newest && left > 0; part += 1) {
      const given = Math.min(left, this.#counted(state, at, part));
      this.#count(state, at, part, -given);
      left -= given;
    }
  }

  left(state: Float64Array, at: number): number {
    return Math.max(0, this.most - (state[at + 1] as number));
  }

  moreIn(state: Float64Array, at: number, now: number): number {
    const left = this.left(state, at);
    return left === this.most ? 0 : this.wait(state, at, now, left + 1);
  }

  fullIn(state: Float64Array, at: number, now: number): number {
    return this.left(state, at) === this.most ? 0 : this.wait(state, at, now, this.most);
  }

  part(processes: number): Rule {
    return new SlidingWindowRule(Math.max(1, Math.floor(this.most / processes)), this.windowMs, this.#parts - 1);
  }

  carry(state: Float64Array, from: Rule, now: number, mode: Carry | 'kept'): Float64Array {
    const old = from as SlidingWindowRule;
    const carried = new Float64Array(this.slots);
    const current = Math.floor(now / this.#partUs);
    carried[0] = current;
    if (mode === 'reset') return carried;
    old.advance(state, 0, now);
    const share = (used: number) => (mode === 'proportional' ? scaled(used, old.most, this.most) : used);
    if (old.#partUs !== this.#partUs || old.#parts !== this.#parts) {
      this.#count(carried, 0, current, share(state[1] as number));
      return carried;
    }
    const newest = state[0] as number;
    carried[0] = newest;
    // sums are rounded up, not their parts, so that what is left is no less than its share
    for (let [part, sum] = [newest, 0]; part > newest - this.#parts; part -= 1) {
      sum += this.#counted(state, 0, part);
      this.#count(carried, 0, part, share(sum) - (carried[1] as number));
    }
    return carried;
  }

  /** The clock was set back by more than the window: all that is counted is taken as of now. */
  #gather(state: Float64Array, at: number, current: number): void {
    const sum = state[at + 1] as number;
    state.fill(0, at, at + this.slots);
    state[at] = current;
    this.#count(state, at, current, sum);
  }

  #counted(state: Float64Array, at: number, part: number): number {
    return state[at + 2 + this.#place(part)] as number;
  }

  #count(state: Float64Array, at: number, part: number, cost: number): void {
    const place = at + 2 + this.#place(part);
    state[place] = (state[place] as number) + cost;
    state[at + 1] = (state[at + 1] as number) + cost;
  }

  #place(part: number): number {
    return ((part % this.#parts) + this.#parts) % this.#parts;
  }
}
