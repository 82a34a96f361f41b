import { onlyKnown } from '../options.ts';
import { arithmetic } from './arithmetic.ts';
import { decide, type Names } from './decide.ts';

/** What the table is called and how safely it is kept. */
export interface PostgresSchemaOptions {
  /** The schema of the table and its functions. @defaultValue `'public'` */
  readonly schema?: string;
  /** The table; its functions are named after it. @defaultValue `'tidegate_rate_limit'` */
  readonly table?: string;
  /** Whether the table is logged, so that a crash of the server loses nothing. @defaultValue `false` */
  readonly durable?: boolean;
}

/** A schema whose options were checked. */
export interface Schema extends Names {
  readonly durable: boolean;
  /** The signature of the deciding function, as `to_regprocedure` reads it. */
  readonly signature: string;
}

const parameters = ['float8', 'text[]', 'int', 'text[]', 'float8[]', 'int[]', 'float8[]', 'int[]', 'float8[]', 'text[]'];

/** Checks the options. */
export function checkedSchema(
  owner: string,
  { schema = 'public', table = 'tidegate_rate_limit', durable = false }: PostgresSchemaOptions,
): Schema {
  identifier(`${owner}: schema`, schema);
  identifier(`${owner}: table`, table);
  if (typeof durable !== 'boolean') throw new RangeError(`${owner}: durable must be true or false, not ${String(durable)}`);
  const prefix = `"${schema}"."${table}_v1`; // another version of the functions gets another number
  return { table: `"${schema}"."${table}"`, prefix, durable, signature: `${prefix}"(${parameters.join(', ')})` };
}

/**
 * The SQL that makes the table and the functions of a `postgresStore`, to be run by a role that may create them in the schema. It may
 * be run again, and by several at once; it changes no table that is there.
 *
 * @throws `RangeError` on bad options
 */
export function postgresSchema(options: PostgresSchemaOptions = {}): string {
  onlyKnown('postgresSchema', options, ['schema', 'table', 'durable']);
  return definition(checkedSchema('postgresSchema', options));
}

/** The SQL that makes the table and its functions. Run as one query it is one transaction. */
export function definition({ table, prefix, durable }: Schema): string {
  return `SELECT pg_advisory_xact_lock(hashtextextended('${table}', 0));
CREATE ${durable ? '' : 'UNLOGGED '}TABLE IF NOT EXISTS ${table} (
  key text COLLATE "C" PRIMARY KEY,
  level float8 NOT NULL DEFAULT 0,
  at float8 NOT NULL DEFAULT 0,
  version float8 NOT NULL DEFAULT 0,
  idle_at float8 NOT NULL DEFAULT 0,
  rule text,
  more float8[],
  ids text[]
) WITH (fillfactor = 70);
${arithmetic(prefix)}
${decide({ table, prefix })}
${forget({ table, prefix })}
`;
}

/** The call of the deciding function. */
export function call({ prefix }: Names): string {
  return `SELECT ${prefix}"(${parameters.map((type, i) => `$${i + 1}::${type}`).join(', ')}) AS answer`;
}

/**
 * The function that deletes rows which say nothing any more, of some pages of the table: from `page` on, or from anywhere. It waits for
 * no lock. It answers the page to go on with, and how many rows it deleted.
 */
function forget({ table, prefix }: Names): string {
  return `
CREATE OR REPLACE FUNCTION ${prefix}_forget"(p_now float8, page bigint, OUT next bigint, OUT deleted bigint) LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog AS $tidegate$
DECLARE
  pages bigint := pg_relation_size('${table}'::regclass) / current_setting('block_size')::int;
BEGIN
  IF page IS NULL THEN page := floor(random() * pages); END IF;
  DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${table} WHERE ctid >= format('(%s,0)', page)::tid AND ctid < format('(%s,0)', page + ${pagesAtOnce})::tid
      AND idle_at < coalesce(p_now, date_part('epoch', clock_timestamp()) * 1000000) - ${graceUs} FOR UPDATE SKIP LOCKED));
  GET DIAGNOSTICS deleted = ROW_COUNT;
  next := CASE WHEN page + ${pagesAtOnce} < pages THEN page + ${pagesAtOnce} ELSE 0 END;
END $tidegate$;`;
}

const pagesAtOnce = 16;

// The server's clock may be set back a little: a row is kept for so long after it has passed.
const graceUs = 60_000_000;

function identifier(option: string, name: string): void {
  if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_]{0,39}$/.test(name)) {
    throw new RangeError(`${option} must be a letter or _ and up to 39 letters, digits and _, not '${String(name)}'`);
  }
}
