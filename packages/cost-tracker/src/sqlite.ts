import { resolve } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { StoreError } from './errors.ts';
import { budgetState, release, reserve, saveUsage } from './ledger.ts';
import { checkKeys, checkOneOf, checkText } from './options.ts';
import { type Connection, closeLedgerFile, messageOf, openLedgerFile } from './sqlite/file.ts';
import { SqliteTables } from './sqlite/tables.ts';
import type { UsageStore } from './store.ts';
import type { ValueStore } from './value/value-store.ts';

/** How a SQLite ledger writes. */
export interface SqliteStoreOptions {
  /**
   * What an acknowledged write survives: with `'normal'` the death of any process, with `'full'` a power cut too, at the cost of
   * one disk flush a transaction.
   * @defaultValue `'normal'`
   */
  synchronous?: 'normal' | 'full';
}

interface Operation {
  /** Runs inside the transaction and returns what tells the caller once it is committed. */
  run(tables: SqliteTables): () => void;
  reject(error: unknown): void;
}

interface LedgerFile {
  readonly connection: Connection;
  readonly tables: SqliteTables;
}

// Bounds how long one transaction keeps the event loop, and other processes, waiting.
const BATCH = 512;

/**
 * Keeps the ledger in a SQLite file that several processes of one machine may share. The file is opened at the first use.
 *
 * Everything asked for in one turn of the event loop is one transaction, and every promise resolves after its commit.
 *
 * @throws RangeError for an option that is unknown or out of range. Using the store rejects with a `StoreError`.
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): UsageStore & ValueStore {
  checkKeys(options, ['synchronous'], 'sqliteStore options');
  const synchronous = checkOneOf(options.synchronous ?? 'normal', ['normal', 'full'], 'sqliteStore options.synchronous');
  const file = checkText(path, 'sqliteStore path');
  const queue = new CommitQueue(file === ':memory:' ? file : resolve(file), synchronous);
  return {
    reserve: (hold, windows, now, version) => queue.transact((tables) => reserve(tables, hold, windows, now, version)),
    saveUsage: (report, windows) => queue.transact((tables) => saveUsage(tables, report, windows)),
    release: (key) => queue.transact((tables) => release(tables, key)),
    budgetState: (window, now) => queue.transact((tables) => budgetState(tables, window, now)),
    getMonthlyTotal: (query) => queue.read((tables) => tables.total(query)),
    getUsageSummary: (query) => queue.read((tables) => tables.groups(query)),
    readRows: (query, after, limit) => queue.read((tables) => tables.page(query, after, limit)),
    putBudget: (name, budget) => queue.transact((tables) => tables.putBudget(name, budget)),
    readBudgets: () => queue.read((tables) => tables.budgets()),
    claimAlerts: (sink, now, leaseUntil, limit) => queue.transact((tables) => tables.alerts.claim(sink, now, leaseUntil, limit)),
    endAlert: (sink, id, againAt) => queue.transact((tables) => tables.alerts.end(sink, id, againAt)),
    saveValues: (rows) => queue.transact((tables) => tables.values.save(rows)),
    aggregateValues: (query) => queue.read((tables) => tables.values.aggregate(query)),
    pruneValues: (before, limit) => queue.transact((tables) => tables.values.prune(before, limit)),
    close: () => queue.close(),
  };
}

/** Turns concurrent operations into one transaction, and keeps the failure of one from being the failure of its neighbours. */
class CommitQueue {
  readonly #path: string;
  readonly #synchronous: 'normal' | 'full';
  #waiting: Operation[] = [];
  #flushing: Promise<void> | undefined;
  #opening: Promise<LedgerFile> | undefined;
  #closing: Promise<void> | undefined;

  constructor(path: string, synchronous: 'normal' | 'full') {
    this.#path = path;
    this.#synchronous = synchronous;
  }

  transact<T>(body: (tables: SqliteTables) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closing !== undefined) return reject(this.#closedError());
      const run = (tables: SqliteTables) => {
        const value = body(tables);
        return () => resolve(value);
      };
      this.#waiting.push({ run, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Reads a consistent state without the write lock, so that a long report stops no writer. */
  async read<T>(body: (tables: SqliteTables) => T): Promise<T> {
    if (this.#closing !== undefined) throw this.#closedError();
    const { tables } = await this.#open();
    if (this.#closing !== undefined) throw this.#closedError();
    try {
      return body(tables);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    await this.#flushing;
    const file = await this.#opening?.catch(() => undefined);
    if (file) closeLedgerFile(file.connection);
  }

  async #flush(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await setImmediate();
        await this.#commitNext();
      }
    } finally {
      this.#flushing = undefined;
    }
  }

  async #commitNext(): Promise<void> {
    const file = await this.#open().catch((error: unknown) => error);
    const batch = this.#waiting.splice(0, BATCH);
    if (isFile(file)) this.#commit(file, batch);
    else for (const operation of batch) operation.reject(file);
  }

  #open(): Promise<LedgerFile> {
    this.#opening ??= openLedgerFile(this.#path, this.#synchronous)
      .then((connection) => ({ connection, tables: new SqliteTables(connection) }))
      .catch((error: unknown) => {
        // The next use tries again: the folder may have been made since.
        this.#opening = undefined;
        throw error;
      });
    return this.#opening;
  }

  #commit(file: LedgerFile, batch: readonly Operation[]): void {
    let acknowledge: (() => void)[];
    try {
      file.connection.exec('BEGIN IMMEDIATE');
    } catch (error) {
      for (const operation of batch) operation.reject(this.#failed(error));
      return;
    }
    try {
      file.tables.begin();
      acknowledge = batch.map((operation) => operation.run(file.tables));
      file.tables.flush();
      file.connection.exec('COMMIT');
    } catch (error) {
      rollBack(file.connection);
      file.tables.forget();
      const [only, ...others] = batch;
      if (others.length === 0) only?.reject(this.#failed(error));
      else for (const operation of batch) this.#commit(file, [operation]);
      return;
    }
    for (const done of acknowledge) done();
  }

  #failed(cause: unknown): StoreError {
    return new StoreError('ERR_STORE_FAILED', `the usage ledger ${this.#path} failed: ${messageOf(cause)}`, { cause });
  }

  #closedError(): StoreError {
    return new StoreError('ERR_CLOSED', `the usage ledger ${this.#path} is closed`);
  }
}

function isFile(opened: unknown): opened is LedgerFile {
  return typeof opened === 'object' && opened !== null && 'tables' in opened;
}

function rollBack(connection: Connection): void {
  try {
    connection.exec('ROLLBACK');
  } catch {
    // SQLite has rolled back by itself, as it does when the disk is full.
  }
}
