import { divideHalfEven, formatUsd, type NanoUsd } from '../money.ts';
import { type Billionths, numberOf } from './billionths.ts';
import { type MetricCategory, type MetricDefinition, metricCategories } from './definition.ts';
import { currentOf, type MetricStanding, type OverallHealth, overallHealth, standingOf } from './standing.ts';
import type { TrendPart } from './trend-parts.ts';
import type { ValueGroup } from './value-store.ts';

/** Where all metrics stand. */
export interface ValueSummary {
  /** How many days back the values go that count. */
  readonly periodDays: number;
  /** Whose values count; null for everybody's. */
  readonly projectId: string | null;
  /** Every metric that is defined, by category and name. */
  readonly byCategory: Readonly<Record<MetricCategory, Readonly<Record<string, MetricStanding>>>>;
  /** How they do together. */
  readonly overallHealth: OverallHealth;
}

/** The values of one period. */
export interface TrendPoint {
  /** The day the period begins with, `2026-03-15`; of a month `2026-03`. */
  readonly period: string;
  /** What the values come to, as the definition aggregates them; null without values. */
  readonly value: number | null;
  /** How many values there are. */
  readonly count: number;
}

/** What a trend is measured by. */
export interface TrendDefinition {
  /** What is measured. */
  readonly description: string;
  /** Unit of values and target. */
  readonly unit: string;
  /** What is to be reached. */
  readonly target: number;
}

/** How one metric went. */
export interface ValueTrends {
  /** Name of the metric. */
  readonly metric: string;
  /** What it means. */
  readonly definition: TrendDefinition;
  /** Every period from the first to the present, those without values too. */
  readonly trends: readonly TrendPoint[];
}

/** What the ledger says was paid for what a metric says was reached. */
export interface CostPerOutcome {
  /** Name of the metric. */
  readonly metric: string;
  /** How many days back cost and outcomes go. */
  readonly periodDays: number;
  /** Everything that was spent, a decimal. */
  readonly costUsd: string;
  /** How many values of the metric there are. */
  readonly outcomes: number;
  /** Cost of one of them, a decimal rounded half to even to the nano-dollar; null without any. */
  readonly costPerOutcomeUsd: string | null;
  /** What the values add up to; null without any. */
  readonly total: number | null;
  /** Cost of one unit of that sum, such as of a minute saved; null where there is nothing to divide by, or less than nothing. */
  readonly costPerUnitUsd: string | null;
}

const NANO = 1_000_000_000n;

/** Lays the standings of all metrics out by category. */
export function valueSummary(
  definitions: ReadonlyMap<string, MetricDefinition>,
  groups: readonly ValueGroup[],
  { periodDays, project }: { periodDays: number; project: string },
): ValueSummary {
  const byName = new Map(groups.map((group) => [group.name, group]));
  const standings = [...definitions].map(([name, definition]) => [name, standingOf(definition, byName.get(name))] as const);
  const inCategory = (category: MetricCategory) => Object.fromEntries(standings.filter(([, standing]) => standing.category === category));
  return {
    periodDays,
    projectId: project || null,
    byCategory: Object.fromEntries(metricCategories.map((category) => [category, inCategory(category)])) as ValueSummary['byCategory'],
    overallHealth: overallHealth(standings.map(([, standing]) => standing)),
  };
}

/** Lays the values of a metric out by period. */
export function valueTrends(definition: MetricDefinition, parts: readonly TrendPart[], groups: readonly ValueGroup[]): ValueTrends {
  const byPart = new Map(groups.map((group) => [group.part, group]));
  const { name, description, unit, targetValue } = definition;
  return {
    metric: name,
    definition: { description, unit, target: targetValue },
    trends: parts.map(({ period }, part) => {
      const group = byPart.get(part);
      return { period, value: currentOf(definition, group), count: group?.count ?? 0 };
    }),
  };
}

/** Divides what was spent by what was reached. */
export function costPerOutcome(metric: string, periodDays: number, cost: NanoUsd, group: ValueGroup | undefined): CostPerOutcome {
  return {
    metric,
    periodDays,
    costUsd: formatUsd(cost),
    outcomes: group?.count ?? 0,
    costPerOutcomeUsd: share(cost, group && BigInt(group.count) * NANO),
    total: group ? numberOf(group.sum) : null,
    costPerUnitUsd: share(cost, group?.sum),
  };
}

function share(cost: NanoUsd, amount: Billionths | undefined): string | null {
  if (amount === undefined || amount <= 0n) return null;
  return formatUsd(divideHalfEven({ numerator: cost * NANO, denominator: amount }));
}
