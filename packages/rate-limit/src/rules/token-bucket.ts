import { commonLimit, commonOptions, type Limit, type LimitOptions } from '../limit.ts';
import { onlyKnown, wholeNumber } from '../options.ts';
import { largestAmount, longestMs, per, type Rate } from '../rate.ts';
import { Reservations } from './reservations.ts';
import type { Carry, Held, Rule, Settlement } from './rule.ts';

/** How much a token bucket lets through. */
export interface TokenBucketOptions<Subject = unknown> extends LimitOptions<Subject> {
  /** How fast the bucket fills. @defaultValue `per(5, 'second')` */
  readonly rate?: Rate;
  /** How many the full bucket holds. @defaultValue the amount of `rate`; 10 where no rate is given either */
  readonly burst?: number;
  /** How far below empty `settle` may take the bucket where more was used than reserved. @defaultValue `burst` */
  readonly debt?: number;
  /**
   * After how many ms a reservation that nobody settled counts as used; at the latest after twice as many. Until then the bucket does not
   * refill what is reserved. With 0 it counts as used at once: nothing of it can be given back, and long calls hold nothing up.
   * @defaultValue `60_000`
   */
  readonly reservationMs?: number;
}

/** A limit that lets through a burst, and then a rate. */
export interface TokenBucket<Subject = unknown> extends Limit<Subject> {
  /** How fast the bucket fills. */
  readonly rate: Rate;
  /** How many tokens the full bucket holds. */
  readonly burst: number;
}

/**
 * A token bucket: in any interval of t ms it lets through at most `burst + t · amount / period`.
 *
 * Kept as what is used and when that was so, which is the generic cell rate algorithm (ITU-T I.371) with its instant split in two, so
 * that a change of the rate keeps what is used.
 */
export function tokenBucket<Subject = unknown>(options: TokenBucketOptions<Subject> = {}): TokenBucket<Subject> {
  onlyKnown('tokenBucket', options, [...commonOptions, 'rate', 'burst', 'debt', 'reservationMs']);
  const rate = options.rate ?? per(5, 'second');
  wholeNumber('rate.amount', rate.amount, 1, largestAmount);
  wholeNumber('rate.periodMs', rate.periodMs, 1, longestMs);
  const burst = wholeNumber('burst', options.burst ?? (options.rate === undefined ? 10 : rate.amount), 1, largestAmount);
  const debt = wholeNumber('debt', options.debt ?? burst, 0, largestAmount);
  const reservationMs = wholeNumber('reservationMs', options.reservationMs ?? 60_000, 0, longestMs);
  return {
    ...commonLimit('tokenBucket', options, 'requests'),
    description: `${rate.amount} per ${rate.periodMs / 1_000} s, burst ${burst}`,
    rate,
    burst,
    rule: new BucketRule(rate, burst, debt, reservationMs),
  };
}

/** State: what is used, in units, and when that was so. */
export class BucketRule implements Rule {
  readonly kind = 'token-bucket';
  readonly byCalendar = false;
  readonly slots = 2;
  readonly most: number;
  readonly windowMs: number;
  /** Units that come back in a µs. */
  readonly perUs: number;
  /** Units that come back in a ms. */
  readonly perMs: number;
  /** Units that a token is. */
  readonly perToken: number;
  /** Units that a full bucket is. */
  readonly capacity: number;
  /** The most units that may be used. */
  readonly floor: number;
  readonly reservations: Reservations;
  /** How fast the bucket fills. */
  readonly rate: Rate;
  readonly #debt: number;

  constructor(rate: Rate, burst: number, debt: number, reservationMs: number) {
    const { perUs, perToken } = units(rate, burst + debt);
    this.rate = rate;
    this.#debt = debt;
    this.most = burst;
    this.windowMs = Math.ceil((burst * rate.periodMs) / rate.amount);
    this.perUs = perUs;
    this.perMs = perUs * 1_000;
    this.perToken = perToken;
    this.capacity = burst * perToken;
    this.floor = (burst + debt) * perToken;
    this.reservations = new Reservations(Math.max(1, reservationMs * 1_000));
  }

  get settings(): readonly number[] {
    return [this.perUs, this.perToken, this.capacity, this.floor, this.reservations.spellUs];
  }

  advance(state: Float64Array, at: number, now: number, held?: Held): void {
    if (held !== undefined) this.#passSpells(state, at, now, held);
    state[at] = this.#usedAt(state[at] as number, state[at + 1] as number, now, held);
    state[at + 1] = now;
  }

  wait(state: Float64Array, at: number, _now: number, cost: number): number {
    if (cost > this.most) return Number.POSITIVE_INFINITY;
    const room = this.capacity - cost * this.perToken;
    return this.#usedWithin(state[at] as number, room);
  }

  /**
   * {@link BucketRule.advance} and `wait` in one step that changes nothing, for a state without reservations and time that never goes back:
   * how many units would be left if `cost` were taken; it fits where that is none or more.
   */
  room(state: Float64Array, at: number, now: number, cost: number): number {
    const used = Math.max(0, (state[at] as number) - (now - (state[at + 1] as number)) * this.perUs);
    return this.capacity - used - cost * this.perToken;
  }

  /** {@link BucketRule.room}, taken where it fits. */
  charge(state: Float64Array, at: number, now: number, cost: number): number {
    const after = Math.max(0, (state[at] as number) - (now - (state[at + 1] as number)) * this.perUs) + cost * this.perToken;
    if (after <= this.capacity) {
      state[at] = after;
      state[at + 1] = now;
    }
    return this.capacity - after;
  }

  /** Takes what {@link BucketRule.room} was asked for. */
  leave(state: Float64Array, at: number, now: number, room: number): void {
    state[at] = this.capacity - room;
    state[at + 1] = now;
  }

  take(state: Float64Array, at: number, _now: number, cost: number): void {
    state[at] = (state[at] as number) + cost * this.perToken;
  }

  hold(held: Held, now: number, cost: number): void {
    this.reservations.add(held, cost * this.perToken, now);
  }

  settle(state: Float64Array, at: number, _now: number, { reserved, actual, takenAt }: Settlement, held?: Held): void {
    const open = held !== undefined && this.reservations.remove(held, reserved * this.perToken, takenAt);
    const used = state[at] as number;
    const exact = used + (actual - reserved) * this.perToken;
    if (actual > reserved) state[at] = Math.max(used, Math.min(exact, this.floor));
    else if (open) state[at] = Math.max(this.reservations.sum(held), exact);
  }

  refund(state: Float64Array, at: number, _now: number, cost: number, held?: Held): void {
    state[at] = Math.max(this.reservations.sum(held), (state[at] as number) - cost * this.perToken);
  }

  left(state: Float64Array, at: number): number {
    return Math.max(0, Math.floor((this.capacity - (state[at] as number)) / this.perToken));
  }

  moreIn(state: Float64Array, at: number): number {
    const left = this.left(state, at);
    return left === this.most ? 0 : this.#usedWithin(state[at] as number, this.capacity - (left + 1) * this.perToken);
  }

  fullIn(state: Float64Array, at: number): number {
    return this.#usedWithin(state[at] as number, 0);
  }

  part(processes: number): Rule {
    const { amount, periodMs } = this.rate;
    const share = (of: number) => Math.floor(of / processes);
    return new BucketRule(
      { amount, periodMs: periodMs * processes },
      Math.max(1, share(this.most)),
      share(this.#debt),
      Math.floor(this.reservations.spellUs / 1_000),
    );
  }

  carry(state: Float64Array, from: Rule, _now: number, mode: Carry | 'kept'): Float64Array {
    const old = from as BucketRule;
    const [used = 0, since = 0] = state;
    if (mode === 'reset') return new Float64Array(2);
    if (old.perToken === this.perToken && old.capacity === this.capacity) return Float64Array.of(used, since);
    // kept is never cut to the capacity: where processes go by old and new limits at once, that would forget what was used at each change
    const most = mode === 'kept' ? Number.POSITIVE_INFINITY : used > old.capacity ? this.floor : this.#mostAfter(old, used);
    const share = mode === 'proportional' ? (used / old.capacity) * this.capacity : (used / old.perToken) * this.perToken;
    return Float64Array.of(Math.min(Math.ceil(share), most), since);
  }

  /** The most units that may be used after a change of the limit: where it lets more through than before, no token fewer is left. */
  #mostAfter(old: BucketRule, used: number): number {
    const left = this.most < old.most ? 0 : Math.floor((old.capacity - used) / old.perToken);
    return this.capacity - left * this.perToken;
  }

  /** What is used at `now`. Where the clock went back, what comes back by then comes again, but never more than a full bucket. */
  #usedAt(used: number, since: number, now: number, held: Held | undefined): number {
    if (now < since) return used === 0 ? 0 : Math.min(Math.max(used, this.capacity), used + (since - now) * this.perUs);
    const reserved = held === undefined ? 0 : this.reservations.sum(held);
    return Math.max(reserved, used - (now - since) * this.perUs);
  }

  /** Goes to the ends of the spells since the last look, one by one: what is reserved does not come back before. */
  #passSpells(state: Float64Array, at: number, now: number, held: Held): void {
    for (let end = this.reservations.nextEnd(held, now); end !== undefined; end = this.reservations.nextEnd(held, now)) {
      if (end > (state[at + 1] as number)) {
        state[at] = this.#usedAt(state[at] as number, state[at + 1] as number, end, held);
        state[at + 1] = end;
      }
      this.reservations.pass(held, now);
    }
  }

  /** In how many µs at most `room` units are used, if nothing else comes and what is reserved has been settled by then. */
  #usedWithin(used: number, room: number): number {
    return used <= room ? 0 : Math.ceil((used - room) / this.perUs);
  }
}

// Below 2^51, so that sums and products of a few stay whole numbers.
const mostUnits = 2n ** 51n;

/** Units so chosen that a token and a µs are whole numbers of them; where none are, tokens are rounded up, which never lets through more. */
function units(rate: Rate, tokens: number): { perUs: number; perToken: number } {
  const amount = BigInt(rate.amount);
  const periodUs = BigInt(rate.periodMs) * 1_000n;
  const divisor = greatestCommonDivisor(amount, periodUs);
  const largest = mostUnits / BigInt(tokens);
  if (periodUs / divisor <= largest) return { perUs: Number(amount / divisor), perToken: Number(periodUs / divisor) };
  const perUs = (amount * largest) / periodUs;
  if (perUs === 0n) throw new RangeError(`burst and debt of ${tokens} are too large for ${rate.amount} per ${rate.periodMs} ms`);
  return { perUs: Number(perUs), perToken: Number((perUs * periodUs + amount - 1n) / amount) };
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? a : greatestCommonDivisor(b, a % b);
}
