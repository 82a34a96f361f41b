import { fc, test as prop } from '@fast-check/vitest';
import { ManualClock } from '@tidegate/test-kit';
import { parseList } from 'structured-headers';
import { describe, expect, test } from 'vitest';
import { limitHeaders } from '../../src/http.ts';
import { concurrency, type Decision, type LimitLevel, per, RateLimiter, slidingWindow, tokenBucket } from '../../src/index.ts';
import { runs } from '../runs.ts';

const level = (given: Partial<LimitLevel> = {}): LimitLevel => ({
  name: 'minute',
  unit: 'requests',
  quota: 60,
  windowMs: 60_000,
  remaining: 59,
  moreInMs: 1_000,
  fullInMs: 1_000,
  ...given,
});

const allowed = (...levels: LimitLevel[]): Decision => ({
  allowed: true,
  limit: levels[0]?.name ?? '',
  remaining: levels[0]?.remaining ?? 0,
  levels,
});

const refused = (given: Partial<Extract<Decision, { allowed: false }>>, ...levels: LimitLevel[]): Decision => ({
  allowed: false,
  code: 'ERR_RATE_LIMITED',
  message: '',
  limit: levels[0]?.name ?? 'minute',
  remaining: 0,
  retryAfterMs: 1_000,
  permanent: false,
  levels,
  ...given,
});

/** A structured list of strings with parameters, as plain objects. */
const read = (field: string | undefined) =>
  parseList(field ?? '').map(([name, parameters]) => ({ name, ...Object.fromEntries(parameters) }));

describe('draft-11', () => {
  test('has an item for each limit, in the same order in both fields', () => {
    const clock = new ManualClock();
    const limiter = new RateLimiter({
      limits: [
        tokenBucket({ name: 'minute', rate: per(60, 'minute'), burst: 10 }),
        slidingWindow({ name: 'hour', limit: 1_000, windowMs: 3_600_000 }),
      ],
      clock,
    });
    const fields = limitHeaders()(limiter.consumeSync(undefined, { cost: 3, levels: true }));
    expect(Object.keys(fields)).toEqual(['RateLimit', 'RateLimit-Policy']);
    expect(read(fields['RateLimit-Policy'])).toEqual([
      { name: 'minute', q: 10, w: 10 },
      { name: 'hour', q: 1_000, w: 3_600 },
    ]);
    const [minute, hour] = read(fields['RateLimit']);
    expect(minute).toEqual({ name: 'minute', r: 7, t: 1 });
    expect(hour).toMatchObject({ name: 'hour', r: 997, t: expect.any(Number) });
  });

  test('tells units that it knows in qu, others in a parameter of our own, and requests not at all', () => {
    const units = ['requests', 'content-bytes', 'concurrent-requests', 'tokens'];
    const policy = read(limitHeaders()(allowed(...units.map((unit) => level({ name: unit, unit }))))['RateLimit-Policy']);
    expect(policy.map(({ q, w, ...rest }: { name: unknown; q?: unknown; w?: unknown }) => rest)).toEqual([
      { name: 'requests' },
      { name: 'content-bytes', qu: 'content-bytes' },
      { name: 'concurrent-requests', qu: 'concurrent-requests' },
      { name: 'tokens', 'tidegate-unit': 'tokens' },
    ]);
  });

  test('leaves a window out that is no whole number of seconds', () => {
    const windows = [1_500, 999, undefined].map((windowMs) => {
      const { windowMs: _, ...without } = level();
      return read(limitHeaders()(allowed({ ...without, ...(windowMs === undefined ? {} : { windowMs }) }))['RateLimit-Policy']);
    });
    expect(windows).toEqual([[{ name: 'minute', q: 60 }], [{ name: 'minute', q: 60 }], [{ name: 'minute', q: 60 }]]);
  });

  test('rounds the time until more is left up, and leaves it out where all is left', () => {
    const times = [0, 1, 1_000, 1_001].map((moreInMs) => read(limitHeaders()(allowed(level({ moreInMs })))['RateLimit'])[0]);
    expect(times.map((each) => (each as { t?: number }).t)).toEqual([undefined, 1, 1, 2]);
  });

  test('does not guess when a call that runs will end', async () => {
    const limiter = new RateLimiter({ limits: [concurrency({ name: 'inflight', limit: 2 })], clock: new ManualClock() });
    await limiter.tryReserve();
    const fields = limitHeaders()(await limiter.peek(undefined, { levels: true }));
    expect(fields).toEqual({ RateLimit: '"inflight";r=1', 'RateLimit-Policy': '"inflight";q=2;qu="concurrent-requests"' });
  });

  prop.prop([fc.stringMatching(/^[\x20-\x7e]{1,100}$/), fc.double({ noNaN: true }), fc.double({ noNaN: true })], runs(200))(
    'is a structured list for every name and number',
    (name, number, ms) => {
      const fields = limitHeaders()(
        allowed(level({ name, unit: name, quota: number, remaining: number, windowMs: ms, moreInMs: ms, fullInMs: ms })),
      );
      const [limit] = read(fields['RateLimit']);
      const [policy] = read(fields['RateLimit-Policy']);
      const within = Math.min(999_999_999_999_999, Math.max(0, Math.floor(number)));
      expect(limit).toMatchObject({ name, r: within });
      expect(policy).toMatchObject({ name, q: within });
    },
  );

  test('refuses a name that would break the header', () => {
    for (const name of ['a\r\nSet-Cookie: b=c', 'é', '\u0000']) {
      expect(() => limitHeaders()(allowed(level({ name })))).toThrow(RangeError);
      expect(() => limitHeaders()(allowed(level({ unit: name })))).toThrow(RangeError);
    }
  });
});

describe('the generations with room for one limit', () => {
  const clock = new ManualClock({ wall: 1_800_000_000_000 });
  const day = level({ name: 'day', quota: 1_000, windowMs: 86_400_000, remaining: 5, moreInMs: 60_000, fullInMs: 7_200_001 });
  const decision: Decision = { ...allowed(level(), day), limit: 'day', remaining: 5 };

  test('tell of the one with the least left, and when all of it is left again', () => {
    expect(limitHeaders({ headers: 'draft-7' })(decision)).toEqual({
      RateLimit: 'limit=1000, remaining=5, reset=7201',
      'RateLimit-Policy': '60;w=60, 1000;w=86400',
    });
    expect(limitHeaders({ headers: 'draft-6' })(decision)).toEqual({
      'RateLimit-Limit': '1000',
      'RateLimit-Remaining': '5',
      'RateLimit-Reset': '7201',
    });
    expect(limitHeaders({ headers: 'legacy', clock })(decision)).toEqual({
      'X-RateLimit-Limit': '1000',
      'X-RateLimit-Remaining': '5',
      'X-RateLimit-Reset': '1800007201',
    });
  });

  test('tell of the one that refuses', () => {
    const fields = limitHeaders({ headers: 'draft-6' })(refused({ limit: 'day' }, level({ remaining: 0 }), day));
    expect(fields['RateLimit-Limit']).toBe('1000');
  });
});

describe('several generations', () => {
  test('stand side by side', () => {
    const fields = limitHeaders({ headers: ['draft-11', 'legacy'] })(allowed(level()));
    expect(Object.keys(fields)).toEqual([
      'RateLimit',
      'RateLimit-Policy',
      'X-RateLimit-Limit',
      'X-RateLimit-Remaining',
      'X-RateLimit-Reset',
    ]);
  });

  test('do not where both would write the same header', () => {
    expect(() => limitHeaders({ headers: ['draft-7', 'draft-11'] })).toThrow(RangeError);
  });

  test('are known by their names alone', () => {
    for (const headers of ['draft-8', true, null, 11, ['legacy', 'x'], {}]) {
      expect(() => limitHeaders({ headers: headers as 'legacy' })).toThrow(
        /headers must be false, or of draft-11, draft-7, draft-6, legacy/,
      );
    }
  });
});

describe('Retry-After', () => {
  const retryAfter = (decision: Decision, headers: 'draft-11' | false = 'draft-11') => limitHeaders({ headers })(decision)['Retry-After'];

  test('is the wait in seconds, rounded up', () => {
    expect([1, 999, 1_000, 1_001, 59_000.5].map((retryAfterMs) => retryAfter(refused({ retryAfterMs })))).toEqual([
      '1',
      '1',
      '1',
      '2',
      '60',
    ]);
  });

  test('is never before more is left of the limit that refuses', () => {
    expect(retryAfter(refused({ retryAfterMs: 100 }, level({ moreInMs: 4_500 })))).toBe('5');
    expect(
      retryAfter(refused({ retryAfterMs: 100, limit: 'minute' }, level({ name: 'day', moreInMs: 9_000 }), level({ moreInMs: 0 }))),
    ).toBe('1');
  });

  test('is sent also where no other header is', () => {
    expect(limitHeaders({ headers: false })(refused({ retryAfterMs: 2_500 }, level()))).toEqual({ 'Retry-After': '3' });
  });

  test('is not sent where no wait helps, nor where the call is allowed', () => {
    expect(retryAfter(refused({ permanent: true, retryAfterMs: Number.POSITIVE_INFINITY }, level()))).toBeUndefined();
    expect(retryAfter(allowed(level()))).toBeUndefined();
  });
});
