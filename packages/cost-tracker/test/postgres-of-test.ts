import { type LaunchOptions, type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, afterEach, beforeAll } from 'vitest';
import type { UsageStore } from '../src/index.ts';
import { type PostgresPool, type PostgresStoreOptions, postgresStore } from '../src/postgres.ts';

type Answer = { rows: unknown[] };

/** One server for all tests of a file; what a test opens is closed after it. */
export function postgresOfTest(options: LaunchOptions = {}) {
  const present = requireServer('postgres');
  let server: ManagedServer | undefined;
  let ledgers = 0;
  const pools: pg.Pool[] = [];
  const stores: UsageStore[] = [];
  const others: ManagedServer[] = [];

  beforeAll(async () => {
    if (present) server = await startPostgres(options);
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()));
    await Promise.all(pools.splice(0).map((pool) => pool.end()));
    await Promise.all(others.splice(0).map((other) => other.stop()));
  });
  afterAll(() => server?.stop());

  const newPool = (config: pg.PoolConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ host: '127.0.0.1', port: server?.port, user: 'postgres', database: 'postgres', max: 2, ...config });
    pool.on('error', () => {});
    pools.push(pool);
    return pool;
  };

  return {
    present,
    server: {
      get port() {
        return server?.port ?? 0;
      },
      get url() {
        return server?.url ?? '';
      },
      /** One more server, which may be killed. */
      async another(): Promise<ManagedServer> {
        const other = await startPostgres(options);
        others.push(other);
        return other;
      },
    },
    /** Names that nobody has used. */
    newLedger: () => ({ prefix: `t${++ledgers}_` }),
    newPool,
    newStore(pool: PostgresPool, storeOptions: PostgresStoreOptions): UsageStore {
      const store = postgresStore(pool, storeOptions);
      stores.push(store);
      return store;
    },
    /** A pool whose statements pass through `meddle`. */
    meddling(pool: pg.Pool, meddle: (text: string, run: () => Promise<Answer>) => Promise<Answer>): PostgresPool {
      return {
        async connect() {
          const client = await pool.connect();
          return {
            query: (statement) => meddle(statement.text, () => client.query(statement)),
            on: client.on.bind(client),
            off: client.off.bind(client),
            release: client.release.bind(client),
          };
        },
      };
    },
  };
}
