import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { type Decision, per, RateLimiter, tokenBucket } from '../src/index.ts';
import { type Admission, worstExcess } from './reference.ts';

const allowed = (decisions: readonly Decision[]) => decisions.filter((decision) => decision.allowed).length;

test('of 1 000 parallel calls exactly the burst is let through', async () => {
  for (const burst of [1, 10, 999, 1_000]) {
    const limiter = new RateLimiter({ clock: new ManualClock(), limits: [tokenBucket({ burst })] });
    expect(allowed(await Promise.all(Array.from({ length: 1_000 }, () => limiter.consume())))).toBe(burst);
  }
});

test('of 1 000 parallel waits each gets its own token, none before its time', async () => {
  const clock = new ManualClock();
  const limit = tokenBucket({ rate: per(5, 'second'), burst: 10 });
  const limiter = new RateLimiter({ clock, limits: [limit] });
  const admissions: Admission[] = [];
  const all = Array.from({ length: 1_000 }, () => limiter.acquire().then(() => admissions.push({ atMs: clock.now(), cost: 1 })));
  const started = clock.now();
  await clock.advanceAsync((990 / 5) * 1_000);
  await Promise.all(all);
  expect((admissions.at(-1)?.atMs ?? 0) - started).toBe(198_000);
  expect(worstExcess(limit, admissions)).toBe(0);
});

describe('60 a minute and 1 000 an hour with burst 10, by tenant and tool', () => {
  const setUp = () => {
    const clock = new ManualClock();
    const limits = [
      tokenBucket({ name: 'minute', rate: per(60, 'minute'), burst: 10 }),
      tokenBucket({ name: 'hour', rate: per(1_000, 'hour') }),
    ];
    const key = (call: { tenant: string; tool: string }) => `${call.tenant}:${call.tool}`;
    return { clock, limits, limiter: new RateLimiter<{ tenant: string; tool: string }>({ clock, limits, key }) };
  };

  test('a parallel storm: ten of each tenant and tool', async () => {
    const { limiter } = setUp();
    const calls = ['acme', 'globex'].flatMap((tenant) => ['search', 'read', 'write'].map((tool) => ({ tenant, tool })));
    const decisions = await Promise.all(Array.from({ length: 600 }, (_, i) => limiter.consume(calls[i % 6] as (typeof calls)[0])));
    expect(allowed(decisions)).toBe(60);
    expect(limiter.size).toBe(6);
    expect(decisions.at(-1)).toEqual({
      allowed: false,
      code: 'ERR_RATE_LIMITED',
      message: "limit 'minute' is used up (60 per 60 s, burst 10)",
      limit: 'minute',
      remaining: 0,
      retryAfterMs: 1_000,
      permanent: false,
    });
  });

  test('three hours of steady demand: the minute limits first, then the hour', () => {
    const { clock, limits, limiter } = setUp();
    const call = { tenant: 'acme', tool: 'search' };
    const admissions: Admission[] = [];
    const refusers: string[] = [];
    const started = clock.now();
    while (clock.now() - started < 3 * 3_600_000) {
      const decision = limiter.consumeSync(call);
      if (decision.allowed) admissions.push({ atMs: clock.now(), cost: 1 });
      else if (refusers.at(-1) !== decision.limit) refusers.push(decision.limit);
      clock.advance(500);
    }
    expect(refusers).toEqual(['minute', 'hour']);
    const inFirst = (ms: number) => admissions.filter(({ atMs }) => atMs - started < ms).length;
    expect(inFirst(60_000)).toBe(10 + 59);
    expect(inFirst(3 * 3_600_000)).toBe(1_000 + 3 * 1_000 - 1);
    for (const limit of limits) expect(worstExcess(limit, admissions)).toBeLessThanOrEqual(0);
  });
});
