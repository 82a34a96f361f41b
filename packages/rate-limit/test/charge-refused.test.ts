import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { per, RateLimiter, type RateLimiterOptions, slidingWindow, tokenBucket } from '../src/index.ts';
import { memoryStore } from '../src/stores.ts';

const clock = () => new ManualClock({ now: 0 });

describe.each([
  { where: 'in memory', shared: (_: ManualClock): Partial<RateLimiterOptions<void>> => ({}) },
  { where: 'in a store', shared: (time: ManualClock): Partial<RateLimiterOptions<void>> => ({ store: memoryStore({ clock: time }) }) },
])('refused calls that are charged $where', ({ shared }) => {
  it('keep who goes on trying locked out, by up to the debt of the bucket', async () => {
    const time = clock();
    const limits = [tokenBucket({ rate: per(1, 'second'), burst: 2, debt: 3 })];
    const limiter = new RateLimiter({ limits, clock: time, ...shared(time) });
    for (let i = 0; i < 10; i++) await limiter.consume(undefined, { chargeRefused: true });
    expect(await limiter.peek()).toMatchObject({ allowed: false, retryAfterMs: 4_000 });
  });

  it('lengthen the wait of a window by no more than its limit again', async () => {
    const time = clock();
    const limiter = new RateLimiter({ limits: [slidingWindow({ limit: 3, windowMs: 1_000 })], clock: time, ...shared(time) });
    for (let i = 0; i < 3; i++) await limiter.consume();
    time.advance(500);
    for (let i = 0; i < 50; i++) await limiter.consume(undefined, { chargeRefused: true });
    time.advance(600);
    expect(await limiter.peek()).toMatchObject({ allowed: false });
    time.advance(600);
    expect(await limiter.peek()).toMatchObject({ allowed: true, remaining: 3 });
  });

  it('are free by default, and where no wait would do', async () => {
    const time = clock();
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(1, 'second'), burst: 2 })], clock: time, ...shared(time) });
    await limiter.consume(undefined, { cost: 2 });
    await limiter.consume();
    await limiter.consume(undefined, { cost: 3, chargeRefused: true });
    time.advance(1_000);
    expect(await limiter.peek()).toMatchObject({ allowed: true });
  });
});
