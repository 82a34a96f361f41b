import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { per, RateLimiter, tokenBucket } from '../src/index.ts';
import type { BucketRule } from '../src/rules/token-bucket.ts';
import { runs } from './runs.ts';

const rates = fc.record({ amount: fc.integer({ min: 1, max: 1_000_000 }), unit: fc.constantFrom('second', 'minute', 'hour', 'day') });
const start = fc.double({ min: -1e6, max: 1e8, noNaN: true }); // a day, in every fraction of a ms
const steps = fc.array(fc.integer({ min: 0, max: 2e6 }), { minLength: 1, maxLength: 12 });

test('refused 1 ms before the promised instant and admitted at it, for any rate, burst, cost and fraction of a ms', () => {
  fc.assert(
    fc.property(
      rates,
      fc.integer({ min: 1, max: 1_000 }),
      start,
      steps,
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 12, maxLength: 12 }),
      ({ amount, unit }, burst, now, gaps, shares) => {
        const clock = new ManualClock({ now });
        const limiter = new RateLimiter({ clock, limits: [tokenBucket({ rate: per(amount, unit), burst })] });
        for (const [i, gap] of gaps.entries()) {
          clock.advance(gap / 1_000);
          const cost = 1 + Math.floor((shares[i] as number) * (burst - 1));
          const decision = limiter.consumeSync(undefined, { cost });
          if (decision.allowed) continue;
          expect(Number.isInteger(decision.retryAfterMs) && decision.retryAfterMs >= 1).toBe(true);
          expect(decision.permanent).toBe(false);
          clock.advance(decision.retryAfterMs - 1);
          expect(limiter.consumeSync(undefined, { cost }).allowed, '1 ms before').toBe(false);
          clock.advance(1);
          expect(limiter.consumeSync(undefined, { cost }).allowed, 'at the instant').toBe(true);
        }
      },
    ),
    runs(1_000),
  );
});

test('any rate becomes whole numbers that keep it exactly or fall short of it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000_000 }),
      fc.integer({ min: 1, max: 366 * 86_400_000 }),
      fc.integer({ min: 1, max: 100 }),
      (amount, periodMs, burst) => {
        fc.pre(burst <= amount);
        const bucket = tokenBucket({ rate: { amount, periodMs }, burst });
        const { perUs, perToken, capacity, floor } = bucket.rule as BucketRule;
        expect([perUs, perToken, capacity, floor].every(Number.isSafeInteger)).toBe(true);
        const overOrExact = BigInt(perToken) * BigInt(amount) - BigInt(periodMs) * 1_000n * BigInt(perUs);
        expect(overOrExact).toBeGreaterThanOrEqual(0n);
        expect(overOrExact).toBeLessThan(BigInt(amount));
        expect(capacity).toBe(burst * perToken);
      },
    ),
    runs(1_000),
  );
});

test('a cost of n is n costs of 1: both leave the same in the bucket', () => {
  fc.assert(
    fc.property(
      rates,
      fc.integer({ min: 2, max: 60 }),
      fc.array(fc.record({ gap: fc.integer({ min: 0, max: 5_000 }), n: fc.integer({ min: 1, max: 60 }) }), { maxLength: 20 }),
      ({ amount, unit }, burst, calls) => {
        const clock = new ManualClock();
        const make = () => new RateLimiter({ clock, limits: [tokenBucket({ rate: per(amount, unit), burst })] });
        const [atOnce, oneByOne] = [make(), make()];
        for (const { gap, n } of calls) {
          clock.advance(gap);
          const decision = atOnce.consumeSync(undefined, { cost: n });
          if (!decision.allowed) {
            expect(n, 'refused though that many are left').toBeGreaterThan(decision.remaining);
            continue;
          }
          for (let i = 0; i < n; i += 1) expect(oneByOne.consumeSync().allowed).toBe(true);
          expect(oneByOne.consumeSync(undefined, { cost: burst })).toEqual(atOnce.consumeSync(undefined, { cost: burst }));
        }
      },
    ),
    runs(1_000),
  );
});
