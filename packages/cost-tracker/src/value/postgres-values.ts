import type { Dimension } from '../scope.ts';
import { joined } from './billionths.ts';
import { dimensionColumns, dimensionValues, namedDimensions, valueColumns } from './value-columns.ts';
import type { ValueGroup, ValueQuery, ValueRow, ValueStore } from './value-store.ts';

/** Runs one statement on any connection and answers its rows; the values stand for `$1`, `$2`, … */
export type PostgresQuery = (text: string, values: unknown[]) => Promise<readonly unknown[]>;

/** How the table and its indexes are called. */
export interface ValueTable {
  /** The table with its schema, such as `"public"."tidegate_value_metric"`. */
  readonly table: string;
  /** What the names of its indexes begin with, quote included, such as `"tidegate_`; they are in the schema of the table. */
  readonly index: string;
}

/** Everything as text: the caller may have taught his driver to read numbers as something else. */
interface GroupRecord {
  name: string;
  part: string;
  count: string;
  whole: string;
  rest: string;
  p95: string | null;
}

const TYPES: Readonly<Record<string, string>> = { value: 'float8', timestamp: 'bigint' };

const WHOLE = 'trunc(value)';
const REST = '((value - trunc(value)) * 1e9::float8)';
const SUMS = `count(*)::text AS count, sum(${WHOLE}::numeric)::text AS whole,
  sum(trunc(${REST} + CASE WHEN ${REST} < 0 THEN -0.5 ELSE 0.5 END::float8)::numeric)::text AS rest`;
const RANKS = `row_number() OVER (PARTITION BY part.number, v.name ORDER BY v.value) AS place,
    count(*) OVER (PARTITION BY part.number, v.name) AS size`;

/** The SQL that makes the table of values and its indexes where they are missing. */
export function postgresValueTables({ table, index }: ValueTable): string {
  return `CREATE TABLE IF NOT EXISTS ${table} (
  tenant_id text COLLATE "C" NOT NULL, dedupe_key text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL, category text NOT NULL, value float8 NOT NULL, unit text NOT NULL, timestamp bigint NOT NULL,
  org_id text NOT NULL, project_id text COLLATE "C" NOT NULL, user_id text NOT NULL, key_id text NOT NULL, model text NOT NULL,
  tool text NOT NULL, context text NOT NULL,
  PRIMARY KEY (tenant_id, dedupe_key)
);
CREATE INDEX IF NOT EXISTS ${index}value_metric_name" ON ${table} (name, timestamp, tenant_id, project_id) INCLUDE (value);
CREATE INDEX IF NOT EXISTS ${index}value_metric_timestamp" ON ${table} (timestamp);
`;
}

/** Values in Postgres 14 or later. Each method is one statement, so it is a transaction by itself or part of the caller's. */
export class PostgresValues implements ValueStore {
  readonly #query: PostgresQuery;
  readonly #table: string;
  readonly #storable: (text: string) => string;

  /** `storable` writes a text without what Postgres cannot keep, such as NUL, so that different texts stay different. */
  constructor(query: PostgresQuery, { table }: ValueTable, storable: (text: string) => string = (text) => text) {
    this.#query = query;
    this.#table = table;
    this.#storable = storable;
  }

  async saveValues(rows: readonly ValueRow[]): Promise<number> {
    const records = rows.map((row) => valuesOf(row).map((value) => (typeof value === 'string' ? this.#storable(value) : value)));
    const columns = valueColumns.map((_, index) => records.map((record) => record[index]));
    const arrays = valueColumns.map((column, index) => `$${index + 1}::${TYPES[column] ?? 'text'}[]`);
    const names = valueColumns.join(', ');
    // In the order of keys, so that two that write the same keys wait for each other and not in a circle; of one key the first stays.
    return this.#count(
      `INSERT INTO ${this.#table} (${names}) SELECT ${names}
  FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS given(${names}, number)
  ORDER BY tenant_id COLLATE "C", dedupe_key COLLATE "C", number ON CONFLICT DO NOTHING`,
      columns,
    );
  }

  async aggregateValues({ names, dimensions, edges, p95 }: ValueQuery): Promise<readonly ValueGroup[]> {
    const named = namedDimensions(dimensions);
    const values = [edges.slice(0, -1), edges.slice(1), names, ...named.map((name) => this.#storable(dimensions[name]))];
    const rows = await this.#query(aggregateSql(this.#table, named, p95), values);
    return (rows as GroupRecord[]).map((record) => ({
      name: record.name,
      part: Number(record.part) - 1,
      count: Number(record.count),
      sum: joined(BigInt(record.whole), BigInt(record.rest)),
      p95: record.p95 === null ? undefined : Number(record.p95),
    }));
  }

  async pruneValues(before: number, limit: number): Promise<number> {
    // Skips what another process is deleting just now, instead of waiting to delete nothing.
    return this.#count(
      `DELETE FROM ${this.#table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM ${this.#table} WHERE timestamp < $1::bigint ORDER BY timestamp LIMIT $2::int FOR UPDATE SKIP LOCKED))`,
      [before, limit],
    );
  }

  /** How many rows a statement changes. */
  async #count(change: string, values: unknown[]): Promise<number> {
    const [row] = await this.#query(`WITH changed AS (${change} RETURNING 1) SELECT count(*)::text AS count FROM changed`, values);
    return Number((row as { count: string }).count);
  }
}

function valuesOf({ dedupeKey, name, category, value, unit, at, context, dimensions }: ValueRow): unknown[] {
  return [dedupeKey, name, category, value, unit, at, context, ...dimensionValues(dimensions)];
}

function aggregateSql(table: string, named: readonly Dimension[], p95: boolean): string {
  const where = named.map((dimension, index) => ` AND v.${dimensionColumns[dimension]} = $${index + 4}`).join('');
  return `SELECT part::text AS part, name, ${SUMS}, ${p95 ? '(max(value) FILTER (WHERE place = (size * 95 + 99) / 100))::text' : 'NULL'} AS p95
  FROM (SELECT part.number AS part, v.name, v.value${p95 ? `, ${RANKS}` : ''}
    FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS part(first, after, number) CROSS JOIN unnest($3::text[]) AS metric(name)
    JOIN ${table} AS v ON v.name = metric.name COLLATE "C" AND v.timestamp >= part.first AND v.timestamp < part.after${where}) AS found
  GROUP BY part, name`;
}
