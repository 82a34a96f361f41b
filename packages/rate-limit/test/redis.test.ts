import { type ManagedServer, requireServer, startRedis } from '@tidegate/test-kit';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpenedStore, storeContract } from '../src/contract.ts';
import { per, type Store, slidingWindow, tokenBucket } from '../src/index.ts';
import { redisStore } from '../src/redis.ts';
import { leased } from '../src/stores.ts';
import { calls, clusterServer, ioredis, ioredisCluster, limiterOn, nodeRedis, nodeRedisCluster, redisServer } from './redis-connections.ts';

const present = requireServer('redis');
const advance = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const day = (burst: number, name = 'day') => tokenBucket<string>({ name, rate: per(1, 'day'), burst });

let server: ManagedServer;
let cluster: ManagedServer;

beforeAll(async () => {
  if (!present) return;
  server = await startRedis();
  cluster = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] });
  const admin = new Redis(cluster.port, '127.0.0.1');
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  admin.disconnect();
});

afterAll(async () => {
  await server?.stop();
  await cluster?.stop();
});

/** A store over a client of its own. */
async function overIoredis(wrap: (store: Store) => Store = (store) => store): Promise<OpenedStore> {
  const client = new Redis(server.port, '127.0.0.1');
  const store = wrap(redisStore(client));
  const close = async () => {
    await store.close();
    client.disconnect();
  };
  return { store, advance, close };
}

async function overNodeRedis(): Promise<OpenedStore> {
  const client = createClient({ url: server.url });
  await client.connect();
  return { store: redisStore(client), advance, close: () => client.close() };
}

const together = { hashTag: () => 'all' };

async function overCluster(): Promise<OpenedStore> {
  const client = new Cluster([{ host: '127.0.0.1', port: cluster.port }]);
  return { store: redisStore(client, together), advance, close: async () => client.disconnect() };
}

async function overNodeCluster(): Promise<OpenedStore> {
  const client = createCluster({ rootNodes: [{ url: cluster.url }] });
  await client.connect();
  return { store: redisStore(client, together), advance, close: () => client.close() };
}

describe.runIf(present).each([
  { client: 'ioredis', open: () => overIoredis() },
  { client: 'node-redis', open: overNodeRedis },
  { client: 'a cluster of ioredis', open: overCluster },
  { client: 'a cluster of node-redis', open: overNodeCluster },
])('Redis over $client', ({ open }) => {
  for (const { name, run } of storeContract(open)) test(name, run);
});

/** What a process takes in advance is not left for others, so these do not hold behind leases, which promise never more than the store. */
const exactOnly = [
  'does the commands of a key in the order given',
  'admits exactly the burst of many takes at once, through two handles',
  'loses no write that it acknowledged, one after the other through two handles',
];

describe.runIf(present)('Redis behind leases', () => {
  const cases = storeContract(() => overIoredis((store) => leased(store)));
  test('every promise that is left out is one of the contract', () => {
    expect(exactOnly.filter((left) => !cases.some(({ name }) => name === left))).toEqual([]);
  });
  for (const { name, run } of cases) if (!exactOnly.includes(name)) test(name, run);
});

test.runIf(present)('limiters of one store share one call of the script for what they ask in one turn of the event loop', async () => {
  const redis = await redisServer();
  const [client, admin] = [ioredis(redis.port), ioredis(redis.port)];
  const store = redisStore(client);
  const limiters = ['a', 'b', 'c'].map((name) => limiterOn(store, [day(4)], { name }));
  await limiters[0]?.peek('anyone'); // makes the server know the script
  const before = await calls(admin, 'evalsha');
  const decisions = await Promise.all(limiters.flatMap((limiter) => Array.from({ length: 6 }, () => limiter.consume('mina'))));
  expect(await calls(admin, 'evalsha')).toBe(before + 1);
  expect(decisions.map(({ allowed }) => allowed)).toEqual(decisions.map((_, i) => i % 6 < 4));
});

test.runIf(present)('more commands than one call may hold go in several, in the order given', async () => {
  const redis = await redisServer();
  const [client, admin] = [ioredis(redis.port), ioredis(redis.port)];
  const limiter = limiterOn(redisStore(client), [day(1_200)]);
  await limiter.peek('anyone');
  const before = await calls(admin, 'evalsha');
  const decisions = await Promise.all(Array.from({ length: 1_300 }, () => limiter.consume('mina')));
  expect(await calls(admin, 'evalsha')).toBe(before + 3); // 512 + 512 + 276
  expect(decisions.map(({ allowed }) => allowed)).toEqual(decisions.map((_, i) => i < 1_200));
});

test.runIf(present)('limiters that are in the midst of a change do not mix the old rule with the new', async () => {
  const redis = await redisServer();
  const store = redisStore(ioredis(redis.port));
  const [old, changed] = [limiterOn(store, [day(10)]), limiterOn(store, [day(10)])];
  changed.reconfigure([day(20)]);
  const [, fromNew, , again] = await Promise.all([old.consume('a'), changed.consume('a'), old.consume('a'), changed.consume('a')]);
  expect(fromNew).toMatchObject({ allowed: true, remaining: 18 });
  expect(again).toMatchObject({ allowed: true, remaining: 16 });
});

test.runIf(present)('what limits keep expires by itself', async () => {
  const redis = await redisServer();
  const client = ioredis(redis.port);
  const limits = [
    tokenBucket<string>({ name: 'bucket', rate: per(1_000, 'second'), burst: 10 }),
    slidingWindow<string>({ name: 'window', limit: 10, windowMs: 100 }),
  ];
  const limiter = limiterOn(redisStore(client, { prefix: 'shop:' }), limits);
  await limiter.consume('mina');
  const keys = await client.keys('*');
  expect(keys).toHaveLength(2);
  for (const key of keys) {
    expect(key).toMatch(/^shop:/);
    expect(await client.pttl(key)).toSatisfy((ms: number) => ms > 0 && ms < 2_000, key);
  }
});

test('what is no client, and a prefix with braces, are refused by name', () => {
  expect(() => redisStore({} as never)).toThrow('client must be one of ioredis or redis');
  expect(() => redisStore(undefined as never)).toThrow('client must be one of ioredis or redis');
  const client = { evalsha: async () => [], eval: async () => [] };
  expect(() => redisStore(client, { prefix: 'a{b}' })).toThrow('prefix must be text without braces, not "a{b}"');
  expect(() => redisStore(client, { hashtag: () => '' } as never)).toThrow('hashtag');
});

describe.runIf(present).each([
  { kind: 'ioredis', open: async (port: number) => ioredisCluster(port) },
  { kind: 'node-redis', open: nodeRedisCluster },
])('in a cluster, over $kind', ({ open }) => {
  const tenant = (subject: string) => subject.split('/')[0] as string;
  const twoKeys = () => [
    day(50, 'user'),
    { ...day(80, 'tenant'), key: tenant },
    slidingWindow<string>({ name: 'window', limit: 60, windowMs: 3_600_000 }),
  ];

  test('limits of one key need nothing, and no call is across slots', async () => {
    const redis = await clusterServer();
    const limiter = limiterOn(redisStore(await open(redis.port)), [
      day(3),
      slidingWindow({ name: 'window', limit: 2, windowMs: 3_600_000 }),
    ]);
    const subjects = Array.from({ length: 300 }, (_, i) => `${['mina', '{a}', '}{', 'a/b'][i % 4]}${i % 50}`);
    const decisions = await Promise.all(subjects.map((subject) => limiter.consume(subject)));
    expect(decisions.filter(({ degraded }) => degraded !== undefined)).toEqual([]);
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(2 * new Set(subjects).size);
    expect(await ioredis(redis.port).info('errorstats')).not.toContain('CROSSSLOT');
  });

  test('limits of several keys ask for a hash tag, and work with one', async () => {
    const redis = await clusterServer();
    const client = await open(redis.port);
    const without = limiterOn(redisStore(client), twoKeys());
    const errors: unknown[] = [];
    without.on('store-failed', ({ error }) => errors.push(error));
    expect(await without.consume('acme/mina')).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
    expect(String(errors[0])).toMatch(/RangeError: .*hashTag/);

    const limiter = limiterOn(redisStore(client, { hashTag: ([key]) => tenant(key as string) }), twoKeys());
    const subjects = Array.from({ length: 400 }, (_, i) => `${['acme', '{x}', 'b}'][i % 3]}/${i % 2}`);
    const decisions = await Promise.all(subjects.map((subject) => limiter.consume(subject)));
    expect(decisions.filter(({ degraded }) => degraded !== undefined)).toEqual([]);
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(3 * 80); // of 50 a user and 80 a tenant
    await limiter.refund('acme/0', { cost: 2 });
    expect(await limiter.consume('acme/0', { cost: 2 })).toMatchObject({ allowed: true });
    expect(await ioredis(redis.port).info('errorstats')).not.toContain('CROSSSLOT');
  });
});

test.runIf(present)('over node-redis and ioredis at once, one limit is one limit', async () => {
  const redis = await redisServer();
  const limiters = [ioredis(redis.port), nodeRedis(redis.port)].map((client) => limiterOn(redisStore(client), [day(20)]));
  await Promise.all(limiters.map((limiter) => limiter.peek('mina')));
  const decisions = await Promise.all(Array.from({ length: 60 }, (_, i) => limiters[i % 2]?.consume('mina')));
  expect(decisions.filter((decision) => decision?.allowed)).toHaveLength(20);
});
