import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { StoreError } from '../errors.ts';
import { MIGRATIONS } from './migrations.ts';

/** A prepared statement, as far as the ledger uses one. */
export interface Statement {
  run(...values: SqlValue[]): { changes: number | bigint };
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
  setReadBigInts(enabled: boolean): void;
}

/** A database connection, as far as the ledger uses one. */
export interface Connection {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

/** What SQLite takes and gives. */
export type SqlValue = string | number | bigint | null;

/** A module with Node's SQLite API. */
export interface SqliteDriver {
  DatabaseSync: new (path: string) => Connection;
}

/** Where the driver comes from: Node itself, or the package with the same API. */
export interface DriverSources {
  builtin(): SqliteDriver | undefined;
  fallback(): Promise<SqliteDriver>;
}

const installed: DriverSources = {
  // Not an import: Node 20 has no such module, and bundlers cut the prefix that its name needs.
  builtin: () => process.getBuiltinModule('node:sqlite' as 'node:path') as unknown as SqliteDriver | undefined,
  fallback: async () => {
    try {
      return (await import('@photostructure/sqlite')) as unknown as SqliteDriver;
    } catch (cause) {
      // inside a try, so that a bundler leaves a package alone that is not installed
      throw new Error('@photostructure/sqlite cannot be loaded', { cause });
    }
  },
};

// The wait for another process's lock blocks the event loop; a lock lasts one transaction, and that of a dead process is gone.
const BUSY_TIMEOUT_MS = 2_000;

// For some locks SQLite does not wait at all, the switch to a write-ahead log among them: several processes that make one file meet it.
const OPEN_TIMEOUT_MS = 5_000;
const OPEN_AGAIN_MS = 20;
const SQLITE_BUSY = 5;

/** Opens the file, makes or upgrades its tables, and refuses one that a newer version wrote. */
export async function openLedgerFile(path: string, synchronous: 'normal' | 'full', sources = installed): Promise<Connection> {
  const { DatabaseSync } = await loadDriver(sources);
  const giveUpAt = performance.now() + OPEN_TIMEOUT_MS;
  for (;;) {
    try {
      return openOnce(DatabaseSync, path, synchronous);
    } catch (error) {
      if (error instanceof StoreError) throw error;
      if (!isBusy(error) || performance.now() >= giveUpAt) throw cannotOpen(path, error);
    }
    await sleep(OPEN_AGAIN_MS * (0.5 + Math.random()));
  }
}

function openOnce(DatabaseSync: SqliteDriver['DatabaseSync'], path: string, synchronous: 'normal' | 'full'): Connection {
  const connection = new DatabaseSync(path);
  try {
    connection.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    migrate(connection, path);
    connection.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function cannotOpen(path: string, cause: unknown): StoreError {
  const message = `cannot open the usage ledger ${path}: ${messageOf(cause)} (the folder ${dirname(path)} must exist and be writable)`;
  return new StoreError('ERR_STORE_OPEN', message, { cause });
}

/** Whether another connection has the file locked: the low byte of SQLite's error code, whichever driver tells it. */
function isBusy(error: unknown): boolean {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : undefined;
  return typeof code === 'number' && (code & 0xff) === SQLITE_BUSY;
}

/** Closes, and leaves the whole ledger in the one file: some drivers keep the write-ahead log until they are collected. */
export function closeLedgerFile(connection: Connection): void {
  connection.exec('PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)');
  connection.close();
}

async function loadDriver(sources: DriverSources): Promise<SqliteDriver> {
  const builtin = sources.builtin();
  if (builtin) return builtin;
  try {
    return await sources.fallback();
  } catch (cause) {
    throw new StoreError(
      'ERR_SQLITE_MISSING',
      `Node ${process.version} has no node:sqlite: install its stand-in with 'npm install @photostructure/sqlite'`,
      { cause },
    );
  }
}

function migrate(connection: Connection, path: string): void {
  // Takes the write lock at once: two processes that create the file take turns, and a file that cannot be written fails here.
  connection.exec('BEGIN IMMEDIATE');
  try {
    connection.exec('CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL) STRICT');
    const row = connection.prepare('SELECT coalesce(max(version), 0) AS version FROM schema_version').get();
    upgrade(connection, path, (row as { version: number }).version);
    connection.exec('COMMIT');
  } catch (error) {
    // Not left to close(): a driver may keep the connection, and the lock, until its statements are collected.
    connection.exec('ROLLBACK');
    throw error;
  }
}

function upgrade(connection: Connection, path: string, version: number): void {
  if (version > MIGRATIONS.length) {
    throw new StoreError(
      'ERR_STORE_VERSION',
      `the usage ledger ${path} has schema version ${version}; this version of @tidegate/cost-tracker knows up to ${MIGRATIONS.length}`,
    );
  }
  const note = connection.prepare('INSERT INTO schema_version (version) VALUES (?)');
  MIGRATIONS.slice(version).forEach((sql, index) => {
    connection.exec(sql);
    note.run(version + index + 1);
  });
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
