import { StoreError } from './errors.ts';
import { budgetState, release, reserve, saveUsage } from './ledger.ts';
import { checkKeys, checkMethods, checkNumber } from './options.ts';
import { Alerts } from './postgres/alerts.ts';
import { CommitQueue } from './postgres/commit-queue.ts';
import {
  CommitUnknown,
  Database,
  isMissing,
  messageOf,
  type PostgresConnection,
  type PostgresPool,
  statement,
} from './postgres/database.ts';
import { openTables } from './postgres/opening.ts';
import { Reports } from './postgres/reports.ts';
import { checkedSchema, type PostgresSchemaOptions, postgresSchema, type Schema } from './postgres/schema.ts';
import { Settings } from './postgres/settings.ts';
import { Tables } from './postgres/tables.ts';
import { storable } from './postgres/text.ts';
import type { UsageStore } from './store.ts';
import { PostgresValues } from './value/postgres-values.ts';
import type { ValueStore } from './value/value-store.ts';

/** Where a {@link postgresStore} keeps its ledger, and how it goes about it. */
export interface PostgresStoreOptions extends PostgresSchemaOptions {
  /** Whether the tables are made, or brought up to date, at the first use. @defaultValue `true` */
  readonly migrate?: boolean;
  /**
   * How long one statement, the wait for the ledger's lock, or a stop in mid-transaction may take before it is given up, in ms: 100 to
   * 600 000. What may pass is tried three times.
   * @defaultValue `5_000`
   */
  readonly timeoutMs?: number;
}

/**
 * Keeps the ledger in Postgres 14 or later (of the encoding UTF8), for any number of processes. The tables are made at the first use.
 *
 * Everything asked for in one turn of the event loop is one transaction, by one connection and in four round trips; every promise resolves
 * after its commit. Transactions of one ledger take turns, in all processes. Reports take no turn.
 *
 * Where the connection is lost in mid-commit, nobody knows what has become of it: the promise rejects, and asking again under the same
 * key is safe. `close` leaves the pool open.
 *
 * @param pool a `Pool` of `pg`. Listen to its `error` event, and set its `connectionTimeoutMillis`, so that no wait for a connection is
 * endless.
 * @throws RangeError for an option that is unknown or out of range. Using the store rejects with a `StoreError`.
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): UsageStore & ValueStore {
  checkKeys(options, ['schema', 'prefix', 'migrate', 'timeoutMs'], 'postgresStore options');
  const { migrate = true, timeoutMs = 5_000 } = options;
  if (typeof migrate !== 'boolean') throw new RangeError(`postgresStore options.migrate must be true or false, not ${String(migrate)}`);
  const schema = checkedSchema(options, 'postgresStore options');
  const timeout = Math.ceil(checkNumber(timeoutMs, 100, 600_000, 'postgresStore options.timeoutMs'));
  const database = new Database(checkMethods(pool, ['connect'], 'postgresStore pool'), schema.lock, timeout);
  return storeOver(new Ledger(database, schema, migrate), database, schema);
}

function storeOver(ledger: Ledger, database: Database, schema: Schema): UsageStore & ValueStore {
  const queue = new CommitQueue(database, new Tables(schema));
  const reports = new Reports(database, schema);
  const settings = new Settings(database, schema);
  const alerts = new Alerts(database, schema);
  const ask = (text: string, given: unknown[]) => database.ask(statement(text), given);
  const values = new PostgresValues(ask, { table: schema.value_metric, index: schema.index }, storable);
  return {
    reserve: (hold, windows, now, version) =>
      ledger.use(() =>
        queue.transact({ key: hold.key, call: hold, windows, now }, (tables) => reserve(tables, hold, windows, now, version)),
      ),
    saveUsage: (report, windows) =>
      ledger.use(() =>
        queue.transact({ key: report.key, call: report, windows, crosses: true }, (tables) => saveUsage(tables, report, windows)),
      ),
    release: (key) => ledger.use(() => queue.transact({ key }, (tables) => release(tables, key))),
    budgetState: (window, now) =>
      ledger.use(() => queue.transact({ windows: [window], now }, (tables) => budgetState(tables, window, now))),
    getMonthlyTotal: (query) => ledger.use(() => reports.total(query)),
    getUsageSummary: (query) => ledger.use(() => reports.groups(query)),
    readRows: (query, after, limit) => ledger.use(() => reports.page(query, after, limit)),
    putBudget: (name, budget) => ledger.use(() => settings.put(name, budget)),
    readBudgets: () => ledger.use(() => settings.read()),
    claimAlerts: (sink, now, leaseUntil, limit) => ledger.use(() => alerts.claim(sink, now, leaseUntil, limit)),
    endAlert: (sink, id, againAt) => ledger.use(() => alerts.end(sink, id, againAt)),
    saveValues: (rows) => ledger.use(() => values.saveValues(rows)),
    aggregateValues: (query) => ledger.use(() => values.aggregateValues(query)),
    pruneValues: (before, limit) => ledger.use(() => values.pruneValues(before, limit)),
    close: () => ledger.close(),
  };
}

/** A ledger's life: opened at the first use, closed once nothing is under way; and its errors. */
class Ledger {
  readonly #open: () => Promise<void>;
  readonly #name: string;
  readonly #underWay = new Set<Promise<unknown>>();
  #opening: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(database: Database, schema: Schema, migrate: boolean) {
    this.#open = () => openTables(database, schema, migrate);
    this.#name = schema.usage;
  }

  async use<T>(run: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) throw new StoreError('ERR_CLOSED', `the usage ledger ${this.#name} is closed`);
    const used = this.#used(run);
    this.#underWay.add(used);
    try {
      return await used;
    } finally {
      this.#underWay.delete(used);
    }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#underWay).then(() => undefined);
    return this.#closing;
  }

  async #used<T>(run: () => Promise<T>): Promise<T> {
    await this.#opened();
    try {
      return await run();
    } catch (error) {
      if (isMissing(error)) this.#opening = undefined;
      throw this.#failed(error);
    }
  }

  #opened(): Promise<void> {
    this.#opening ??= this.#open().catch((error: unknown) => {
      // The next use tries again: the server may be up by then.
      this.#opening = undefined;
      throw error;
    });
    return this.#opening;
  }

  #failed(cause: unknown): StoreError {
    const unknown =
      cause instanceof CommitUnknown ? ', and whether it was written is not known; asking again under the same key is safe' : '';
    return new StoreError('ERR_STORE_FAILED', `the usage ledger ${this.#name} failed: ${messageOf(cause)}${unknown}`, { cause });
  }
}

export { type PostgresConnection, type PostgresPool, type PostgresSchemaOptions, postgresSchema };
