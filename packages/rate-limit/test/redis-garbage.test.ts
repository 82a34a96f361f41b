import { requireServer } from '@tidegate/test-kit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { calendarQuota } from '../src/calendar.ts';
import { concurrency, type Limit, per, slidingWindow, tokenBucket } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { healthOf, ioredis, limiterOn, redisServer } from './redis-connections.ts';
import { runs } from './runs.ts';

const present = requireServer('redis');
const kinds: readonly Limit<string>[] = [
  tokenBucket({ name: 'bucket', rate: per(10, 'day'), burst: 10 }),
  slidingWindow({ name: 'window', limit: 10, windowMs: 3_600_000, precision: 4 }),
  calendarQuota({ name: 'quota', limit: 10, every: 'day', timeZone: 'UTC' }),
  concurrency({ name: 'running', limit: 10 }),
];

test.runIf(present).each(kinds)('text that is no state fails only what asks for it: $name', async (limit) => {
  const server = await redisServer();
  const client = ioredis(server.port);
  const limiter = limiterOn(redisStore(client), [limit]);
  const { errors } = healthOf(limiter);
  await client.set(`tidegate:{=bad}limiter|${limit.name}|${limit.rule.kind}`, 'what somebody else wrote');
  const [before, bad, after] = await Promise.all(['a', 'bad', 'b'].map((key) => limiter.tryReserve(key)));
  expect([before, after]).toMatchObject([
    { allowed: true, remaining: 9 },
    { allowed: true, remaining: 9 },
  ]);
  expect(bad).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/of another kind/);
  expect(await client.get(`tidegate:{=bad}limiter|${limit.name}|${limit.rule.kind}`)).toBe('what somebody else wrote');
});

test.runIf(present).each(kinds)('a list or a hash under a key lets no more through than the limit: $name', async (limit) => {
  const server = await redisServer();
  const client = ioredis(server.port);
  const limiter = limiterOn(redisStore(client), [limit]);
  await client.rpush(`tidegate:{=list}limiter|${limit.name}|${limit.rule.kind}`, 'a', 'b');
  await client.hset(`tidegate:{=hash}limiter|${limit.name}|${limit.rule.kind}`, 'a', 'b');
  const ask = (key: string) => Promise.all(Array.from({ length: 15 }, () => limiter.tryReserve(key)));
  const [good, ...bad] = await Promise.all(['good', 'list', 'hash'].map(ask));
  expect(good?.filter(({ allowed }) => allowed)).toHaveLength(10);
  for (const decisions of bad) expect(decisions.filter(({ allowed }) => allowed).length).toBeLessThanOrEqual(10);
});

const numbers = fc.double();
const garbage = fc.oneof(
  fc.uint8Array({ minLength: 0, maxLength: 100 }),
  ...[5, 7, 9].map((length) =>
    fc.array(numbers, { minLength: length, maxLength: length }).map((all) => new Uint8Array(Float64Array.from(all).buffer)),
  ),
  // a short list in MessagePack, of what fits a byte
  fc
    .array(fc.constantFrom(0, 1, 4, 10, 0x80, 0x90, 0xa0, 0xc0, 0xc3, 0xff), { maxLength: 12 })
    .map((all) => Uint8Array.of(0x90 + all.length, ...all)),
);

test.runIf(present)('whatever is under a key, others of the same call are answered', { timeout: 120_000 }, async () => {
  const server = await redisServer();
  const client = ioredis(server.port);
  const limiters = kinds.slice(0, 3).map((limit) => limiterOn(redisStore(client), [limit]));
  let run = 0;
  await fc.assert(
    fc.asyncProperty(garbage, async (bytes) => {
      run += 1;
      for (const limiter of limiters) {
        await client.set(`tidegate:{=bad${run}}limiter|${limiter.limits[0]?.name}|${limiter.limits[0]?.rule.kind}`, Buffer.from(bytes));
        const [good] = await Promise.all([`good${run}`, `bad${run}`].map((key) => limiter.consume(key)));
        expect(good).toMatchObject({ allowed: true, remaining: 9 });
      }
    }),
    runs(300),
  );
});

test.runIf(present)('a limit that becomes one of another kind begins anew', async () => {
  const server = await redisServer();
  const store = redisStore(ioredis(server.port));
  const limits = kinds.map((limit) => ({ ...limit, name: 'same' }));
  for (const [i, from] of limits.entries()) {
    for (const [j, to] of limits.entries()) {
      if (i === j) continue;
      const limiter = limiterOn(store, [from], { name: `from ${i} to ${j}` });
      await limiter.reserve('mina');
      limiter.reconfigure([to]);
      expect(await limiter.tryReserve('mina'), `${from.rule.kind} to ${to.rule.kind}`).toMatchObject({ allowed: true, remaining: 9 });
    }
  }
});
