import type * as prom from 'prom-client';
import { circuitStates } from './circuit-state.ts';
import { onlyKnown } from './options.ts';
import { durationBounds, instruments, type Reading, share, type TelemetrySource, watch } from './telemetry.ts';

export type { TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link registerCircuitBreakers} go. */
export interface PrometheusOptions {
  /** The caller's prom-client; it is not loaded here. */
  readonly client: Pick<typeof prom, 'Counter' | 'Gauge' | 'Histogram' | 'register'>;
  /** The registry for the metrics. @defaultValue `client.register` */
  readonly register?: prom.Registry;
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
export function registerCircuitBreakers(source: TelemetrySource, options: PrometheusOptions): () => void {
  onlyKnown('registerCircuitBreakers', options, ['client', 'register']);
  const { client, register = client.register } = options;
  const names: string[] = [];
  const base = (instrument: Instrument, suffix: string, ...labels: string[]) => {
    const name = `${instrument.name.replaceAll('.', '_')}${suffix}`;
    names.push(name);
    return { name, help: instrument.description, labelNames: ['name', 'member', ...labels], registers: [register] };
  };
  const gauge = (instrument: Instrument, set: (gauge: prom.Gauge, reading: Reading) => void, ...labels: string[]) =>
    new client.Gauge({
      ...base(instrument, '', ...labels),
      collect() {
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
  make: (instrument: Instrument, set: (gauge: prom.Gauge, reading: Reading) => void, ...labels: string[]) => prom.Gauge,
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
