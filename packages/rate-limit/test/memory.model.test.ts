import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { per, RateLimiter, tokenBucket } from '../src/index.ts';
import { type Admission, PlainBucket, worstExcess } from './reference.ts';
import { runs } from './runs.ts';

const limits = [
  tokenBucket({ name: 'second', rate: per(5, 'second'), burst: 4 }),
  tokenBucket({ name: 'minute', rate: per(30, 'minute'), burst: 12 }),
];
const call = fc.record({
  key: fc.integer({ min: 0, max: 150 }).map((n) => `key ${n}`),
  cost: fc.integer({ min: 1, max: 5 }),
  step: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })),
  verb: fc.constantFrom('consume', 'consume', 'consume', 'consume', 'reset others', 'peek'),
});

test('however few keys are remembered, none gets more than it would with a memory of its own', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(call, { maxLength: 200, size: 'max' }), async (maxKeys, calls) => {
      const clock = new ManualClock();
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock, maxKeys });
      const admitted = new Map<string, Admission[]>();
      for (const { key, cost, step, verb } of calls) {
        clock.advance(step);
        if (verb === 'reset others') await limiter.reset(`no ${key}`);
        else if (verb === 'peek') await limiter.peek(key, { cost });
        else if (limiter.consumeSync(key, { cost }).allowed) {
          admitted.set(key, [...(admitted.get(key) ?? []), { atMs: clock.now(), cost }]);
        }
        expect(limiter.size).toBeLessThanOrEqual(maxKeys);
      }
      for (const [key, list] of admitted) {
        for (const limit of limits) expect(worstExcess(limit, list), `${key}, ${limit.name}`).toBeLessThanOrEqual(0);
      }
    }),
    runs(150),
  );
});

test('a flood of other keys unblocks no blocked key', () => {
  const flood = fc.record({ keys: fc.integer({ min: 0, max: 40 }), step: fc.integer({ min: 0, max: 400 }) });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 8 }),
      fc.array(flood, { maxLength: 40, size: 'max' }),
      (maxKeys, late, floods) => {
        const clock = new ManualClock();
        const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock, maxKeys });
        const alone = limits.map((limit) => new PlainBucket(limit, clock.now()));
        let flooder = 0;
        const pour = (keys: number) => {
          for (let i = 0; i < keys; i += 1) {
            limiter.consumeSync(`flooder ${flooder}`, { cost: 4 });
            flooder += 1;
          }
        };
        pour(late); // the victim may come first or when all places are taken
        for (const { keys, step } of floods) {
          if (limiter.consumeSync('victim').allowed) {
            const waits = alone.map((bucket) => bucket.waitMs(clock.now(), 1));
            expect(Math.max(...waits), 'let through though its own buckets are empty').toBe(0);
            for (const bucket of alone) bucket.take(1);
          }
          pour(keys);
          clock.advance(step);
        }
      },
    ),
    runs(150),
  );
});

test('with room for all, the flood is not felt at all', () => {
  fc.assert(
    fc.property(fc.array(call, { maxLength: 200, size: 'max' }), (calls) => {
      const clock = new ManualClock();
      const make = () => new RateLimiter<string>({ key: (subject) => subject, limits, clock, maxKeys: 151 });
      const [shared, alone] = [make(), make()];
      for (const { key, cost, step } of calls) {
        clock.advance(step);
        const decision = shared.consumeSync(key, { cost });
        if (key === 'key 7') expect(decision).toEqual(alone.consumeSync(key, { cost }));
      }
    }),
    runs(100),
  );
});
