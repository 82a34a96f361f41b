import { ManualClock, requireServer, until } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Change, type Command, per, RateLimiter, type Reply, type Store, tokenBucket } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { leased, memoryStore } from '../src/stores.ts';
import { ioredis, limiterOn, redisServer } from './redis-connections.ts';
import { runs } from './runs.ts';

/** A store that is some ms away, and loses some answers. */
class FarStore implements Store {
  readonly #near: Store;
  readonly #clock: ManualClock;
  awayMs = 0;
  losing = false;

  constructor(clock: ManualClock) {
    this.#near = memoryStore({ clock });
    this.#clock = clock;
  }

  async run(command: Command, change: Change): Promise<Reply> {
    const { awayMs, losing } = this;
    await this.#pass(awayMs);
    const reply = await this.#near.run(command, change);
    await this.#pass(awayMs);
    if (losing) throw new Error('the answer was lost');
    return reply;
  }

  async close(): Promise<void> {}

  async #pass(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, ms));
  }
}

interface Sizes {
  readonly burst: number;
  readonly perSecond: number;
  readonly reservationMs: number;
  readonly targetMs: number;
}

interface Step {
  readonly who: number;
  readonly key: string;
  readonly times: number;
  readonly cost: number;
  readonly thenMs: number;
  readonly awayMs: number;
  readonly losing: boolean;
}

const sizes = fc.record<Sizes>({
  burst: fc.integer({ min: 1, max: 200 }),
  perSecond: fc.integer({ min: 1, max: 500 }),
  reservationMs: fc.integer({ min: 100, max: 400 }),
  targetMs: fc.integer({ min: 1, max: 200 }),
});

const steps = fc.array(
  fc.record<Step>({
    who: fc.nat(3),
    key: fc.constantFrom('a', 'a', 'a', 'b'),
    times: fc.integer({ min: 1, max: 60 }),
    cost: fc.integer({ min: 1, max: 4 }),
    thenMs: fc.oneof(fc.nat(30), fc.nat(600)),
    awayMs: fc.oneof(fc.constant(0), fc.nat(60)),
    losing: fc.integer({ max: 9, min: 0 }).map((chance) => chance === 0),
  }),
  { minLength: 1, maxLength: 25 },
);

/** What was let through, and when the caller asked and heard of it. */
interface Admitted {
  readonly key: string;
  readonly cost: number;
  readonly askedAt: number;
  readonly heardAt: number;
}

/** In no stretch of time more than the burst and what comes back in it. */
function expectWithin(all: readonly Admitted[], { burst, perSecond }: Sizes): void {
  for (const key of ['a', 'b']) {
    const own = all.filter((admitted) => admitted.key === key);
    for (const { askedAt: from } of own) {
      for (const { heardAt: to } of own) {
        if (to < from) continue;
        const sum = own.reduce((total, { askedAt, heardAt, cost }) => total + (askedAt >= from && heardAt <= to ? cost : 0), 0);
        expect(sum, `${key}, from ${from} to ${to}`).toBeLessThanOrEqual(burst + (perSecond * (to - from)) / 1_000 + 1e-6);
      }
    }
  }
}

async function happen(size: Sizes, all: readonly Step[]): Promise<Admitted[]> {
  const clock = new ManualClock();
  const store = new FarStore(clock);
  const shared = Array.from({ length: 4 }, () => leased(store, { clock, targetMs: size.targetMs }));
  const { burst, perSecond, reservationMs } = size;
  const limits = [tokenBucket<string>({ rate: per(perSecond, 'second'), burst, reservationMs })];
  const limiters = shared.map(
    (own) => new RateLimiter<string>({ key: (key) => key, store: own, limits, clock, decisionTimeoutMs: 10_000 }),
  );
  const admitted: Admitted[] = [];
  for (const { who, key, times, cost, thenMs, awayMs, losing } of all) {
    store.awayMs = awayMs;
    store.losing = losing;
    for (let i = 0; i < times; i += 1) {
      const askedAt = clock.now();
      void limiters[who]?.consume(key, { cost }).then(({ allowed }) => {
        if (allowed) admitted.push({ key, cost, askedAt, heardAt: clock.now() });
      });
    }
    await clock.advanceAsync(thenMs);
  }
  await clock.advanceAsync(1_000);
  for (const limiter of limiters) await limiter.close();
  const closed = Promise.all(shared.map((own) => own.close()));
  await clock.advanceAsync(1_000);
  await closed;
  return admitted;
}

test('four processes that take in advance let no more through together than the limit', { timeout: 120_000 }, async () => {
  let through = 0;
  await fc.assert(
    fc.asyncProperty(sizes, steps, async (size, all) => {
      const admitted = await happen(size, all);
      through += admitted.length;
      expectWithin(admitted, size);
    }),
    runs(100),
  );
  expect(through).toBeGreaterThan(0);
});

test.runIf(requireServer('redis'))('four limiters with leases on one Redis let through the burst and nothing more', async () => {
  const server = await redisServer();
  const limits = [tokenBucket<string>({ rate: per(1, 'day'), burst: 1_000 })];
  const stores = Array.from({ length: 4 }, () => leased(redisStore(ioredis(server.port))));
  const limiters = stores.map((store) => limiterOn(store, limits));
  const exact = limiterOn(redisStore(ioredis(server.port)), limits);
  let admitted = 0;
  const call = async (limiter: RateLimiter<string>) => {
    for (let i = 0; i < 100; i += 1) {
      if ((await limiter.consume('a')).allowed) admitted += 1;
      if (i % 10 === 0) await new Promise(setImmediate);
    }
  };
  await Promise.all(limiters.flatMap((limiter) => [call(limiter), call(limiter), call(limiter), call(limiter)]));
  expect(admitted).toBeGreaterThan(500);
  expect(admitted).toBeLessThanOrEqual(1_000);
  await Promise.all(stores.map((store) => store.close()));
  const all = async () => (await exact.peek('a')).remaining === 1_000 - admitted;
  await until(all, { what: 'what was not used to be given back' });
});
