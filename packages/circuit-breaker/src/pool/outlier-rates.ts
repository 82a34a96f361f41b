import type { OutlierSettings } from './pool-settings.ts';

/** The mean of equal rates may differ from them by this much. */
const rounding = 1e-12;

/** What the calls to one member in an interval came to. */
export interface IntervalCounts {
  readonly calls: number;
  readonly failures: number;
}

/** A member that a rate condemns; `at` is its place among the tallies. */
export interface Outlier {
  readonly at: number;
  readonly reason: 'success-rate' | 'failure-rate';
}

/**
 * Below which success rate a member is an outlier: so many population standard deviations under the mean of all.
 *
 * Envoy, "Outlier detection", success rate.
 */
export function successRateLimit(rates: readonly number[], stdevFactor: number): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  return mean - stdevFactor * Math.sqrt(variance);
}

/** The members that the rates of an interval condemn, the worst first; a place without a tally takes no part. */
export function outliers(
  tallies: ReadonlyArray<IntervalCounts | undefined>,
  settings: Pick<OutlierSettings, 'successRate' | 'failureRate'>,
): Outlier[] {
  const { successRate, failureRate } = settings;
  const found: Outlier[] = [];
  if (successRate !== undefined) {
    const rates = ratesOf(tallies, successRate);
    const limit = successRateLimit(
      rates.map(({ success }) => success),
      successRate.stdevFactor,
    );
    for (const { at, success } of rates) if (limit - success > rounding) found.push({ at, reason: 'success-rate' });
  }
  if (failureRate !== undefined) {
    for (const { at, failure } of ratesOf(tallies, failureRate))
      if (failure >= failureRate.threshold) found.push({ at, reason: 'failure-rate' });
  }
  return found;
}

function ratesOf(
  tallies: ReadonlyArray<IntervalCounts | undefined>,
  least: { readonly minimumMembers: number; readonly minimumCalls: number },
) {
  const rates = tallies.flatMap((tally, at) => {
    if (tally === undefined || tally.calls < least.minimumCalls) return [];
    const { calls, failures } = tally;
    return [{ at, success: (calls - failures) / calls, failure: failures / calls }];
  });
  return rates.length < least.minimumMembers ? [] : rates.sort((a, b) => a.success - b.success);
}
