import { type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { postgresStore } from '../src/postgres.ts';
import { ledgerContract } from './ledger-contract.ts';

const present = requireServer('postgres');
let server: ManagedServer;
let pool: pg.Pool;
beforeAll(async () => {
  if (!present) return;
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.url, max: 4 });
});
afterAll(async () => {
  await pool?.end();
  await server?.stop();
});
let n = 0;
if (present) ledgerContract('postgresStore', () => postgresStore(pool, { prefix: `t${n++}_` }));
