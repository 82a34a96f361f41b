import { type BudgetLevel, type BudgetState, type BudgetWindow, levelOf } from './budget.ts';
import { formatUsd, type NanoUsd } from './money.ts';
import type { UsageGroup, UsageKind } from './store.ts';

/** Where a budget stands. Amounts are decimals. */
export interface BudgetStatus {
  /** Name of the budget. */
  readonly name: string;
  /** The level its settled spend has reached. */
  readonly level: BudgetLevel;
  /** Settled spend of the period. */
  readonly spentUsd: string;
  /** Held for calls that have not settled. */
  readonly reservedUsd: string;
  /** The budget's limit. */
  readonly limitUsd: string;
  /** What is left of the limit after everything spent and held, at least 0: with little left, choose a cheaper model. */
  readonly headroomUsd: string;
  /** Settled spend as a fraction of the limit: a float for display; `level` is decided exactly. */
  readonly usedRatio: number;
  /** When the period began, ISO 8601. */
  readonly periodStart: string;
  /** When the next period begins and nothing is spent, ISO 8601. */
  readonly resetsAt: string;
}

/** Calls added up. */
export interface UsageTotals {
  /** Number of calls. */
  readonly calls: number;
  /** How many of them failed. */
  readonly failures: number;
  /** What they cost, a decimal. */
  readonly totalUsd: string;
}

/** Calls of one tool, resource or prompt. */
export interface NameTotals extends UsageTotals {
  /** What was called. */
  readonly kind: UsageKind;
  /** Name of the tool, resource or prompt. */
  readonly name: string;
}

/** Calls of one tenant. */
export interface TenantTotals extends UsageTotals {
  /** The tenant; the empty string for calls without one. */
  readonly tenant: string;
}

/** The ledger added up. Every view adds up to the same totals. */
export interface UsageSummary extends UsageTotals {
  /** By what was called, in the order of kind and name. */
  readonly byName: readonly NameTotals[];
  /** By tenant, in the order of names. */
  readonly byTenant: readonly TenantTotals[];
}

/** States a budget for people and programs. */
export function budgetStatus(window: BudgetWindow, { spent, reserved }: BudgetState): BudgetStatus {
  const left = window.limit - spent - reserved;
  return {
    name: window.budget,
    level: levelOf(spent, window.marks),
    spentUsd: formatUsd(spent),
    reservedUsd: formatUsd(reserved),
    limitUsd: formatUsd(window.limit),
    headroomUsd: formatUsd(left > 0n ? left : 0n),
    usedRatio: Number(spent) / Number(window.limit),
    periodStart: new Date(window.start).toISOString(),
    resetsAt: new Date(window.end).toISOString(),
  };
}

/** Adds the groups up by each view. */
export function usageSummary(groups: readonly UsageGroup[]): UsageSummary {
  const byName = groupBy(groups, ({ kind, name }) => JSON.stringify([kind, name])).map(([first, totals]) => ({
    kind: first.kind,
    name: first.name,
    ...totals,
  }));
  const byTenant = groupBy(groups, ({ tenant }) => tenant).map(([first, totals]) => ({ tenant: first.tenant, ...totals }));
  return { ...totalsOf(groups), byName, byTenant };
}

function groupBy(groups: readonly UsageGroup[], keyOf: (group: UsageGroup) => string): [UsageGroup, UsageTotals][] {
  const byKey = new Map<string, [UsageGroup, ...UsageGroup[]]>();
  for (const group of groups) {
    const key = keyOf(group);
    byKey.set(key, [...(byKey.get(key) ?? []), group] as [UsageGroup, ...UsageGroup[]]);
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, members]) => [members[0], totalsOf(members)]);
}

function totalsOf(groups: readonly UsageGroup[]): UsageTotals {
  let [calls, failures, total]: [number, number, NanoUsd] = [0, 0, 0n];
  for (const group of groups) {
    calls += group.calls;
    failures += group.failures;
    total += group.total;
  }
  return { calls, failures, totalUsd: formatUsd(total) };
}
