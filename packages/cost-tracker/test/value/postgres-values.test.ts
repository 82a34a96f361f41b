import { type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
  valueContract('Postgres', async () => {
    const table = await newTable();
    await pool.query(postgresValueTables(table));
    return { store: new PostgresValues(query, table), close: async () => {} };
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

  test('a text that Postgres cannot keep is kept as the caller writes it', async () => {
    const table = await newTable();
    await pool.query(postgresValueTables(table));
    const store = new PostgresValues(query, table, (text) => text.replaceAll('\u0000', '\\0'));
    const [project, dedupeKey] = ['a\u0000b', 'k\u0000'];
    const row = rowOf(5, 1, { scope: { project }, dedupeKey });
    expect([await store.saveValues([row]), await store.saveValues([row])]).toEqual([1, 0]);
    const of = (dimensions: Dimensions) => store.aggregateValues({ names: [row.name], dimensions, edges: [0, 10], p95: false });
    expect(await of(row.dimensions)).toMatchObject([{ count: 1 }]);
    expect(await of({ ...nobody, project: 'ab' })).toEqual([]);
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
