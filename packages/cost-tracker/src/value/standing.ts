import { type Billionths, billionths, numberOf } from './billionths.ts';
import type { MetricCategory, MetricDefinition } from './definition.ts';
import type { ValueGroup } from './value-store.ts';

/** Whether a target is met, and on which side of it a value is that is not good; `no_data` where there is no value. */
export type MetricStatus = 'on_track' | 'below_target' | 'above_target' | 'no_data';

/** Where one metric stands. */
export interface MetricStanding {
  /** What its values come to, as the definition aggregates them; null without values. */
  readonly current: number | null;
  /** What is to be reached. */
  readonly target: number;
  /** Unit of both. */
  readonly unit: string;
  /** Whether the target is met. A value equal to the target meets it, to the billionth. */
  readonly status: MetricStatus;
  /** How many values there are. */
  readonly sampleCount: number;
  /** Category of the metric. */
  readonly category: MetricCategory;
}

/** How many of the metrics that have values are on track. */
export interface OverallHealth {
  /** Percent of them that are on track; null where none has values. */
  readonly score: number | null;
  /** `healthy` from 80 percent, `warning` from 60, else `critical`. */
  readonly status: 'healthy' | 'warning' | 'critical' | 'no_data';
  /** How many are on track. */
  readonly onTrackCount: number;
  /** How many have values. */
  readonly totalCount: number;
}

/** A quotient that is not carried out, so that it is compared exactly. */
interface Aggregate {
  readonly sum: Billionths;
  readonly count: number;
}

const HEALTHY_PERCENT = 80;
const WARNING_PERCENT = 60;

/** Judges a metric by its values. */
export function standingOf(definition: MetricDefinition, group: ValueGroup | undefined): MetricStanding {
  const { targetValue, unit, category } = definition;
  return {
    current: currentOf(definition, group),
    target: targetValue,
    unit,
    status: group ? statusOf(definition, aggregateOf(definition, group)) : 'no_data',
    sampleCount: group?.count ?? 0,
    category,
  };
}

/** What the values come to, as a number; null without values. */
export function currentOf(definition: MetricDefinition, group: ValueGroup | undefined): number | null {
  if (!group) return null;
  const { sum, count } = aggregateOf(definition, group);
  return definition.aggregation === 'p95' ? (group.p95 ?? null) : numberOf(sum, count);
}

function aggregateOf({ aggregation }: MetricDefinition, { sum, count, p95 = 0 }: ValueGroup): Aggregate {
  switch (aggregation) {
    case 'sum':
      return { sum, count: 1 };
    case 'avg':
      return { sum, count };
    case 'count':
      return { sum: billionths(count), count: 1 };
    case 'p95':
      return { sum: billionths(p95), count: 1 };
  }
}

function statusOf({ targetValue, direction }: MetricDefinition, { sum, count }: Aggregate): MetricStatus {
  const target = billionths(targetValue) * BigInt(count);
  if (direction === 'higher_better') return sum >= target ? 'on_track' : 'below_target';
  return sum <= target ? 'on_track' : 'above_target';
}

/** Judges all metrics together. One without values tells nothing and is left out. */
export function overallHealth(standings: readonly MetricStanding[]): OverallHealth {
  const known = standings.filter(({ status }) => status !== 'no_data');
  const onTrackCount = known.filter(({ status }) => status === 'on_track').length;
  const totalCount = known.length;
  if (totalCount === 0) return { score: null, status: 'no_data', onTrackCount, totalCount };
  const score = (onTrackCount * 100) / totalCount;
  return { score, status: healthOf(score), onTrackCount, totalCount };
}

function healthOf(percent: number): 'healthy' | 'warning' | 'critical' {
  if (percent >= HEALTHY_PERCENT) return 'healthy';
  return percent >= WARNING_PERCENT ? 'warning' : 'critical';
}
