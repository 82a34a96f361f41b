import { type BudgetLevel, type BudgetState, type BudgetWindow, levelOf } from './budget.ts';
import { formatUsd } from './money.ts';
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
  /** When nothing of what is spent now counts any more, ISO 8601: of a calendar period, when the next begins. */
  readonly resetsAt: string;
}

/** Calls added up. */
export interface UsageTotals {
  /** Number of calls. */
  readonly calls: number;
  /** How many of them failed. */
  readonly failures: number;
  /** How many of them have no price: their cost is not known, and not in `totalUsd`. */
  readonly unpriced: number;
  /** Tokens sent. */
  readonly inputTokens: number;
  /** Tokens that were read from a cache, of those sent. */
  readonly cacheReadTokens: number;
  /** Tokens that came back. */
  readonly outputTokens: number;
  /** What they cost, a decimal. */
  readonly totalUsd: string;
}

/** Calls of one model, tool, resource or prompt. */
export interface NameTotals extends UsageTotals {
  /** What was called. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
}

/** Calls of one model. */
export interface ModelTotals extends UsageTotals {
  /** The model, as it was called. */
  readonly model: string;
  /** Who was paid, or the empty string. */
  readonly provider: string;
}

/** Calls of one tenant. */
export interface TenantTotals extends UsageTotals {
  /** The tenant; the empty string for calls without one. */
  readonly tenant: string;
}

/** Calls of one project. */
export interface ProjectTotals extends UsageTotals {
  /** The project; the empty string for calls without one. */
  readonly project: string;
}

/** The ledger added up. Every view but `byModel`, which has the calls of models alone, adds up to the same totals. */
export interface UsageSummary extends UsageTotals {
  /** By what was called, in the order of kind and name. */
  readonly byName: readonly NameTotals[];
  /** Calls of models, in the order of model and provider. */
  readonly byModel: readonly ModelTotals[];
  /** By tenant, in the order of names. */
  readonly byTenant: readonly TenantTotals[];
  /** By project, in the order of names. */
  readonly byProject: readonly ProjectTotals[];
}

/** Puts states of budgets into words; what has not changed since the last time is said again as it was. */
export class StatusBoard {
  readonly #latest = new Map<string, { readonly window: BudgetWindow; readonly state: BudgetState; readonly status: BudgetStatus }>();

  /** The state of a budget for people and programs. */
  status(window: BudgetWindow, state: BudgetState): BudgetStatus {
    const latest = this.#latest.get(window.budget);
    if (latest?.window === window && latest.state.spent === state.spent && latest.state.reserved === state.reserved) return latest.status;
    const status = budgetStatus(window, state);
    this.#latest.set(window.budget, { window, state: { ...state }, status });
    return status;
  }
}

function budgetStatus(window: BudgetWindow, { spent, reserved }: BudgetState): BudgetStatus {
  const left = window.limit - spent - reserved;
  return Object.freeze({
    name: window.budget,
    level: levelOf(spent, window.marks),
    spentUsd: formatUsd(spent),
    reservedUsd: formatUsd(reserved),
    limitUsd: formatUsd(window.limit),
    headroomUsd: formatUsd(left > 0n ? left : 0n),
    usedRatio: Number(spent) / Number(window.limit),
    periodStart: new Date(window.start).toISOString(),
    resetsAt: new Date(window.resetsAt).toISOString(),
  });
}

/** Adds the groups up by each view. */
export function usageSummary(groups: readonly UsageGroup[]): UsageSummary {
  return {
    ...totalsOf(groups),
    byName: viewBy(groups, ({ kind, name }) => ({ kind, name })),
    byModel: viewBy(
      groups.filter(({ kind }) => kind === 'llm'),
      ({ name, provider }) => ({ model: name, provider }),
    ),
    byTenant: viewBy(groups, ({ tenant }) => ({ tenant })),
    byProject: viewBy(groups, ({ project }) => ({ project })),
  };
}

function viewBy<Of extends object>(groups: readonly UsageGroup[], view: (group: UsageGroup) => Of): (Of & UsageTotals)[] {
  const members = new Map<string, UsageGroup[]>();
  for (const group of groups) {
    const key = JSON.stringify(Object.values(view(group)));
    const known = members.get(key);
    if (known) known.push(group);
    else members.set(key, [group]);
  }
  const sorted = [...members].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([, of]) => ({ ...view(of[0] as UsageGroup), ...totalsOf(of) }));
}

const counts = ['calls', 'failures', 'unpriced', 'inputTokens', 'cacheReadTokens', 'outputTokens'] as const;

function totalsOf(groups: readonly UsageGroup[]): UsageTotals {
  const sums = Object.fromEntries(counts.map((name) => [name, groups.reduce((sum, group) => sum + group[name], 0)]));
  const total = groups.reduce((sum, group) => sum + group.total, 0n);
  return { ...(sums as Record<(typeof counts)[number], number>), totalUsd: formatUsd(total) };
}
