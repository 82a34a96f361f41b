import { StoreError } from '../errors.ts';
import { type Database, messageOf, statement } from './database.ts';
import { definition, newestVersion, type Schema } from './schema.ts';

/** Makes the tables, or brings them up to date, where that is to be done; refuses those of a newer version. */
export async function openTables(database: Database, schema: Schema, migrate: boolean): Promise<void> {
  const found = await versionOf(database, schema).catch((cause: unknown) => {
    throw cannotOpen(schema, messageOf(cause), cause);
  });
  if (found > newestVersion) throw tooNew(schema, found);
  if (found === newestVersion) return;
  const what = found === 0 ? 'are missing' : `have version ${found}, not ${newestVersion}`;
  if (!migrate) throw cannotOpen(schema, `they ${what}. Run the SQL of postgresSchema(), or leave out migrate: false`);
  try {
    await database.script(definition(schema));
  } catch (cause) {
    throw cannotOpen(schema, `they ${what}, and ${messageOf(cause)}. Run the SQL of postgresSchema() as a role that may`, cause);
  }
}

/** 0 where there are no tables. */
async function versionOf(database: Database, schema: Schema): Promise<number> {
  const there = statement('SELECT to_regclass($1)::text AS found');
  const [table] = await database.ask<{ found: string | null }>(there, [schema.schema_version]);
  if (table === undefined || table.found === null) return 0;
  const newest = statement(`SELECT coalesce(max(version), 0)::text AS version FROM ${schema.schema_version}`);
  const [row] = await database.ask<{ version: string }>(newest, []);
  return Number(row?.version);
}

function tooNew(schema: Schema, version: number): StoreError {
  return new StoreError(
    'ERR_STORE_VERSION',
    `the usage ledger ${schema.usage} has schema version ${version}; this version of @tidegate/cost-tracker knows up to ${newestVersion}`,
  );
}

function cannotOpen(schema: Schema, why: string, cause?: unknown): StoreError {
  return new StoreError('ERR_STORE_OPEN', `cannot open the tables of the usage ledger ${schema.usage}: ${why}`, { cause });
}
