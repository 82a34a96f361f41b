import { createHash } from 'node:crypto';
import { script } from './script.ts';

/** What is needed of a client of the package `ioredis`, a `Redis` or a `Cluster`. */
export interface IoredisClient {
  /** Runs a script that the server knows. */
  evalsha(sha: string, keys: number, ...args: string[]): Promise<unknown>;
  /** Runs a script. */
  eval(text: string, keys: number, ...args: string[]): Promise<unknown>;
  /** Whether it is a cluster. */
  readonly isCluster?: boolean;
}

/** What is needed of a client of the package `redis`, made by `createClient` or `createCluster`. */
export interface NodeRedisClient {
  /** Runs a script that the server knows. */
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  /** Runs a script. */
  eval(text: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** A client of Redis, made by you. */
export type RedisClient = IoredisClient | NodeRedisClient;

/** Runs the script over a client. */
export interface Connection {
  /** Whether keys of one call have to be in one slot. */
  readonly cluster: boolean;
  run(keys: string[], argument: string): Promise<unknown>;
}

const sha = createHash('sha1').update(script).digest('hex');

/** Tells which client it is. */
export function connection(client: RedisClient): Connection {
  if (typeof (client as NodeRedisClient | undefined)?.evalSha === 'function') return overNodeRedis(client as NodeRedisClient);
  if (typeof (client as IoredisClient | undefined)?.evalsha === 'function') return overIoredis(client as IoredisClient);
  throw new TypeError('redisStore: client must be one of ioredis or redis (node-redis), with evalsha or evalSha');
}

function overIoredis(client: IoredisClient): Connection {
  return {
    cluster: client.isCluster === true,
    run: async (keys, argument) => {
      try {
        return await client.evalsha(sha, keys.length, ...keys, argument);
      } catch (error) {
        if (!unknownScript(error)) throw error;
        return client.eval(script, keys.length, ...keys, argument);
      }
    },
  };
}

function overNodeRedis(client: NodeRedisClient): Connection {
  return {
    cluster: 'masters' in client,
    run: async (keys, argument) => {
      const options = { keys, arguments: [argument] };
      try {
        return await client.evalSha(sha, options);
      } catch (error) {
        if (!unknownScript(error)) throw error;
        return client.eval(script, options);
      }
    },
  };
}

/** A server that was restarted or flushed has forgotten the script; nothing of the call has happened then. */
function unknownScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}
