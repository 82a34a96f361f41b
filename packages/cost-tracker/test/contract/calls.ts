import { type BudgetOptions, type BudgetWindow, readBudgets } from '../../src/budget.ts';
import type { CallScope, Hold, UsageReport, UsageStore } from '../../src/index.ts';
import { parseUsd } from '../../src/money.ts';
import { callDimensions, dimensionsOf } from '../../src/scope.ts';

/** Makes a new ledger; what it answers opens it, every time as another process would, where the ledger outlives a store. */
export type MakeLedger = () => () => UsageStore;

/** What a part of the contract tests: a store, and another one over the same ledger. Both are closed after the test. */
export interface Ledger {
  readonly store: UsageStore;
  readonly other: UsageStore;
}

export const noon = Date.parse('2026-03-15T12:00:00Z');
export const hourMs = 3_600_000;
export const dayMs = 24 * hourMs;
export const always = { from: 0, to: Number.MAX_SAFE_INTEGER };
export const nano = (usd: string) => parseUsd(usd, 'test');
export const scoped = (scope: Parameters<typeof dimensionsOf>[0]) => dimensionsOf(scope, 'test');

export async function windowOf(options: Partial<BudgetOptions> = {}, at = noon): Promise<BudgetWindow> {
  const full: BudgetOptions = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '10', period: 'month', ...options };
  const [budget] = readBudgets([full]).values();
  if (!budget) throw new Error('no budget');
  return budget.windowAt(at);
}

export function call(id: string, usd: string, scope: CallScope = { tenant: 'acme' }, tool = 'search', at = noon) {
  const dimensions = callDimensions(scope, tool);
  return { key: { tenant: dimensions.tenant, id }, dimensions, at, amount: nano(usd) };
}

export const holdOf = (...args: Parameters<typeof call>): Hold => ({ ...call(...args), expiresAt: noon + 1_000 });

export const reportOf = (...args: Parameters<typeof call>): UsageReport => ({
  ...call(...args),
  recordedAt: noon + 1,
  kind: 'tool',
  name: args[3] ?? 'search',
  provider: '',
  servedModel: '',
  usage: {},
  costSource: 'priced',
  revision: 0,
  priceVersion: undefined,
  priceLines: undefined,
  success: true,
  durationMs: undefined,
  traceId: undefined,
  metadata: undefined,
});
