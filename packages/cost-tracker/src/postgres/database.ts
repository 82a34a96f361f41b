import { createHash } from 'node:crypto';

/** A connection of a pool, as a `PoolClient` of `pg` is. */
export interface PostgresConnection {
  /** Runs a statement, or without values several; fails where an answer takes longer than `query_timeout` ms. */
  query(statement: { name?: string; text: string; values?: unknown[]; query_timeout: number }): Promise<{
    /** What it answered. */
    rows: unknown[];
  }>;
  /** Listens for the loss of the connection while nothing is asked of it. */
  on(event: 'error', listener: (error: Error) => void): unknown;
  /** Stops listening. */
  off(event: 'error', listener: (error: Error) => void): unknown;
  /** Gives the connection back to the pool, or with `true` ends it. */
  release(destroy?: boolean): void;
}

/** What a `postgresStore` asks: a `Pool` of `pg`, or what lends connections as it does. */
export interface PostgresPool {
  /** Lends a connection. */
  connect(): Promise<PostgresConnection>;
}

/** A statement with parameters, planned once a connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Runs a statement and answers its rows. */
export type Ask = <T>(statement: Statement, values: unknown[]) => Promise<T[]>;

/** The connection was lost while a transaction was being committed: it may be there, or not. */
export class CommitUnknown extends Error {}

/** Names a statement by its text, so that versions that differ can share the connections of a pooler. */
export function statement(text: string): Statement {
  return { name: `tidegate-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`, text };
}

const tries = 3;
const readCommitted = 'BEGIN ISOLATION LEVEL READ COMMITTED';

/** Runs statements and transactions over the connections of a pool. */
export class Database {
  readonly #pool: PostgresPool;
  readonly #begin: string;
  readonly #lock: string;
  readonly #queryTimeoutMs: number;
  #named = true;

  constructor(pool: PostgresPool, lock: string, timeoutMs: number) {
    this.#pool = pool;
    // the server gives up first, so that its error says why
    this.#queryTimeoutMs = timeoutMs + 1_000;
    // Read committed whatever the default, so that every statement sees what was committed before the lock was got. Compiling a
    // statement takes longer than running it.
    this.#begin = `${readCommitted}; SET LOCAL jit = off; SET LOCAL idle_in_transaction_session_timeout = ${timeoutMs};
      SET LOCAL lock_timeout = ${timeoutMs}; SET LOCAL statement_timeout = ${timeoutMs}`;
    // the wait for the lock has its own limit
    this.#lock = `${this.#begin}; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(${lock}); SET LOCAL statement_timeout = ${timeoutMs}`;
  }

  /** Runs a statement by itself. It must be one that may be run twice. */
  ask<T>(asked: Statement, values: unknown[]): Promise<T[]> {
    return this.#again(() => this.#lent((connection) => this.#transaction(connection, this.#begin, (ask) => ask<T>(asked, values))));
  }

  /** Runs a text without parameters as one transaction. It must be one that may be run twice. */
  async script(text: string): Promise<void> {
    const statement = { text: `${readCommitted}; ${text}; COMMIT`, query_timeout: this.#queryTimeoutMs };
    await this.#again(() => this.#lent((connection) => connection.query(statement)));
  }

  /**
   * Runs `body` in a transaction that no other of the ledger runs beside. It may be run again, where the one before came to nothing for
   * a reason that may pass.
   */
  transact<T>(body: (ask: Ask) => Promise<T>): Promise<T> {
    return this.#again(() => this.#lent((connection) => this.#transaction(connection, this.#lock, body)));
  }

  async #again<T>(run: () => Promise<T>): Promise<T> {
    for (let left = tries - 1; ; left -= 1) {
      try {
        return await run();
      } catch (error) {
        if (isUnprepared(error)) this.#named = false; // a pooler gives each transaction another connection
        if (left === 0 || !mayPass(error)) throw error;
      }
    }
  }

  async #lent<T>(use: (connection: PostgresConnection) => Promise<T>): Promise<T> {
    const connection = await this.#pool.connect().catch((cause: unknown) => {
      throw new NotConnected(messageOf(cause), { cause });
    });
    // without a listener the loss would end the process
    connection.on('error', ignore);
    let destroy = true;
    try {
      const value = await use(connection);
      destroy = false;
      return value;
    } catch (error) {
      destroy = isLost(error) || !(await rolledBack(connection, this.#queryTimeoutMs));
      throw error;
    } finally {
      connection.release(destroy);
      connection.off('error', ignore);
    }
  }

  async #transaction<T>(connection: PostgresConnection, begin: string, body: (ask: Ask) => Promise<T>): Promise<T> {
    const query_timeout = this.#queryTimeoutMs;
    await connection.query({ text: begin, query_timeout });
    const value = await body((asked, values) => this.#run(connection, asked, values));
    try {
      await connection.query({ text: 'COMMIT', query_timeout });
    } catch (error) {
      throw isLost(error) ? new CommitUnknown(messageOf(error), { cause: error }) : error;
    }
    return value;
  }

  async #run<T>(connection: PostgresConnection, { name, text }: Statement, values: unknown[]): Promise<T[]> {
    const query_timeout = this.#queryTimeoutMs;
    const { rows } = await connection.query({ ...(this.#named ? { name } : {}), text, values, query_timeout });
    return rows as T[];
  }
}

/** No connection was to be had. */
class NotConnected extends Error {}

/** Whether it is what was given or found that the database refuses, so that another transaction may pass. */
export function isOfItsData(error: unknown): boolean {
  return /^(?:22|23)/.test(codeOf(error));
}

/** Whether something that a statement needs is not there: somebody has dropped it. */
export function isMissing(error: unknown): boolean {
  return ['42P01', '42703', '3F000'].includes(codeOf(error));
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

// serialization failure, deadlock, lock not available
const passing = ['40001', '40P01', '55P03'];
// the server goes down, is not up yet, or has ended this connection
const ending = ['57P01', '57P02', '57P03', '57P05', '25P03', '25P04'];

function mayPass(error: unknown): boolean {
  if (error instanceof CommitUnknown || error instanceof NotConnected || isTimeout(error)) return false;
  return passing.includes(codeOf(error)) || isUnprepared(error) || isLost(error);
}

/** Whether the connection is of no use any more: no error that the server reports of a statement. */
function isLost(error: unknown): boolean {
  if (error instanceof CommitUnknown || isTimeout(error)) return true;
  const code = codeOf(error);
  return code === '' || code.startsWith('08') || ending.includes(code);
}

/** Whether the driver stopped waiting for an answer. */
function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Query read timeout';
}

/** A prepared statement that is not there, or is there already. */
function isUnprepared(error: unknown): boolean {
  return ['26000', '42P05'].includes(codeOf(error));
}

/** What the server calls an error; empty for what others throw, whose codes are no such (`EPIPE`). */
function codeOf(error: unknown): string {
  const { code, severity } = (typeof error === 'object' && error !== null ? error : {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && typeof severity === 'string' ? code : '';
}

async function rolledBack(connection: PostgresConnection, query_timeout: number): Promise<boolean> {
  try {
    await connection.query({ text: 'ROLLBACK', query_timeout });
    return true;
  } catch {
    return false;
  }
}

function ignore(): void {}
