import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AcquireOptions, per, RateLimiter, tokenBucket } from '../src/index.ts';

const dayMs = 86_400_000;
let clock: ManualClock;
let log: string[];

beforeEach(() => {
  clock = new ManualClock();
  log = [];
});

afterEach(() => expect(clock.pendingTimers, 'timers left behind').toBe(0));

/** One token a second, two at once. */
const make = (options: { maxWaiting?: number; burst?: number } = {}) =>
  new RateLimiter<string>({
    key: (subject) => subject,
    limits: [tokenBucket({ name: 'steady', rate: per(1, 'second'), burst: options.burst ?? 2 })],
    maxWaiting: options.maxWaiting ?? 1_000,
    clock,
  });

/** Waits in the background; the log tells when and how it ended. */
function enter(limiter: RateLimiter<string>, name: string, key: string, options?: AcquireOptions): Promise<void> {
  const started = clock.now();
  return limiter.acquire(key, options).then(
    () => void log.push(`${name} in after ${clock.now() - started}`),
    (error: { code?: string }) => void log.push(`${name} ${error.code ?? error} after ${clock.now() - started}`),
  );
}

describe('a line', () => {
  test('is not joined where the call fits at once', async () => {
    const limiter = make();
    await limiter.acquire('a', { cost: 2, maxWaitMs: 0 });
    expect(clock.pendingTimers).toBe(0);
    expect(limiter.consumeSync('a').allowed).toBe(false);
  });

  test('is served in the order of arrival, each at the first instant at which it fits', async () => {
    const limiter = make();
    for (const name of ['1', '2', '3', '4', '5']) void enter(limiter, name, 'a');
    await clock.advanceAsync(10_000);
    expect(log).toEqual(['1 in after 0', '2 in after 0', '3 in after 1000', '4 in after 2000', '5 in after 3000']);
  });

  test('has one timer however long it is', async () => {
    const limiter = make();
    for (let i = 0; i < 100; i += 1) void enter(limiter, `${i}`, 'a');
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceAsync(100_000);
    expect(log).toHaveLength(100);
  });

  test('of one key does not hold up another key', async () => {
    const limiter = make();
    for (const name of ['1', '2', '3']) void enter(limiter, name, 'a');
    void enter(limiter, 'other', 'b');
    await clock.advanceAsync(0);
    expect(log).toContain('other in after 0');
    await clock.advanceAsync(1_000);
    expect(log.at(-1)).toBe('3 in after 1000');
  });

  test('lets nobody pass who needs more than is there at its head', async () => {
    const limiter = make({ burst: 5 });
    limiter.consumeSync('a', { cost: 5 });
    void enter(limiter, 'large', 'a', { cost: 4 });
    for (let i = 0; i < 3; i += 1) void enter(limiter, `small ${i}`, 'a');
    await clock.advanceAsync(3_999);
    expect(log).toEqual([]);
    await clock.advanceAsync(10_000);
    expect(log).toEqual(['large in after 4000', 'small 0 in after 5000', 'small 1 in after 6000', 'small 2 in after 7000']);
  });

  test('goes on after others took tokens without waiting', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    void enter(limiter, '1', 'a', { cost: 2 });
    await clock.advanceAsync(1_500);
    expect(limiter.consumeSync('a').allowed).toBe(true);
    await clock.advanceAsync(1_499);
    expect(log).toEqual([]);
    await clock.advanceAsync(1);
    expect(log).toEqual(['1 in after 3000']);
  });

  test('goes on at once after a reset', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    for (const name of ['1', '2', '3']) void enter(limiter, name, 'a');
    await limiter.reset('a');
    await clock.advanceAsync(0);
    expect(log).toEqual(['1 in after 0', '2 in after 0']);
    await clock.advanceAsync(1_000);
    expect(log).toHaveLength(3);
  });

  test('charges every limit once for each who got in', async () => {
    const limits = [tokenBucket({ name: 'second', rate: per(1, 'second'), burst: 2 }), tokenBucket({ name: 'day', rate: per(6, 'day') })];
    const limiter = new RateLimiter({ clock, limits });
    const all = Promise.all(Array.from({ length: 5 }, () => limiter.acquire()));
    await clock.advanceAsync(3_000);
    await all;
    clock.advance(2_000);
    expect(await limiter.peek()).toMatchObject({ allowed: true, limit: 'day', remaining: 1 });
  });
});

describe('a wait that is known to be too long is refused at once', () => {
  test('alone', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    const refused = limiter.acquire('a', { maxWaitMs: 999 });
    await expect(refused).rejects.toMatchObject({ name: 'RateLimitError', code: 'ERR_RATE_LIMITED', limit: 'steady', retryAfterMs: 1_000 });
    await expect(limiter.acquire('a', { maxWaitMs: 0 })).rejects.toMatchObject({ code: 'ERR_RATE_LIMITED' });
  });

  test('but not one that just fits, also at a fraction of a ms', async () => {
    for (const now of [1_000_000, 0.7, 24.1, 1_048_000.4]) {
      clock = new ManualClock({ now });
      const limiter = make();
      limiter.consumeSync('a', { cost: 2 });
      const admitted = limiter.acquire('a', { maxWaitMs: 1_000 });
      await clock.advanceAsync(1_001);
      await admitted;
    }
  });

  test('behind others', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    void enter(limiter, '1', 'a');
    await expect(limiter.acquire('a', { maxWaitMs: 999 })).rejects.toMatchObject({ code: 'ERR_RATE_LIMITED', retryAfterMs: 1_000 });
    await clock.advanceAsync(1_000);
    expect(log).toEqual(['1 in after 1000']);
  });

  test('a cost above the burst is refused, with and without a line, whatever the patience', async () => {
    const limiter = make();
    const never = { code: 'ERR_RATE_LIMITED', retryAfterMs: Number.POSITIVE_INFINITY };
    await expect(limiter.acquire('a', { cost: 3 })).rejects.toMatchObject(never);
    limiter.consumeSync('a', { cost: 2 });
    void enter(limiter, '1', 'a');
    await expect(limiter.acquire('a', { cost: 3 })).rejects.toMatchObject(never);
    await expect(limiter.acquire('a', { cost: 3, maxWaitMs: 60_000 })).rejects.toMatchObject(never);
    await clock.advanceAsync(1_000);
    expect(log).toEqual(['1 in after 1000']);
  });
});

describe('a deadline', () => {
  test('ends the wait as soon as it is known to be too long, and of nobody else', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    void enter(limiter, '1', 'a');
    void enter(limiter, 'impatient', 'a', { maxWaitMs: 1_500 });
    void enter(limiter, '3', 'a');
    await clock.advanceAsync(999);
    expect(log).toEqual([]);
    await clock.advanceAsync(5_000);
    expect([...log].sort()).toEqual(['1 in after 1000', '3 in after 2000', 'impatient ERR_RATE_LIMITED after 1000']);
  });

  test('in the middle of the line comes before the head has its turn', async () => {
    const limiter = make({ burst: 5 });
    limiter.consumeSync('a', { cost: 5 });
    void enter(limiter, 'head', 'a', { cost: 5 });
    void enter(limiter, 'impatient', 'a', { maxWaitMs: 2_250 });
    await clock.advanceAsync(10_000);
    expect(log).toEqual(['impatient ERR_RATE_LIMITED after 2250', 'head in after 5000']);
  });

  test('that is also the instant of admission admits', async () => {
    const limiter = make();
    limiter.consumeSync('a', { cost: 2 });
    void enter(limiter, '1', 'a', { maxWaitMs: 1_000 });
    await clock.advanceAsync(1_000);
    expect(log).toEqual(['1 in after 1000']);
  });
});

describe('waits beyond the 24.8 days of the platform’s timers', () => {
  test('last as long as they should', async () => {
    const limiter = new RateLimiter({ clock, limits: [tokenBucket({ rate: { amount: 1, periodMs: 60 * dayMs } })] });
    limiter.consumeSync();
    let admitted = false;
    const done = limiter.acquire().then(() => {
      admitted = true;
    });
    await clock.advanceAsync(60 * dayMs - 1);
    expect(admitted).toBe(false);
    await clock.advanceAsync(1);
    await done;
  });

  test('also where it is the patience that is so long', async () => {
    const limiter = make({ burst: 1 });
    limiter.consumeSync('a');
    void enter(limiter, '1', 'a', { maxWaitMs: 40 * dayMs });
    await clock.advanceAsync(999);
    expect(log).toEqual([]);
    await clock.advanceAsync(1);
    expect(log).toEqual(['1 in after 1000']);
  });
});
