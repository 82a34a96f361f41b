import type { Dimension } from '../scope.ts';
import type { Connection, Statement } from '../sqlite/file.ts';
import { joined } from './billionths.ts';
import { dimensionColumns, dimensionValues, namedDimensions, valueColumns } from './value-columns.ts';
import type { ValueGroup, ValueQuery, ValueRow } from './value-store.ts';

/**
 * The table of values. The first index answers by itself for everything, a tenant or a project; the second finds what is old.
 */
export const VALUE_TABLES = `CREATE TABLE value_metric (
     tenant_id TEXT NOT NULL, dedupe_key TEXT NOT NULL,
     name TEXT NOT NULL, category TEXT NOT NULL, value REAL NOT NULL, unit TEXT NOT NULL, timestamp INTEGER NOT NULL,
     org_id TEXT NOT NULL, project_id TEXT NOT NULL, user_id TEXT NOT NULL, key_id TEXT NOT NULL, model TEXT NOT NULL, tool TEXT NOT NULL,
     context TEXT NOT NULL,
     PRIMARY KEY (tenant_id, dedupe_key)
   ) STRICT;
   CREATE INDEX value_metric_name ON value_metric (name, timestamp, tenant_id, project_id, value);
   CREATE INDEX value_metric_timestamp ON value_metric (timestamp);`;

interface GroupRecord {
  name: string;
  part: bigint;
  count: bigint;
  whole: bigint;
  rest: bigint;
  p95: number | null;
}

const INSERT = `INSERT INTO value_metric (${valueColumns.join(', ')})
  VALUES (${valueColumns.map(() => '?').join(', ')}) ON CONFLICT DO NOTHING`;

const PRUNE = `DELETE FROM value_metric WHERE rowid IN
  (SELECT rowid FROM value_metric WHERE timestamp < ? ORDER BY timestamp LIMIT ?)`;

const WHOLE = 'CAST(value AS INTEGER)';
const SUMS = `count(*) AS count, sum(${WHOLE}) AS whole, sum(CAST(round((value - ${WHOLE}) * 1e9) AS INTEGER)) AS rest`;
const RANKS = `row_number() OVER (PARTITION BY part.key, v.name ORDER BY v.value) AS place,
    count(*) OVER (PARTITION BY part.key, v.name) AS size`;

/** The values of one SQLite connection; each method is called inside a transaction or is one by itself. */
export class SqliteValues {
  readonly #connection: Connection;
  readonly #statements = new Map<string, Statement>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  save(rows: readonly ValueRow[]): number {
    const insert = this.#statement(INSERT);
    return rows.reduce((written, row) => {
      const { dedupeKey, name, category, value, unit, at, context, dimensions } = row;
      const { changes } = insert.run(dedupeKey, name, category, value, unit, at, context, ...dimensionValues(dimensions));
      return written + Number(changes);
    }, 0);
  }

  aggregate({ names, dimensions, edges, p95 }: ValueQuery): ValueGroup[] {
    const named = namedDimensions(dimensions);
    const parts = JSON.stringify(edges.slice(1).map((end, part) => [edges[part], end]));
    const statement = this.#statement(aggregateSql(named, p95));
    const records = statement.all(parts, JSON.stringify(names), ...named.map((name) => dimensions[name])) as GroupRecord[];
    return records.map(({ name, part, count, whole, rest, p95: percentile }) => ({
      name,
      part: Number(part),
      count: Number(count),
      sum: joined(whole, rest),
      p95: percentile ?? undefined,
    }));
  }

  prune(before: number, limit: number): number {
    return Number(this.#statement(PRUNE).run(before, limit).changes);
  }

  /** Prepared at first need: most ledgers are never asked by most of the dimensions. */
  #statement(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known) return known;
    const statement = this.#connection.prepare(sql);
    statement.setReadBigInts(true);
    this.#statements.set(sql, statement);
    return statement;
  }
}

/** CROSS JOIN keeps the order of the tables: for every part and name one stretch of the index is read. */
function aggregateSql(named: readonly Dimension[], p95: boolean): string {
  const where = named.map((dimension) => ` AND v.${dimensionColumns[dimension]} = ?`).join('');
  return `SELECT part, name, ${SUMS}, ${p95 ? 'max(CASE WHEN place = (size * 95 + 99) / 100 THEN value END)' : 'NULL'} AS p95
  FROM (SELECT part.key AS part, v.name, v.value${p95 ? `, ${RANKS}` : ''}
    FROM json_each(?) AS part CROSS JOIN json_each(?) AS metric CROSS JOIN value_metric AS v
    WHERE v.name = metric.value AND v.timestamp >= json_extract(part.value, '$[0]') AND v.timestamp < json_extract(part.value, '$[1]')${where})
  GROUP BY part, name`;
}
