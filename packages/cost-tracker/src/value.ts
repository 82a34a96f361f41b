export type { Codec } from './value/codec.ts';
export {
  builtInDefinitions,
  type MetricAggregation,
  type MetricCategory,
  type MetricDefinition,
  type MetricDirection,
} from './value/definition.ts';
export type { MetricRecord, RecordMetricOptions } from './value/metric-record.ts';
export type { MetricStanding, MetricStatus, OverallHealth } from './value/standing.ts';
export type { TrendGranularity } from './value/trend-parts.ts';
export {
  type LoadResult,
  type TrendsOptions,
  ValueMetrics,
  type ValueMetricsOptions,
  type ValuePeriodOptions,
} from './value/value-metrics.ts';
export type { CostPerOutcome, TrendDefinition, TrendPoint, ValueSummary, ValueTrends } from './value/value-report.ts';
export type { ValueGroup, ValueQuery, ValueRow, ValueStore } from './value/value-store.ts';
export { metricDefinitionCodec, metricRecordCodec, valueSummaryCodec, valueTrendsCodec } from './value/wire.ts';
