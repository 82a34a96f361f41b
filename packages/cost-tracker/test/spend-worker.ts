import { createInterface } from 'node:readline';
import { CostTracker, isBudgetExceededError } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';

/**
 * A process that spends from a shared ledger, all calls at once: `spend-worker.ts <file> <calls> <estimateUsd> <settle|keep|record>`.
 * Prints `ready`, waits for a line on stdin, prints a line for what is acknowledged, and `done`.
 */
const [path = '', calls = '0', estimateUsd = '0', mode = 'settle'] = process.argv.slice(2);

const tracker = new CostTracker({
  store: sqliteStore(path),
  budgets: [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'month' }],
});
const say = (...words: (string | number)[]) => process.stdout.write(`${words.join(' ')}\n`);
tracker.on('budget-threshold', ({ level }) => say('threshold', level));

async function spend(index: number): Promise<void> {
  const id = `${process.pid}-${index}`;
  const call = { kind: 'tool' as const, name: 'search', scope: { tenant: 'acme' }, amountUsd: estimateUsd };
  if (mode === 'record') {
    await tracker.record({ ...call, dedupeKey: id });
    say('recorded', id);
    return;
  }
  try {
    const hold = await tracker.reserve({ ...call, idempotencyKey: id });
    say('reserved', id);
    if (mode === 'keep') return;
    await hold.settle();
    say('settled', id);
  } catch (error) {
    if (!isBudgetExceededError(error)) throw error;
    say('refused', error.limit);
  }
}

await tracker.status('acme');
say('ready');
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'go') break;
}
const count = Number(calls);
if (Number.isFinite(count)) await Promise.all(Array.from({ length: count }, (_, index) => spend(index)));
// Without an end it goes on until it is killed, twenty calls at a time.
for (let index = 0; !Number.isFinite(count); index += 20) {
  await Promise.all(Array.from({ length: 20 }, (_, offset) => spend(index + offset)));
}
await tracker.close();
say('done');
process.stdin.destroy();
