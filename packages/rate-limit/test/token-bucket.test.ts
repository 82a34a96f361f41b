import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { per, RateLimiter, type TokenBucket, tokenBucket } from '../src/index.ts';
import type { BucketRule } from '../src/rules/token-bucket.ts';

/** How many of cost 1 are let through now; looks no further than 5 000. */
function admittedNow(limiter: RateLimiter): number {
  let admitted = 0;
  while (admitted < 5_000 && limiter.consumeSync().allowed) admitted += 1;
  return admitted;
}

describe('what is promised without options', () => {
  test('a limiter alone lets 10 through at once, then 5 a second', () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({ clock });
    expect(admittedNow(limiter)).toBe(10);
    clock.advance(1_000);
    expect(admittedNow(limiter)).toBe(5);
    clock.advance(60_000);
    expect(admittedNow(limiter)).toBe(10);
  });

  test('tokenBucket() alone is that limit', () => {
    expect(tokenBucket()).toMatchObject({ name: 'requests', rate: { amount: 5, periodMs: 1_000 }, burst: 10 });
  });

  test('the burst is the amount of the rate where only a rate is given, and 10 only where none is', () => {
    expect(tokenBucket({ rate: per(1_000, 'hour') }).burst).toBe(1_000);
    expect(tokenBucket({ rate: per(3, 'day') }).burst).toBe(3);
    expect(tokenBucket({ burst: 25 })).toMatchObject({ rate: { amount: 5, periodMs: 1_000 }, burst: 25 });
  });
});

test('per names an amount in a period', () => {
  expect(per(7, 'second')).toEqual({ amount: 7, periodMs: 1_000 });
  expect(per(60, 'minute')).toEqual({ amount: 60, periodMs: 60_000 });
  expect(per(1_000, 'hour')).toEqual({ amount: 1_000, periodMs: 3_600_000 });
  expect(per(1, 'day')).toEqual({ amount: 1, periodMs: 86_400_000 });
});

describe('units of time', () => {
  const whole = [per(60, 'minute'), per(7, 'second'), per(450_000, 'minute'), per(1_000, 'hour'), per(1, 'day'), per(27_999, 'second')];
  test.each(whole)('$amount in $periodMs ms is kept without rounding', (rate) => {
    const { perUs, perToken } = tokenBucket({ rate }).rule as BucketRule;
    expect(Number.isInteger(perUs)).toBe(true);
    expect(BigInt(perToken) * BigInt(rate.amount)).toBe(BigInt(rate.periodMs) * 1_000n * BigInt(perUs));
  });

  const odd = [per(27_983, 'day'), per(1_234_567, 'day'), per(999_999_937, 'hour'), { amount: 7_000_003, periodMs: 366 * 86_400_000 }];
  test.each(odd)('$amount in $periodMs ms is rounded to the safe side, by less than one unit a token', (rate) => {
    const { perUs, perToken } = tokenBucket({ rate, debt: 0 }).rule as BucketRule;
    const exact = BigInt(rate.periodMs) * 1_000n * BigInt(perUs);
    expect(BigInt(perToken) * BigInt(rate.amount)).toBeGreaterThan(exact);
    expect(BigInt(perToken - 1) * BigInt(rate.amount)).toBeLessThan(exact);
  });

  test('a rate that has to be rounded is kept within 1 part in 1 000', () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({ clock, limits: [tokenBucket({ rate: per(999_999_937, 'hour'), burst: 400_000 })] });
    limiter.consumeSync(undefined, { cost: 399_000 });
    let admitted = 0;
    for (let ms = 0; ms < 500; ms += 5) {
      admitted += admittedNow(limiter);
      clock.advance(5);
    }
    const promised = 1_000 + (495 * 999_999_937) / 3_600_000;
    expect(admitted).toBeLessThanOrEqual(promised);
    expect(admitted).toBeGreaterThan(promised * 0.999);
  });
});

describe('the instant of return', () => {
  test.each([
    ['5 a second', tokenBucket(), 200],
    ['60 a minute', tokenBucket({ rate: per(60, 'minute') }), 1_000],
    ['7 a second, rounded up to a whole ms', tokenBucket({ rate: per(7, 'second') }), 143],
    ['1 000 an hour', tokenBucket({ rate: per(1_000, 'hour') }), 3_600],
    ['1 a day', tokenBucket({ rate: per(1, 'day') }), 86_400_000],
  ])('%s: refused 1 ms before it, admitted at it', (_name, limit: TokenBucket, retryAfterMs) => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({ clock, limits: [limit] });
    expect(admittedNow(limiter)).toBe(limit.burst);
    expect(limiter.consumeSync()).toMatchObject({ allowed: false, code: 'ERR_RATE_LIMITED', remaining: 0, retryAfterMs });
    clock.advance(retryAfterMs - 1);
    expect(limiter.consumeSync()).toMatchObject({ allowed: false, retryAfterMs: 1 });
    clock.advance(1);
    expect(limiter.consumeSync()).toMatchObject({ allowed: true, remaining: 0 });
    expect(limiter.consumeSync().allowed).toBe(false);
  });

  test('of a cost above 1 is when all of it fits', () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({ clock });
    limiter.consumeSync(undefined, { cost: 8 });
    expect(limiter.consumeSync(undefined, { cost: 5 })).toMatchObject({ allowed: false, remaining: 2, retryAfterMs: 600 });
  });
});

test('what comes back is counted to the last unit of time: 353 ms at 27 983 a second are 9 877.999 tokens', () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter({ clock, limits: [tokenBucket({ rate: per(27_983, 'second'), burst: 20_000 })] });
  limiter.consumeSync(undefined, { cost: 20_000 });
  clock.advance(353);
  expect(limiter.consumeSync(undefined, { cost: 9_878 })).toMatchObject({ allowed: false, remaining: 9_877, retryAfterMs: 1 });
  expect(limiter.consumeSync(undefined, { cost: 9_877 }).allowed).toBe(true);
});

test('of several limits with equally little left the first is named', () => {
  const limits = ['one', 'two'].map((name) => tokenBucket({ name }));
  const limiter = new RateLimiter({ clock: new ManualClock(), limits });
  expect(limiter.consumeSync(undefined, { cost: 10 })).toMatchObject({ allowed: true, limit: 'one', remaining: 0 });
  expect(limiter.consumeSync()).toMatchObject({ allowed: false, limit: 'one', remaining: 0 });
});

test.each([-3_600_000, -0.5, 0, 1.5, 1.8e12])('a clock that starts at %d counts as any other', (now) => {
  const clock = new ManualClock({ now });
  const limiter = new RateLimiter({ clock, limits: [tokenBucket({ rate: per(10_000_000, 'second'), burst: 5 })] });
  expect(admittedNow(limiter)).toBe(5);
  clock.advance(1);
  expect(admittedNow(limiter)).toBe(5);
  const slow = new RateLimiter({ clock });
  expect(admittedNow(slow)).toBe(10);
  clock.advance(200);
  expect(admittedNow(slow)).toBe(1);
});

test('what is left is never told as less than nothing, also where a bucket is in debt', async () => {
  const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(1, 'hour'), burst: 10 })] });
  const reservation = await limiter.reserve(undefined, { cost: 5 });
  await reservation.settle(18);
  expect(limiter.consumeSync(undefined, { cost: 5 })).toMatchObject({ allowed: false, remaining: 0 });
  expect(limiter.consumeSync(undefined)).toMatchObject({ allowed: false, remaining: 0 });
});

test('where limits count different units, a call that does not say how much of each is refused and charges nothing', async () => {
  const limiter = new RateLimiter({ limits: [tokenBucket({ name: 'requests' }), tokenBucket({ name: 'tokens', unit: 'tokens' })] });
  expect(() => limiter.consumeSync()).toThrow('cost must be { requests: …, tokens: … }');
  await expect(limiter.consume()).rejects.toThrow(RangeError);
  expect(limiter.consumeSync(undefined, { cost: { tokens: 3 }, levels: true }).levels?.map(({ remaining }) => remaining)).toEqual([9, 7]);
});
