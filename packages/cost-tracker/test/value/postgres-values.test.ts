import { type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PostgresValues, postgresValueTables } from '../../src/value/postgres-values.ts';
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

async function newPrefix(): Promise<string> {
  const schema = `values${schemas++}`;
  await pool.query(`CREATE SCHEMA ${schema}`);
  return `"${schema}".`;
}

const query = (text: string, values: readonly unknown[]) => pool.query(text, [...values]);

describe.runIf(present)('Postgres', () => {
  valueContract('Postgres', async () => {
    const prefix = await newPrefix();
    await pool.query(postgresValueTables(prefix));
    return { store: new PostgresValues(query, prefix), close: async () => {} };
  });

  test('the tables can be made again, and by several at once', async () => {
    const prefix = await newPrefix();
    await pool.query(postgresValueTables(prefix));
    const store = new PostgresValues(query, prefix);
    await store.saveValues([rowOf(5, 1)]);
    await pool.query(postgresValueTables(prefix));
    const edges = [0, 10];
    const groups = await store.aggregateValues({ names: ['planning_time_saved'], dimensions: nobody, edges, p95: false });
    expect(groups).toMatchObject([{ count: 1 }]);
  });

  test('a summary of a project reads the index and not the table', async () => {
    const prefix = await newPrefix();
    await pool.query(postgresValueTables(prefix));
    await pool.query(`INSERT INTO ${prefix}value_metric SELECT '', i::text, 'm' || i % 10, 'cost', i, 'USD', i, '', 'p', '', '', '', '', '{}'
      FROM generate_series(1, 50000) AS i`);
    await pool.query(`VACUUM ANALYZE ${prefix}value_metric`);
    const plans: string[] = [];
    const explained = new PostgresValues(async (text, values) => {
      const { rows } = await pool.query(`EXPLAIN ${text}`, [...values]);
      plans.push(JSON.stringify(rows));
      return { rows: [], rowCount: 0 };
    }, prefix);
    await explained.aggregateValues({
      names: ['m1', 'm2'],
      dimensions: { ...nobody, project: 'p' },
      edges: [49_000, 49_500, 50_000],
      p95: true,
    });
    await explained.pruneValues(100, 10);
    expect(plans[0]).toContain('Index Only Scan using value_metric_name');
    expect(plans[1]).toContain('Index Scan using value_metric_timestamp');
    expect(plans.join()).not.toContain('Seq Scan on value_metric');
  });
});
