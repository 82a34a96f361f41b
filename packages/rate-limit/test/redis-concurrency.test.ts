import { requireServer, until } from '@tidegate/test-kit';
import { expect, test } from 'vitest';
import { concurrency, type RateLimiter, type Reservation } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { ioredis, limiterOn, redisServer } from './redis-connections.ts';

const present = requireServer('redis');

/** Limiters of several processes, as far as the server can tell. */
async function processes(count: number, limit: number, leaseMs: number) {
  const server = await redisServer();
  const clients = Array.from({ length: count }, () => ioredis(server.port));
  const limiters = clients.map((client) =>
    limiterOn(redisStore(client), [concurrency<string>({ limit, leaseMs })], { decisionTimeoutMs: 200 }),
  );
  for (const limiter of limiters)
    await until(async () => (await limiter.peek('a')).degraded === undefined, { what: 'the store to answer' });
  return { server, clients, limiters: limiters as [RateLimiter<string>, RateLimiter<string>] };
}

const gets = async (limiter: RateLimiter<string>): Promise<boolean> => {
  const answer = await limiter.tryReserve('a');
  if (!answer.allowed) return false;
  await (answer as Reservation).release();
  return true;
};

test.runIf(present)('twenty callers of two processes never run more than three at once, and all get their turn', async () => {
  const { limiters } = await processes(2, 3, 30_000);
  let [running, most, ended] = [0, 0, 0];
  const call = async (i: number) => {
    for (let round = 0; round < 5; round += 1) {
      const reservation = await limiters[i % 2]?.reserve('a', { maxWaitMs: 25_000 });
      running += 1;
      most = Math.max(most, running);
      for (let turns = i % 4; turns >= 0; turns -= 1) await new Promise(setImmediate);
      running -= 1;
      await reservation?.release();
      ended += 1;
    }
  };
  await Promise.all(Array.from({ length: 20 }, (_, i) => call(i)));
  expect([most, ended]).toEqual([3, 100]);
});

test.runIf(present)('a process that dies gives its places back when its leases end, and not before', async () => {
  const { clients, limiters } = await processes(2, 2, 500);
  const [dying, living] = limiters;
  const since = performance.now();
  for (let i = 0; i < 2; i += 1) await dying.reserve('a');
  await dying.close();
  clients[0]?.disconnect();
  await until(() => gets(living), { what: 'a place' });
  expect(performance.now() - since).toBeGreaterThanOrEqual(499);
});

test.runIf(present)('a call keeps its place for many times the lease as long as its process lives', async () => {
  const { limiters } = await processes(2, 1, 600);
  const [one, other] = limiters;
  const call = await one.reserve('a');
  const since = performance.now();
  const looked: boolean[] = [];
  await until(
    async () => {
      looked.push(await gets(other));
      return performance.now() - since > 2_500;
    },
    { what: 'four leases to pass' },
  );
  expect(looked.filter(Boolean)).toEqual([]);
  expect(call.signal.aborted).toBe(false);
  expect(await call.release()).toBe(true);
  expect(await gets(other)).toBe(true);
});

test.runIf(present)(
  'a server that pauses for longer than a lease takes the place away: the call is told, and another may run',
  async () => {
    const { server, limiters } = await processes(2, 1, 400);
    const [one, other] = limiters;
    const lost: string[] = [];
    one.on('lease-lost', ({ name }) => lost.push(name));
    const sentAt = performance.now();
    const call = await one.reserve('a');
    let abortedAt = 0;
    call.signal.addEventListener('abort', () => {
      abortedAt = performance.now();
    });
    server.pause();
    await until(() => call.signal.aborted, { what: 'the signal' });
    expect(call.signal.reason).toMatchObject({ name: 'RateLimitError', code: 'ERR_LEASE_LOST' });
    expect(abortedAt - sentAt).toBeGreaterThanOrEqual(399); // not while it was still held
    expect(lost).toEqual(['limiter']);
    server.resume();
    await until(() => gets(other), { what: 'a place' });
    await call.release();
    expect(await gets(other)).toBe(true);
  },
);

test.runIf(present)('a server that pauses for less than a lease takes nothing away', async () => {
  const { server, limiters } = await processes(2, 1, 3_000);
  const [one, other] = limiters;
  const call = await one.reserve('a');
  server.pause();
  const resumeAt = performance.now() + 500;
  await until(() => performance.now() >= resumeAt, { what: 'half a second' });
  server.resume();
  const since = performance.now();
  const looked: boolean[] = [];
  await until(
    async () => {
      looked.push(await gets(other));
      return performance.now() - since > 3_500;
    },
    { what: 'the lease to pass' },
  );
  expect(looked.filter(Boolean)).toEqual([]);
  expect(call.signal.aborted).toBe(false);
});
