import { checkKeys } from './options.ts';
import { type BudgetReading, type CallLabels, checkMaxSeries, type TelemetrySource, type Watch, watch } from './telemetry.ts';

export type { MeasuredTracker, TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link registerCostTracker} go, and what they are called apart by. */
export interface PrometheusOptions<R extends PrometheusRegistry> {
  /** The caller's prom-client; it is not loaded here. */
  readonly client: PrometheusClient<R>;
  /** The registry for the metrics. @defaultValue `client.register` */
  readonly register?: R;
  /** Label `service` of every series. @defaultValue `''` */
  readonly service?: string;
  /** Label `role` of every series. @defaultValue `''` */
  readonly role?: string;
  /** Label `shard` of every series. @defaultValue `''` */
  readonly shard?: string;
  /**
   * How many combinations of names that callers choose (tenant, model, provider; tenant, tool; tenant, budget) have series of their own:
   * 1 to 1 000 000. What comes later is counted as `other`.
   * @defaultValue `1_000`
   */
  readonly maxSeries?: number;
}

/** The part of prom-client's registry that is used. */
export interface PrometheusRegistry {
  /** Takes a metric out. */
  removeSingleMetric(name: string): void;
}

/** What a series belongs to. */
export type PrometheusLabels = Record<string, string>;

/** How a metric is described to prom-client. */
export interface PrometheusMetric<R> {
  /** Its name. */
  name: string;
  /** What it measures. */
  help: string;
  /** The labels of its series. */
  labelNames: string[];
  /** Where it is registered. */
  registers: R[];
}

/** A counter of prom-client. */
export interface PrometheusCounter {
  /** Adds to one series. */
  inc(labels: PrometheusLabels, value: number): void;
}

/** A gauge of prom-client. */
export interface PrometheusGauge {
  /** Tells the value of one series. */
  set(labels: PrometheusLabels, value: number): void;
  /** Forgets all series. */
  reset(): void;
}

/** How a gauge is read. */
export interface PrometheusCollect {
  /** Called at each scrape, which waits for it. */
  collect(this: PrometheusGauge): Promise<void>;
}

/** A class of metrics of prom-client. */
export interface PrometheusClass<Description, Metric> {
  /** Makes and registers a metric. */
  new (metric: Description): Metric;
}

/** The part of `prom-client` that is used, so that this package needs none of its types. */
export interface PrometheusClient<R> {
  /** Its class of counters. */
  readonly Counter: PrometheusClass<PrometheusMetric<R>, PrometheusCounter>;
  /** Its class of gauges. */
  readonly Gauge: PrometheusClass<PrometheusMetric<R> & PrometheusCollect, PrometheusGauge>;
  /** Its registry. */
  readonly register: R;
}

/**
 * Registers the metrics of trackers with prom-client, until the returned function is called. Every series has the labels `service`,
 * `role` and `shard`.
 *
 * Of calls of models by `tenant`, `model` (as it was called) and `provider`: `tidegate_llm_cost_usd_total`, `tidegate_llm_unpriced_total`
 * (calls that had no price when they were recorded), and `tidegate_llm_tokens_total` by `direction` (`input`, `output`) and `part` (`text`,
 * `cache_read`, `cache_write`, `reasoning`, `audio`, `image`, `video`), whose parts do not overlap. Of other calls by `tenant`, `kind` and
 * `name`: `tidegate_call_cost_usd_total`.
 *
 * A counter cannot fall. What a correction adds is added to it; what a correction takes back is added to another one of the same
 * labels, `tidegate_llm_cost_taken_back_usd_total`, `tidegate_llm_tokens_taken_back_total` or `tidegate_call_cost_taken_back_usd_total`: the
 * difference of the two is what the ledger says.
 *
 * Of budgets: `tidegate_budget_refused_total` by `tenant`, `budget`, `kind` and `code`; `tidegate_budget_thresholds_total` by `budget` and
 * `level`; and, read from the store at each scrape and so the same in every process that shares it, `tidegate_budget_spent_usd`,
 * `tidegate_budget_reserved_usd`, `tidegate_budget_limit_usd` and `tidegate_budget_used_ratio` by `budget` and the `tenant` that it is for.
 *
 * Dollars are floats here; the ledger is exact. Once for each prom-client registry; give an array for several trackers.
 *
 * @throws RangeError for an option that is unknown or out of range
 * @example
 * const stop = registerCostTracker(tracker, { client, service: 'assistant' });
 */
export function registerCostTracker<R extends PrometheusRegistry>(source: TelemetrySource, options: PrometheusOptions<R>): () => void {
  checkKeys(options, ['client', 'register', 'service', 'role', 'shard', 'maxSeries'], 'registerCostTracker options');
  const { client, register = client.register, service = '', role = '', shard = '' } = options;
  const family = new Family(client, register, { service, role, shard });
  const maxSeries = checkMaxSeries(options.maxSeries);
  const model = ['tenant', 'model', 'provider'];
  const tokens = family.counter('llm_tokens', 'Tokens of models.', ...model, 'direction', 'part');
  const tokensBack = family.counter('llm_tokens_taken_back', 'Tokens that corrections took back.', ...model, 'direction', 'part');
  const cost = family.counter('llm_cost_usd', 'What calls of models cost.', ...model);
  const costBack = family.counter('llm_cost_taken_back_usd', 'What corrections took back of it.', ...model);
  const unpriced = family.counter('llm_unpriced', 'Calls of models that had no known price.', ...model);
  const callCost = family.counter('call_cost_usd', 'What calls of tools, resources and prompts cost.', 'tenant', 'kind', 'name');
  const callCostBack = family.counter('call_cost_taken_back_usd', 'What corrections took back of it.', 'tenant', 'kind', 'name');
  const refused = family.counter('budget_refused', 'Calls that budgets did not let through.', 'tenant', 'budget', 'kind', 'code');
  const thresholds = family.counter('budget_thresholds', 'Thresholds that budgets crossed.', 'budget', 'level');
  const watched = watch(
    source,
    {
      tokens: (labels, counts) => {
        for (const { direction, part, tokens: count } of counts) {
          (count < 0 ? tokensBack : tokens)({ ...modelOf(labels), direction, part }, Math.abs(count));
        }
      },
      cost: (labels, nanoUsd) => {
        const usd = Number(nanoUsd) / 1e9;
        if (labels.kind === 'llm') (usd < 0 ? costBack : cost)(modelOf(labels), Math.abs(usd));
        else (usd < 0 ? callCostBack : callCost)({ tenant: labels.tenant, kind: labels.kind, name: labels.name }, Math.abs(usd));
      },
      unpriced: (labels) => unpriced(modelOf(labels), 1),
      refused: (labels) => refused({ ...labels }, 1),
      threshold: (labels) => thresholds({ ...labels }, 1),
    },
    maxSeries,
  );
  registerGauges(family, watched);
  return () => {
    watched.stop();
    family.remove();
  };
}

function modelOf({ tenant, name, provider }: CallLabels): PrometheusLabels {
  return { tenant, model: name, provider };
}

function registerGauges<R extends PrometheusRegistry>(family: Family<R>, watched: Watch): void {
  // All gauges of a scrape are asked at once; the store is asked for them together.
  let reading: Promise<readonly BudgetReading[]> | undefined;
  const readings = () => {
    reading ??= watched.readings().finally(() => {
      reading = undefined;
    });
    return reading;
  };
  family.gauge('budget_spent_usd', 'Settled spend of the period.', readings, ({ spent }) => Number(spent) / 1e9);
  family.gauge('budget_reserved_usd', 'Held for calls that have not settled.', readings, ({ reserved }) => Number(reserved) / 1e9);
  family.gauge('budget_limit_usd', 'The limit.', readings, ({ limit }) => Number(limit) / 1e9);
  family.gauge('budget_used_ratio', 'Settled spend as a fraction of the limit.', readings, ({ usedRatio }) => usedRatio);
}

/** Makes metrics that have the same labels in front, and takes them out again. */
class Family<R extends PrometheusRegistry> {
  readonly #client: PrometheusClient<R>;
  readonly #register: R;
  readonly #fixed: PrometheusLabels;
  readonly #names: string[] = [];

  constructor(client: PrometheusClient<R>, register: R, fixed: PrometheusLabels) {
    this.#client = client;
    this.#register = register;
    this.#fixed = fixed;
  }

  counter(name: string, help: string, ...labels: string[]): (labels: PrometheusLabels, value: number) => void {
    const counter = new this.#client.Counter(this.#described(`tidegate_${name}_total`, help, labels));
    return (own, value) => counter.inc({ ...this.#fixed, ...own }, value);
  }

  gauge(name: string, help: string, readings: () => Promise<readonly BudgetReading[]>, read: (reading: BudgetReading) => number): void {
    const fixed = this.#fixed;
    new this.#client.Gauge({
      ...this.#described(`tidegate_${name}`, help, ['budget', 'tenant']),
      async collect(this: PrometheusGauge) {
        const found = await readings();
        this.reset(); // a budget that is gone is not shown again
        for (const reading of found) this.set({ ...fixed, ...reading.labels }, read(reading));
      },
    });
  }

  remove(): void {
    for (const name of this.#names) this.#register.removeSingleMetric(name);
  }

  #described(name: string, help: string, labels: readonly string[]): PrometheusMetric<R> {
    this.#names.push(name);
    return { name, help, labelNames: [...Object.keys(this.#fixed), ...labels], registers: [this.#register] };
  }
}
