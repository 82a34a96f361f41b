import { onlyKnown } from './options.ts';
import { instruments, type TelemetrySource, watch } from './telemetry.ts';

export type { MeasuredLimiter, TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link instrumentRateLimiters} go. */
export interface OtelOptions {
  /** The caller's meter; nothing of OpenTelemetry is loaded here. */
  readonly meter: OtelMeter;
}

/** What a measurement belongs to. */
export type OtelAttributes = Readonly<Record<string, string>>;

/** How an instrument is described. */
export interface OtelInstrumentOptions {
  /** What it measures. */
  description: string;
  /** In the notation of UCUM. */
  unit: string;
}

/** A counter of OpenTelemetry. */
export interface OtelCounter {
  /** Adds to one series. */
  add(value: number, attributes: OtelAttributes): void;
}

/** A gauge of OpenTelemetry. */
export interface OtelGauge {
  /** Tells the value of one series. */
  record(value: number, attributes: OtelAttributes): void;
}

/** The part of the `Meter` of `@opentelemetry/api` that is used, so that this package needs none of its types. */
export interface OtelMeter {
  /** Makes a counter. */
  createCounter(name: string, options: OtelInstrumentOptions): OtelCounter;
  /** Makes a gauge. */
  createGauge(name: string, options: OtelInstrumentOptions): OtelGauge;
}

/**
 * Measures limiters with an OpenTelemetry meter, until the returned function is called: `ratelimit.decisions` by `name`, `limit`,
 * `decision` and `degraded`; `ratelimit.store.failures`, `ratelimit.leases.lost` and, from the first failure of a store on,
 * `ratelimit.store.available` by `name`.
 *
 * Keys are no attributes. Limiters of one name are one series, so give each a name of its own.
 *
 * @throws `RangeError` where an option is unknown
 * @example
 * const stop = instrumentRateLimiters(limiter, { meter: metrics.getMeter('search') });
 */
export function instrumentRateLimiters(source: TelemetrySource, options: OtelOptions): () => void {
  onlyKnown('instrumentRateLimiters', options, ['meter']);
  const { meter } = options;
  const counter = ({ name, ...described }: Instrument) => meter.createCounter(name, described);
  const decisions = counter(instruments.decisions);
  const storeFailures = counter(instruments.storeFailures);
  const leasesLost = counter(instruments.leasesLost);
  const { name: gaugeName, ...described } = instruments.storeAvailable;
  const storeAvailable = meter.createGauge(gaugeName, described);
  return watch(source, {
    decision: (labels) => decisions.add(1, labels),
    storeFailure: (name) => storeFailures.add(1, { name }),
    leaseLost: (name) => leasesLost.add(1, { name }),
    storeAvailable: (name, available) => storeAvailable.record(available, { name }),
  });
}

type Instrument = (typeof instruments)[keyof typeof instruments];
