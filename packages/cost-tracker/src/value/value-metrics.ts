import type { Clock } from '../cost-tracker.ts';
import { checkKeys, checkMethods, checkOneOf } from '../options.ts';
import { canonicalZone } from '../period.ts';
import { type BudgetScope, type Dimensions, dimensionsOf } from '../scope.ts';
import type { UsageStore } from '../store.ts';
import { type MetricDefinition, readDefinitions } from './definition.ts';
import { checkNotAhead, checkNotExpired, definitionOf, keyedByContent, type RecordMetricOptions, valueRow } from './metric-record.ts';
import { Pruning } from './pruning.ts';
import { type TrendGranularity, trendGranularities, trendParts } from './trend-parts.ts';
import { type CostPerOutcome, costPerOutcome, type ValueSummary, type ValueTrends, valueSummary, valueTrends } from './value-report.ts';
import type { ValueGroup, ValueQuery, ValueRow, ValueStore } from './value-store.ts';
import { metricRecordCodec } from './wire.ts';

/** What value metrics are made of. */
export interface ValueMetricsOptions {
  /** Where values and the ledger are kept: the store of the cost tracker, which closes it. */
  store: ValueStore & Pick<UsageStore, 'getMonthlyTotal'>;
  /** Metrics beside the ten built-in ones, or in their place. @defaultValue none */
  definitions?: readonly MetricDefinition[];
  /** How many days values are kept: 1 to 3 650. @defaultValue 90 */
  retentionDays?: number;
  /** IANA zone of the days, weeks and months of trends. @defaultValue `'UTC'` */
  timeZone?: string;
  /** @defaultValue the system's clock, read through the global `Date` */
  clock?: Clock;
}

/** Which values count. */
export interface ValuePeriodOptions {
  /** How many days back, of 24 hours: 1 to the retention. @defaultValue 30, or the retention if that is shorter */
  periodDays?: number | undefined;
  /** Only what has these dimensions. @defaultValue everything */
  scope?: BudgetScope | undefined;
}

/** Which values count, and how they are laid out. */
export interface TrendsOptions extends ValuePeriodOptions {
  /** How long the periods are. @defaultValue `'daily'` */
  granularity?: TrendGranularity | undefined;
}

/** What became of records that were loaded. */
export interface LoadResult {
  /** How many were written. */
  readonly recorded: number;
  /** How many were there before. */
  readonly known: number;
  /** How many are older than the retention, and were not written. */
  readonly expired: number;
}

interface Range {
  readonly periodDays: number;
  readonly dimensions: Dimensions;
  readonly from: number;
  readonly to: number;
}

const OPTION_KEYS = ['store', 'definitions', 'retentionDays', 'timeZone', 'clock'];
const STORE_METHODS = ['saveValues', 'aggregateValues', 'pruneValues', 'getMonthlyTotal'];
const PERIOD_KEYS = ['periodDays', 'scope'];
const DAY_MS = 86_400_000;
const DEFAULT_PERIOD_DAYS = 30;
const MAX_RETENTION_DAYS = 3_650;
// Bounds how long one transaction keeps others waiting.
const ROWS_AT_ONCE = 500;

/**
 * Records what the work of models was worth, and says how that compares with its targets and with what it cost.
 *
 * Values older than the retention count no more and are deleted a few at a time while new ones come: no record ever rewrites the others.
 * Every method takes a `signal`; aborting it rejects with its reason, and a value that was being written may then have been written.
 *
 * @throws RangeError for an option that is unknown or out of range.
 */
export class ValueMetrics {
  readonly #store: ValueMetricsOptions['store'];
  readonly #definitions: ReadonlyMap<string, MetricDefinition>;
  readonly #retentionDays: number;
  readonly #timeZone: string;
  readonly #clock: Clock;
  readonly #pruning: Pruning;

  constructor(options: ValueMetricsOptions) {
    checkKeys(options, OPTION_KEYS, 'ValueMetrics options');
    this.#store = checkMethods(options.store, STORE_METHODS, 'store');
    this.#definitions = readDefinitions(options.definitions ?? []);
    this.#retentionDays = wholeDays(options.retentionDays ?? 90, MAX_RETENTION_DAYS, 'retentionDays');
    this.#timeZone = canonicalZone(options.timeZone ?? 'UTC', 'ValueMetrics options.timeZone');
    this.#clock = checkMethods(options.clock ?? { wall: () => Date.now() }, ['wall'], 'clock');
    this.#pruning = new Pruning(this.#store, this.#retentionDays * DAY_MS);
  }

  /** Every metric: the built-in ones first, then others in the order in which they were given. */
  get definitions(): readonly MetricDefinition[] {
    return [...this.#definitions.values()];
  }

  /**
   * Writes a value down.
   *
   * @returns false if the key was recorded before; the first report stays.
   * @throws RangeError for a metric that is not defined, and for a bad value. `StoreError` when the store fails.
   */
  async record(options: RecordMetricOptions, { signal }: { signal?: AbortSignal } = {}): Promise<boolean> {
    const now = Math.floor(this.#clock.wall());
    const row = valueRow(options, this.#definitions, { at: now, dedupeKey: () => crypto.randomUUID() }, 'record');
    checkNotAhead(row.at, now, 'record.at');
    checkNotExpired(row.at, this.#retentionDays, this.#oldest(now), 'record.at');
    return (await unlessAborted(() => this.#save([row], now), signal)) === 1;
  }

  /**
   * Writes records down as they are on the wire (see `metricRecordCodec`). All are checked first: where one is refused none is written.
   * One without a `dedupe_key` gets one made of what it says, so that the same records can be loaded again.
   *
   * @throws RangeError for a record that is none, or of a metric that is not defined. `StoreError` when the store fails: what was
   * written before stays, and is known when the same is loaded again.
   */
  async load(records: readonly unknown[], { signal }: { signal?: AbortSignal } = {}): Promise<LoadResult> {
    if (!Array.isArray(records)) throw new RangeError(`records must be an array, not ${String(records)}`);
    const now = Math.floor(this.#clock.wall());
    const decoded = keyedByContent(records.map((record, index) => metricRecordCodec.decode(record, `records[${index}]`)));
    const rows = decoded.map((record, index) => {
      const owner = `records[${index}]`;
      const row = valueRow(record, this.#definitions, { at: now, dedupeKey: () => '' }, owner);
      checkNotAhead(row.at, now, `${owner}.timestamp`);
      return row;
    });
    const kept = rows.filter((row) => row.at >= this.#oldest(now));
    let recorded = 0;
    for (let first = 0; first < kept.length; first += ROWS_AT_ONCE) {
      recorded += await unlessAborted(() => this.#save(kept.slice(first, first + ROWS_AT_ONCE), now), signal);
    }
    return { recorded, known: kept.length - recorded, expired: rows.length - kept.length };
  }

  /** Where every metric stands, and how they do together. */
  async summary(options: ValuePeriodOptions = {}, { signal }: { signal?: AbortSignal } = {}): Promise<ValueSummary> {
    checkKeys(options, PERIOD_KEYS, 'summary');
    const range = this.#range(options, 'summary');
    const groups = await unlessAborted(() => this.#groups(this.definitions, range, [range.from, range.to]), signal);
    return valueSummary(this.#definitions, groups, { periodDays: range.periodDays, project: range.dimensions.project });
  }

  /**
   * How a metric went: the values that a summary of the same period has, by day, week or month. The first and the last period are
   * cut off where the time ends that counts.
   *
   * @throws RangeError for a metric that is not defined.
   */
  async trends(name: string, options: TrendsOptions = {}, { signal }: { signal?: AbortSignal } = {}): Promise<ValueTrends> {
    const definition = definitionOf(this.#definitions, name);
    checkKeys(options, [...PERIOD_KEYS, 'granularity'], 'trends');
    const granularity = checkOneOf(options.granularity ?? 'daily', trendGranularities, 'trends.granularity');
    const range = this.#range(options, 'trends');
    const parts = await unlessAborted(() => trendParts(granularity, this.#timeZone, range.from, range.to), signal);
    const edges = [range.from, ...parts.map(({ end }) => end)];
    return valueTrends(definition, parts, await unlessAborted(() => this.#groups([definition], range, edges), signal));
  }

  /**
   * What one outcome cost: everything that the ledger has of the scope and the period, by the number of values of a metric and by
   * their sum.
   *
   * @throws RangeError for a metric that is not defined.
   */
  async costPerOutcome(name: string, options: ValuePeriodOptions = {}, { signal }: { signal?: AbortSignal } = {}): Promise<CostPerOutcome> {
    const definition = definitionOf(this.#definitions, name);
    checkKeys(options, PERIOD_KEYS, 'costPerOutcome');
    const range = this.#range(options, 'costPerOutcome');
    const { dimensions, from, to, periodDays } = range;
    const reading = () =>
      Promise.all([this.#store.getMonthlyTotal({ dimensions, from, to }), this.#groups([definition], range, [from, to])]);
    const [cost, [group]] = await unlessAborted(reading, signal);
    return costPerOutcome(name, periodDays, cost, group);
  }

  async #save(rows: readonly ValueRow[], now: number): Promise<number> {
    // Asked for in the same turn, so that a store that can makes one transaction of both.
    const [saved] = await Promise.all([this.#store.saveValues(rows), this.#pruning.step(now)]);
    return saved;
  }

  /** The percentile costs a sort, so it is asked for only where it is needed. */
  async #groups(definitions: readonly MetricDefinition[], { dimensions }: Range, edges: readonly number[]): Promise<ValueGroup[]> {
    const query = (p95: boolean): ValueQuery => {
      const names = definitions.filter(({ aggregation }) => (aggregation === 'p95') === p95).map(({ name }) => name);
      return { names, dimensions, edges, p95 };
    };
    const queries = [query(false), query(true)].filter(({ names }) => names.length > 0);
    return (await Promise.all(queries.map((each) => this.#store.aggregateValues(each)))).flat();
  }

  /** The first instant whose values are kept. */
  #oldest(now: number): number {
    return now - this.#retentionDays * DAY_MS;
  }

  #range({ periodDays, scope }: ValuePeriodOptions, owner: string): Range {
    const usual = Math.min(DEFAULT_PERIOD_DAYS, this.#retentionDays);
    const days = wholeDays(periodDays ?? usual, this.#retentionDays, `${owner}.periodDays`);
    const now = Math.floor(this.#clock.wall());
    // What happens at this very millisecond counts.
    return { periodDays: days, dimensions: dimensionsOf(scope ?? {}, `${owner}.scope`), from: now - days * DAY_MS, to: now + 1 };
  }
}

function wholeDays(value: unknown, max: number, name: string): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max) return value as number;
  throw new RangeError(`${name} must be a whole number of days from 1 to ${max}, not ${String(value)}`);
}

/** Begins nothing once the signal is aborted, and ends the wait when it is; what the store has begun it finishes. */
async function unlessAborted<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work();
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
