import { setImmediate } from 'node:timers/promises';
import type { LedgerTables } from '../ledger.ts';
import { type Database, isOfItsData } from './database.ts';
import { type Need, needsOf } from './needs.ts';
import type { Tables } from './tables.ts';

interface Operation {
  readonly need: Need;
  /** Decides, and returns what tells the caller once it is committed. */
  run(tables: LedgerTables): () => void;
  reject(error: unknown): void;
}

// Bounds how long one transaction keeps other processes waiting.
const atOnce = 512;

/** Turns concurrent operations into one transaction, and keeps the failure of one from being the failure of its neighbours. */
export class CommitQueue {
  readonly #database: Database;
  readonly #tables: Tables;
  #waiting: Operation[] = [];
  #flushing: Promise<void> | undefined;

  constructor(database: Database, tables: Tables) {
    this.#database = database;
    this.#tables = tables;
  }

  /** Decides by a function of the tables, within what it says it needs of them. */
  transact<T>(need: Need, body: (tables: LedgerTables) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (tables: LedgerTables) => {
        const value = body(tables);
        return () => resolve(value);
      };
      this.#waiting.push({ need, run, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Resolves once nothing is waiting or under way. */
  async idle(): Promise<void> {
    await this.#flushing;
  }

  async #flush(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        await setImmediate(); // all that the rest of this turn asks for belongs to one transaction
        await this.#commit(this.#waiting.splice(0, atOnce));
      }
    } finally {
      this.#flushing = undefined;
    }
  }

  async #commit(batch: readonly Operation[]): Promise<void> {
    let acknowledge: (() => void)[];
    try {
      const needs = needsOf(batch);
      acknowledge = await this.#database.transact(async (ask) => {
        const image = await this.#tables.image(ask, needs);
        const done = batch.map((operation) => operation.run(image));
        await this.#tables.write(ask, image.changes());
        return done;
      });
    } catch (error) {
      if (batch.length > 1 && isOfItsData(error)) return this.#halves(batch);
      for (const operation of batch) operation.reject(error);
      return;
    }
    for (const done of acknowledge) done();
  }

  /** Nothing was done: whose data is refused fails alone. */
  async #halves(batch: readonly Operation[]): Promise<void> {
    const half = batch.length >> 1;
    await this.#commit(batch.slice(0, half));
    await this.#commit(batch.slice(half));
  }
}
