import { ManualClock } from '@tidegate/test-kit';
import { expect, it } from 'vitest';
import { per, RateLimiter, tokenBucket } from '../src/index.ts';
import { memoryStore } from '../src/stores.ts';

it('processes that go by old and new limits at once let no more through together than the larger of them', async () => {
  const clock = new ManualClock({ now: 0 });
  const store = memoryStore({ clock });
  const process = (burst: number) => new RateLimiter({ store, clock, limits: [tokenBucket({ rate: per(5, 'second'), burst })] });
  const [old, young] = [process(10), process(100)];
  let admitted = 0;
  for (let ms = 0; ms < 4_000; ms += 10) {
    for (const limiter of [young, old, young]) if ((await limiter.consume()).allowed) admitted += 1;
    clock.advance(10);
  }
  expect(admitted).toBeLessThanOrEqual(100 + 5 * 4);
  expect(admitted).toBeGreaterThanOrEqual(0.95 * (100 + 5 * 4));
});

it('a limit that is lowered holds nobody up for longer than it takes to fill', async () => {
  const clock = new ManualClock({ now: 0 });
  const limiter = new RateLimiter({ store: memoryStore({ clock }), clock, limits: [tokenBucket({ rate: per(100, 'second') })] });
  await limiter.consume(undefined, { cost: 80 });
  limiter.reconfigure([tokenBucket({ rate: per(10, 'second') })]);
  expect(await limiter.consume()).toMatchObject({ allowed: false, retryAfterMs: 100 });
});
