import { type ManagedServer, requireServer, startRedis } from '@tidegate/test-kit';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { redisStore } from '../src/redis.ts';
import { memoryStore } from '../src/stores.ts';
import { runs } from './runs.ts';
import { steps, Twins } from './store-commands.ts';

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

test.runIf(requireServer('redis'))('Redis answers every command as the rules alone do', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      run += 1;
      let twins: Twins;
      const clock = { now: () => twins.now / 1_000, wall: () => twins.now / 1_000, setTimeout, clearTimeout: () => {} };
      const stores = [memoryStore({ clock }), redisStore(client, { time: () => twins.now })];
      twins = new Twins(stores, `run${run}`, (command, [rules, redis]) => expect(redis, JSON.stringify(command)).toEqual(rules));
      for (const step of all) await twins.happen(step);
    }),
    runs(100),
  );
});
