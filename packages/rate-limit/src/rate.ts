import { wholeNumber } from './options.ts';

/** An amount in a period, as {@link per} makes it. */
export interface Rate {
  /** Tokens that come back in each period. */
  readonly amount: number;
  /** The period, in ms, up to 366 days. */
  readonly periodMs: number;
}

const periods = { second: 1_000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** The longest period and window, in ms: 366 days. */
export const longestMs = 366 * periods.day;

/** The most of anything a limit counts. */
export const largestAmount = 1_000_000_000;

/** So many in each second, minute, hour or day of 24 hours: `per(60, 'minute')`. */
export function per(amount: number, unit: 'second' | 'minute' | 'hour' | 'day'): Rate {
  if (!Object.hasOwn(periods, unit)) throw new RangeError(`per: unit must be second, minute, hour or day, not '${String(unit)}'`);
  return { amount: wholeNumber('per: amount', amount, 1, largestAmount), periodMs: periods[unit] };
}
