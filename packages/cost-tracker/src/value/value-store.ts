import type { Dimensions } from '../scope.ts';
import type { Billionths } from './billionths.ts';
import type { MetricCategory } from './definition.ts';

/** One reported value. Its dedupe key is unique within its tenant. */
export interface ValueRow {
  /** The caller's key of the report, or a random one. */
  readonly dedupeKey: string;
  /** Name of the metric. */
  readonly name: string;
  /** Category of the metric. */
  readonly category: MetricCategory;
  /** The value: finite, −10¹² to 10¹². */
  readonly value: number;
  /** Unit of the metric. */
  readonly unit: string;
  /** Epoch milliseconds of what was measured. */
  readonly at: number;
  /** Whose value it is. */
  readonly dimensions: Dimensions;
  /** Whatever the caller wants beside the value, as the JSON text of an object. */
  readonly context: string;
}

/** Which values are added up: of these metrics, with every dimension named. */
export interface ValueQuery {
  /** Names of the metrics. */
  readonly names: readonly string[];
  /** The empty string means any. */
  readonly dimensions: Dimensions;
  /** Ascending epoch milliseconds, two at least: part `i` has the values with `edges[i] <= at < edges[i + 1]`. */
  readonly edges: readonly number[];
  /** Whether the 95th percentile is needed, which costs a sort. */
  readonly p95: boolean;
}

/** The values of one metric in one part of the time. */
export interface ValueGroup {
  /** Name of the metric. */
  readonly name: string;
  /** Index of the part. */
  readonly part: number;
  /** How many values; at least 1. */
  readonly count: number;
  /** Their sum, in billionths of the unit. */
  readonly sum: Billionths;
  /** The smallest value that 95 % of the values do not exceed (nearest rank), if it was asked for. */
  readonly p95: number | undefined;
}

/** Where values are kept. Every method is one transaction, and resolves once it is as durable as the store promises to be. */
export interface ValueStore {
  /** Writes the values whose key is new, and says how many those were. */
  saveValues(rows: readonly ValueRow[]): Promise<number>;
  /** What there is of each metric in each part, in any order; of nothing there is no group. */
  aggregateValues(query: ValueQuery): Promise<readonly ValueGroup[]>;
  /** Deletes up to `limit` of the values with `at < before`, the oldest first, and says how many those were. */
  pruneValues(before: number, limit: number): Promise<number>;
}

/** The 1-based place of the 95th percentile among `count` values in order, in whole numbers: 0.95 is no float. */
export function rankOfP95(count: number): number {
  return Math.floor((count * 95 + 99) / 100);
}
