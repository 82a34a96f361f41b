import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatencyHistogram } from '../src/policies/latency-histogram.ts';
import { scaledRuns } from './scale.ts';

const durations = fc.array(fc.oneof(fc.double({ min: 0, max: 100, noNaN: true }), fc.double({ min: 0, max: 2 ** 31, noNaN: true })), {
  minLength: 1,
  maxLength: 400,
});

describe('a histogram of durations', () => {
  it('answers with the quantile of what it was told, or up to 10 % more', () => {
    fc.assert(
      fc.property(durations, fc.constantFrom(0.01, 0.07, 0.29, 0.5, 0.95, 0.99, 1), (told, q) => {
        const histogram = new LatencyHistogram();
        for (const ms of told) histogram.record(ms);
        const sorted = [...told].sort((a, b) => a - b);
        const exact = Math.max(1, sorted[Math.max(0, Math.ceil(q * told.length - 1e-6) - 1)] ?? 0);
        expect(histogram.quantile(q)).toBeGreaterThanOrEqual(exact * (1 - 1e-9));
        expect(histogram.quantile(q)).toBeLessThanOrEqual(exact * 1.1 * (1 + 1e-9));
      }),
      { numRuns: scaledRuns(300) },
    );
  });

  it('reaches a share exactly where rounding would pass it', () => {
    const histogram = new LatencyHistogram();
    for (let i = 0; i < 100; i++) histogram.record(i < 7 ? 10 : 1_000);
    expect(histogram.quantile(0.07)).toBeLessThan(12); // 0.07 * 100 is 7.000000000000001
  });

  it('forgets what is old, and keeps its tail', () => {
    const histogram = new LatencyHistogram();
    for (let i = 0; i < 100_000; i++) histogram.record(10);
    for (let i = 0; i < 1_000; i++) histogram.record(200);
    expect(histogram.quantile(0.5)).toBeGreaterThanOrEqual(200);
    const even = new LatencyHistogram();
    for (let i = 0; i < 100_000; i++) even.record(i % 100 === 0 ? 5_000 : 10);
    expect(even.quantile(0.95)).toBeLessThan(11);
    expect(even.quantile(0.999)).toBeGreaterThanOrEqual(5_000);
  });

  it('answers with 1 ms where it knows nothing', () => {
    expect(new LatencyHistogram().quantile(0.95)).toBe(1);
  });
});
