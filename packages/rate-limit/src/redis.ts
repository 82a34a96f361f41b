import { onlyKnown } from './options.ts';
import { Batches } from './redis/batches.ts';
import { connection, type RedisClient } from './redis/client.ts';
import { sharedStore } from './shared-backend.ts';
import type { SharedStore } from './store.ts';

export type { IoredisClient, NodeRedisClient, RedisClient } from './redis/client.ts';

/** How limits are kept in Redis. */
export interface RedisStoreOptions {
  /** What every key begins with. @defaultValue `'tidegate:'` */
  readonly prefix?: string;
  /**
   * In a cluster, the states of one decision have to be in one slot. Given the keys of a decision, in the order of the limits, it says what
   * they have in common, such as the tenant that all of them belong to. Needed there only where limits go by several keys.
   * @defaultValue each key by itself
   */
  readonly hashTag?: (keys: readonly string[]) => string;
  /** @internal the time to decide by instead of the server's, in µs */
  readonly time?: () => number;
}

/**
 * Keeps limits in Redis, Valkey or what speaks their protocol, from Redis 6 on, over a client of yours: `ioredis` or `redis`.
 *
 * Decisions are made by a script in the server and by the server's clock; those of one turn of the event loop go in one round trip. A
 * state is written with an expiry, so that nothing is to be cleaned up. The client stays yours to configure and to close; a server that
 * loses acknowledged writes lets at most one burst more through for each such loss.
 *
 * @example
 * const store = redisStore(new Redis());
 * const limiter = new RateLimiter<string>({ key: (user) => user, store });
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): SharedStore {
  onlyKnown('redisStore', options, ['prefix', 'hashTag', 'time']);
  const prefix = options.prefix ?? 'tidegate:';
  if (typeof prefix !== 'string' || /[{}]/.test(prefix))
    throw new RangeError(`redisStore: prefix must be text without braces, not ${JSON.stringify(prefix)}`);
  if (!['undefined', 'function'].includes(typeof options.hashTag)) throw new RangeError('redisStore: hashTag must be a function');
  const batches = new Batches(connection(client), prefix, options.hashTag, options.time ?? serverTime);
  return sharedStore({
    run: (command, change) => batches.run(command, change),
    close: async () => {},
  });
}

function serverTime(): number {
  return 0;
}
