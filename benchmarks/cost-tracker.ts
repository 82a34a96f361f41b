import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from '@photostructure/sqlite';
import { CostTracker, memoryStore, type UsageStore } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { type Contender, interleave } from './interleave.ts';
import { publish } from './publish.ts';

const folder = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
const atOnce = 512;
const budget = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1000000', period: 'month' } as const;
const call = { kind: 'tool', name: 'search', scope: { tenant: 'acme', user: 'mina' }, amountUsd: '0.000001' } as const;

/** The least that a row and its hold can cost: three prepared statements in one transaction for so many. */
function plainLoop(synchronous: 'NORMAL' | 'FULL', batch: number): Contender['run'] {
  const db = new DatabaseSync(join(folder, `plain-${synchronous}-${batch}.db`));
  db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}`);
  db.exec('CREATE TABLE hold (id TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID');
  db.exec(`CREATE TABLE usage (id TEXT PRIMARY KEY, at INTEGER NOT NULL, tenant TEXT, user TEXT, kind TEXT, name TEXT, amount INTEGER NOT NULL);
    CREATE INDEX usage_at ON usage (at)`);
  const hold = db.prepare('INSERT INTO hold VALUES (?, ?)');
  const drop = db.prepare('DELETE FROM hold WHERE id = ?');
  const row = db.prepare('INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?)');
  const inTransaction = (ids: readonly string[], each: (id: string) => void) => {
    db.exec('BEGIN IMMEDIATE');
    for (const id of ids) each(id);
    db.exec('COMMIT');
  };
  return (calls) => {
    for (let done = 0; done < calls; done += batch) {
      const ids = Array.from({ length: Math.min(batch, calls - done) }, () => crypto.randomUUID());
      inTransaction(ids, (id) => hold.run(id, 1_000));
      inTransaction(ids, (id) => {
        row.run(id, Date.now(), 'acme', 'mina', 'tool', 'search', 1_000);
        drop.run(id);
      });
    }
    return calls;
  };
}

/** So many reserve and settle, `atOnce` of them together. */
function pairs(store: UsageStore, together: number): Contender['run'] {
  const tracker = new CostTracker({ store, budgets: [budget] });
  const pair = async (): Promise<void> => (await tracker.reserve(call)).settle();
  return async (calls) => {
    for (let done = 0; done < calls; done += together) {
      await Promise.all(Array.from({ length: Math.min(together, calls - done) }, pair));
    }
    return calls;
  };
}

const file = (name: string, synchronous: 'normal' | 'full') => sqliteStore(join(folder, `${name}.db`), { synchronous });

const batched: Contender[] = [
  { name: 'plain insert loop', kind: 'limit', run: plainLoop('NORMAL', atOnce) },
  { name: 'tidegate, SQLite', kind: 'ours', run: pairs(file('normal', 'normal'), atOnce) },
  { name: 'tidegate, SQLite, synchronous full', kind: 'ours', run: pairs(file('full', 'full'), atOnce) },
  { name: 'tidegate, memory', kind: 'ours', run: pairs(memoryStore(), atOnce) },
];
const unbatched: Contender[] = [
  { name: 'plain insert loop', kind: 'limit', run: plainLoop('NORMAL', 1) },
  { name: 'plain insert loop, synchronous full', kind: 'limit', run: plainLoop('FULL', 1) },
  { name: 'tidegate, SQLite', kind: 'ours', run: pairs(file('normal-single', 'normal'), 1) },
  { name: 'tidegate, SQLite, synchronous full', kind: 'ours', run: pairs(file('full-single', 'full'), 1) },
];

const asked = new CostTracker({ budgets: [budget] });
await (await asked.reserve(call)).settle();
const status: Contender[] = [
  {
    name: 'an empty async function',
    kind: 'limit',
    run: async (calls) => {
      const nothing = async () => 'ok';
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await nothing()) === 'ok') right += 1;
      return right;
    },
  },
  {
    name: 'tidegate, status',
    kind: 'ours',
    run: async (calls) => {
      let right = 0;
      for (let i = 0; i < calls; i += 1) if ((await asked.status('acme')).level === 'ok') right += 1;
      return right;
    },
  },
];

const pace = { rounds: 9, batches: 4, batchMs: 60 };
const what = (how: string) =>
  `One call reserved and settled ${how}, acknowledged when it survives \`kill -9\`; with \`synchronous full\` also a power cut. The plain loop inserts and deletes a hold and inserts a row, decides nothing, and checks nothing.`;
await publish([
  {
    title: 'Reserve and settle, 512 calls at once',
    what: what('while 511 others are under way'),
    unit: 'ns',
    baseline: 'plain insert loop',
    rows: await interleave(batched, pace),
    targets: [{ row: 'tidegate, SQLite', atMost: 50_000 }],
  },
  {
    title: 'Reserve and settle, one call after the other',
    what: what('before the next one is'),
    unit: 'ns',
    baseline: 'plain insert loop',
    rows: await interleave(unbatched, pace),
    targets: [{ row: 'tidegate, SQLite', atMost: 200_000 }],
  },
  {
    title: 'Where a budget stands, in memory',
    what: 'One awaited `status`, of which nothing has changed since the last.',
    unit: 'ns',
    baseline: 'an empty async function',
    rows: await interleave(status),
    targets: [{ row: 'tidegate, status', atMost: 1_000 }],
  },
]);
rmSync(folder, { recursive: true });
