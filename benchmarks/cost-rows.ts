import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CostTracker } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { load, machine } from './machine.ts';
import { record } from './results.ts';

// Fills a ledger with a month of calls, ten million unless told otherwise, and asks for the month by model: `bench:rows [rows]`.

const rows = Number(process.argv[2] ?? 10_000_000);
if (!Number.isSafeInteger(rows) || rows < 1) {
  console.error(`bench:rows: a number of rows, not '${process.argv[2]}'`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'tidegate-rows-'));
const path = join(folder, 'usage.db');
const monthStart = Date.UTC(2026, 9, 1);
const monthMs = 31 * 86_400_000;
const models = ['gpt-5', 'gpt-5-mini', 'claude-sonnet-4-5', 'claude-haiku-4-5', 'gemini-2.5-pro', 'gemini-2.5-flash', 'o3', 'gpt-4o'];
const loadBefore = load();
const tracker = new CostTracker({ store: sqliteStore(path) });
const began = performance.now();
for (let done = 0; done < rows; done += 5_000) {
  await Promise.all(Array.from({ length: Math.min(5_000, rows - done) }, (_, i) => write(done + i)));
  if (done % 500_000 === 0) console.error(`${done} of ${rows} rows, ${Math.round((performance.now() - began) / 1_000)} s`);
}
const seconds = (performance.now() - began) / 1_000;

function write(i: number): Promise<boolean> {
  return tracker.record({
    kind: 'llm',
    model: models[i % models.length] as string,
    provider: 'any',
    dedupeKey: `${i}`,
    at: monthStart + Math.floor((i / rows) * monthMs),
    amountUsd: `0.000${(i % 900) + 100}`,
    usage: { inputTokens: i % 5_000, outputTokens: i % 700 },
    scope: { tenant: `tenant-${i % 40}`, project: `project-${i % 3}`, user: `user-${i % 1_000}` },
  });
}

const questions = {
  'month by model (UTC)': { from: monthStart, to: monthStart + monthMs },
  'month by model (a zone 9 hours ahead)': { from: monthStart + 15 * 3_600_000, to: monthStart + monthMs - 9 * 3_600_000 },
  'month by model, one tenant': { from: monthStart, to: monthStart + monthMs, scope: { tenant: 'tenant-7' } },
};
const answers = [];
for (const [question, options] of Object.entries(questions)) {
  const rounds: number[] = [];
  let calls = 0;
  for (let round = 0; round < 9; round += 1) {
    const start = performance.now();
    calls = (await tracker.summary(options)).byModel.reduce((sum, model) => sum + model.calls, 0);
    rounds.push(Math.round((performance.now() - start) * 100) / 100);
  }
  rounds.sort((a, b) => a - b);
  answers.push({ question, calls, bestMs: rounds[0], medianMs: rounds[4], worstMs: rounds[8] });
}
await tracker.close();
const { size } = statSync(path);
rmSync(folder, { recursive: true });
const result = {
  rows,
  seconds: Math.round(seconds),
  rowsPerSecond: Math.round(rows / seconds),
  megabytes: Math.round(size / 1e6),
  answers,
};
console.log(JSON.stringify(result, null, 2));
await record('cost-rows', { machine: machine(), loadBefore, loadAfter: load(), ...result });
