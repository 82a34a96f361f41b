import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { CostTracker, isBudgetExceededError, isStoreError } from '../src/index.ts';
import { postgresStore } from '../src/postgres.ts';
import { sqliteStore } from '../src/sqlite.ts';

/** What one process is to do with a ledger that it shares. */
export interface Orders {
  /** A file, or a URL of Postgres. */
  readonly ledger: string;
  /** What begins the keys of its calls: who starts again under the same name makes the same calls again. */
  readonly name: string;
  /** Each with a budget of 1 USD, and a call for each at once. */
  readonly tenants: readonly string[];
  /** All at once; without end, twenty at a time, where undefined. */
  readonly calls?: number;
  readonly estimateUsd: string;
  /** By tenant; what was reserved where undefined. */
  readonly actualUsd?: Readonly<Record<string, string>>;
  /**
   * `settle` makes each call once, and is content to be refused; `insist` makes a call again until it is done or 100 % is spent; `keep`
   * reserves only; `record` only records, and says when it failed.
   */
  readonly mode: 'settle' | 'insist' | 'keep' | 'record';
}

const orders = JSON.parse(process.argv[2] ?? '') as Orders;
const { store, end } = opened(orders.ledger);
const tracker = new CostTracker({
  store,
  budgets: orders.tenants.map((tenant) => ({ name: tenant, scope: { tenant }, limitUsd: '1', period: 'month' })),
});
const say = (...words: string[]) => process.stdout.write(`${words.join(' ')}\n`);
tracker.on('budget-threshold', ({ budget, level }) => say('threshold', `${budget} ${level}`));

await tracker.status(orders.tenants[0] as string);
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go') break;
}
const all = (from: number, to: number) =>
  Promise.all(orders.tenants.flatMap((tenant) => Array.from({ length: to - from }, (_, i) => call(tenant, `${orders.name}-${from + i}`))));
if (orders.calls !== undefined) await all(0, orders.calls);
for (let from = 0; orders.calls === undefined; from += 20) await all(from, from + 20);
const due = () => store.claimAlerts('mail', Date.now(), Date.now() + 3_600_000, 100);
for (let alerts = await due(); alerts.length > 0; alerts = await due()) {
  for (const { id } of alerts) {
    say('alert', id);
    await store.endAlert('mail', id, undefined);
  }
}
await tracker.close();
await end();
say('done');
process.stdin.destroy();

async function call(tenant: string, id: string): Promise<void> {
  while (!(await made(tenant, id))) await sleep(100 + Math.random() * 200);
}

/** Whether the call need not be made again. */
async function made(tenant: string, id: string): Promise<boolean> {
  try {
    await make(tenant, id);
    return true;
  } catch (error) {
    if (isBudgetExceededError(error)) {
      say('refused', `${tenant} ${id}`);
      return orders.mode !== 'insist' || Number(error.spentUsd) >= 1;
    }
    if (!isStoreError(error) || (orders.mode !== 'insist' && orders.mode !== 'record')) throw error;
    say('failed', error.code);
    return false;
  }
}

async function make(tenant: string, id: string): Promise<void> {
  const asked = { kind: 'tool' as const, name: 'search', scope: { tenant }, amountUsd: orders.estimateUsd };
  if (orders.mode === 'record') {
    await tracker.record({ ...asked, dedupeKey: id });
    say('recorded', `${tenant} ${id}`);
    return;
  }
  const hold = await tracker.reserve({ ...asked, idempotencyKey: id });
  if (orders.mode !== 'insist') say('reserved', `${tenant} ${id}`);
  if (orders.mode === 'keep') return;
  const amountUsd = orders.actualUsd?.[tenant];
  await hold.settle(amountUsd === undefined ? {} : { amountUsd });
  say('settled', `${tenant} ${id}`);
}

function opened(ledger: string) {
  if (!ledger.startsWith('postgres:')) return { store: sqliteStore(ledger), end: async () => {} };
  const pool = new pg.Pool({ connectionString: ledger, max: 2, connectionTimeoutMillis: 10_000 });
  pool.on('error', () => {}); // the server is killed on purpose
  return { store: postgresStore(pool), end: () => pool.end() };
}
