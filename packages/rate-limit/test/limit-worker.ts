import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { type RateLimiter as Limiter, per, RateLimiter, type SharedStore, tokenBucket } from '../src/index.ts';
import { postgresStore } from '../src/postgres.ts';
import { redisStore } from '../src/redis.ts';
import { leased } from '../src/stores.ts';

/** One of several processes: lets calls through to a target for so long, as the limit that all share allows, from 16 callers at once. */
interface Orders {
  readonly url: string;
  readonly target: number;
  readonly lease: boolean;
  readonly perSecond: number;
  readonly burst: number;
  readonly forMs: number;
}

const orders = JSON.parse(process.argv[2] ?? '') as Orders;
const { store, end } = opened();
const shared = orders.lease ? leased(store) : store;
const limiter = new RateLimiter({
  store: shared,
  decisionTimeoutMs: 1_000,
  limits: [tokenBucket({ rate: per(orders.perSecond, 'second'), burst: orders.burst, reservationMs: 2_000 })],
});
const target = connect(orders.target, '127.0.0.1');
target.setNoDelay();

await limiter.peek();
process.stdout.write('ready\n');
await new Promise((go) => process.stdin.once('data', go));
const until = performance.now() + orders.forMs;
await Promise.all(Array.from({ length: 16 }, () => call(limiter)));
await limiter.close();
await shared.close();
await new Promise<void>((done) => target.end(done));
await end();
process.stdin.unref();

async function call(limits: Limiter): Promise<void> {
  while (performance.now() < until) {
    const decision = await limits.consume();
    if (decision.allowed) target.write('.');
    else await new Promise((again) => setTimeout(again, Math.min(decision.retryAfterMs, 20)));
  }
}

function opened(): { store: SharedStore; end: () => Promise<unknown> } {
  if (orders.url.startsWith('redis:')) {
    const client = new Redis(orders.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on('error', () => {}); // the server is killed on purpose
    return { store: redisStore(client), end: async () => client.disconnect() };
  }
  const pool = new Pool({ connectionString: orders.url, max: 4 });
  pool.on('error', () => {});
  return { store: postgresStore(pool), end: () => pool.end() };
}
