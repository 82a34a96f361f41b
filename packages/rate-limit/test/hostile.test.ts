import { type ManagedServer, ManualClock, requireServer, startRedis } from '@tidegate/test-kit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { calendarQuota } from '../src/calendar.ts';
import { storedKey } from '../src/demand.ts';
import { concurrency, per, RateLimiter, type Reservation, type SharedStore, slidingWindow, tokenBucket } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { memoryStore } from '../src/stores.ts';

const rate = per(1, 'hour');
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a key that is no string is refused, or each object would be a key of its own', async () => {
  const limiter = new RateLimiter<object>({ key: (user) => user as never, limits: [tokenBucket({ rate, burst: 2 })] });
  await expect(limiter.consume({})).rejects.toThrow(TypeError);
});

test('no plain key is that under which another is stored', () => {
  expect(storedKey(storedKey('é'))).not.toBe(storedKey('é'));
});

test('keys with line breaks do not stand in the line of others', async () => {
  type Subject = readonly [string, string];
  const clock = new ManualClock();
  const limits = [
    tokenBucket<Subject>({ name: 'a', rate, burst: 1 }),
    tokenBucket<Subject>({ name: 'b', rate, burst: 1, key: ([, b]) => b }),
  ];
  const limiter = new RateLimiter<Subject>({ clock, key: ([a]) => a, limits });
  await limiter.consume(['a\nb', 'c']);
  const blocked = limiter.acquire(['a\nb', 'c']).catch(() => 'closed');
  let served = false;
  const other = limiter.acquire(['a', 'b\nc']).then(() => {
    served = true;
  });
  await turn();
  expect(served).toBe(true);
  await limiter.close();
  await Promise.all([blocked, other]);
});

test('what is released in a shared place gives nothing back that others have used since', async () => {
  const clock = new ManualClock();
  const limits = [tokenBucket({ rate: per(1, 'second'), burst: 10 })];
  const limiter = new RateLimiter<string>({ key: (user) => user, clock, maxKeys: 1, limits });
  await limiter.consume('first', { cost: 10 });
  const reserved = (await limiter.tryReserve('a', { cost: 10 })) as Reservation;
  const place = (key: string) => [...key].reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0, 0) % 64;
  let neighbour = 'b0';
  for (let i = 1; Math.abs(place(neighbour)) !== place('a'); i += 1) neighbour = `b${i}`;
  for (let second = 0; second < 10; second += 1) {
    await clock.advance(1_000);
    await limiter.consume('first');
    await limiter.consume(neighbour, { cost: 10 });
  }
  expect((await limiter.peek(neighbour)).remaining).toBe(0);
  await reserved.release();
  expect((await limiter.peek(neighbour)).remaining).toBe(0);
});

test('who waits while limits are added is charged to all of them', async () => {
  const clock = new ManualClock();
  const limiter = new RateLimiter({ clock, limits: [tokenBucket({ name: 'a', rate: per(1, 'second'), burst: 1 })] });
  await limiter.consume();
  const waiting = limiter.acquire();
  limiter.reconfigure([tokenBucket({ name: 'a', rate: per(1, 'second'), burst: 9 }), tokenBucket({ name: 'b', rate, burst: 1 })]);
  await clock.advance(1_000);
  await waiting;
  expect(await limiter.consume()).toMatchObject({ allowed: false, limit: 'b', remaining: 0 });
});

test('who waits in acquire is told when the limits come to count calls that run', async () => {
  const limiter = new RateLimiter({ clock: new ManualClock(), limits: [tokenBucket({ rate, burst: 1 })] });
  await limiter.consume();
  const waiting = limiter.acquire();
  limiter.reconfigure([concurrency({ limit: 1 })]);
  await expect(waiting).rejects.toThrow(TypeError);
});

test('a place that was taken by another key comes free after the keys were changed', async () => {
  type Subject = { readonly tenant: string; readonly user: string };
  const others = tokenBucket<Subject>({ name: 'others', rate, burst: 100 });
  const byTenant = [concurrency<Subject>({ name: 'calls', limit: 1, key: ({ tenant }) => tenant }), others];
  const limiter = new RateLimiter<Subject>({ clock: new ManualClock(), key: ({ user }) => user, limits: byTenant });
  const subject = { tenant: 't', user: 'u' };
  const call = await limiter.reserve(subject);
  limiter.reconfigure([concurrency({ name: 'calls', limit: 1 }), others]);
  await call.release();
  limiter.reconfigure(byTenant);
  expect((await limiter.tryReserve(subject)).allowed).toBe(true);
});

test('calls that reserve at the same time do not refuse each other while there is enough', async () => {
  const limiter = new RateLimiter({ store: memoryStore(), limits: [tokenBucket({ rate, burst: 100 })] });
  const all = await Promise.allSettled(Array.from({ length: 101 }, () => limiter.reserve()));
  expect(all.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
});

test('an option of reconfigure that is unknown is refused', () => {
  const misspelt = { cary: 'reset' } as object;
  expect(() => new RateLimiter().reconfigure([tokenBucket()], misspelt)).toThrow(/unknown option 'cary'/);
});

test.each(['\ud800', 5])('%j is no name of a limiter', (name) => {
  expect(() => new RateLimiter({ name: name as string })).toThrow(/RateLimiter: name/);
});

test.each([0, -1, 1.5, Number.NaN, 1e10, '5', 5n, null, [], new Map([['requests', 5]]), { requests: '5' }, { requests: 0 }])(
  '%s is no cost',
  async (cost) => {
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate, burst: 50 })] });
    await expect(limiter.consume(undefined, { cost: cost as number })).rejects.toThrow(RangeError);
    expect((await limiter.peek()).remaining).toBe(50);
  },
);

test('one signal that ends many waits asks the limits no more than once', async () => {
  const limiter = new RateLimiter({ clock: new ManualClock(), maxWaiting: 1_000, limits: [tokenBucket({ rate, burst: 1 })] });
  await limiter.consume();
  const abort = new AbortController();
  const waiting = Array.from({ length: 1_000 }, () => limiter.acquire(undefined, { signal: abort.signal }));
  await turn();
  let asked = 0;
  limiter.on('refused', () => {
    asked += 1;
  });
  abort.abort(new Error('enough'));
  const ends = await Promise.allSettled(waiting);
  expect(ends.every((end) => end.status === 'rejected' && end.reason.message === 'enough')).toBe(true);
  expect(asked).toBeLessThanOrEqual(1);
});

async function changesKind(store: () => SharedStore | undefined) {
  const makers = [
    () => tokenBucket({ name: 'x', rate, burst: 5 }),
    () => slidingWindow({ name: 'x', limit: 5, windowMs: 60_000 }),
    () => calendarQuota({ name: 'x', limit: 5, every: 'year', timeZone: 'UTC' }),
  ];
  for (const [i, from] of makers.entries()) {
    for (const [j, to] of makers.entries()) {
      if (i === j) continue;
      const kept = store();
      const shared = kept === undefined ? {} : { store: kept, decisionTimeoutMs: 10_000 };
      const limiter = new RateLimiter({ name: `${i} to ${j}`, limits: [from()], ...shared });
      await limiter.consume();
      limiter.reconfigure([to()]);
      expect(await limiter.consume(), `${i} to ${j}`).toMatchObject({ allowed: true, remaining: 4 });
    }
  }
}

test.each([
  ['this process', () => undefined],
  ['memoryStore', () => memoryStore()],
])('a limit of the same name and another kind begins anew in %s', (_, store) => changesKind(store));

describe.runIf(requireServer('redis'))('with Redis', () => {
  let server: ManagedServer;
  let client: Redis;

  beforeAll(async () => {
    server = await startRedis();
    client = new Redis(server.port, '127.0.0.1');
  });

  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
  });

  test('a limit of the same name and another kind begins anew', () => changesKind(() => redisStore(client)));

  test('more keys than Lua unpacks may be asked for in one turn', async () => {
    const limits = Array.from({ length: 20 }, (_, i) => tokenBucket<string>({ name: `limit ${i}`, rate, burst: 1 }));
    const limiter = new RateLimiter<string>({ key: (user) => user, limits, store: redisStore(client), decisionTimeoutMs: 10_000 });
    const all = await Promise.all(Array.from({ length: 450 }, (_, i) => limiter.consume(`${i}`)));
    expect(all.filter(({ allowed }) => allowed)).toHaveLength(450);
  });

  test('a change of one limiter leaves another that has the same limit alone', async () => {
    const parts = { limits: [tokenBucket({ rate, burst: 1 })], store: redisStore(client), decisionTimeoutMs: 10_000 };
    const [one, other] = [new RateLimiter({ name: 'one', ...parts }), new RateLimiter({ name: 'other', ...parts })];
    await one.consume();
    other.reconfigure(parts.limits, { carry: 'reset' });
    const [, again] = await Promise.all([other.consume(), one.consume()]);
    expect(again.allowed).toBe(false);
  });
});
