import { onlyKnown, wholeNumber } from './options.ts';

/** An amount in a period, as {@link per} makes it. */
export interface Rate {
  /** Tokens that come back in each period. */
  readonly amount: number;
  /** The period, in ms, up to 366 days. */
  readonly periodMs: number;
}

const periods = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** So many in each second, minute, hour or day of 24 hours: `per(60, 'minute')`. */
export function per(amount: number, unit: 'second' | 'minute' | 'hour' | 'day'): Rate {
  if (!Object.hasOwn(periods, unit)) throw new RangeError(`per: unit must be second, minute, hour or day, not '${String(unit)}'`);
  return { amount: wholeNumber('per: amount', amount, 1, 1_000_000_000), periodMs: periods[unit] };
}

/** How much a token bucket lets through. */
export interface TokenBucketOptions {
  /** Names the limit in decisions and errors. @defaultValue `'requests'` */
  readonly name?: string;
  /** How fast the bucket fills. @defaultValue `per(5, 'second')` */
  readonly rate?: Rate;
  /** How many the full bucket holds. @defaultValue the amount of `rate`; 10 where no rate is given either */
  readonly burst?: number;
}

/**
 * One limit, checked and turned into whole numbers.
 *
 * Time is counted in units chosen so that one token costs a whole number of them; where no unit does, the cost is rounded
 * up, so that rounding never lets more through than promised.
 */
export interface TokenBucket {
  /** The limit's name in decisions and errors. */
  readonly name: string;
  /** How fast the bucket fills. */
  readonly rate: Rate;
  /** How many tokens the full bucket holds. */
  readonly burst: number;
  /** Units of time in a millisecond. */
  readonly unitsPerMs: number;
  /** What one token costs, in units. */
  readonly unitsPerToken: number;
  /** What a full bucket holds, in units. */
  readonly capacity: number;
}

// At 28 000 units a millisecond, ten years of them stay below 2^53.
const mostUnitsPerMs = 28_000;

/**
 * A token bucket: in any interval of t ms it lets through at most `burst + t · amount / period`.
 *
 * Kept as one number a key, the instant at which the bucket is full again (GCRA, the generic cell rate algorithm of
 * ITU-T I.371).
 */
export function tokenBucket(options: TokenBucketOptions = {}): TokenBucket {
  onlyKnown('tokenBucket', options, ['name', 'rate', 'burst']);
  const rate = options.rate ?? per(5, 'second');
  wholeNumber('rate.amount', rate.amount, 1, 1_000_000_000);
  wholeNumber('rate.periodMs', rate.periodMs, 1, 366 * periods.day);
  const burst = wholeNumber('burst', options.burst ?? (options.rate === undefined ? 10 : rate.amount), 1, 1_000_000_000);
  const divisor = greatestCommonDivisor(rate.amount, rate.periodMs);
  const exact = rate.amount / divisor; // with this many units a millisecond a token costs a whole number
  const unitsPerMs = exact <= mostUnitsPerMs ? exact * Math.floor(mostUnitsPerMs / exact) : mostUnitsPerMs;
  const unitsPerToken = Math.ceil((rate.periodMs * unitsPerMs) / rate.amount);
  const capacity = burst * unitsPerToken;
  if (!Number.isSafeInteger(capacity * 2)) throw new RangeError(`burst ${burst} is too large for ${rate.amount} per ${rate.periodMs} ms`);
  return { name: options.name ?? 'requests', rate, burst, unitsPerMs, unitsPerToken, capacity };
}

/** The instant, in the bucket's units, at which it would be full again after `cost` tokens are taken at `now`. */
export function fullAgainAt(bucket: TokenBucket, fullAt: number, now: number, cost: number): number {
  return Math.max(fullAt, now) + cost * bucket.unitsPerToken;
}

/** By how many units `cost` tokens are too many, if the bucket is then full again at `fullAt`; allowed at 0 and below. */
export function excess(bucket: TokenBucket, fullAt: number, now: number): number {
  return fullAt - now - bucket.capacity;
}

/** Whole tokens in the bucket at `now`. */
export function tokensLeft(bucket: TokenBucket, fullAt: number, now: number): number {
  return fullAt <= now ? bucket.burst : Math.floor((bucket.capacity - (fullAt - now)) / bucket.unitsPerToken);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
