/**
 * Sums of reported values, exact to a billionth and the same in every order, so that a target met exactly is met: thirty times 0.1
 * are 3, which they are not as floats.
 */

/** A billionth of a metric's unit. */
export type Billionths = bigint;

/** The largest value, either way: millions of them still have a sum of 64 bits. */
export const MAX_VALUE = 1e12;

const PER_UNIT = 1_000_000_000;
const SPARE_PLACES = 12;

/** A value in billionths, rounded half away from zero. The stores' SQL does the same arithmetic step by step. */
export function billionths(value: number): Billionths {
  const whole = Math.trunc(value);
  const rest = (value - whole) * PER_UNIT;
  return joined(BigInt(whole), BigInt(Math.trunc(rest + (rest < 0 ? -0.5 : 0.5))));
}

/** Lays the sums of whole parts and of rests together. */
export function joined(whole: bigint, rest: bigint): Billionths {
  return whole * BigInt(PER_UNIT) + rest;
}

/** The number nearest to `sum / count`. */
export function numberOf(sum: Billionths, count = 1): number {
  const scaled = (sum * 10n ** BigInt(SPARE_PLACES)) / BigInt(count);
  // Read as a decimal, because dividing floats would round twice.
  return Number(`${scaled}e-${9 + SPARE_PLACES}`);
}
