import { join } from 'node:path';
import { tempDir } from '@tidegate/test-kit';
import { afterAll, describe, expect, test } from 'vitest';
import { type Connection, openLedgerFile } from '../../src/sqlite/file.ts';
import { sqliteStore } from '../../src/sqlite.ts';
import { SqliteValues } from '../../src/value/sqlite-values.ts';
import { ValueMetrics, type ValueStore } from '../../src/value.ts';
import { valueContract } from './value-contract.ts';
import { nobody, rowOf } from './value-row.ts';

const folder = tempDir();
afterAll(() => folder.remove());

let files = 0;
const nextFile = () => join(folder.path, `values-${files++}.db`);

valueContract('sqliteStore', async () => {
  const store = sqliteStore(nextFile());
  return { store, close: () => store.close() };
});

const now = Date.parse('2026-03-15T12:00:00Z');
const day = 86_400_000;
const names = ['planning_time_saved'];

/** A store over a connection whose work can be watched. */
async function watched(): Promise<{ connection: Connection; store: ValueStore }> {
  const connection = await openLedgerFile(':memory:', 'normal');
  const values = new SqliteValues(connection);
  const store: ValueStore = {
    saveValues: async (rows) => values.save(rows),
    aggregateValues: async (query) => values.aggregate(query),
    pruneValues: async (before, limit) => values.prune(before, limit),
  };
  return { connection, store };
}

/** Rows that were inserted, changed or deleted meanwhile. */
async function changesOf(connection: Connection, run: () => Promise<unknown>): Promise<number> {
  const total = () => (connection.prepare('SELECT total_changes() AS total').get() as { total: number }).total;
  const before = total();
  await run();
  return total() - before;
}

function plansOf(connection: Connection, run: (connection: Connection) => void): string[] {
  const plans: string[] = [];
  run({
    ...connection,
    prepare(sql) {
      const explain = connection.prepare(`EXPLAIN QUERY PLAN ${sql}`);
      const note = (values: Parameters<typeof explain.all>) => {
        plans.push(...(explain.all(...values) as { detail: string }[]).map(({ detail }) => detail));
      };
      return {
        run(...values) {
          note(values);
          return { changes: 0 };
        },
        get: (...values) => note(values),
        all(...values) {
          note(values);
          return [];
        },
        setReadBigInts() {},
      };
    },
  });
  return plans;
}

describe('a record', () => {
  test('touches one row among many, and at most 500 more where old ones are deleted', async () => {
    const { connection, store } = await watched();
    const clock = { now, wall: () => clock.now };
    const metrics = new ValueMetrics({ store: { ...store, getMonthlyTotal: async () => 0n }, clock });
    const record = () => metrics.record({ name: 'planning_time_saved', value: 1 });
    await store.saveValues(Array.from({ length: 3_000 }, (_, index) => rowOf(now - index, 1)));
    await store.saveValues(Array.from({ length: 1_200 }, (_, index) => rowOf(now - 90 * day - 1 - index, 1)));

    const touched: number[] = [];
    for (let index = 0; index < 6; index++) touched.push(await changesOf(connection, record));
    expect(touched).toEqual([501, 501, 201, 1, 1, 1]);

    // A day later: what has become too old meanwhile is one batch an hour, and a full one is followed by another.
    await store.saveValues(Array.from({ length: 600 }, (_, index) => rowOf(now - 90 * day + index, 1)));
    clock.now = now + 3_599_999;
    expect(await changesOf(connection, record)).toBe(1);
    clock.now = now + 3_600_000;
    touched.length = 0;
    for (let index = 0; index < 3; index++) touched.push(await changesOf(connection, record));
    expect(touched).toEqual([501, 101, 1]);
    connection.close();
  });

  test('is deleted by the index of time, and found by the index of its metric', async () => {
    const { connection, store } = await watched();
    await store.saveValues([rowOf(now, 1)]);
    const plans = plansOf(connection, (watching) => {
      const values = new SqliteValues(watching);
      for (const p95 of [false, true]) values.aggregate({ names, dimensions: { ...nobody, project: 'p' }, edges: [0, now], p95 });
      values.prune(now, 500);
    });
    expect(plans.filter((plan) => plan.includes('value_metric_name'))).toEqual([
      expect.stringMatching(/^SEARCH v USING COVERING INDEX value_metric_name \(name=\? AND timestamp>\? AND timestamp<\?\)$/),
      expect.stringMatching(/^SEARCH v USING COVERING INDEX value_metric_name \(name=\? AND timestamp>\? AND timestamp<\?\)$/),
    ]);
    expect(plans.join('\n')).toContain('SEARCH value_metric USING COVERING INDEX value_metric_timestamp (timestamp<?)');
    expect(plans.join('\n')).not.toMatch(/SCAN (v|value_metric)\b/);
    connection.close();
  });

  test('outlives its process, beside the ledger in the same file', async () => {
    const file = nextFile();
    const first = sqliteStore(file);
    await first.saveValues([rowOf(now, 7, { dedupeKey: 'a' })]);
    await first.close();
    const second = sqliteStore(file);
    expect(await second.saveValues([rowOf(now, 8, { dedupeKey: 'a' })])).toBe(0);
    expect(await second.aggregateValues({ names, dimensions: nobody, edges: [now, now + 1], p95: false })).toMatchObject([
      { sum: 7_000_000_000n },
    ]);
    await second.close();
    await expect(second.saveValues([rowOf(now, 1)])).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
});
