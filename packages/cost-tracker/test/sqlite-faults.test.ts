import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ManualClock, tempDir, until } from '@tidegate/test-kit';
import { afterAll, afterEach, expect, test } from 'vitest';
import { CostTracker, type UsageStore } from '../src/index.ts';
import { openLedgerFile } from '../src/sqlite/file.ts';
import { sqliteStore } from '../src/sqlite.ts';
import { always, call, dayMs, hourMs, nano, noon, reportOf, scoped, windowOf } from './contract/calls.ts';
import { Crowd, count, expectExact, together } from './crowd.ts';

const folder = tempDir();
const crowd = new Crowd();
const stores: UsageStore[] = [];
let files = 0;
const nextFile = () => join(folder.path, `usage-${files++}.db`);
const open = (file: string) => {
  const store = sqliteStore(file);
  stores.push(store);
  return store;
};

afterEach(async () => {
  crowd.end();
  await Promise.all(stores.splice(0).map((store) => store.close()));
});
afterAll(() => folder.remove());

test('a file that cannot grow fails what is asked and loses nothing, and there is room again when there is', {
  timeout: 90_000,
}, async () => {
  const ledger = nextFile();
  // a limit on the size of files, because a full disk would be everybody's
  const limited = ['bash', '-c', 'ulimit -S -f 400 && exec "$@"', 'bash'];
  const worker = crowd.start({ ledger, name: 'p', tenants: ['acme'], estimateUsd: '0.000001', mode: 'record' }, limited);
  await together(worker);
  const several = () => worker.said('failed').length >= 40;
  await until(several, { what: 'the file to be full', timeoutMs: 60_000 });
  expect(new Set(worker.said('failed'))).toEqual(new Set(['ERR_STORE_FAILED']));
  const before = worker.said('recorded').length;
  expect(before).toBeGreaterThan(0);
  execFileSync('prlimit', [`--pid=${worker.child.pid}`, '--fsize=unlimited']);
  await until(() => worker.said('recorded').length >= before + 100, { what: 'more rows', timeoutMs: 30_000 });
  await worker.kill();
  expectExact(await count(ledger), crowd.said('recorded'));
});

test('an amount that a budget’s sum has no room for fails its own call and no other', async () => {
  const store = open(nextFile());
  const window = await windowOf();
  const most = 2n ** 63n - 1n;
  await store.saveUsage({ ...reportOf('most', '0'), amount: most }, [window]);
  const outcomes = await Promise.allSettled(['0', '1', '0'].map((usd, i) => store.saveUsage(reportOf(`${i}`, usd), [window])));
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_STORE_FAILED' } });
  expect(await store.getMonthlyTotal({ dimensions: scoped({}), ...always })).toBe(most);
  expect((await store.budgetState(window, noon)).spent).toBe(most);
});

test('a budget keeps its line also where more counters are in use than are remembered', async () => {
  const file = nextFile();
  const [store, other] = [open(file), open(file)];
  const scope = { org: 'o', tenant: 'busy', project: 'p', user: 'u', key: 'k', model: 'm' };
  // every budget that a call of this scope can have, opened by another connection
  const names = ['org', 'project', 'user', 'key', 'model'] as const;
  const subsets = Array.from({ length: 2 ** names.length }, (_, bits) => names.filter((_, i) => (bits >> i) % 2 === 1));
  for (const subset of subsets) {
    const named = Object.fromEntries(subset.map((name) => [name, scope[name]]));
    for (const period of ['day', 'week', 'month'] as const) {
      await other.budgetState(await windowOf({ scope: { tenant: 'busy', ...named }, period }), noon);
    }
  }
  const rolling = Array.from({ length: 163 }, (_, i) => windowOf({ scope: { tenant: `idle ${i}` }, period: { rollingMs: hourMs } }));
  await Promise.all((await Promise.all(rolling)).map((window) => store.budgetState(window, noon)));

  // the first of them in the file
  const window = await windowOf({ scope: { tenant: 'busy' }, period: 'week' });
  const admitted: boolean[] = [];
  for (let i = 0; i < 15; i++) {
    const result = await store.reserve({ ...call(`${i}`, '1', scope), expiresAt: noon + 1_000 }, [window], noon, 0);
    admitted.push(result.admitted === true);
  }
  expect(admitted.filter(Boolean)).toHaveLength(11);
  expect(await other.budgetState(window, noon)).toEqual({ spent: 0n, reserved: nano('11') });
});

test('the counters that a rolling budget has left behind are in the file no more', async () => {
  const file = nextFile();
  const store = open(file);
  const at = (instant: number) => windowOf({ period: { rollingMs: hourMs } }, instant);
  await store.saveUsage(reportOf('a', '3'), [await at(noon)]);
  for (let i = 0; i < 5; i++) await store.budgetState(await at(noon + i * dayMs), noon + i * dayMs);
  const connection = await openLedgerFile(file, 'normal');
  expect(connection.prepare('SELECT count(*) AS n FROM budget_counter').get()).toEqual({ n: 61 });
  connection.close();
  expect((await store.budgetState(await at(noon), noon)).spent).toBe(nano('3'));
});

test('a clock that is set forwards and back moves calls to the period it shows, and loses and doubles none', async () => {
  const clock = new ManualClock({ wall: noon });
  const budgets = [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'day' as const }];
  await using tracker = new CostTracker({ store: open(nextFile()), budgets, clock, holdTtlMs: 60_000 });
  const search = { kind: 'tool' as const, name: 'search', scope: { tenant: 'acme' } };
  const hold = await tracker.reserve({ ...search, amountUsd: '0.5' });
  clock.jumpWall(3 * dayMs);
  expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0', reservedUsd: '0' });
  const later = await tracker.reserve({ ...search, amountUsd: '0.7' });
  clock.jumpWall(-3 * dayMs);
  // the hold had expired by the other time; what it paid for is recorded all the same, on the day that it was reserved
  expect(await tracker.status('acme')).toMatchObject({ reservedUsd: '0' });
  await hold.settle();
  expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.5', reservedUsd: '0' });
  clock.jumpWall(-2 * dayMs);
  expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0', reservedUsd: '0' });
  await later.settle();
  clock.jumpWall(5 * dayMs);
  expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.7', reservedUsd: '0' });
  expect((await tracker.summary()).totalUsd).toBe('1.2');
});
