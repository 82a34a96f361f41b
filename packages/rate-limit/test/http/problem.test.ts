import { ManualClock } from '@tidegate/test-kit';
import { expect, test } from 'vitest';
import { problemOf } from '../../src/http.ts';
import { per, RateLimiter, type Refused, tokenBucket } from '../../src/index.ts';
import { sharedStore } from '../../src/stores.ts';

const limits = [tokenBucket({ name: 'minute', rate: per(6, 'minute'), burst: 2 })];
const refusal = async (limiter: RateLimiter, cost: number) => (await limiter.consume(undefined, { cost })) as Refused;

test('a used-up limit is 429 and says which, and when to come back', async () => {
  const limiter = new RateLimiter({ limits, clock: new ManualClock() });
  await limiter.consume(undefined, { cost: 2 });
  expect(problemOf(await refusal(limiter, 1))).toEqual({
    type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
    title: 'Request cannot be satisfied as assigned quota has been exceeded',
    status: 429,
    detail: "limit 'minute' is used up (6 per 60 s, burst 2)",
    'violated-policies': ['minute'],
    code: 'ERR_RATE_LIMITED',
    limit: 'minute',
    retryAfterMs: 10_000,
  });
});

test('a cost that never fits is 413, which clients do not repeat, and names no wait', async () => {
  const problem = problemOf(await refusal(new RateLimiter({ limits, clock: new ManualClock() }), 3));
  expect(problem).toMatchObject({ status: 413, code: 'ERR_RATE_LIMITED', limit: 'minute' });
  expect(JSON.parse(JSON.stringify(problem))).not.toHaveProperty('retryAfterMs');
});

test('a store that fails is 503, and its limits are not told', async () => {
  const store = sharedStore({ run: () => Promise.reject(new Error('down')), close: async () => {} });
  const problem = problemOf(await refusal(new RateLimiter({ limits, store }), 1));
  expect(problem).toEqual({
    type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity',
    title: 'Request cannot be satisfied due to temporary server capacity constraints',
    status: 503,
    'violated-policies': ['minute'],
    code: 'ERR_STORE_UNAVAILABLE',
    limit: 'minute',
    retryAfterMs: expect.any(Number),
  });
});
