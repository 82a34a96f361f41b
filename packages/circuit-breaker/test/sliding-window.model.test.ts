import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { slidingWindow } from '../src/windows/sliding-window.ts';
import { patience, scaledRuns } from './scale.ts';

interface Call {
  readonly failed: boolean;
  readonly slow: boolean;
  readonly at: number;
}

type Step = { readonly failed: boolean; readonly slow: boolean; readonly afterMs: number } | 'clear' | 'look';

const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      failed: fc.boolean(),
      slow: fc.boolean(),
      afterMs: fc.oneof(fc.nat(3), fc.nat(40), fc.constant(0), fc.double({ min: 0, max: 30, noNaN: true }), fc.nat(500)),
    }),
  },
  { weight: 1, arbitrary: fc.constant('clear' as const) },
  { weight: 2, arbitrary: fc.constant('look' as const) },
);
const steps = fc.array(step, { minLength: 1, maxLength: 80 });
const rate = fc.oneof(
  fc.constantFrom(0.25, 0.5, 0.55, 0.07, 1),
  fc.integer({ min: 1, max: 100 }).map((percent) => percent / 100),
);
const thresholds = fc.record({
  failureRate: rate,
  slowCallRate: fc.option(rate, { nil: Number.POSITIVE_INFINITY }),
  minimumCalls: fc.integer({ min: 1, max: 6 }),
});

const sum = (calls: readonly Call[]) => ({
  calls: calls.length,
  failures: calls.filter((call) => call.failed).length,
  slowCalls: calls.filter((call) => call.slow).length,
});

function verdict(calls: readonly Call[], limit: { failureRate: number; slowCallRate: number; minimumCalls: number }) {
  const { calls: all, failures, slowCalls } = sum(calls);
  if (all < limit.minimumCalls) return undefined;
  if (failures / all >= limit.failureRate) return 'failure-rate';
  return slowCalls / all >= limit.slowCallRate ? 'slow-call-rate' : undefined;
}

/** Runs the steps through the window and through all calls ever made, of which `kept` says which still count. */
function compare(
  window: ReturnType<typeof slidingWindow>,
  limit: Parameters<typeof verdict>[1],
  startAt: number,
  sequence: readonly Step[],
  kept: (calls: readonly Call[], now: number) => readonly Call[],
): void {
  let now = startAt;
  let calls: Call[] = [];
  for (const next of sequence) {
    if (next === 'clear') {
      window.clear();
      calls = [];
    } else if (next !== 'look') {
      now += next.afterMs;
      calls.push({ ...next, at: now });
      expect(window.record(next.failed, next.slow, now)).toBe(verdict(kept(calls, now), limit));
    }
    if (next === 'look') expect(window.counts(now)).toEqual(sum(kept(calls, now)));
  }
  expect(window.counts(now)).toEqual(sum(kept(calls, now)));
}

describe('a sliding window agrees with an array of all calls', () => {
  it('that counts the last ones', patience, () => {
    fc.assert(
      fc.property(fc.integer({ min: 6, max: 20 }), thresholds, steps, (size, limit, sequence) => {
        compare(slidingWindow({ type: 'count', size }, limit), limit, 0, sequence, (calls) => calls.slice(-size));
      }),
      { numRuns: scaledRuns(500) },
    );
  });

  it('that keeps those of the last buckets of time', patience, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: -1_000, max: 1_000 }),
        thresholds,
        steps,
        (durationMs, buckets, startAt, limit, sequence) => {
          const bucket = (at: number) => Math.floor(at / (durationMs / buckets));
          const window = slidingWindow({ type: 'time', durationMs, buckets }, limit);
          compare(window, limit, startAt, sequence, (calls, now) => calls.filter((call) => bucket(call.at) > bucket(now) - buckets));
        },
      ),
      { numRuns: scaledRuns(500) },
    );
  });

  it('and a time window never counts a call older than its duration, nor forgets one younger than that less a bucket', patience, () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 12 }),
        fc.nat(5_000),
        fc.nat(500),
        (bucketMs, buckets, at, age) => {
          const durationMs = bucketMs * buckets;
          const window = slidingWindow({ type: 'time', durationMs, buckets }, { failureRate: 1, slowCallRate: 1, minimumCalls: 1 });
          window.record(true, false, at);
          const { calls } = window.counts(at + age);
          if (age >= durationMs) expect(calls).toBe(0);
          if (age <= durationMs - bucketMs) expect(calls).toBe(1);
        },
      ),
      { numRuns: scaledRuns(500) },
    );
  });
});
