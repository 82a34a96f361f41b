import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { redisStore } from '@tidegate/rate-limit/redis';
import { leased } from '@tidegate/rate-limit/stores';
import { startRedis } from '@tidegate/test-kit';
import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterUnion } from 'rate-limiter-flexible';
import { callers, closedLoop } from './closed-loop.ts';
import { type Contender, interleave, type Row } from './interleave.ts';
import { publish } from './publish.ts';

const plenty = 1_000_000_000;
const names = ['tenant', 'user', 'tool'];

await using server = await startRedis();
const clients = Array.from({ length: 4 }, () => new Redis(server.port, '127.0.0.1'));
const [bare, ours, advance, theirs] = clients as [Redis, Redis, Redis, Redis];
const key = (subject: string) => subject;
const bucket = (name: string) => tokenBucket({ name, rate: per(plenty, 'second') });
const shared = { key, decisionTimeoutMs: 60_000 };
const store = redisStore(ours);
const inAdvance = leased(redisStore(advance, { prefix: 'leased:' }));

const limiter = new RateLimiter<string>({ ...shared, name: 'one', limits: [bucket('requests')], store });
const three = new RateLimiter<string>({ ...shared, name: 'three', limits: names.map(bucket), store });
const leasing = new RateLimiter<string>({ ...shared, limits: [bucket('requests')], store: inAdvance });
const flexible = new RateLimiterRedis({ storeClient: theirs, keyPrefix: 'flexible', points: plenty, duration: 3_600 });
const union = new RateLimiterUnion(
  ...names.map((keyPrefix) => new RateLimiterRedis({ storeClient: theirs, keyPrefix, points: plenty, duration: 3_600 })),
);

function single(keys: number): Contender[] {
  return [
    { name: 'PING', kind: 'limit', run: closedLoop(keys, async () => (await bare.ping()) === 'PONG') },
    { name: 'tidegate', kind: 'ours', run: closedLoop(keys, async (subject) => (await limiter.consume(subject)).allowed) },
    { name: 'tidegate, leased', kind: 'ours', run: closedLoop(keys, async (subject) => (await leasing.consume(subject)).allowed) },
    {
      name: 'rate-limiter-flexible',
      kind: 'rival',
      run: closedLoop(keys, async (subject) => (await flexible.consume(subject)).remainingPoints >= 0),
    },
  ];
}

function together(keys: number): Contender[] {
  return [
    { name: 'tidegate', kind: 'ours', run: closedLoop(keys, async (subject) => (await three.consume(subject)).allowed) },
    {
      name: 'rate-limiter-flexible union',
      kind: 'rival',
      run: closedLoop(keys, async (subject) => Object.keys(await union.consume(subject)).length === names.length),
    },
  ];
}

const measured = (contenders: Contender[]): Promise<Row[]> => interleave(contenders, { rounds: 7, batches: 8, batchMs: 20 });
const where = `where ${callers} callers in one process each wait for theirs before they ask again, over one connection of ioredis to a Redis on the same machine`;
const flexibleRow = 'rate-limiter-flexible';

const one = await measured(single(1));
const many = await measured(single(10_000));
const unionOne = await measured(together(1));
const unionMany = await measured(together(10_000));
await publish([
  {
    title: 'A decision in Redis, one key',
    what: `One decision, ${where}. Leased: most decisions are made in the process, which took the tokens in advance.`,
    unit: 'ns',
    baseline: flexibleRow,
    rows: one,
    targets: [{ row: 'tidegate', versus: flexibleRow, atMost: 1 / 5 }],
  },
  {
    title: 'A decision in Redis, 10 000 keys',
    what: `The same over 10 000 keys in turn. No key is busy enough for a lease.`,
    unit: 'ns',
    baseline: flexibleRow,
    rows: many,
    targets: [{ row: 'tidegate', versus: flexibleRow, atMost: 1 / 2 }],
  },
  {
    title: 'Three limits in Redis, one key',
    what: `One decision by three limits, ${where}. Ours charges all or none; the union charges those that allowed even where another refuses.`,
    unit: 'ns',
    baseline: 'rate-limiter-flexible union',
    rows: unionOne,
    targets: [{ row: 'tidegate', versus: 'rate-limiter-flexible union', atMost: 1 / 2 }],
  },
  {
    title: 'Three limits in Redis, 10 000 keys',
    what: 'The same over 10 000 keys in turn.',
    unit: 'ns',
    baseline: 'rate-limiter-flexible union',
    rows: unionMany,
  },
]);

await Promise.all([limiter.close(), three.close(), leasing.close(), inAdvance.close()]);
for (const client of clients) client.disconnect();
