import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { postgresStore } from '@tidegate/rate-limit/postgres';
import { startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { RateLimiterPostgres } from 'rate-limiter-flexible';
import { callers, closedLoop } from './closed-loop.ts';
import { type Contender, interleave, type Row } from './interleave.ts';
import { publish } from './publish.ts';

const plenty = 1_000_000_000;
const connections = 8;

await using server = await startPostgres({ args: ['-c', 'shared_buffers=256MB'] });
const pools = Array.from({ length: 4 }, () => new pg.Pool({ connectionString: server.url, max: connections }));
for (const pool of pools) pool.on('error', () => {}); // what goes wrong is told by who asked; without a listener the process would end with less
const [durablePool, unloggedPool, flexiblePool, barePool] = pools as [pg.Pool, pg.Pool, pg.Pool, pg.Pool];
const limits = [tokenBucket({ rate: per(plenty, 'second') })];
const key = (subject: string) => subject;
const shared = { key, limits, decisionTimeoutMs: 60_000 };
const durable = new RateLimiter<string>({ ...shared, store: postgresStore(durablePool, { table: 'durable', durable: true }) });
const unlogged = new RateLimiter<string>({ ...shared, store: postgresStore(unloggedPool, { table: 'unlogged' }) });
const flexible = await new Promise<RateLimiterPostgres>((resolve, reject) => {
  const theirs = new RateLimiterPostgres(
    { storeClient: flexiblePool, tableName: 'flexible', points: plenty, duration: 3_600, clearExpiredByTimeout: false },
    (error) => (error === undefined ? resolve(theirs) : reject(error)),
  );
});

function contenders(keys: number): Contender[] {
  return [
    {
      name: 'SELECT 1, prepared',
      kind: 'limit',
      run: closedLoop(keys, async () => (await barePool.query({ name: 'bare', text: 'SELECT 1' })).rowCount === 1),
    },
    { name: 'tidegate, unlogged table', kind: 'ours', run: closedLoop(keys, async (subject) => (await unlogged.consume(subject)).allowed) },
    { name: 'tidegate, durable', kind: 'ours', run: closedLoop(keys, async (subject) => (await durable.consume(subject)).allowed) },
    {
      name: 'rate-limiter-flexible',
      kind: 'rival',
      run: closedLoop(keys, async (subject) => (await flexible.consume(subject)).remainingPoints >= 0),
    },
  ];
}

const measured = (keys: number): Promise<Row[]> => interleave(contenders(keys), { rounds: 7, batches: 8, batchMs: 20 });
const what = `One decision, where ${callers} callers in one process each wait for theirs before they ask again, over ${connections} connections to a Postgres on the same machine. The server does not wait for the disk (\`fsync=off\`). rate-limiter-flexible makes a logged table.`;

const one = await measured(1);
const many = await measured(10_000);
await publish([
  {
    title: 'A decision in Postgres, one key',
    what,
    unit: 'ns',
    baseline: 'rate-limiter-flexible',
    rows: one,
  },
  {
    title: 'A decision in Postgres, 10 000 keys',
    what,
    unit: 'ns',
    baseline: 'rate-limiter-flexible',
    rows: many,
    targets: [{ row: 'tidegate, unlogged table', versus: 'rate-limiter-flexible', atMost: 1 / 1.5 }],
  },
]);

await Promise.all([durable.close(), unlogged.close()]);
await Promise.all(pools.map((pool) => pool.end()));
