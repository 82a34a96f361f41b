// A Redis of its own, where `redis-server` is installed; without it the limits show what they do while theirs is down.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

const address = join(tmpdir(), `limits-redis-${process.pid}.sock`);
const server = spawn('redis-server', ['--port', '0', '--unixsocket', address, '--save', '']);
const missing = new Promise<boolean>((resolve) => server.once('error', () => resolve(true)));
const ready = (async (): Promise<boolean> => {
  for (;;) if (/ready to accept/i.test(String(await once(server.stdout, 'data')))) return false;
})();
if (await Promise.race([missing, ready])) console.error('redis-server is not installed: the limits are not shared');

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { redisStore } from '@tidegate/rate-limit/redis';

const redis = new Redis(address, { maxRetriesPerRequest: 0 });
redis.on('error', () => {}); // 'store-failed' of the limiter tells of it

/** What each of two processes makes. */
const limiterOfProcess = () =>
  new RateLimiter<string>({
    name: 'api', // the same limits in every process that says so
    key: (user) => user,
    limits: [tokenBucket({ rate: per(60, 'minute'), burst: 10, onStoreError: 'local' })],
    store: redisStore(redis),
    decisionTimeoutMs: 250,
    instances: 2, // while Redis is away, each lets half of it through
  });

let letThrough = 0;
for (const limiter of [limiterOfProcess(), limiterOfProcess()]) {
  for (let i = 0; i < 10; i++) if ((await limiter.consume('mina')).allowed) letThrough += 1;
}
console.log(`${letThrough} of 20`); // 10 of 20
redis.disconnect();
server.kill();
