import fc from 'fast-check';
import { expect, test } from 'vitest';
import { scaled } from '../src/rules/rule.ts';
import { BucketRule } from '../src/rules/token-bucket.ts';
import { runs } from './runs.ts';

const amount = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1_000_000_000 }));

test('a share is the exact one rounded up, but for a last digit beyond 2^53; raising the limit leaves no less', () => {
  fc.assert(
    fc.property(amount, amount, amount, (used, from, to) => {
      const share = scaled(used, from, to);
      const exact = Number((BigInt(used) * BigInt(to) + BigInt(from) - 1n) / BigInt(from));
      if (used * to <= Number.MAX_SAFE_INTEGER) expect(share).toBe(exact);
      else expect(Math.abs(share - exact)).toBeLessThanOrEqual(Math.max(1, exact * 2 ** -51));
      if (to >= from && used <= from) expect(to - share).toBeGreaterThanOrEqual(from - used);
    }),
    runs(1_000),
  );
});

test('a bucket whose rate alone rises has as many tokens left, whatever the share of a float is', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.nat(1_000),
      fc.integer({ min: 1, max: 1_000 }),
      fc.nat(500),
      (burst, used, rate, more) => {
        fc.pre(used <= burst);
        const [before, after] = [rate, rate + more].map((amount) => new BucketRule({ amount, periodMs: 60_000 }, burst, 0, 0)) as [
          BucketRule,
          BucketRule,
        ];
        const carried = after.carry(Float64Array.of(used * before.perToken, 0), before, 0, 'proportional');
        expect(after.left(carried, 0)).toBeGreaterThanOrEqual(burst - used);
      },
    ),
    runs(1_000),
  );
});
