import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { type Limit, per, RateLimiter, slidingWindow, tokenBucket } from '../src/index.ts';
import { memoryStore } from '../src/stores.ts';
import { FaultyStore } from './faulty-store.ts';

// Each test is named for a defect that was measured in another limiter. None of them may appear here.

const dayMs = 86_400_000;
let clock = new ManualClock();
const make = (limits: readonly Limit[], maxKeys = 1_000_000) => {
  clock = new ManualClock();
  return new RateLimiter<string>({ key: (subject) => subject, limits, maxKeys, clock });
};
const admitted = (limiter: RateLimiter<string>, key: string, calls: number) => {
  let count = 0;
  for (let i = 0; i < calls; i += 1) if (limiter.consumeSync(key).allowed) count += 1;
  return count;
};

describe('rate-limiter-flexible', () => {
  test('denied calls keep counting: 50 taken and a denied 80 of 100 block the other 50', () => {
    const limiter = make([tokenBucket({ rate: per(100, 'hour') })]);
    limiter.consumeSync('a', { cost: 50 });
    for (let i = 0; i < 20; i += 1) expect(limiter.consumeSync('a', { cost: 80 }).allowed).toBe(false);
    expect(limiter.consumeSync('a', { cost: 50 }).allowed).toBe(true);
  });

  test('a union is not all-or-nothing: where one limit refuses, the others are charged beyond what they hold', () => {
    const limits = [tokenBucket({ name: 'tight', rate: per(1, 'hour') }), tokenBucket({ name: 'wide', rate: per(5, 'hour') })];
    for (const order of [limits, [...limits].reverse()]) {
      const limiter = make(order);
      expect(admitted(limiter, 'a', 6)).toBe(1);
      clock.advance(1_440_000); // 0.4 of 'tight' came back, 2 of 'wide', which is full again
      expect(limiter.consumeSync('a')).toMatchObject({ allowed: false, limit: 'tight', retryAfterMs: 2_160_000 });
      clock.advance(2_160_000);
      expect(limiter.consumeSync('a')).toMatchObject({ allowed: true, limit: 'tight' });
    }
    const limiter = make([tokenBucket({ name: 'tight', rate: per(1, 'second') }), tokenBucket({ name: 'wide', rate: per(5, 'day') })]);
    expect(admitted(limiter, 'a', 6)).toBe(1);
    for (let i = 0; i < 4; i += 1) {
      clock.advance(1_000);
      expect(limiter.consumeSync('a').allowed, `${i + 2} of 5`).toBe(true);
    }
  });

  test('a window of 30 days overflows its timer and admits 50 of 5', () => {
    const limiter = make([tokenBucket({ rate: { amount: 5, periodMs: 30 * dayMs } })]);
    let total = 0;
    for (let i = 0; i < 10; i += 1) {
      total += admitted(limiter, 'a', 5);
      clock.advance(5);
    }
    expect(total).toBe(5);
    clock.advance(6 * dayMs);
    expect(admitted(limiter, 'a', 5)).toBe(1);
  });

  test('a reward on a fresh key gives 110 of 10: nothing lifts a bucket above its burst', async () => {
    const limiter = make([tokenBucket()]);
    for (let i = 0; i < 10; i += 1) await limiter.reset('fresh');
    clock.advance(dayMs);
    expect(admitted(limiter, 'fresh', 200)).toBe(10);
  });

  test('nor does a refund of more than was taken', async () => {
    for (const limit of [tokenBucket({ rate: per(10, 'day') }), slidingWindow({ limit: 10, windowMs: dayMs })]) {
      const limiter = make([limit]);
      await limiter.refund('fresh', { cost: 100 });
      limiter.consumeSync('fresh', { cost: 3 });
      await limiter.refund('fresh', { cost: 100 });
      expect(admitted(limiter, 'fresh', 200)).toBe(10);
    }
  });

  test('a sliding window of 30 days does not overflow either', () => {
    const limiter = make([slidingWindow({ limit: 5, windowMs: 30 * dayMs })]);
    let total = 0;
    for (let day = 0; day < 30; day += 1) {
      total += admitted(limiter, 'a', 5);
      clock.advance(dayMs - 1);
    }
    expect(total).toBe(5);
  });

  test('no decision within 20 s while Redis is away', async () => {
    clock = new ManualClock();
    const store = new FaultyStore(clock);
    store.mode = 'hangs';
    const limiter = new RateLimiter({ store, clock });
    const decided = limiter.consume();
    await clock.advanceAsync(50);
    expect(await decided).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
  });

  test('a fixed window admits 19 of 10 around its edge', () => {
    const limiter = make([tokenBucket({ rate: per(10, 'minute') })]);
    let around = 0;
    limiter.consumeSync('a'); // a window from the first hit would end 60 s from here
    clock.advance(59_999);
    around += admitted(limiter, 'a', 20);
    clock.advance(2);
    around += admitted(limiter, 'a', 20);
    expect(around).toBe(10);
  });

  test('costs with decimals reach the store and fail there', () => {
    expect(() => make([tokenBucket()]).consumeSync('a', { cost: 1.5 })).toThrow(/cost must be a whole number .* not 1.5/);
  });
});

describe('@upstash/ratelimit', () => {
  test('checks without the cost, then charges it: 9 of 10 used, a denied 10 makes 19', () => {
    const limiter = make([tokenBucket({ rate: per(10, 'minute') })]);
    limiter.consumeSync('a', { cost: 9 });
    expect(limiter.consumeSync('a', { cost: 10 })).toMatchObject({ allowed: false, remaining: 1, retryAfterMs: 54_000 });
    expect(limiter.consumeSync('a')).toMatchObject({ allowed: true, remaining: 0 });
    const sliding = make([slidingWindow({ limit: 10, windowMs: 60_000 })]);
    sliding.consumeSync('a', { cost: 9 });
    expect(sliding.consumeSync('a', { cost: 10 })).toMatchObject({ allowed: false, remaining: 1 });
    expect(sliding.consumeSync('a')).toMatchObject({ allowed: true, remaining: 0 });
  });

  test("goes by the caller's clock: three hosts 61 s apart admit 30 of 10 in one instant", async () => {
    const store = memoryStore({ clock: new ManualClock() });
    for (const limit of [tokenBucket({ rate: per(10, 'minute') }), slidingWindow({ limit: 10, windowMs: 60_000 })]) {
      let total = 0;
      for (let host = 0; host < 3; host += 1) {
        const own = new ManualClock();
        own.advance(host * 61_000);
        const limiter = new RateLimiter({ name: limit.description, limits: [limit], store, clock: own });
        for (let i = 0; i < 10; i += 1) if ((await limiter.consume()).allowed) total += 1;
      }
      expect(total).toBe(10);
    }
  });

  test('a timeout of the store is a success', async () => {
    clock = new ManualClock();
    const store = new FaultyStore(clock);
    store.mode = { late: 5_000 };
    const limiter = new RateLimiter({ store, clock });
    const decided = limiter.consume();
    await clock.advanceAsync(50);
    expect(await decided).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE', degraded: 'closed' });
    await clock.advanceAsync(5_000);
  });
});

test('windows of two counters: the share of the last one lets nearly twice the limit through', () => {
  const limiter = make([slidingWindow({ limit: 100, windowMs: 60_000 })]);
  const times: number[] = [];
  for (let at = 0; at < 240_000; at += 500) {
    // all at the end of a minute, and then as soon as anything fits
    if (at >= 59_500) for (let i = admitted(limiter, 'a', 100); i > 0; i -= 1) times.push(at);
    clock.advance(500);
  }
  expect(times.length).toBeGreaterThan(200);
  for (const from of times) expect(times.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(100);
});

test('@fastify/rate-limit: 5 000 other keys push a blocked victim out of the LRU', () => {
  const limiter = make([tokenBucket({ rate: per(3, 'hour') })], 5_000);
  expect(admitted(limiter, 'victim', 10)).toBe(3);
  for (let i = 0; i < 20_000; i += 1) limiter.consumeSync(`flood ${i}`);
  expect(admitted(limiter, 'victim', 10)).toBe(0);
  expect(limiter.size).toBe(5_000);
});

test('@fastify/rate-limit: a victim who comes when the table is full is not counted at all', () => {
  const limiter = make([tokenBucket({ rate: per(3, 'hour') })], 10);
  for (let i = 0; i < 10; i += 1) limiter.consumeSync(`flood ${i}`);
  expect(admitted(limiter, 'victim', 10)).toBe(3);
});

test('limiter: 12 of 10 in one interval, by what dripped in beside the full bucket', () => {
  const limiter = make([tokenBucket({ rate: per(10, 'second'), burst: 1 })]);
  let total = 0;
  for (let ms = 0; ms < 1_000; ms += 1) {
    total += admitted(limiter, 'a', 2);
    clock.advance(1);
  }
  expect(total).toBe(10);
});

test('bottleneck: a reservoir that is refreshed at once admits twice its size', () => {
  const limiter = make([tokenBucket({ rate: per(100, 'minute') })]);
  clock.advance(59_999);
  const before = admitted(limiter, 'a', 200);
  clock.advance(1);
  expect(before + admitted(limiter, 'a', 200)).toBe(100);
});

test('redis-cell: rates of 1 000 a second and above fail as zero rates', () => {
  const limiter = make([tokenBucket({ rate: per(1_000_000, 'second'), burst: 10 })]);
  expect(admitted(limiter, 'a', 20)).toBe(10);
  clock.advance(1);
  expect(admitted(limiter, 'a', 20)).toBe(10);
});

test('redis-cell: a rate that is raised denies what the old one let through', () => {
  const limiter = make([tokenBucket({ rate: per(10, 'hour') })]);
  expect(admitted(limiter, 'a', 4)).toBe(4);
  limiter.reconfigure([tokenBucket({ rate: per(1_000, 'hour'), burst: 10 })]);
  expect(limiter.consumeSync('a')).toMatchObject({ allowed: true, remaining: 5 });
});

test('golang.org/x/time: a reservation that is cancelled gives back less than it took', async () => {
  const limiter = make([tokenBucket({ rate: per(10, 'day') })]);
  const first = await limiter.reserve('a', { cost: 6 });
  await limiter.reserve('a', { cost: 2 }); // x/time takes what was reserved later off what it gives back
  await first.release();
  expect(await limiter.peek('a')).toMatchObject({ allowed: true, remaining: 8 });
});

test('p-queue and others: one key that waits holds up all', async () => {
  const limiter = make([tokenBucket({ rate: per(1, 'minute') })]);
  limiter.consumeSync('a');
  const waiting = limiter.acquire('a');
  await limiter.acquire('b');
  await clock.advanceAsync(60_000);
  await waiting;
});
