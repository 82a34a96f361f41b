import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { per, RateLimiter, type TokenBucket, tokenBucket } from '../src/index.ts';
import type { BucketRule } from '../src/rules/token-bucket.ts';
import { JumpingClock } from './jumping-clock.ts';
import { type Admission, PlainBucket, worstExcess } from './reference.ts';
import { runs } from './runs.ts';

const limit = fc.record({
  amount: fc.integer({ min: 1, max: 2_000 }),
  unit: fc.constantFrom('second' as const, 'minute' as const, 'hour' as const),
  burst: fc.integer({ min: 1, max: 40 }),
});
const limits = fc
  .array(limit, { minLength: 1, maxLength: 3 })
  .map((all) => all.map(({ amount, unit, burst }, i) => tokenBucket({ name: `limit ${i}`, rate: per(amount, unit), burst })));
const key = fc.constantFrom('a', 'b', 'c');
const cost = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 45 }));
const step = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 90_000 }));
const call = fc.record({ key, cost, step });
const calls = fc.array(call, { maxLength: 80, size: 'max' });

/** The admissions of each key, to be held against the promise of each limit. */
class Admitted {
  readonly #byKey = new Map<string, Admission[]>();

  add(key: string, atMs: number, cost: number): void {
    const list = this.#byKey.get(key);
    if (list === undefined) this.#byKey.set(key, [{ atMs, cost }]);
    else list.push({ atMs, cost });
  }

  expectWithin(limits: readonly TokenBucket[], slack = (_limit: TokenBucket) => 0): void {
    for (const limit of limits) {
      for (const [key, list] of this.#byKey) expect(worstExcess(limit, list), `${key}, ${limit.name}`).toBeLessThanOrEqual(slack(limit));
    }
  }
}

test('no interval lets more through than burst + t · rate, and every answer is that of plain buckets', () => {
  fc.assert(
    fc.property(limits, calls, (limits, calls) => {
      const clock = new ManualClock();
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock });
      const buckets = new Map(['a', 'b', 'c'].map((key) => [key, limits.map((limit) => new PlainBucket(limit, clock.now()))]));
      const admitted = new Admitted();
      for (const { key, cost, step } of calls) {
        clock.advance(step);
        const decision = limiter.consumeSync(key, { cost });
        const own = buckets.get(key) as PlainBucket[];
        const waits = own.map((bucket) => bucket.waitMs(clock.now(), cost));
        const longest = Math.max(...waits);
        expect(decision.allowed).toBe(longest === 0);
        if (decision.allowed) {
          for (const bucket of own) bucket.take(cost);
          admitted.add(key, clock.now(), cost);
          expect(decision.remaining).toBe(Math.min(...own.map((bucket) => bucket.left(clock.now()))));
        } else {
          expect(decision.retryAfterMs).toBe(longest);
          expect(decision.permanent).toBe(longest === Number.POSITIVE_INFINITY);
          expect(waits[limits.findIndex(({ name }) => name === decision.limit)]).toBe(longest);
        }
      }
      admitted.expectWithin(limits);
    }),
    runs(1_000),
  );
});

test('nor does it on a clock that jumps an hour back and forth, where time is the latest it has shown', () => {
  const jump = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constantFrom(-3_600_000, 3_600_000) });
  fc.assert(
    fc.property(limits, fc.array(fc.record({ key, cost, step, jump }), { maxLength: 80, size: 'max' }), (limits, calls) => {
      const clock = new JumpingClock();
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock });
      const admitted = new Admitted();
      let latest = clock.now();
      for (const { key, cost, step, jump } of calls) {
        clock.advance(step);
        clock.jump(jump);
        latest = Math.max(latest, clock.now());
        if (limiter.consumeSync(key, { cost }).allowed) admitted.add(key, latest, cost);
      }
      admitted.expectWithin(limits);
    }),
    runs(1_000),
  );
});

test('nor between fractions of a ms, but for the one µs in which the limiter counts', () => {
  fc.assert(
    fc.property(
      limits,
      fc.array(fc.record({ key, cost, step: fc.double({ min: 0, max: 2_000, noNaN: true }) }), { maxLength: 80, size: 'max' }),
      (limits, calls) => {
        const clock = new ManualClock({ now: 0.3 });
        const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock });
        const admitted = new Admitted();
        for (const { key, cost, step } of calls) {
          clock.advance(step);
          if (limiter.consumeSync(key, { cost }).allowed) admitted.add(key, clock.now(), cost);
        }
        // and a sixteenth of it, by which a hair less than a whole µs counts as one
        const perUs = ({ rule }: TokenBucket) => (rule as BucketRule).perUs / (rule as BucketRule).perToken;
        admitted.expectWithin(limits, (limit) => (1 + 1 / 16 + 1e-6) * perUs(limit));
      },
    ),
    runs(1_000),
  );
});

test('a caller who always comes back when told gets all of it', () => {
  fc.assert(
    fc.property(limit, fc.integer({ min: 1, max: 20_000 }), ({ amount, unit, burst }, ms) => {
      const clock = new ManualClock();
      const bucket = tokenBucket({ rate: per(amount, unit), burst });
      const limiter = new RateLimiter({ clock, limits: [bucket] });
      const end = clock.now() + ms;
      let admitted = 0;
      for (;;) {
        const decision = limiter.consumeSync();
        if (decision.allowed) admitted += 1;
        else if (clock.now() + decision.retryAfterMs > end) break;
        else clock.advance(decision.retryAfterMs);
      }
      const promised = burst + Math.floor((ms * amount) / bucket.rate.periodMs);
      // a bucket of one is full again within the ms to which a wait is rounded up
      if (burst > 1 && amount <= bucket.rate.periodMs) expect(admitted).toBe(promised);
      expect(admitted).toBeLessThanOrEqual(promised);
    }),
    runs(1_000),
  );
});

test('a refusal charges nothing to any limit', () => {
  fc.assert(
    fc.property(limits, calls, (limits, calls) => {
      const clock = new ManualClock();
      const make = () => new RateLimiter<string>({ key: (subject) => subject, limits, clock });
      const [asked, spared] = [make(), make()];
      for (const { key, cost, step } of calls) {
        clock.advance(step);
        const decision = asked.consumeSync(key, { cost });
        // the twin is asked only for what was allowed
        if (decision.allowed) expect(spared.consumeSync(key, { cost })).toEqual(decision);
        else for (let i = 0; i < 3; i += 1) expect(asked.consumeSync(key, { cost })).toEqual(decision);
      }
    }),
    runs(1_000),
  );
});

test('peek takes nothing and tells what consume then does', async () => {
  await fc.assert(
    fc.asyncProperty(limits, calls, fc.constantFrom(2, 1_000), async (limits, calls, maxKeys) => {
      const clock = new ManualClock();
      const limiter = new RateLimiter<string>({ key: (subject) => subject, limits, clock, maxKeys });
      for (const { key, cost, step } of calls) {
        clock.advance(step);
        const seen = await limiter.peek(key, { cost });
        expect(await limiter.peek(key, { cost })).toEqual(seen);
        const done = await limiter.consume(key, { cost });
        if (!done.allowed) expect(seen).toEqual(done);
        else expect(seen).toMatchObject({ allowed: true });
        if (done.allowed && seen.allowed && seen.limit === done.limit) expect(seen.remaining).toBe(done.remaining + cost);
      }
    }),
    runs(1_000),
  );
});
