import { type ManagedServer, startProxy, startRedis, type TcpProxy } from '@tidegate/test-kit';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { onTestFinished } from 'vitest';
import { type Limit, RateLimiter, type RateLimiterOptions, type SharedStore } from '../src/index.ts';

/** What a test opens here is let go of when it ends, the latest first. */

export async function redisServer(...args: string[]): Promise<ManagedServer> {
  const server = await startRedis({ args });
  onTestFinished(() => server.stop());
  return server;
}

/** One server that has all the slots of a cluster. */
export async function clusterServer(): Promise<ManagedServer> {
  const server = await redisServer('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1');
  const admin = ioredis(server.port);
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  while (!String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok'));
  return server;
}

export async function proxyTo(server: ManagedServer): Promise<TcpProxy> {
  const proxy = await startProxy({ port: server.port });
  onTestFinished(() => proxy.close());
  return proxy;
}

export function ioredis(port: number, options: { retryStrategy?: () => number } = {}): Redis {
  const client = new Redis(port, '127.0.0.1', options);
  client.on('error', () => {}); // servers fail on purpose
  onTestFinished(() => client.disconnect());
  return client;
}

export function ioredisCluster(port: number): Cluster {
  const client = new Cluster([{ host: '127.0.0.1', port }]);
  client.on('error', () => {});
  onTestFinished(() => client.disconnect());
  return client;
}

/** Connects as soon as there is a server. */
export function nodeRedis(port: number) {
  const client = createClient({ socket: { host: '127.0.0.1', port } });
  client.on('error', () => {});
  void client.connect().catch(() => {}); // it was destroyed before it could
  onTestFinished(() => client.destroy());
  return client;
}

export async function nodeRedisCluster(port: number) {
  const client = createCluster({ rootNodes: [{ socket: { host: '127.0.0.1', port } }] });
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.destroy());
  return client;
}

/** A limiter of keys, which waits for its store as long as a test may take on a busy machine. */
export function limiterOn(
  store: SharedStore,
  limits: readonly Limit<string>[],
  options: Partial<RateLimiterOptions<string>> = {},
): RateLimiter<string> {
  const limiter = new RateLimiter<string>({ key: (key) => key, store, limits, decisionTimeoutMs: 5_000, ...options });
  onTestFinished(() => limiter.close());
  return limiter;
}

/** How often a server has run a command that it knew. */
export async function calls(admin: Redis, command: string): Promise<number> {
  const stats = await admin.info('commandstats');
  const [, count = 0, failed = 0] = new RegExp(`cmdstat_${command}:calls=(\\d+).*failed_calls=(\\d+)`).exec(stats) ?? [];
  return Number(count) - Number(failed);
}

/** What a limiter told of its store, in order: each run of the same as one. */
export function healthOf(limiter: RateLimiter<string>): { told: string[]; errors: string[] } {
  const [told, errors]: [string[], string[]] = [[], []];
  const tell = (what: string) => {
    if (told.at(-1) !== what) told.push(what);
  };
  limiter.on('store-failed', ({ error }) => {
    tell('failed');
    errors.push(String(error));
  });
  limiter.on('store-recovered', () => tell('recovered'));
  return { told, errors };
}
