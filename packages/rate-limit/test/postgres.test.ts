import { type ManagedServer, requireServer, startPostgres, startProxy, until } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { calendarQuota } from '../src/calendar.ts';
import { systemClock } from '../src/clock.ts';
import { type OpenedStore, storeContract } from '../src/contract.ts';
import {
  concurrency,
  per,
  RateLimiter,
  type Reply,
  type SharedStore,
  type Store,
  slidingWindow,
  type Take,
  tokenBucket,
} from '../src/index.ts';
import { checkedSchema } from '../src/postgres/schema.ts';
import { PostgresStore } from '../src/postgres/store.ts';
import { type PostgresStoreOptions, postgresSchema, postgresStore } from '../src/postgres.ts';

const present = requireServer('postgres');
const change = { version: 0, carry: 'used' } as const;
const ten = tokenBucket({ rate: per(10, 'day'), burst: 10 });
let server: ManagedServer;
let admin: pg.Pool;
let database = 0;
const open: { close?(): Promise<void>; end?(): Promise<void> }[] = [];

beforeAll(async () => {
  if (!present) return;
  server = await startPostgres({ args: ['-c', 'deadlock_timeout=50ms'] });
  admin = poolOf('postgres');
});

beforeEach(async () => {
  if (!present) return;
  database += 1;
  await admin.query(`CREATE DATABASE test${database}`);
});

afterEach(async () => {
  for (const each of open.splice(0)) await (each.close ?? each.end)?.call(each);
});

afterAll(async () => {
  await admin?.end();
  await server?.stop();
});

function poolOf(name: string, { user = 'postgres', ...more }: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ host: '127.0.0.1', port: server.port, user, database: name, max: 4, ...more });
  pool.on('error', () => {});
  return pool;
}

function newPool(more?: pg.PoolConfig): pg.Pool {
  const pool = poolOf(`test${database}`, more);
  open.push(pool);
  return pool;
}

function newStore(pool: pg.Pool, options?: PostgresStoreOptions): SharedStore {
  const store = postgresStore(pool, options);
  open.unshift(store);
  return store;
}

/** A store by whose reckoning the server's time is what `clock.us` says. */
function storeAt(pool: pg.Pool, clock: { us: number }, cleanupEveryMs: number): Store {
  const schema = checkedSchema('test', {});
  const store = new PostgresStore({ client: pool, schema, migrate: true, cleanupEveryMs, clock: systemClock, now: () => clock.us });
  open.unshift(store);
  return store;
}

function take(keys: string | string[], cost = 1, rule: Take['demands'][number]['rule'] = ten.rule): Take {
  const demands = [keys].flat().map((key) => ({ limit: 'l', key, rule, cost }));
  return { do: 'take', demands, charge: true, levels: false };
}

const rows = async (pool: pg.Pool): Promise<number> => Number((await pool.query('SELECT count(*) FROM tidegate_rate_limit')).rows[0].count);

test.runIf(present)(
  'clients that start at once on an empty database all find their table, and together never admit more than the burst',
  async () => {
    const limiters = Array.from({ length: 8 }, () => {
      const store = newStore(newPool({ max: 2 }));
      return new RateLimiter<string>({
        key: (tenant) => tenant,
        limits: [tokenBucket({ rate: per(1, 'day'), burst: 50 })],
        store,
        decisionTimeoutMs: 20_000,
      });
    });
    const decisions = await Promise.all(limiters.flatMap((limiter) => Array.from({ length: 40 }, () => limiter.consume('acme'))));
    expect(decisions.filter(({ allowed }) => allowed)).toHaveLength(50);
    expect(decisions.filter((decision) => decision.degraded !== undefined)).toEqual([]);
    for (const limiter of limiters) await limiter.close();
  },
);

test.runIf(present)('commands with several keys never wait for each other in a circle', async () => {
  const stores = Array.from({ length: 8 }, () => newStore(newPool({ max: 2 }), { cleanupEveryMs: 5 }));
  const rule = slidingWindow({ limit: 1_000_000, windowMs: 1_000 }).rule;
  const replies = stores.map(async (store, s) => {
    const done: Reply[] = [];
    for (let i = 0; i < 60; i += 1) {
      const keys = [(i * 7 + s) % 12, (i * 5 + 3 * s) % 12, (i + 11 * s) % 12].map((n) => `key ${n} ${Math.floor(i / 10)}`);
      const each = [...new Set(keys)];
      done.push(...(await Promise.all([store.run(take(each, 1, rule), change), store.run(take(each.reverse(), 1, rule), change)])));
    }
    return done;
  });
  expect((await Promise.all(replies)).flat().every(({ done }) => done)).toBe(true);
});

test.runIf(present)('a command takes from all its keys or from none', async () => {
  const store = newStore(newPool());
  await store.run(take('b', 8), change);
  expect((await store.run(take(['a', 'b'], 5), change)).done).toBe(false);
  const { done, limits } = await store.run({ ...take(['a', 'b'], 2), charge: false }, change);
  expect([done, ...limits.map(({ left }) => left)]).toEqual([true, 10, 2]);
});

test.runIf(present)('what is refused or only asked writes no row', async () => {
  const pool = newPool();
  const store = newStore(pool);
  await store.run(take('a', 10), change);
  const before = await pool.query('SELECT xmin, ctid, * FROM tidegate_rate_limit');
  expect((await store.run(take('a'), change)).done).toBe(false);
  await store.run({ ...take('b'), charge: false }, change);
  expect((await pool.query('SELECT xmin, ctid, * FROM tidegate_rate_limit')).rows).toEqual(before.rows);
});

test.runIf(present)('any string may be a key, and no two share a state', async () => {
  const store = newStore(newPool());
  const keys = [
    '',
    'a',
    'A',
    'nul\u0000a',
    'nul\u0000b',
    '\ud800',
    '\udfff',
    'é',
    'e\u0301',
    '{"a,\\}',
    'NULL',
    'x'.repeat(10_000),
    `${'x'.repeat(10_000)}y`,
  ];
  const replies = await Promise.all(keys.map((key, i) => store.run(take(key, (i % 9) + 1), change)));
  expect(replies.map(({ done }) => done)).toEqual(keys.map(() => true));
  const left = await Promise.all(keys.map(async (key) => (await store.run({ ...take(key, 0), charge: false }, change)).limits[0]?.left));
  expect(left).toEqual(keys.map((_, i) => 9 - (i % 9)));
});

test.runIf(present)('a row that was tampered with fails its own commands and no others', async () => {
  const pool = newPool();
  const store = newStore(pool);
  const rule = slidingWindow({ limit: 5, windowMs: 60_000 }).rule;
  await Promise.all(['a', 'b', 'c'].map((key) => store.run(take(key, 1, rule), change)));
  await pool.query("UPDATE tidegate_rate_limit SET more = '{1,2}' WHERE key = 'l|b'");
  const [a, b, c] = await Promise.allSettled(['a', 'b', 'c'].map((key) => store.run(take(key, 1, rule), change)));
  expect([a?.status, b?.status, c?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(String((b as PromiseRejectedResult).reason)).toContain('the row of l|b is broken');
});

test.runIf(present)(
  'a server that is killed fails what was asked, and one that comes back is asked again',
  async () => {
    const own = await startPostgres();
    const pool = new pg.Pool({ connectionString: own.url, max: 2 });
    pool.on('error', () => {});
    const store = postgresStore(pool);
    try {
      expect((await store.run(take('a', 4), change)).done).toBe(true);
      await own.kill();
      await expect(store.run(take('a'), change)).rejects.toThrow();
      await own.restart();
      const after = await until(() => store.run(take('a', 4), change), { what: 'the server to be back', timeoutMs: 20_000 });
      expect(after.limits[0]?.left).toBe(6); // an unlogged table is empty after a crash: one more burst at most
    } finally {
      await store.close();
      await pool.end();
      await own.stop();
    }
  },
  60_000,
);

test.runIf(present)(
  'a server that stands still delays no decision beyond its time',
  async () => {
    const own = await startPostgres();
    const pool = new pg.Pool({ connectionString: own.url, max: 2 });
    const store = postgresStore(pool);
    const limiter = new RateLimiter({ store, limits: [ten], decisionTimeoutMs: 50 });
    try {
      await store.run(take('first'), change);
      await until(async () => (await limiter.consume()).degraded === undefined, { what: 'a decision of the store' });
      own.pause();
      const start = performance.now();
      const decisions = await Promise.all(Array.from({ length: 100 }, () => limiter.consume()));
      expect(performance.now() - start).toBeLessThan(2_000);
      expect(new Set(decisions.map((decision) => ('code' in decision ? decision.code : 'allowed')))).toEqual(
        new Set(['ERR_STORE_UNAVAILABLE']),
      );
    } finally {
      own.resume();
      await limiter.close();
      await store.close();
      await pool.end();
      await own.stop();
    }
  },
  60_000,
);

test.runIf(present)('a connection that went silent holds up the others for seconds, not until the network gives it up', async () => {
  await using proxy = await startProxy({ port: server.port });
  const pool = newPool({ port: proxy.port, max: 2 });
  const store = newStore(pool);
  await store.run(take('a'), change);
  proxy.pause();
  const lost = store.run(take('a'), change);
  await expect(lost).rejects.toThrow(/timeout/i);
  proxy.cut();
  await proxy.heal();
  expect((await until(() => store.run(take('a', 0), change), { what: 'another connection' })).done).toBe(true);
});

test.runIf(present)('a database that may only be read fails every charge', async () => {
  await newStore(newPool()).run(take('a', 3), change);
  const store = newStore(newPool({ options: '-c default_transaction_read_only=on' }));
  await expect(store.run(take('a'), change)).rejects.toMatchObject({ code: '25006' });
});

test.runIf(present)('who may not make the table is told what to run, and needs only to use it', async () => {
  const [role, pool] = [`guest${database}`, newPool()];
  await pool.query(`CREATE ROLE ${role} LOGIN`);
  const guest = newPool({ user: role });
  const [store, plain] = [newStore(guest), newStore(guest, { migrate: false })];
  await expect(store.run(take('a'), change)).rejects.toThrow(
    /could not be made: permission denied for schema public\. Run the SQL of postgresSchema\(\)/,
  );
  await expect(plain.run(take('a'), change)).rejects.toThrow(/are missing\. Run the SQL of postgresSchema\(\)/);
  await pool.query(postgresSchema());
  await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON tidegate_rate_limit TO ${role}`);
  expect((await store.run(take('a'), change)).done).toBe(true);
  expect((await plain.run(take('a'), change)).limits[0]?.left).toBe(8);
});

test.runIf(present)('a calendar goes by the time of the server, whatever this process takes it to be', async () => {
  const pool = newPool();
  let asked = 0;
  const client = {
    query: (statement: { text: string; values?: unknown[] }) => {
      asked += Number(statement.text.includes('AS answer'));
      return pool.query(statement);
    },
  };
  const clock = { ...systemClock, wall: () => Date.UTC(1999, 11, 31, 23, 59) };
  const store = new PostgresStore({ client, schema: checkedSchema('test', {}), migrate: true, cleanupEveryMs: 0, clock });
  open.unshift(store);
  const { rule } = calendarQuota({ limit: 5, every: 'year', timeZone: 'UTC' });
  const first = await store.run({ ...take('a', 3, rule), levels: true }, change);
  const year = new Date(first.now / 1_000).getUTCFullYear();
  expect(first.limits[0]?.fullInUs).toBe(Date.UTC(year + 1, 0) * 1_000 - first.now);
  expect((await store.run(take('a', 3, rule), change)).done).toBe(false);
  expect(asked).toBe(3); // once more for the first only
});

test.runIf(present)('a table that was dropped is made again', async () => {
  const pool = newPool();
  const store = newStore(pool);
  await store.run(take('a'), change);
  await pool.query('DROP TABLE tidegate_rate_limit');
  expect((await store.run(take('a'), change)).limits[0]?.left).toBe(9);
});

test.runIf(present)('the table is logged where it is durable, and durable is not taken of one that is not', async () => {
  const pool = newPool();
  await pool.query('CREATE SCHEMA limits');
  await newStore(pool, { durable: true, table: 'safe', schema: 'limits' }).run(take('a'), change);
  await newStore(pool, { table: 'Fast' }).run(take('a'), change);
  const kept = await pool.query(
    `SELECT relname, relpersistence FROM pg_class WHERE relname IN ('safe', 'Fast') ORDER BY relname COLLATE "C"`,
  );
  expect(kept.rows).toEqual([
    { relname: 'Fast', relpersistence: 'u' },
    { relname: 'safe', relpersistence: 'p' },
  ]);
  await expect(newStore(pool, { table: 'Fast', durable: true }).run(take('a'), change)).rejects.toThrow(
    /ALTER TABLE "public"\."Fast" SET LOGGED/,
  );
});

test.runIf(present)('rows that say nothing any more are deleted while others are asked for, and those in use stay', async () => {
  const pool = newPool();
  const clock = { us: 1_795_000_000_000_000 };
  const store = storeAt(pool, clock, 10);
  const second = tokenBucket({ rate: per(10, 'second') }).rule;
  const calls = concurrency({ limit: 3, leaseMs: 3_600_000 }).rule;
  await Promise.all(Array.from({ length: 3_000 }, (_, i) => store.run(take(`idle ${i}`, 10, second), change)));
  await store.run(take('used', 10), change);
  await store.run({ ...take('running', 1, calls), reservation: 'r' }, change);
  expect(await rows(pool)).toBe(3_002);
  clock.us += 120_000_000;
  await until(
    async () => {
      await store.run(take(`busy`), change);
      return (await rows(pool)) === 3;
    },
    { what: 'the idle rows to be gone', timeoutMs: 20_000 },
  );
  expect((await store.run({ ...take('used', 0), charge: false }, change)).limits[0]?.left).toBe(0);
  expect((await store.run({ ...take('running', 1, calls), charge: false }, change)).limits[0]?.left).toBe(2);
});

test.runIf(present)('behind a pooler that knows no prepared statements it goes on without them', async () => {
  const pool = newPool();
  let named = 0;
  const client = {
    query: async (statement: { name?: string; text: string; values?: unknown[] }) => {
      if (statement.name !== undefined) {
        named += 1;
        throw Object.assign(new Error('prepared statement does not exist'), { code: '26000' });
      }
      return pool.query(statement);
    },
  };
  const store = postgresStore(client);
  open.unshift(store);
  await store.run(take('a'), change);
  expect((await store.run(take('a'), change)).limits[0]?.left).toBe(8);
  expect(named).toBe(1);
});

test.runIf(present)('a store that is closed does no more, and leaves the pool open', async () => {
  const pool = newPool();
  const store = postgresStore(pool);
  await store.run(take('a'), change);
  await store.close();
  await expect(store.run(take('a'), change)).rejects.toThrow('the store is closed');
  expect(await rows(pool)).toBe(1);
});

if (present) {
  const clock = { us: 1_795_000_000_000_000 };
  const open = async (): Promise<OpenedStore> => {
    const pool = poolOf('postgres');
    const schema = checkedSchema('contract', { table: 'contract' });
    const store = new PostgresStore({ client: pool, schema, migrate: true, cleanupEveryMs: 20, clock: systemClock, now: () => clock.us });
    const advance = (ms: number): void => {
      clock.us += ms * 1_000;
    };
    return { store, advance, close: () => store.close().then(() => pool.end()) };
  };
  for (const { name, run } of storeContract(open)) test(`the contract of stores: ${name}`, run);
}

test('bad options are refused with what is allowed', () => {
  const client = { query: async () => ({ rows: [] }) };
  expect(() => postgresStore(client, { table: 'a"b' })).toThrow(/postgresStore: table must be a letter or _ .* not 'a"b'/);
  expect(() => postgresStore(client, { schema: '' })).toThrow(/postgresStore: schema must be/);
  expect(() => postgresStore(client, { durable: 1 as never })).toThrow('durable must be true or false, not 1');
  expect(() => postgresStore(client, { migrate: 'no' as never })).toThrow('migrate must be true or false, not no');
  expect(() => postgresStore(client, { cleanupEveryMs: 0.5 })).toThrow(
    'cleanupEveryMs must be a whole number from 0 to 2147483647, not 0.5',
  );
  expect(() => postgresStore(client, { tabel: 'x' } as never)).toThrow("unknown option 'tabel'");
  expect(() => postgresStore({} as never)).toThrow('the client must be a Pool or a Client of pg');
  expect(() => postgresSchema({ migrate: true } as never)).toThrow("postgresSchema: unknown option 'migrate'");
});
