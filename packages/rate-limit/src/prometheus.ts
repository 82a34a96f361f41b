import { onlyKnown } from './options.ts';
import { instruments, type TelemetrySource, watch } from './telemetry.ts';

export type { MeasuredLimiter, TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link registerRateLimiters} go. */
export interface PrometheusOptions<R extends PrometheusRegistry> {
  /** The caller's prom-client; it is not loaded here. */
  readonly client: PrometheusClient<R>;
  /** The registry for the metrics. @defaultValue `client.register` */
  readonly register?: R;
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
  /** Adds one to one series. */
  inc(labels: PrometheusLabels): void;
}

/** A gauge of prom-client. */
export interface PrometheusGauge {
  /** Tells the value of one series. */
  set(labels: PrometheusLabels, value: number): void;
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
  readonly Gauge: PrometheusClass<PrometheusMetric<R>, PrometheusGauge>;
  /** Its registry. */
  readonly register: R;
}

/**
 * Registers the metrics of limiters with prom-client, until the returned function is called: `ratelimit_decisions_total` by `name`,
 * `limit`, `decision` and `degraded`; `ratelimit_store_failures_total`, `ratelimit_leases_lost_total` and, from the first failure of a
 * store on, `ratelimit_store_available` by `name`.
 *
 * Keys are no labels. Limiters of one name are one series, so give each a name of its own. Once for each prom-client registry; give an
 * array for several limiters.
 *
 * @throws `RangeError` where an option is unknown
 * @example
 * const stop = registerRateLimiters([search, login], { client });
 */
export function registerRateLimiters<R extends PrometheusRegistry>(source: TelemetrySource, options: PrometheusOptions<R>): () => void {
  onlyKnown('registerRateLimiters', options, ['client', 'register']);
  const { client, register = client.register } = options;
  const names: string[] = [];
  const metric = (instrument: Instrument, suffix: string, ...labels: string[]) => {
    const name = `${instrument.name.replaceAll('.', '_')}${suffix}`;
    names.push(name);
    return { name, help: instrument.description, labelNames: ['name', ...labels], registers: [register] };
  };
  const decisions = new client.Counter(metric(instruments.decisions, '_total', 'limit', 'decision', 'degraded'));
  const storeFailures = new client.Counter(metric(instruments.storeFailures, '_total'));
  const leasesLost = new client.Counter(metric(instruments.leasesLost, '_total'));
  const storeAvailable = new client.Gauge(metric(instruments.storeAvailable, ''));
  const stop = watch(source, {
    decision: (labels) => decisions.inc({ ...labels }),
    storeFailure: (name) => storeFailures.inc({ name }),
    leaseLost: (name) => leasesLost.inc({ name }),
    storeAvailable: (name, available) => storeAvailable.set({ name }, available),
  });
  return () => {
    stop();
    for (const name of names) register.removeSingleMetric(name);
  };
}

type Instrument = (typeof instruments)[keyof typeof instruments];
