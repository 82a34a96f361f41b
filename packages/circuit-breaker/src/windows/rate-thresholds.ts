import { fraction, wholeNumber } from '../options.ts';
import type { OpenReason } from './sliding-window.ts';

/** When a window of rates opens the circuit; thresholds are inclusive. */
export interface RateThresholds {
  readonly failureRate: number;
  readonly slowCallRate: number;
  readonly minimumCalls: number;
}

/** Checks the thresholds of a window of rates. */
export function rateThresholds(failureRate: number, slowCallRate: number | undefined, minimumCalls: number): RateThresholds {
  return {
    failureRate: fraction('failureRateThreshold', failureRate),
    slowCallRate: slowCallRate === undefined ? Number.POSITIVE_INFINITY : fraction('slowCallRateThreshold', slowCallRate),
    minimumCalls: wholeNumber('minimumNumberOfCalls', minimumCalls, 1, 1_000_000),
  };
}

/** Which threshold a window of rates reaches; the happy path divides nothing. */
export function reached(calls: number, failures: number, slowCalls: number, limit: RateThresholds): OpenReason | undefined {
  if ((failures === 0 && slowCalls === 0) || calls < limit.minimumCalls) return undefined;
  // divided, because 0.55 * 100 is a little more than 55
  if (failures / calls >= limit.failureRate) return 'failure-rate';
  if (slowCalls / calls >= limit.slowCallRate) return 'slow-call-rate';
  return undefined;
}
