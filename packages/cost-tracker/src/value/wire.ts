import { type BudgetScope, type Dimension, dimensionsOf } from '../scope.ts';
import { type Codec, finite, instant, listOf, mapOf, nullOr, object, oneOf, optional, recordOf, required, text, whole } from './codec.ts';
import { type MetricCategory, type MetricDefinition, metricCategories } from './definition.ts';
import type { MetricRecord } from './metric-record.ts';
import type { MetricStanding, OverallHealth } from './standing.ts';
import { dimensionColumns } from './value-columns.ts';
import type { TrendDefinition, TrendPoint, ValueSummary, ValueTrends } from './value-report.ts';

/** A record with its scope spread out, as it is on the wire. */
type FlatRecord = Omit<MetricRecord, 'scope' | 'context'> & { readonly [D in Dimension]?: string } & {
  readonly context?: MetricRecord['context'];
};

const flatRecord = recordOf<FlatRecord>('record', {
  name: required('name', text),
  category: required('category', oneOf(...metricCategories)),
  value: required('value', finite),
  unit: required('unit', text),
  at: required('timestamp', instant),
  org: optional(dimensionColumns.org, text),
  tenant: optional(dimensionColumns.tenant, text),
  project: optional(dimensionColumns.project, text),
  user: optional(dimensionColumns.user, text),
  key: optional(dimensionColumns.key, text),
  model: optional(dimensionColumns.model, text),
  tool: optional(dimensionColumns.tool, text),
  context: optional('context', object),
  dedupeKey: optional('dedupe_key', text),
});

/**
 * A recorded value: `name`, `category`, `value`, `unit`, `timestamp` (ISO 8601), `project_id?`, `user_id?`, `context`; beside them what
 * the records of others may lack: `org_id?`, `tenant_id?`, `key_id?`, `model?`, `tool?`, `dedupe_key?`.
 */
export const metricRecordCodec: Codec<MetricRecord> = {
  decode(wire, name = 'record') {
    const { org, tenant, project, user, key, model, tool, context = {}, ...record } = flatRecord.decode(wire, name);
    return { ...record, scope: named({ org, tenant, project, user, key, model, tool }), context };
  },
  encode: ({ scope, ...record }) => flatRecord.encode({ ...record, ...named(dimensionsOf(scope, 'scope')) }),
};

/** A definition: `name`, `category`, `description`, `unit`, `target_value`, `direction`, `aggregation`. */
export const metricDefinitionCodec: Codec<MetricDefinition> = recordOf<MetricDefinition>('definition', {
  name: required('name', text),
  category: required('category', oneOf(...metricCategories)),
  description: required('description', text),
  unit: required('unit', text),
  targetValue: required('target_value', finite),
  direction: required('direction', oneOf('higher_better', 'lower_better')),
  aggregation: required('aggregation', oneOf('sum', 'avg', 'count', 'p95')),
});

const standing = recordOf<MetricStanding>('metric', {
  current: required('current', nullOr(finite)),
  target: required('target', finite),
  unit: required('unit', text),
  status: required('status', oneOf('on_track', 'below_target', 'above_target', 'no_data')),
  sampleCount: required('sample_count', whole),
  category: required('category', oneOf(...metricCategories)),
});

const health = recordOf<OverallHealth>('overall_health', {
  score: required('score', nullOr(finite)),
  status: required('status', oneOf('healthy', 'warning', 'critical', 'no_data')),
  onTrackCount: required('on_track_count', whole),
  totalCount: required('total_count', whole),
});

const standings = mapOf(standing);
const byCategory = recordOf<Record<MetricCategory, Readonly<Record<string, MetricStanding>>>>('by_category', {
  efficiency: required('efficiency', standings),
  quality: required('quality', standings),
  adoption: required('adoption', standings),
  cost: required('cost', standings),
});

/**
 * A summary: `{period_days, project_id, by_category: {<category>: {<name>: {current, target, unit, status, sample_count, category}}},
 * overall_health: {score, status, on_track_count, total_count}}`.
 */
export const valueSummaryCodec: Codec<ValueSummary> = recordOf<ValueSummary>('summary', {
  periodDays: required('period_days', whole),
  projectId: required('project_id', nullOr(text)),
  byCategory: required('by_category', byCategory),
  overallHealth: required('overall_health', health),
});

/** Trends: `{metric, definition: {description, unit, target}, trends: [{period, value, count}]}`. */
export const valueTrendsCodec: Codec<ValueTrends> = recordOf<ValueTrends>('trends', {
  metric: required('metric', text),
  definition: required(
    'definition',
    recordOf<TrendDefinition>('definition', {
      description: required('description', text),
      unit: required('unit', text),
      target: required('target', finite),
    }),
  ),
  trends: required(
    'trends',
    listOf(
      recordOf<TrendPoint>('trend', {
        period: required('period', text),
        value: required('value', nullOr(finite)),
        count: required('count', whole),
      }),
    ),
  ),
});

function named(scope: BudgetScope): Record<string, string> {
  return Object.fromEntries(Object.entries(scope).filter(([, value]) => value !== undefined && value !== ''));
}
