import { requireServer, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { concurrency, per, type Reservation, tokenBucket } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { calls, ioredis, limiterOn, proxyTo, redisServer } from './redis-connections.ts';

const present = requireServer('redis');
const day = (burst: number) => tokenBucket<string>({ name: 'day', rate: per(1, 'day'), burst });

/** A client whose connection ends after the server has done what it was sent, and before the client knows: it connects anew and sends it again. */
async function twiceDone() {
  const server = await redisServer();
  const proxy = await proxyTo(server);
  const admin = ioredis(server.port);
  const store = redisStore(ioredis(proxy.port, { retryStrategy: () => 10 }));
  const direct = redisStore(admin);
  const twice = async <T>(send: () => Promise<T>): Promise<T> => {
    const before = await calls(admin, 'evalsha');
    proxy.delay(300);
    const sent = send();
    await until(async () => (await calls(admin, 'evalsha')) === before + 1, { what: 'the server to do it' });
    proxy.cut();
    proxy.delay(0);
    const answer = await sent;
    expect(await calls(admin, 'evalsha'), 'how often the server did it').toBe(before + 2);
    return answer;
  };
  return { store, direct, twice };
}

describe.runIf(present)('what a client sends again after its connection broke', () => {
  test('a settlement gives back once', async () => {
    const { store, direct, twice } = await twiceDone();
    const [limiter, other] = [limiterOn(store, [day(40)]), limiterOn(direct, [day(40)])];
    await limiter.consume('mina', { cost: 10 });
    const [first] = [await limiter.reserve('mina', { cost: 8 }), await limiter.reserve('mina', { cost: 8 })];
    expect(await twice(() => first.settle(1))).toBe(true);
    expect(await other.peek('mina')).toMatchObject({ remaining: 40 - 10 - 1 - 8 });
  });

  test('a settlement of more than was reserved charges at most twice', async () => {
    const { store, direct, twice } = await twiceDone();
    const [limiter, other] = [limiterOn(store, [day(40)]), limiterOn(direct, [day(40)])];
    const reservation = await limiter.reserve('mina', { cost: 8 });
    await twice(() => reservation.settle(12));
    const { remaining } = await other.peek('mina');
    expect(remaining).toBeLessThanOrEqual(40 - 12);
    expect(remaining).toBeGreaterThanOrEqual(40 - 12 - 4);
  });

  test('a refund gives back once', async () => {
    const { store, direct, twice } = await twiceDone();
    const [limiter, other] = [limiterOn(store, [day(40)]), limiterOn(direct, [day(40)])];
    await limiter.consume('mina', { cost: 20 });
    await twice(() => limiter.refund('mina', { cost: 3 }));
    expect(await other.peek('mina')).toMatchObject({ remaining: 23 });
  });

  test('a lease that is returned is given back once, and what is asked for with it is counted', async () => {
    const { store, direct, twice } = await twiceDone();
    const bucket = day(80);
    const demand = { limit: 'limiter|day|token-bucket', key: 'mina', rule: bucket.rule };
    const change = { version: 0, carry: 'used' } as const;
    const ask = (cost: number, reserved: number, used: number, takenAt: number, id: string) =>
      store.run({ do: 'lease', demands: [{ ...demand, cost, reserved }], used, takenAt, id }, change);
    const [one, two] = [await ask(10, 0, 0, 0, 'one'), await ask(10, 0, 0, 0, 'two')];
    expect([one.granted, two.granted]).toEqual([10, 10]);
    const other = limiterOn(direct, [bucket]);
    await twice(() => ask(0, 10, 4, one.now, 'three'));
    expect(await other.peek('mina')).toMatchObject({ remaining: 80 - 4 - 10 });
    const more = await twice(() => ask(10, 10, 10, two.now, 'four'));
    const { remaining } = await other.peek('mina');
    expect(remaining).toBeLessThanOrEqual(80 - 14 - more.granted);
    expect(remaining).toBeGreaterThanOrEqual(80 - 14 - 2 * 10);
  });

  test('what is consumed is charged at least once and at most twice, and no more is let through', async () => {
    const { store, direct, twice } = await twiceDone();
    const [limiter, other] = [limiterOn(store, [day(10)]), limiterOn(direct, [day(10)])];
    await limiter.consume('mina');
    expect(await twice(() => limiter.consume('mina', { cost: 2 }))).toMatchObject({ allowed: true });
    const { remaining } = await other.peek('mina');
    expect([7, 5]).toContain(remaining);
    const more = await Promise.all(Array.from({ length: 20 }, () => other.consume('mina')));
    expect(more.filter(({ allowed }) => allowed)).toHaveLength(remaining);
  });

  test('a place among calls at once is taken once, also the last one', async () => {
    const { store, direct, twice } = await twiceDone();
    const limits = [concurrency<string>({ limit: 2, leaseMs: 600_000 })];
    const [limiter, other] = [limiterOn(store, limits), limiterOn(direct, limits)];
    await other.reserve('mina');
    const last = (await twice(() => limiter.tryReserve('mina'))) as Reservation;
    expect(last.allowed).toBe(true);
    expect(await other.tryReserve('mina')).toMatchObject({ allowed: false });
    expect(await twice(() => last.release())).toBe(true);
    expect(await other.tryReserve('mina')).toMatchObject({ allowed: true });
    expect(await other.tryReserve('mina')).toMatchObject({ allowed: false });
  });
});
