import { join } from 'node:path';
import { chaosSeed, type ManagedServer, requireServer, seededRandom, startPostgres, tempDir, until } from '@tidegate/test-kit';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Crowd, count, expectExact, together } from './crowd.ts';
import type { Orders } from './spend-worker.ts';

const folder = tempDir();
const crowd = new Crowd();
const servers: ManagedServer[] = [];
let files = 0;
const nextFile = () => join(folder.path, `shared-${files++}.db`);
const acme = { tenants: ['acme'], estimateUsd: '0.004' };

afterEach(async () => {
  crowd.end();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});
afterAll(() => folder.remove());

// A long run has 500 calls a process and budget, each of 0.2 % of the budget; a short one a fifth of them, each five times as large.
const full = Number(process.env['TIDEGATE_RUNS'] ?? 1) >= 100;
const calls = full ? 500 : 100;
const permille = full ? 2 : 10;
const processes = 8;
const tenants = ['half', 'whole'];
const orders = (ledger: string, n: number): Orders => ({
  ...{ ledger, name: `p${n}`, tenants, calls, mode: 'insist', estimateUsd: `${permille / 1_000}` },
  actualUsd: { half: `${permille / 2_000}`, whole: `${permille / 1_000}` },
});

/**
 * Eight processes spend from two budgets, with faults at moments that the seed chooses, by how much was settled. Rows are never negative
 * here, so that what is settled at the end is the most that it ever was.
 */
async function spendAll(ledger: string, seed: number, harm: () => Promise<void> = async () => {}): Promise<void> {
  const random = seededRandom(seed);
  const line = 1_000 / permille; // calls that make 100 % of the budget whose calls cost all of their estimate
  const moments = Array.from({ length: 3 }, () => Math.ceil((0.05 + 0.75 * random()) * line)).sort((a, b) => a - b);
  const killed = Math.floor(random() * processes);
  const alive = Array.from({ length: processes }, (_, n) => crowd.start(orders(ledger, n)));
  await together(...alive);
  for (const [i, settled] of moments.entries()) {
    await until(() => crowd.said('settled').length >= settled, { what: `${settled} settled calls`, timeoutMs: 60_000 });
    if (i === 1) {
      await harm();
      continue;
    }
    const n = (killed + i) % processes;
    await alive[n]?.kill();
    const again = crowd.start(orders(ledger, n));
    alive[n] = again;
    void again.ready().then(() => again.go());
  }
  await Promise.all(alive.map((worker) => worker.done()));

  const counted = await count(ledger);
  expect(counted.rows.map(({ tenant }) => tenant)).toEqual(tenants);
  for (const { tenant, n, nano } of counted.rows) {
    expect(nano).toBe(n * permille * (tenant === 'half' ? 500_000 : 1_000_000));
    expect(nano).toBeLessThanOrEqual(1_100_000_000);
    expect(nano).toBeGreaterThanOrEqual(950_000_000);
  }
  expect(counted.holds).toEqual({ n: 0, nano: 0 });
  expectExact(counted, crowd.said('settled'));
  // each threshold waits once, and is told to one of the processes that are left at the end
  expect(crowd.said('alert').toSorted()).toEqual(counted.crossings);
  const blocked = counted.rows.filter(({ nano }) => nano >= 1_100_000_000).length;
  expect(counted.crossings).toHaveLength(4 + blocked);
}

const title = `eight processes spend two budgets up to their lines and never past them, whoever is killed (CHAOS_SEED=${chaosSeed})`;

test(`SQLite: ${title}`, { timeout: 300_000 }, async () => {
  await spendAll(nextFile(), chaosSeed);
});

test.runIf(requireServer('postgres'))(`Postgres: ${title}, the server too`, { timeout: 300_000 }, async () => {
  const server = await startPostgres();
  servers.push(server);
  await spendAll(server.url, chaosSeed, async () => {
    await server.kill();
    await server.restart();
  });
});

test('two processes with 200 calls each fill one budget to its line exactly; each threshold is told once among them', async () => {
  const ledger = nextFile();
  const pair = [0, 1].map((n) => crowd.start({ ...acme, ledger, name: `p${n}`, calls: 200, mode: 'settle' }));
  await together(...pair);
  await Promise.all(pair.map((worker) => worker.done()));
  const counted = await count(ledger);
  // 275 × 0.004 = 1.1, the blocked threshold of a limit of 1.
  expect(counted).toMatchObject({ rows: [{ n: 275, nano: 1_100_000_000 }], holds: { n: 0, nano: 0 } });
  expectExact(counted, crowd.said('settled'));
  expect(crowd.said('settled')).toHaveLength(275);
  expect(crowd.said('refused')).toHaveLength(125);
  expect(crowd.said('threshold').toSorted()).toEqual(['acme blocked', 'acme critical', 'acme warning']);

  const restarted = crowd.start({ ...acme, ledger, name: 'again', calls: 1, mode: 'record' });
  await together(restarted);
  await restarted.done();
  expect(restarted.said('threshold')).toEqual([]);
});

test('holds of a process that died count until they expire, and never let the others past the line', async () => {
  const ledger = nextFile();
  const keeper = crowd.start({ ...acme, ledger, name: 'keeper', calls: 50, mode: 'keep' });
  await together(keeper);
  await until(() => keeper.said('reserved').length === 50, { what: 'the holds to be acknowledged', timeoutMs: 20_000 });
  await keeper.kill();

  const pair = [0, 1].map((n) => crowd.start({ ...acme, ledger, name: `p${n}`, calls: 200, mode: 'settle' }));
  await together(...pair);
  await Promise.all(pair.map((worker) => worker.done()));
  expect(await count(ledger)).toMatchObject({
    rows: [{ n: 225 }],
    holds: { n: 50, nano: 200_000_000 },
    counters: [{ spent: 900_000_000, reserved: 200_000_000 }],
  });
});

test(`kill -9 at any moment loses no acknowledged row and counts none twice (CHAOS_SEED=${chaosSeed})`, { timeout: 120_000 }, async () => {
  const ledger = nextFile();
  const random = seededRandom(chaosSeed);
  const recording = (n: number): Orders => ({ ledger, name: `p${n}`, tenants: ['acme'], estimateUsd: '0.000001', mode: 'record' });
  // the second round makes the calls of the first again, as who does not know what became of them does
  for (const rows of [1, Math.ceil(400 + 800 * random())]) {
    const pair = [crowd.start(recording(0)), crowd.start(recording(1))];
    await together(...pair);
    for (const worker of pair) {
      await until(() => worker.said('recorded').length >= rows, { what: `${rows} acknowledged rows`, timeoutMs: 30_000 });
      await worker.kill();
    }
  }
  const counted = await count(ledger);
  expectExact(counted, crowd.said('recorded'));
  expect(crowd.said('failed')).toEqual([]);
  expect(counted.rows.map(({ n, nano }) => nano - n * 1_000)).toEqual([0]);
});
