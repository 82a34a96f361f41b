import { circuitStates } from './circuit-state.ts';
import { onlyKnown } from './options.ts';
import { durationBounds, instruments, type Reading, share, type TelemetrySource, watch } from './telemetry.ts';

export type { TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link registerCircuitBreakers} go. */
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

/** A gauge of prom-client. */
export interface PrometheusGauge {
  /** Tells the value of one series. */
  set(labels: PrometheusLabels, value: number): void;
  /** Forgets all series. */
  reset(): void;
}

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

/** How a gauge is read. */
export interface PrometheusCollect {
  /** Called at each scrape. */
  collect(this: PrometheusGauge): void;
}

/** How a histogram is divided. */
export interface PrometheusBuckets {
  /** Upper bounds. */
  buckets: number[];
}

/** A counter of prom-client. */
export interface PrometheusCounter {
  /** Adds one to one series. */
  inc(labels: PrometheusLabels): void;
}

/** A histogram of prom-client. */
export interface PrometheusHistogram {
  /** Adds a value to one series. */
  observe(labels: PrometheusLabels, value: number): void;
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
  /** Its class of histograms. */
  readonly Histogram: PrometheusClass<PrometheusMetric<R> & PrometheusBuckets, PrometheusHistogram>;
  /** Its registry. */
  readonly register: R;
}

/**
 * Registers the metrics of breakers and pools with prom-client, until the returned function is called.
 *
 * Gauges show what exists at each scrape: a breaker that a registry has forgotten is gone from them. Counters go on from
 * where they were. Every breaker and every kind is a series of its own, so take names from a bounded set. Once for each
 * prom-client registry; give an array for several sources.
 *
 * @example
 * const stop = registerCircuitBreakers([breaker, registry, pool], { client });
 */
export function registerCircuitBreakers<R extends PrometheusRegistry>(source: TelemetrySource, options: PrometheusOptions<R>): () => void {
  onlyKnown('registerCircuitBreakers', options, ['client', 'register']);
  const { client, register = client.register } = options;
  const names: string[] = [];
  const base = (instrument: Instrument, suffix: string, ...labels: string[]) => {
    const name = `${instrument.name.replaceAll('.', '_')}${suffix}`;
    names.push(name);
    return { name, help: instrument.description, labelNames: ['name', 'member', ...labels], registers: [register] };
  };
  const gauge = (instrument: Instrument, set: (gauge: PrometheusGauge, reading: Reading) => void, ...labels: string[]) =>
    new client.Gauge({
      ...base(instrument, '', ...labels),
      collect(this: PrometheusGauge) {
        this.reset(); // what is gone is not shown again
        for (const reading of watched.readings()) set(this, reading);
      },
    });
  const calls = new client.Counter(base(instruments.calls, '_total', 'kind'));
  const transitions = new client.Counter(base(instruments.transitions, '_total', 'from', 'to', 'reason'));
  const readmissions = new client.Counter(base(instruments.readmissions, '_total'));
  const duration = new client.Histogram({ ...base(instruments.duration, '_seconds', 'kind'), buckets: durationBounds });
  const watched = watch(source, {
    call: (labels, kind) => calls.inc({ ...labels, kind }),
    duration: (labels, kind, seconds) => duration.observe({ ...labels, kind }, seconds),
    transition: (labels, from, to, reason) => transitions.inc({ ...labels, from, to, reason }),
    readmission: (labels) => readmissions.inc({ ...labels }),
  });
  makeGauges(gauge);
  return () => {
    watched.stop();
    for (const name of names) register.removeSingleMetric(name);
  };
}

type Instrument = (typeof instruments)[keyof typeof instruments];

function makeGauges(
  make: (instrument: Instrument, set: (gauge: PrometheusGauge, reading: Reading) => void, ...labels: string[]) => PrometheusGauge,
): void {
  make(
    instruments.state,
    (gauge, { labels, state: now }) => {
      for (const state of circuitStates) gauge.set({ ...labels, state }, now === state ? 1 : 0);
    },
    'state',
  );
  make(
    instruments.bufferedCalls,
    (gauge, { labels, calls, failures }) => {
      gauge.set({ ...labels, kind: 'failed' }, failures);
      gauge.set({ ...labels, kind: 'successful' }, calls - failures);
    },
    'kind',
  );
  make(instruments.failureRate, (gauge, { labels, calls, failures }) => gauge.set({ ...labels }, share(failures, calls)));
  make(instruments.slowCallRate, (gauge, { labels, calls, slowCalls }) => gauge.set({ ...labels }, share(slowCalls, calls)));
}
