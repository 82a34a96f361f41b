import { checkKeys } from '../options.ts';
import { postgresValueTables } from '../value/postgres-values.ts';
import { dimensionColumns } from './columns.ts';

/** What the tables of a ledger are called. */
export interface PostgresSchemaOptions {
  /** The schema that the tables are in; it has to be there. Up to 63 letters, digits and `_`. @defaultValue `'public'` */
  readonly schema?: string;
  /** What the names of the tables begin with, so that several ledgers fit into a schema; up to 30 letters, digits and `_`. @defaultValue `'tidegate_'` */
  readonly prefix?: string;
}

const longestName = 63; // for Postgres
const longestPrefix = 30; // what the names of tables and indexes leave of it

const tables = [
  ...(['usage', 'usage_rollup', 'hold', 'budget_counter', 'budget_setting'] as const),
  ...(['budget_version', 'threshold_crossing', 'alert_delivery', 'value_metric', 'schema_version'] as const),
];

/** The tables of one ledger, each named in full, and the expression that takes its lock. */
export type Schema = Readonly<Record<(typeof tables)[number], string>> & {
  /** What the names begin with, without the last quote. */
  readonly prefix: string;
  /** What an index is called, which is in the schema of its table. */
  readonly index: string;
  /** The number of the lock that whoever writes has. */
  readonly lock: string;
};

/** Checks the options. */
export function checkedSchema({ schema = 'public', prefix = 'tidegate_' }: PostgresSchemaOptions, owner: string): Schema {
  checkName(schema, longestName, `${owner}.schema`);
  checkName(prefix, longestPrefix, `${owner}.prefix`);
  const start = `"${schema}"."${prefix}`;
  const named = Object.fromEntries(tables.map((table) => [table, `${start}${table}"`])) as Record<(typeof tables)[number], string>;
  return { ...named, prefix: start, index: `"${prefix}`, lock: `hashtextextended('tidegate ledger ${schema}.${prefix}', 0)` };
}

/**
 * The SQL that makes the tables of a `postgresStore`, or brings those of an older version up to date, for a role that may; the store
 * itself then needs `SELECT`, `INSERT`, `UPDATE` and `DELETE` on them. It may be run again, and by several at once.
 *
 * @throws RangeError for an option that is unknown or out of range.
 */
export function postgresSchema(options: PostgresSchemaOptions = {}): string {
  checkKeys(options, ['schema', 'prefix'], 'postgresSchema options');
  return `${definition(checkedSchema(options, 'postgresSchema options'))};\n`;
}

/** The newest version of the tables. */
export const newestVersion = 1;

/** One statement, and so one transaction: whoever comes second finds the work done, if it is read committed. */
export function definition(schema: Schema): string {
  const steps = [first(schema)].map(
    (body, index) => `  IF (SELECT coalesce(max(version), 0) FROM ${schema.schema_version}) < ${index + 1} THEN
${body}
    INSERT INTO ${schema.schema_version} (version) VALUES (${index + 1});
  END IF;`,
  );
  return `DO $tidegate$ BEGIN
  PERFORM pg_advisory_xact_lock(${schema.lock});
  CREATE TABLE IF NOT EXISTS ${schema.schema_version} (version integer NOT NULL);
${steps.join('\n')}
END $tidegate$`;
}

const text = 'text COLLATE "C" NOT NULL';
const dimensions = dimensionColumns()
  .split(', ')
  .map((name) => `${name} ${text}`)
  .join(', ');
const sums = ['calls', 'failures', 'unpriced', 'input_tokens', 'cache_read_tokens', 'output_tokens', 'total_nano'];

/** A migration that has been released is never edited. */
function first(schema: Schema): string {
  return `    CREATE TABLE ${schema.usage} (
      ${dimensions}, dedupe_key ${text}, correction integer NOT NULL, at_ms bigint NOT NULL, recorded_at_ms bigint NOT NULL,
      kind ${text}, name ${text}, provider ${text}, served_model ${text},
      usage text NOT NULL, input_tokens bigint NOT NULL, cache_read_tokens bigint NOT NULL, output_tokens bigint NOT NULL,
      amount_nano bigint NOT NULL CHECK (amount_nano >= 0 OR correction > 0),
      cost_source ${text}, revision bigint NOT NULL, failures integer NOT NULL, unpriced integer NOT NULL, success boolean NOT NULL,
      price_version text, price_lines text, duration_ms float8, trace_id text, metadata text,
      PRIMARY KEY (tenant, dedupe_key, correction)
    );
    CREATE INDEX ${schema.index}usage_at" ON ${schema.usage} (at_ms);
    CREATE FUNCTION ${schema.prefix}append_only"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS
      $append$ BEGIN RAISE EXCEPTION 'usage is append-only' USING ERRCODE = 'restrict_violation'; END $append$;
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${schema.usage}
      FOR EACH STATEMENT EXECUTE FUNCTION ${schema.prefix}append_only"();
    CREATE TABLE ${schema.usage_rollup} (
      span_ms bigint NOT NULL, start_ms bigint NOT NULL,
      tenant ${text}, project ${text}, kind ${text}, name ${text}, model ${text}, provider ${text},
      ${sums.map((column) => `${column} bigint NOT NULL`).join(', ')},
      PRIMARY KEY (span_ms, start_ms, tenant, project, kind, name, model, provider)
    ) WITH (fillfactor = 70);
    CREATE TABLE ${schema.hold} (
      ${dimensions}, dedupe_key ${text}, at_ms bigint NOT NULL, expires_at_ms bigint NOT NULL,
      amount_nano bigint NOT NULL CHECK (amount_nano >= 0),
      PRIMARY KEY (tenant, dedupe_key)
    );
    CREATE INDEX ${schema.index}hold_expires_at" ON ${schema.hold} (expires_at_ms);
    CREATE TABLE ${schema.budget_counter} (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, ${dimensions}, start_ms bigint NOT NULL, end_ms bigint NOT NULL,
      unused_from_ms bigint NOT NULL, spent_nano bigint NOT NULL, reserved_nano bigint NOT NULL CHECK (reserved_nano >= 0),
      UNIQUE (tenant, end_ms, start_ms, org, project, "user", key, model, tool)
    ) WITH (fillfactor = 50);
    CREATE INDEX ${schema.index}budget_counter_unused_from" ON ${schema.budget_counter} (unused_from_ms);
    CREATE TABLE ${schema.budget_setting} (name ${text} PRIMARY KEY, options text NOT NULL);
    CREATE TABLE ${schema.budget_version} (version bigint NOT NULL);
    INSERT INTO ${schema.budget_version} (version) VALUES (0);
    CREATE TABLE ${schema.threshold_crossing} (
      id ${text} PRIMARY KEY, budget ${text}, level ${text}, threshold float8 NOT NULL, spent_nano bigint NOT NULL,
      limit_nano bigint NOT NULL, start_ms bigint NOT NULL, end_ms bigint NOT NULL, crossed_at_ms bigint NOT NULL
    );
    CREATE INDEX ${schema.index}threshold_crossing_end" ON ${schema.threshold_crossing} (end_ms);
    CREATE TABLE ${schema.alert_delivery} (
      sink ${text}, id ${text} REFERENCES ${schema.threshold_crossing} (id), again_at_ms bigint, attempts integer NOT NULL,
      PRIMARY KEY (sink, id)
    );
    ${postgresValueTables({ table: schema.value_metric, index: schema.index })}`;
}

function checkName(name: unknown, longest: number, option: string): void {
  if (typeof name === 'string' && name.length <= longest && /^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return;
  const shown = typeof name === 'string' ? JSON.stringify(name) : String(name);
  throw new RangeError(`${option} must be 1 to ${longest} letters, digits and _, the first no digit, not ${shown}`);
}
