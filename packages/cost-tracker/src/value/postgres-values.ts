import type { Dimension } from '../scope.ts';
import { joined } from './billionths.ts';
import { dimensionColumns, dimensionValues, namedDimensions, valueColumns } from './value-columns.ts';
import type { ValueGroup, ValueQuery, ValueRow, ValueStore } from './value-store.ts';

/** Runs one statement on any connection; the values stand for `$1`, `$2`, … */
export type PostgresQuery = (text: string, values: readonly unknown[]) => Promise<PostgresAnswer>;

/** What Postgres answers, as far as it is read here. */
export interface PostgresAnswer {
  readonly rows: readonly unknown[];
  readonly rowCount: number | null;
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

/**
 * The SQL that makes the table of values and its indexes where they are missing. `prefix` comes before every name, such as
 * `"public".` for the table; indexes lie in the schema of their table.
 */
export function postgresValueTables(prefix = ''): string {
  return `CREATE TABLE IF NOT EXISTS ${prefix}value_metric (
  tenant_id text COLLATE "C" NOT NULL, dedupe_key text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL, category text NOT NULL, value float8 NOT NULL, unit text NOT NULL, timestamp bigint NOT NULL,
  org_id text NOT NULL, project_id text COLLATE "C" NOT NULL, user_id text NOT NULL, key_id text NOT NULL, model text NOT NULL,
  tool text NOT NULL, context text NOT NULL,
  PRIMARY KEY (tenant_id, dedupe_key)
);
CREATE INDEX IF NOT EXISTS value_metric_name ON ${prefix}value_metric (name, timestamp, tenant_id, project_id) INCLUDE (value);
CREATE INDEX IF NOT EXISTS value_metric_timestamp ON ${prefix}value_metric (timestamp);
`;
}

/** Values in Postgres 14 or later. Each method is one statement, so it is a transaction by itself or part of the caller's. */
export class PostgresValues implements ValueStore {
  readonly #query: PostgresQuery;
  readonly #table: string;

  constructor(query: PostgresQuery, prefix = '') {
    this.#query = query;
    this.#table = `${prefix}value_metric`;
  }

  async saveValues(rows: readonly ValueRow[]): Promise<number> {
    const table = rows.map(valuesOf);
    const columns = valueColumns.map((_, index) => table.map((row) => row[index]));
    const arrays = valueColumns.map((column, index) => `$${index + 1}::${TYPES[column] ?? 'text'}[]`);
    // In the order of keys, so that two that write the same keys wait for each other and not in a circle; of one key the first stays.
    const names = valueColumns.join(', ');
    const { rowCount } = await this.#query(
      `INSERT INTO ${this.#table} (${names}) SELECT ${names}
  FROM unnest(${arrays.join(', ')}) WITH ORDINALITY AS given(${names}, number)
  ORDER BY tenant_id COLLATE "C", dedupe_key COLLATE "C", number ON CONFLICT DO NOTHING`,
      columns,
    );
    return rowCount ?? 0;
  }

  async aggregateValues({ names, dimensions, edges, p95 }: ValueQuery): Promise<readonly ValueGroup[]> {
    const named = namedDimensions(dimensions);
    const values = [edges.slice(0, -1), edges.slice(1), names, ...named.map((name) => dimensions[name])];
    const { rows } = await this.#query(aggregateSql(this.#table, named, p95), values);
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
    const { rowCount } = await this.#query(
      `DELETE FROM ${this.#table} WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM ${this.#table} WHERE timestamp < $1::bigint ORDER BY timestamp LIMIT $2::int FOR UPDATE SKIP LOCKED))`,
      [before, limit],
    );
    return rowCount ?? 0;
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
