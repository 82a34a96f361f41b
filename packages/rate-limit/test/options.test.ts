import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test, vi } from 'vitest';
import {
  type AcquireOptions,
  type ConsumeOptions,
  concurrency,
  isRateLimitError,
  type Limit,
  per,
  RateLimiter,
  type RateLimiterOptions,
  slidingWindow,
  type TokenBucket,
  type TokenBucketOptions,
  tokenBucket,
} from '../src/index.ts';

const notWhole = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -1, 0.5, 1.5, 1_000_000_001, '3', null, 1n, {}];
const dayMs = 86_400_000;
const wrong = <T>(value: unknown) => value as T;

/** The error has to be a RangeError that names the option and shows the value. */
function expectRefused(make: () => unknown, option: string, value: unknown): void {
  expect(make).toThrow(RangeError);
  expect(make).toThrow(`${option} must be`);
  expect(make).toThrow(`not ${String(value)}`);
}

describe.each(notWhole.map((value) => [value]))('the value %s', (value) => {
  test('is no amount', () => expectRefused(() => per(wrong(value), 'second'), 'amount', value));

  test('is no rate', () => {
    expectRefused(() => tokenBucket({ rate: { amount: wrong(value), periodMs: 1_000 } }), 'rate.amount', value);
  });

  test('is no period', () => {
    const periodMs = value === 1_000_000_001 ? 367 * dayMs : value;
    expectRefused(() => tokenBucket({ rate: { amount: 1, periodMs: wrong(periodMs) } }), 'rate.periodMs', periodMs);
  });

  test('is no cost', async () => {
    const limiter = new RateLimiter({ clock: new ManualClock() });
    const byUnit = { cost: { requests: wrong<number>(value) } };
    const options = typeof value === 'object' && value !== null ? byUnit : { cost: wrong<number>(value) };
    expectRefused(() => limiter.consumeSync(undefined, options), options === byUnit ? 'cost.requests' : 'cost', value);
    if (value !== 0) expectRefused(() => limiter.consumeSync(undefined, byUnit), 'consumeSync: cost.requests', value);
    else expect(() => limiter.consumeSync(undefined, byUnit)).toThrow('consumeSync: cost must take something');
    for (const refused of [limiter.consume(undefined, options), limiter.peek(undefined, options), limiter.acquire(undefined, options)]) {
      await expect(refused).rejects.toThrow(RangeError);
    }
    expect(limiter.consumeSync()).toMatchObject({ allowed: true, remaining: 9 });
  });
});

describe('options out of range', () => {
  const refused: [string, () => unknown][] = [
    ...[Number.NaN, Number.POSITIVE_INFINITY, 0, -1, 0.5, 1_000_000_001].map((burst): [string, () => unknown] => [
      `burst ${burst}`,
      () => tokenBucket({ burst }),
    ]),
    ...[Number.NaN, Number.POSITIVE_INFINITY, 0, -1, 0.5, 16_000_001].map((maxKeys): [string, () => unknown] => [
      `maxKeys ${maxKeys}`,
      () => new RateLimiter({ maxKeys }),
    ]),
    ...[Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 1_000_001].map((maxWaiting): [string, () => unknown] => [
      `maxWaiting ${maxWaiting}`,
      () => new RateLimiter({ maxWaiting }),
    ]),
    ['burst 1 000 000 000 at 1 a day', () => tokenBucket({ rate: per(1, 'day'), burst: 1_000_000_000 })],
  ];
  test.each(refused)('%s is refused', (name, make) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow(name.split(' ')[0] as string);
  });

  test.each([Number.NaN, -1, -0.5, '5'])('maxWaitMs %s is refused, and nothing is taken', async (maxWaitMs) => {
    const limiter = new RateLimiter({ clock: new ManualClock() });
    if (maxWaitMs !== null)
      await expect(limiter.acquire(undefined, { maxWaitMs: wrong(maxWaitMs) })).rejects.toThrow(/maxWaitMs must be .* not /);
    expect(await limiter.peek()).toMatchObject({ remaining: 10 });
  });

  test.each(['week', 'seconds', '', 'toString', '__proto__', undefined])('per(1, %s) is refused', (unit) => {
    expect(() => per(1, wrong(unit))).toThrow(RangeError);
    expect(() => per(1, wrong(unit))).toThrow(`not '${unit}'`);
  });
});

describe('a name that is not known is refused, not ignored', () => {
  test.each<[string, () => unknown]>([
    ['limit', () => new RateLimiter(wrong<RateLimiterOptions<void>>({ limit: [] }))],
    ['maxkeys', () => new RateLimiter(wrong<RateLimiterOptions<void>>({ maxkeys: 5 }))],
    ['perMinute', () => tokenBucket(wrong<TokenBucketOptions>({ perMinute: 60 }))],
    ['perMinute', () => new RateLimiter({ limits: [wrong<TokenBucket>({ ...tokenBucket(), perMinute: 60 })] })],
    ['cots', () => new RateLimiter().consumeSync(undefined, wrong<ConsumeOptions>({ cots: 5 }))],
  ])('%s', (name, make) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow(`unknown option '${name}'`);
  });

  test('in consume, peek and acquire too', async () => {
    const limiter = new RateLimiter({ clock: new ManualClock() });
    await expect(limiter.consume(undefined, wrong<ConsumeOptions>({ amount: 5 }))).rejects.toThrow(/unknown option 'amount'/);
    await expect(limiter.peek(undefined, wrong<ConsumeOptions>({ amount: 5 }))).rejects.toThrow(/unknown option 'amount'/);
    await expect(limiter.acquire(undefined, wrong<AcquireOptions>({ timeoutMs: 5 }))).rejects.toThrow(/unknown option 'timeoutMs'/);
    expect(await limiter.peek()).toMatchObject({ remaining: 10 });
  });
});

describe('limits', () => {
  test('have to be at least one, each with a name of its own', () => {
    expect(() => new RateLimiter({ limits: [] })).toThrow(RangeError);
    const twice = [tokenBucket({ name: 'hour' }), tokenBucket({ name: 'hour', rate: per(9, 'hour') })];
    expect(() => new RateLimiter({ limits: twice })).toThrow(/'hour'/);
    expect(() => new RateLimiter({ limits: [tokenBucket(), tokenBucket({ burst: 1 })] })).toThrow(/'requests'/);
  });

  test.each([undefined, null, 60, {}, { name: 'minute', rate: { amount: 60, periodMs: 60_000 }, burst: 2 }])(
    'are not %j, written by hand',
    (byHand) => {
      expect(() => new RateLimiter({ limits: [wrong<TokenBucket>(byHand)] })).toThrow(RangeError);
      expect(() => new RateLimiter({ limits: [tokenBucket(), wrong<TokenBucket>(byHand)] })).toThrow(
        'limits[1] must be made by tokenBucket()',
      );
    },
  );

  test('may be copied under another name', () => {
    const limits = ['one', 'two'].map((name) => ({ ...tokenBucket({ burst: 2 }), name }));
    const limiter = new RateLimiter({ limits, clock: new ManualClock() });
    expect([1, 2, 3].map(() => limiter.consumeSync().allowed)).toEqual([true, true, false]);
  });

  test.each<[string, () => Limit]>([
    ['burst', () => wrong<Limit>({ ...tokenBucket(), burst: 2 })],
    ['burst', () => wrong<Limit>({ ...tokenBucket(), burst: Number.NaN })],
    ['rate', () => wrong<Limit>({ ...tokenBucket(), rate: per(1, 'day') })],
    ['limit', () => wrong<Limit>({ ...slidingWindow({ limit: 5, windowMs: 1_000 }), limit: 2 })],
    ['windowMs', () => wrong<Limit>({ ...slidingWindow({ limit: 5, windowMs: 1_000 }), windowMs: 2_000 })],
    ['limit', () => wrong<Limit>({ ...concurrency({ limit: 5 }), limit: 2 })],
  ])('are not copied with another %s, which would have no effect', (option, copy) => {
    expect(() => new RateLimiter({ limits: [copy()] })).toThrow(RangeError);
    expect(() => new RateLimiter({ limits: [copy()] })).toThrow(`limits[0]: ${option} cannot be changed in a copy`);
    const limiter = new RateLimiter();
    expect(() => limiter.reconfigure([copy()])).toThrow(RangeError);
  });
});

test('a cost above the burst is a permanent refusal that takes nothing', async () => {
  const limits = [tokenBucket({ name: 'small', burst: 3 }), tokenBucket({ name: 'large', burst: 100 })];
  const limiter = new RateLimiter({ clock: new ManualClock(), limits });
  const refused = { allowed: false, permanent: true, limit: 'small', retryAfterMs: Number.POSITIVE_INFINITY, remaining: 3 };
  for (const cost of [4, 101, 1_000_000_000]) expect(await limiter.consume(undefined, { cost })).toMatchObject(refused);
  expect(limiter.consumeSync(undefined, { cost: 4 })).toMatchObject({
    message: "a cost above 3, the most that limit 'small' ever lets through at once (5 per 1 s, burst 3), never fits",
  });
  expect(limiter.consumeSync(undefined, { cost: 3 }).allowed).toBe(true);
});

test('what the caller passes in is left as it was', async () => {
  const rate = Object.freeze(per(60, 'minute'));
  const bucket = Object.freeze({ name: 'minute', rate, burst: 10 });
  const limits = Object.freeze([Object.freeze(tokenBucket(bucket))]);
  const limiter = new RateLimiter<string>(Object.freeze({ key: (subject: string) => subject, limits, clock: new ManualClock() }));
  const cost = Object.freeze({ cost: 2 });
  await limiter.consume('a', cost);
  await limiter.peek('a', cost);
  await limiter.acquire('a', Object.freeze({ cost: 2, maxWaitMs: 0 }));
  expect(await limiter.peek('a')).toMatchObject({ remaining: 6 });
});

test('a list of limits changed afterwards changes nothing', () => {
  const limits = [tokenBucket({ burst: 1 })];
  const limiter = new RateLimiter({ limits, clock: new ManualClock() });
  limits.length = 0;
  expect([1, 2].map(() => limiter.consumeSync().allowed)).toEqual([true, false]);
});

test('the error of a throwing key is the caller’s own', async () => {
  const limiter = new RateLimiter<{ user: { id: string } }>({ key: ({ user }) => user.id });
  await expect(limiter.consume(wrong({}))).rejects.toThrow(TypeError);
  await expect(limiter.acquire(wrong({}))).rejects.toThrow(TypeError);
});

test('without a clock the globals are looked up at each call, so that fake timers drive it', async () => {
  vi.useFakeTimers();
  try {
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(1, 'minute') })] });
    await limiter.acquire();
    const second = limiter.acquire();
    await vi.advanceTimersByTimeAsync(60_000);
    await second;
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

describe('isRateLimitError', () => {
  const refused = async (from: typeof RateLimiter) => {
    const limiter = new from({ limits: [tokenBucket({ burst: 1 })] });
    limiter.consumeSync();
    return limiter.acquire(undefined, { maxWaitMs: 0 }).catch((error: unknown) => error);
  };

  test('knows the errors of another copy of the package', async () => {
    vi.resetModules();
    const copy = await import('../src/index.ts');
    expect(copy.RateLimiter).not.toBe(RateLimiter);
    const [ours, theirs] = [await refused(RateLimiter), await refused(copy.RateLimiter)];
    expect(ours).not.toBeInstanceOf(copy.RateLimitError);
    for (const error of [ours, theirs]) {
      expect(isRateLimitError(error)).toBe(true);
      expect(copy.isRateLimitError(error)).toBe(true);
      expect(error).toBeInstanceOf(Error);
    }
  });

  test.each([undefined, null, 'ERR_RATE_LIMITED', new Error('x'), { code: 'ERR_RATE_LIMITED' }, () => {}])('%s is none', (other) => {
    expect(isRateLimitError(other)).toBe(false);
  });
});
