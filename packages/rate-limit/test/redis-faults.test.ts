import { type ManagedServer, requireServer, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import {
  concurrency,
  type Decision,
  type OnStoreError,
  per,
  RateLimitError,
  type RateLimiter,
  slidingWindow,
  tokenBucket,
} from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { healthOf, ioredis, limiterOn, nodeRedis, redisServer } from './redis-connections.ts';

const present = requireServer('redis');
const day = (burst: number, onStoreError: OnStoreError = 'closed', name = 'day') =>
  tokenBucket<string>({ name, rate: per(1, 'day'), burst, onStoreError });

/** Far above decisionTimeoutMs, so that a busy machine does not matter, and far below what clients wait for. */
const boundMs = 1_000;

/** Decides, and expects it to be within its time. */
async function inTime(limiter: RateLimiter<string>, key = 'mina'): Promise<Decision> {
  const since = performance.now();
  const decision = await limiter.consume(key);
  expect(performance.now() - since).toBeLessThan(boundMs);
  return decision;
}

/** The first decision that the store made. */
function answered(limiter: RateLimiter<string>, key = 'mina'): Promise<Decision> {
  const ask = async () => {
    const decision = await inTime(limiter, key);
    return decision.degraded === undefined ? decision : undefined;
  };
  return until(ask, { what: 'the store to answer', timeoutMs: 20_000 });
}

const clients = [
  { client: 'ioredis', connect: (port: number) => ioredis(port) },
  { client: 'node-redis', connect: nodeRedis },
];
const modes = [
  { mode: 'closed', expected: [false, false, false, false] },
  { mode: 'open', expected: [true, true, true, true] },
  { mode: 'local', expected: [true, true, false, false] },
] as const;

describe.runIf(present).each(clients)('a Redis that is down when the process starts, over $client', ({ connect }) => {
  test.each(modes)('is answered for in time where the limit is $mode, and is used once it is up', async ({ mode, expected }) => {
    const server = await redisServer();
    await server.kill();
    const limiter = limiterOn(redisStore(connect(server.port)), [day(20, mode)], { decisionTimeoutMs: 50, instances: 10 });
    const { told } = healthOf(limiter);
    const decisions: Decision[] = [];
    for (const _ of expected) decisions.push(await inTime(limiter));
    expect(decisions.map(({ allowed }) => allowed)).toEqual(expected);
    expect(new Set(decisions.map(({ degraded }) => degraded))).toEqual(new Set([mode]));
    expect(told).toEqual(['failed']);
    await server.restart();
    expect(await answered(limiter)).toMatchObject({ allowed: true });
    expect(told).toEqual(['failed', 'recovered']);
  });
});

/** Callers that ask again and again until told to stop; how many were let through by the store, and the latest decision. */
function load(limiters: readonly RateLimiter<string>[]) {
  const state = { admitted: 0, latest: undefined as Decision | undefined, stop: async () => {} };
  let going = true;
  const callers = limiters.map(async (limiter) => {
    while (going) {
      state.latest = await inTime(limiter);
      if (state.latest.allowed) state.admitted += 1;
      else await new Promise(setImmediate);
    }
  });
  state.stop = async () => {
    going = false;
    await Promise.all(callers);
  };
  return state;
}

describe.runIf(present).each(clients)('under load, over $client', ({ connect }) => {
  const loaded = async (server: ManagedServer, burst: number, decisionTimeoutMs: number) => {
    const store = redisStore(connect(server.port));
    const limiters = Array.from({ length: 4 }, () => limiterOn(store, [day(burst)], { decisionTimeoutMs }));
    await Promise.all(limiters.map((limiter) => answered(limiter, 'someone')));
    return { running: load(limiters), health: limiters.map(healthOf) };
  };

  test('a Redis that is killed and comes back empty lets one burst more through, no call fails', async () => {
    const server = await redisServer();
    const { running, health } = await loaded(server, 400, 100);
    await until(() => running.admitted > 200, { what: 'some to be let through' });
    await server.kill();
    const before = running.admitted;
    expect(before).toBeLessThanOrEqual(400);
    await until(() => running.latest?.degraded === 'closed', { what: 'a decision without the store' });
    expect(running.admitted).toBeLessThanOrEqual(before + 4); // answers that were on their way
    await server.restart();
    await until(() => running.admitted >= before + 400 - 20, { what: 'the store to let calls through again', timeoutMs: 20_000 });
    await until(() => running.latest?.allowed === false && running.latest.code === 'ERR_RATE_LIMITED', { what: 'the limit' });
    await running.stop();
    expect(running.admitted).toBeLessThanOrEqual(800);
    for (const { told } of health) expect(told).toEqual(['failed', 'recovered']);
  });

  test('a Redis that is paused for two seconds is answered for in time, and goes on with what it knew', async () => {
    const server = await redisServer();
    const { running, health } = await loaded(server, 400, 100);
    await until(() => running.admitted > 100, { what: 'some to be let through' });
    server.pause();
    const resumeAt = performance.now() + 2_000;
    await until(() => performance.now() >= resumeAt, { what: 'two seconds' });
    expect(running.latest).toMatchObject({ allowed: false, degraded: 'closed', code: 'ERR_STORE_UNAVAILABLE' });
    server.resume();
    await until(() => running.latest?.allowed === false && running.latest.code === 'ERR_RATE_LIMITED', {
      what: 'the limit',
      timeoutMs: 20_000,
    });
    await running.stop();
    expect(running.admitted).toBeLessThanOrEqual(400);
    expect(running.admitted).toBeGreaterThan(100);
    for (const { told } of health) expect(told).toEqual(['failed', 'recovered']);
  });

  test('a Redis that forgets its scripts costs no decision', async () => {
    const server = await redisServer();
    const admin = ioredis(server.port);
    const { running, health } = await loaded(server, 3_000, boundMs); // a decision that was not waited for would be one that is not counted
    for (const quarter of [500, 1_000, 1_500]) {
      await until(() => running.admitted > quarter, { what: 'some to be let through' });
      await admin.script('FLUSH');
    }
    await until(() => running.latest?.allowed === false, { what: 'the limit' });
    await running.stop();
    expect(running.admitted).toBe(3_000);
    for (const { told } of health) expect(told).toEqual([]);
  });
});

test.runIf(present)('a Redis that is emptied lets one burst more through', async () => {
  const server = await redisServer();
  const limiter = limiterOn(redisStore(ioredis(server.port)), [day(10)]);
  const burst = async () => {
    const decisions = await Promise.all(Array.from({ length: 30 }, () => limiter.consume('mina')));
    return decisions.filter(({ allowed }) => allowed).length;
  };
  expect(await burst()).toBe(10);
  await ioredis(server.port).flushall();
  expect(await burst()).toBe(10);
  expect(await burst()).toBe(0);
});

test.runIf(present)('what a paused Redis takes when nobody waits for it any more is given back', async () => {
  const server = await redisServer();
  const limiter = limiterOn(redisStore(ioredis(server.port)), [day(10)], { decisionTimeoutMs: 50 });
  await limiter.peek('mina');
  server.pause();
  expect(await limiter.tryReserve('mina', { cost: 10 })).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
  server.resume();
  const full = async () => (await limiter.peek('mina')).remaining === 10;
  await until(full, { what: 'the reservation to be given back' });
});

/** Limits of every kind that leaves a trace, of which some is used. */
async function used(server: ManagedServer) {
  const limits = [
    day(10),
    slidingWindow<string>({ name: 'window', limit: 9, windowMs: 3_600_000 }),
    concurrency<string>({ name: 'at once', limit: 5, leaseMs: 600_000 }),
  ];
  const limiter = limiterOn(redisStore(ioredis(server.port)), limits);
  for (let i = 0; i < 2; i += 1) await limiter.reserve('mina');
  return limiter;
}

const levels = async (limiter: RateLimiter<string>) =>
  (await limiter.peek('mina', { levels: true })).levels?.map(({ remaining }) => remaining);

describe.runIf(present).each([
  {
    what: 'is read-only',
    spoil: [['REPLICAOF', '127.0.0.1', '1']],
    mend: [['REPLICAOF', 'NO', 'ONE']],
    says: /READONLY/,
  },
  {
    what: 'is out of memory',
    spoil: [
      ['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'],
      ['CONFIG', 'SET', 'maxmemory', '1'],
    ],
    mend: [['CONFIG', 'SET', 'maxmemory', '0']],
    says: /OOM/,
  },
])('a Redis that $what', ({ spoil, mend, says }) => {
  const tell = async (server: ManagedServer, commands: readonly string[][]) => {
    const admin = ioredis(server.port);
    for (const [name, ...args] of commands) await admin.call(name as string, ...args);
  };

  test('fails as a store, does nothing by halves, and is used again', async () => {
    const server = await redisServer();
    const limiter = await used(server);
    const { told, errors } = healthOf(limiter);
    expect(await levels(limiter)).toEqual([8, 7, 3]);
    await tell(server, spoil);
    expect(await limiter.tryReserve('mina')).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE', degraded: 'closed' });
    await expect(limiter.refund('mina')).rejects.toBeInstanceOf(RateLimitError);
    for (const error of errors) expect(error).toMatch(says);
    await tell(server, mend);
    expect(await levels(limiter)).toEqual([8, 7, 3]);
    expect(await limiter.tryReserve('mina')).toMatchObject({ allowed: true });
    expect(await levels(limiter)).toEqual([7, 6, 2]);
    expect(told).toEqual(['failed', 'recovered']);
  });

  test.each(modes)('is answered for as $mode says', async ({ mode, expected }) => {
    const server = await redisServer();
    const limiter = limiterOn(redisStore(ioredis(server.port)), [day(20, mode)], { instances: 10 });
    await limiter.peek('mina');
    await tell(server, spoil);
    const decisions: Decision[] = [];
    for (const _ of expected) decisions.push(await limiter.consume('mina'));
    expect(decisions.map(({ allowed }) => allowed)).toEqual(expected);
    for (const decision of decisions) expect(decision).toMatchObject({ degraded: mode });
  });
});
