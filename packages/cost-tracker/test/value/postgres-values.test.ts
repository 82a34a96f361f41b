import { type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { postgresStore } from '../../src/postgres.ts';
import type { Dimensions } from '../../src/scope.ts';
import { type PostgresQuery, PostgresValues, postgresValueTables, type ValueTable } from '../../src/value/postgres-values.ts';
import { valueContract } from './value-contract.ts';
import { nobody, rowOf } from './value-row.ts';

const present = requireServer('postgres');
let server: ManagedServer;
let pool: pg.Pool;
let schemas = 0;

beforeAll(async () => {
  if (!present) return;
  server = await startPostgres();
  pool = new pg.Pool({ host: '127.0.0.1', port: server.port, user: 'postgres', database: 'postgres', max: 4 });
  pool.on('error', () => {});
});

afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

/** A table in a schema of its own. */
async function newTable(): Promise<ValueTable> {
  const schema = `values${schemas++}`;
  await pool.query(`CREATE SCHEMA ${schema}`);
  return { table: `"${schema}"."tidegate_value_metric"`, index: '"tidegate_' };
}

const query: PostgresQuery = async (text, values) => (await pool.query(text, values)).rows;

describe.runIf(present)('Postgres', () => {
  valueContract('postgresStore', async () => {
    const store = postgresStore(pool, { prefix: `values${schemas++}_` });
    return { store, close: () => store.close() };
  });

  test('values are beside the ledger, in the tables that are named, whatever characters say whose they are', async () => {
    const names = { prefix: `values${schemas++}_` };
    const store = postgresStore(pool, names);
    const row = rowOf(5, 1, { scope: { project: 'a\u0000b\ud800' }, dedupeKey: 'k\u0000' });
    expect([await store.saveValues([row]), await store.saveValues([row])]).toEqual([1, 0]);
    const of = (dimensions: Dimensions) => store.aggregateValues({ names: [row.name], dimensions, edges: [0, 10], p95: true });
    expect(await of(row.dimensions)).toMatchObject([{ count: 1, p95: 1 }]);
    expect(await of({ ...nobody, project: 'a\u0000b\ud801' })).toEqual([]);
    const { rows } = await pool.query(
      `SELECT tablename, indexname FROM pg_indexes WHERE tablename = '${names.prefix}value_metric' ORDER BY 2`,
    );
    expect(rows.map(({ indexname }) => indexname)).toEqual([
      `${names.prefix}value_metric_name`,
      `${names.prefix}value_metric_pkey`,
      `${names.prefix}value_metric_timestamp`,
    ]);
    await store.close();
    await expect(store.saveValues([row])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });

  test('the tables can be made again, and by several at once', async () => {
    const table = await newTable();
    await pool.query(postgresValueTables(table));
    const store = new PostgresValues(query, table);
    await store.saveValues([rowOf(5, 1)]);
    await pool.query(postgresValueTables(table));
    const edges = [0, 10];
    const groups = await store.aggregateValues({ names: ['planning_time_saved'], dimensions: nobody, edges, p95: false });
    expect(groups).toMatchObject([{ count: 1 }]);
  });

  test('a summary of a project reads the index and not the table', async () => {
    const table = await newTable();
    await pool.query(postgresValueTables(table));
    await pool.query(`INSERT INTO ${table.table} SELECT '', i::text, 'm' || i % 10, 'cost', i, 'USD', i, '', 'p', '', '', '', '', '{}'
      FROM generate_series(1, 50000) AS i`);
    await pool.query(`VACUUM ANALYZE ${table.table}`);
    const plans: string[] = [];
    const explained = new PostgresValues(async (text, values) => {
      plans.push(JSON.stringify((await pool.query(`EXPLAIN ${text}`, values)).rows));
      return text.startsWith('WITH') ? [{ count: '0' }] : [];
    }, table);
    await explained.aggregateValues({
      names: ['m1', 'm2'],
      dimensions: { ...nobody, project: 'p' },
      edges: [49_000, 49_500, 50_000],
      p95: true,
    });
    await explained.pruneValues(100, 10);
    expect(plans[0]).toContain('Index Only Scan using tidegate_value_metric_name');
    expect(plans[1]).toContain('Index Scan using tidegate_value_metric_timestamp');
    expect(plans.join()).not.toContain('Seq Scan on tidegate_value_metric');
  });
});
