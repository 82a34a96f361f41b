import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ManualClock, tempDir } from '@tidegate/test-kit';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { CostTracker, isStoreError, type ReserveOptions } from '../src/index.ts';
import { type Connection, type DriverSources, openLedgerFile, type SqliteDriver } from '../src/sqlite/file.ts';
import { type SqliteStoreOptions, sqliteStore } from '../src/sqlite.ts';
import { ledgerContract } from './ledger-contract.ts';

const folder = tempDir();
afterAll(() => folder.remove());

let files = 0;
const nextFile = () => join(folder.path, `usage-${files++}.db`);

const inFile = (options?: SqliteStoreOptions) => () => {
  const file = nextFile();
  return () => sqliteStore(file, options);
};
const inMemory = () => {
  const store = sqliteStore(':memory:');
  return () => store;
};
ledgerContract('sqliteStore', inFile(), 10);
ledgerContract("sqliteStore synchronous 'full'", inFile({ synchronous: 'full' }), 1);
ledgerContract('sqliteStore in memory', inMemory, 10);

const search: ReserveOptions = { kind: 'tool', name: 'search', scope: { tenant: 'acme' }, amountUsd: '0.25' };
const budgets = [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'month' as const }];
const clock = new ManualClock({ wall: Date.parse('2026-03-15T12:00:00Z') });
const trackerOn = (file: string) => new CostTracker({ store: sqliteStore(file), budgets, clock });

/** What a tracker on this file is told when it asks for a budget. */
async function failureOf(file: string): Promise<{ code: string; message: string }> {
  const tracker = trackerOn(file);
  const error = await tracker.status('acme').catch((thrown: unknown) => thrown);
  await tracker.close();
  if (isStoreError(error)) return { code: error.code, message: error.message };
  throw new Error(`expected a store error, got ${String(error)}`);
}

/** Runs as a user without rights, because root may write what is read-only. */
async function withoutRights<T>(run: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return run();
  const nobody = 65_534;
  process.seteuid?.(nobody);
  try {
    return await run();
  } finally {
    process.seteuid?.(0);
  }
}

async function withConnection<T>(file: string, use: (connection: Connection) => T | Promise<T>): Promise<T> {
  const connection = await openLedgerFile(file, 'normal');
  try {
    return await use(connection);
  } finally {
    connection.close();
  }
}

describe('a ledger file', () => {
  test('outlives its process: spend, holds and crossed thresholds are there again', async () => {
    const file = nextFile();
    const first = trackerOn(file);
    const told: string[] = [];
    first.on('budget-threshold', ({ level }) => told.push(level));
    await first.record({ ...search, amountUsd: '0.95', dedupeKey: 'a' });
    await first.reserve({ ...search, amountUsd: '0.1' });
    await first.close();

    const second = trackerOn(file);
    second.on('budget-threshold', ({ level }) => told.push(level));
    expect(await second.status('acme')).toMatchObject({ spentUsd: '0.95', reservedUsd: '0.1', level: 'warning' });
    expect(await second.record({ ...search, dedupeKey: 'a' })).toBe(false);
    await second.record({ ...search, amountUsd: '0.1', dedupeKey: 'b' });
    await second.close();
    expect(told).toEqual(['warning', 'critical']);
  });

  test('is opened at the first use, and not before', async () => {
    const file = join(folder.path, 'later', 'usage.db');
    const tracker = trackerOn(file);
    await expect(tracker.status('acme')).rejects.toMatchObject({ code: 'ERR_STORE_OPEN' });
    mkdirSync(join(folder.path, 'later'));
    expect(await tracker.status('acme')).toMatchObject({ level: 'ok' });
    await tracker.close();
  });

  test('holds everything by itself once it is closed', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.record({ ...search, dedupeKey: 'a' });
    await tracker.close();
    const copy = nextFile();
    copyFileSync(file, copy);
    const copied = trackerOn(copy);
    expect((await copied.status('acme')).spentUsd).toBe('0.25');
    await copied.close();
  });

  test('that nobody used can be closed', async () => {
    await trackerOn(join(folder.path, 'never', 'usage.db')).close();
  });

  test('refuses to change or delete a row', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.record({ ...search, dedupeKey: 'a', metadata: { note: 'kept' }, durationMs: 1.5 });
    await tracker.close();
    await withConnection(file, (connection) => {
      expect(() => connection.exec('UPDATE usage SET amount_nano = 0')).toThrow('usage is append-only');
      expect(() => connection.exec('DELETE FROM usage')).toThrow('usage is append-only');
      expect(connection.prepare('SELECT amount_nano, metadata, duration_ms FROM usage').get()).toEqual({
        amount_nano: 250_000_000,
        metadata: '{"note":"kept"}',
        duration_ms: 1.5,
      });
    });
  });

  test.each([
    ['normal', 1],
    ['full', 2],
  ] as const)('is written ahead with synchronous = %s', async (synchronous, level) => {
    const connection = await openLedgerFile(nextFile(), synchronous);
    expect(connection.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'wal' });
    expect(connection.prepare('PRAGMA synchronous').get()).toEqual({ synchronous: level });
    connection.close();
  });
});

describe('one clear error names the file', () => {
  test('when its folder does not exist', async () => {
    const file = join(folder.path, 'missing', 'usage.db');
    const { code, message } = await failureOf(file);
    expect(code).toBe('ERR_STORE_OPEN');
    expect(message).toContain(`cannot open the usage ledger ${file}: `);
    expect(message).toContain(`(the folder ${join(folder.path, 'missing')} must exist and be writable)`);
  });

  test('when it is no database', async () => {
    const file = nextFile();
    writeFileSync(file, 'this is a text file, long enough to be read as a header of a hundred bytes or more. '.repeat(4));
    expect(await failureOf(file)).toMatchObject({ code: 'ERR_STORE_OPEN', message: expect.stringContaining(file) });
  });

  test('when it is a folder', async () => {
    const file = nextFile();
    mkdirSync(file);
    expect(await failureOf(file)).toMatchObject({ code: 'ERR_STORE_OPEN', message: expect.stringContaining(file) });
  });

  test('when it, or its folder, cannot be written', async () => {
    const folderOfOthers = join(folder.path, 'read-only');
    mkdirSync(folderOfOthers);
    const file = join(folderOfOthers, 'usage.db');
    await withConnection(file, () => undefined);
    chmodSync(folder.path, 0o755);
    chmodSync(file, 0o444);
    chmodSync(folderOfOthers, 0o555);
    const readOnly = await withoutRights(() => failureOf(file));
    const noNewFile = await withoutRights(() => failureOf(join(folderOfOthers, 'new.db')));
    chmodSync(folderOfOthers, 0o755);
    expect(readOnly).toMatchObject({ code: 'ERR_STORE_OPEN', message: expect.stringContaining(file) });
    expect(noNewFile).toMatchObject({ code: 'ERR_STORE_OPEN', message: expect.stringContaining(join(folderOfOthers, 'new.db')) });
  });

  test('when a newer version wrote it, and leaves it as it is', async () => {
    const file = nextFile();
    await withConnection(file, (connection) => connection.exec('INSERT INTO schema_version (version) VALUES (2)'));
    expect(await failureOf(file)).toEqual({
      code: 'ERR_STORE_VERSION',
      message: `the usage ledger ${file} has schema version 2; this version of @tidegate/cost-tracker knows up to 1`,
    });
    // The refusal has left no lock behind.
    await expect(openLedgerFile(file, 'normal')).rejects.toMatchObject({ code: 'ERR_STORE_VERSION' });
  });

  test('when a write fails, and only for the call whose write it was', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.status('acme');
    await withConnection(file, (connection) =>
      connection.exec(`CREATE TRIGGER bad BEFORE INSERT ON usage WHEN NEW.dedupe_key = 'bad' BEGIN SELECT RAISE(ABORT, 'no room'); END`),
    );
    const outcomes = await Promise.allSettled(['a', 'bad', 'b'].map((dedupeKey) => tracker.record({ ...search, dedupeKey })));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_STORE_FAILED', message: `the usage ledger ${file} failed: no room` } });
    expect((await tracker.status('acme')).spentUsd).toBe('0.5');
    await tracker.close();
  });

  test('when another process keeps it locked, and goes on when the lock is gone', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.status('acme');
    await withConnection(file, async (connection) => {
      connection.exec('BEGIN IMMEDIATE');
      const outcomes = await Promise.allSettled(['a', 'b'].map((dedupeKey) => tracker.record({ ...search, dedupeKey })));
      expect(outcomes.map((each) => each.status === 'rejected' && each.reason.code)).toEqual(['ERR_STORE_FAILED', 'ERR_STORE_FAILED']);
      connection.exec('COMMIT');
    });
    expect(await tracker.record({ ...search, dedupeKey: 'a' })).toBe(true);
    await tracker.close();
  });

  test('waits its turn to open, also where SQLite itself would not wait', async () => {
    const file = nextFile();
    await withConnection(file, async (reader) => {
      reader.exec('PRAGMA journal_mode = DELETE; BEGIN');
      reader.prepare('SELECT count(*) FROM usage').get();
      const tracker = trackerOn(file);
      const recorded = tracker.record({ ...search, dedupeKey: 'a' });
      await new Promise((resolve) => setTimeout(resolve, 100));
      reader.exec('COMMIT');
      expect(await recorded).toBe(true);
      await tracker.close();
    });
  });

  test('when a report fails', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.status('acme');
    await withConnection(file, (connection) => connection.exec('ALTER TABLE usage RENAME TO moved'));
    await expect(tracker.summary()).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' });
    await tracker.close();
  });
});

describe('calls of one turn', () => {
  /** Commits in the write-ahead log, by its format (https://www.sqlite.org/fileformat2.html#the_write_ahead_log). */
  function commitsIn(file: string): number {
    const log = readFileSync(`${file}-wal`);
    const frame = 24 + log.readUInt32BE(8);
    let commits = 0;
    for (let at = 32; at + frame <= log.length; at += frame) {
      const ofThisLog = log.readUInt32BE(at + 8) === log.readUInt32BE(16);
      if (ofThisLog && log.readUInt32BE(at + 4) !== 0) commits++;
    }
    return commits;
  }

  async function transactionsOf(run: (tracker: CostTracker) => Promise<unknown>): Promise<number> {
    const file = nextFile();
    const tracker = trackerOn(file);
    await tracker.status('acme');
    const before = commitsIn(file);
    await run(tracker);
    const after = commitsIn(file);
    await tracker.close();
    return after - before;
  }

  test('share one transaction', async () => {
    const record = async (tracker: CostTracker, index: number) => {
      // Not all at the same depth of promises, as calls of different requests are not.
      for (let depth = index % 10; depth > 0; depth--) await null;
      await tracker.record({ ...search, amountUsd: '0.001', dedupeKey: `${index}` });
    };
    const records = (tracker: CostTracker) => Promise.all(Array.from({ length: 100 }, (_, index) => record(tracker, index)));
    expect(await transactionsOf(records)).toBe(1);
    const oneByOne = async (tracker: CostTracker) => {
      for (const index of [0, 1, 2]) await record(tracker, index);
    };
    expect(await transactionsOf(oneByOne)).toBe(3);
  });

  test('are written also while a test runner fakes the timers', async () => {
    vi.useFakeTimers();
    try {
      const tracker = trackerOn(nextFile());
      expect(await tracker.record({ ...search, dedupeKey: 'a' })).toBe(true);
      await tracker.close();
    } finally {
      vi.useRealTimers();
    }
  });

  test('are written when the store is closed in the same turn', async () => {
    const file = nextFile();
    const tracker = trackerOn(file);
    const recorded = tracker.record({ ...search, dedupeKey: 'a' });
    await tracker.status('acme');
    await Promise.all([recorded, tracker.close()]);
    const reopened = trackerOn(file);
    expect((await reopened.status('acme')).spentUsd).toBe('0.25');
    await reopened.close();
  });
});

describe('the driver', () => {
  const nothing: DriverSources = { builtin: () => undefined, fallback: () => Promise.reject(new Error('no such package')) };

  test('is Node’s own where Node has one, else the package with the same API', async () => {
    const real = (await import('@photostructure/sqlite')) as unknown as SqliteDriver;
    const asked: string[] = [];
    const spy = (name: string) => {
      asked.push(name);
      return real;
    };
    (await openLedgerFile(nextFile(), 'normal', { ...nothing, builtin: () => spy('builtin') })).close();
    (await openLedgerFile(nextFile(), 'normal', { ...nothing, fallback: async () => spy('fallback') })).close();
    expect(asked).toEqual(['builtin', 'fallback']);
  });

  test('is asked for by name when there is none', async () => {
    await expect(openLedgerFile(nextFile(), 'normal', nothing)).rejects.toMatchObject({
      code: 'ERR_SQLITE_MISSING',
      message: `Node ${process.version} has no node:sqlite: install its stand-in with 'npm install @photostructure/sqlite'`,
    });
  });
});
