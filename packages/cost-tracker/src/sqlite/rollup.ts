import { bounded, partsOf, RollupSums, rolledMs } from '../rollup-sums.ts';
import type { UsageGroup, UsageKind, UsageQuery, UsageRow } from '../store.ts';
import { covered, dimensionValues, prepareAll } from './columns.ts';
import type { Connection } from './file.ts';

const group = 'tenant, project, kind, name, model, provider';
const counted = 'calls, failures, unpriced, input_tokens, cache_read_tokens, output_tokens, total_nano';
const sums = counted.split(', ').map((column) => `sum(${column}) AS ${column}`);
const keptSums = counted.split(', ').map((column) => `${column} = ${column} + excluded.${column}`);

const rows = (from: string, to: string) => `SELECT ${group}, correction = 0 AS calls, failures, unpriced, input_tokens, cache_read_tokens,
  output_tokens, amount_nano AS total_nano FROM usage WHERE ${covered} AND at_ms >= ${from} AND at_ms < ${to}`;
// a query by tool is one of its calls; other dimensions are in no rollup
const spans = (spanMs: number, from: string, to: string) => `SELECT ${group}, ${counted} FROM usage_rollup
  WHERE span_ms = ${spanMs} AND start_ms >= ${from} AND start_ms < ${to}
  AND ?2 IN ('', tenant) AND ?3 IN ('', project) AND ?6 IN ('', model) AND (?7 = '' OR (kind = 'tool' AND name = ?7))`;
const grouped = (from: string) => `SELECT ${group}, ${sums.join(', ')} FROM (${from}) GROUP BY ${group} ORDER BY ${group}`;

const sql = {
  add: `INSERT INTO usage_rollup (span_ms, start_ms, ${group}, ${counted}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET ${keptSums.join(', ')}`,
  byRows: grouped(rows('?8', '?9')),
  // rows to the first whole hour, hours to the first whole day, days, and the same the other way round
  bySpans: grouped(
    [
      rows('?8', '?9'),
      spans(rolledMs.hour, '?9', '?10'),
      spans(rolledMs.day, '?10', '?11'),
      spans(rolledMs.hour, '?11', '?12'),
      rows('?12', '?13'),
    ].join(' UNION ALL '),
  ),
};

interface GroupRecord {
  tenant: string;
  project: string;
  kind: UsageKind;
  name: string;
  model: string;
  provider: string;
  calls: bigint;
  failures: bigint;
  unpriced: bigint;
  input_tokens: bigint;
  cache_read_tokens: bigint;
  output_tokens: bigint;
  total_nano: bigint;
}

/** What the rows of each hour and each day (UTC) add up to, so that a long report reads few rows. */
export class Rollup {
  readonly #statements: ReturnType<typeof prepareAll<keyof typeof sql>>;
  readonly #added = new RollupSums();

  constructor(connection: Connection) {
    this.#statements = prepareAll(connection, sql);
  }

  /** Notes a row; {@link Rollup.flush} writes it. */
  add(row: UsageRow): void {
    this.#added.add(row);
  }

  flush(): void {
    for (const sum of this.#added.take()) {
      const { spanMs, start, tenant, project, kind, name, model, provider } = sum;
      const sums = [sum.calls, sum.failures, sum.unpriced, sum.inputTokens, sum.cacheReadTokens, sum.outputTokens, sum.total];
      this.#statements.add.run(spanMs, start, tenant, project, kind, name, model, provider, ...sums);
    }
  }

  forget(): void {
    this.#added.clear();
  }

  groups(query: UsageQuery): UsageGroup[] {
    const { dimensions, from, to } = bounded(query);
    const parts = partsOf({ dimensions, from, to });
    const values = dimensionValues(dimensions);
    const records = parts ? this.#statements.bySpans.all(...values, from, ...parts, to) : this.#statements.byRows.all(...values, from, to);
    return (records as GroupRecord[]).map(groupOf);
  }
}

function groupOf(record: GroupRecord): UsageGroup {
  const { tenant, project, kind, name, model, provider } = record;
  return {
    ...{ tenant, project, kind, name, model, provider },
    calls: Number(record.calls),
    failures: Number(record.failures),
    unpriced: Number(record.unpriced),
    inputTokens: Number(record.input_tokens),
    cacheReadTokens: Number(record.cache_read_tokens),
    outputTokens: Number(record.output_tokens),
    total: record.total_nano,
  };
}
