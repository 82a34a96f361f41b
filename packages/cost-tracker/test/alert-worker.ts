import { createInterface } from 'node:readline';
import { BudgetAlerts, googleChatSink, webhookSink } from '../src/alerts.ts';
import { CostTracker } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';

/**
 * A process that spends from a shared ledger and tells of its budgets: `alert-worker.ts <file> <secret> <webhook url> [chat url]`.
 * Prints `ready`; each line on stdin is `spend <tenant> <usd>` or `close`; prints a line for what is acknowledged, and `done`.
 */
const [path = '', secret = '', hook = '', chat] = process.argv.slice(2);

const tracker = new CostTracker({
  store: sqliteStore(path),
  budgets: ['acme', 'beta', 'gamma'].map((tenant) => ({ name: tenant, scope: { tenant }, limitUsd: '1', period: 'month' as const })),
});
const say = (...words: (string | number)[]) => process.stdout.write(`${words.join(' ')}\n`);
const alerts = new BudgetAlerts({
  tracker,
  sinks: [webhookSink({ url: hook, secret }), ...(chat === undefined ? [] : [googleChatSink({ url: chat })])],
  ...{ pollMs: 100, timeoutMs: 1_000, initialDelayMs: 10, maxDelayMs: 100 },
});
alerts.on('delivered', ({ sink, alert }) => say('delivered', sink, alert.budget, alert.level));
alerts.on('store-failed', ({ error }) => say('store-failed', String(error)));

await tracker.status('acme');
say('ready');
let calls = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [command, tenant = '', amountUsd = '0'] = line.split(' ');
  if (command === 'close') break;
  calls += 1;
  await tracker.record({ kind: 'tool', name: 'search', scope: { tenant }, amountUsd, dedupeKey: `${process.pid}-${calls}` });
  say('spent', tenant, amountUsd);
}
await alerts.close();
await tracker.close();
say('done');
process.stdin.destroy();
