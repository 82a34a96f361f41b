import type { StoredBudgets } from '../store.ts';
import { type Database, type Statement, statement } from './database.ts';
import type { Schema } from './schema.ts';
import { restored, storable } from './text.ts';

/** The budgets that were set. */
export class Settings {
  readonly #database: Database;
  readonly #read: Statement;
  readonly #put: Statement;
  readonly #delete: Statement;
  readonly #raise: Statement;

  constructor(database: Database, schema: Schema) {
    this.#database = database;
    this.#read = statement(`SELECT json_build_object('version', (SELECT version::text FROM ${schema.budget_version}), 'budgets',
      (SELECT coalesce(json_agg(json_build_object('name', name, 'options', options) ORDER BY name), '[]') FROM ${schema.budget_setting})
    )::text AS answer`);
    this.#put = statement(`INSERT INTO ${schema.budget_setting} (name, options) VALUES ($1, $2)
      ON CONFLICT (name) DO UPDATE SET options = excluded.options`);
    this.#delete = statement(`DELETE FROM ${schema.budget_setting} WHERE name = $1`);
    this.#raise = statement(`UPDATE ${schema.budget_version} SET version = version + 1`);
  }

  async read(): Promise<StoredBudgets> {
    return budgetsIn(await this.#database.ask(this.#read, []));
  }

  /** In a transaction of the ledger, so that no reservation decides by the budgets before and is held after. */
  put(name: string, options: string | undefined): Promise<StoredBudgets> {
    return this.#database.transact(async (ask) => {
      if (options === undefined) await ask(this.#delete, [storable(name)]);
      else await ask(this.#put, [storable(name), storable(options)]);
      await ask(this.#raise, []);
      return budgetsIn(await ask(this.#read, []));
    });
  }
}

function budgetsIn([record]: readonly { answer: string }[]): StoredBudgets {
  const { version, budgets } = JSON.parse(record?.answer ?? '{}') as { version: string; budgets: { name: string; options: string }[] };
  return {
    version: Number(version),
    budgets: budgets.map(({ name, options }) => ({ name: restored(name), options: restored(options) })),
  };
}
