import { circuitStates } from './circuit-state.ts';
import { onlyKnown } from './options.ts';
import { durationBounds, instruments, type Labels, share, type TelemetrySource, watch } from './telemetry.ts';

export type { TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link instrumentCircuitBreakers} go. */
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
  /** Hints to the SDK. */
  advice?: OtelAdvice;
}

/** What an SDK is advised to do. */
export interface OtelAdvice {
  /** Bounds of the buckets of a histogram. */
  explicitBucketBoundaries: number[];
}

/** A counter of OpenTelemetry. */
export interface OtelCounter {
  /** Adds to one series. */
  add(value: number, attributes: OtelAttributes): void;
}

/** A histogram of OpenTelemetry. */
export interface OtelHistogram {
  /** Adds a value to one series. */
  record(value: number, attributes: OtelAttributes): void;
}

/** The part of the `Meter` of `@opentelemetry/api` that is used, so that this package needs none of its types. */
export interface OtelMeter {
  /** Makes a counter. */
  createCounter(name: string, options: OtelInstrumentOptions): OtelCounter;
  /** Makes a histogram. */
  createHistogram(name: string, options: OtelInstrumentOptions): OtelHistogram;
  /** Makes a gauge that is read when metrics are collected. */
  createObservableGauge(name: string, options: OtelInstrumentOptions): object;
  /** Calls `callback` at each collection. */
  addBatchObservableCallback(callback: (result: OtelObservations) => void, gauges: object[]): void;
  /** Ends that. */
  removeBatchObservableCallback(callback: (result: OtelObservations) => void, gauges: object[]): void;
}

/** Where the gauges are read to. */
export interface OtelObservations {
  /** Tells the value of one series. */
  observe(gauge: object, value: number, attributes: OtelAttributes): void;
}

/**
 * Measures breakers and pools with an OpenTelemetry meter, until the returned function is called.
 *
 * Gauges show what exists when they are read: a breaker that a registry has forgotten is shown once more with zeros, then no
 * longer. (With cumulative temporality the SDK for JavaScript goes on repeating the last value.) Counters go on from where they were. Every breaker and every kind is a series of its own, so take names from a bounded set.
 *
 * @example
 * const stop = instrumentCircuitBreakers(registry, { meter: metrics.getMeter('payments') });
 */
export function instrumentCircuitBreakers(source: TelemetrySource, options: OtelOptions): () => void {
  onlyKnown('instrumentCircuitBreakers', options, ['meter']);
  const { meter } = options;
  const counter = ({ name, ...options }: Instrument) => meter.createCounter(name, options);
  const gauge = ({ name, ...options }: Instrument) => meter.createObservableGauge(name, options);
  const [calls, transitions, readmissions] = [instruments.calls, instruments.transitions, instruments.readmissions].map(counter);
  const { name, ...durationOptions } = instruments.duration;
  const duration = meter.createHistogram(name, { ...durationOptions, advice: { explicitBucketBoundaries: durationBounds } });
  const watched = watch(source, {
    call: (labels, kind) => calls?.add(1, { ...labels, kind }),
    duration: (labels, kind, seconds) => duration.record(seconds, { ...labels, kind }),
    transition: (labels, from, to, reason) => transitions?.add(1, { ...labels, from, to, reason }),
    readmission: (labels) => readmissions?.add(1, labels),
  });
  const gauges = {
    state: gauge(instruments.state),
    failureRate: gauge(instruments.failureRate),
    slowCallRate: gauge(instruments.slowCallRate),
    bufferedCalls: gauge(instruments.bufferedCalls),
  };
  let shown: ReadonlyMap<string, Labels> = new Map();
  const observe = (result: OtelObservations) => {
    const readings = new Map(watched.readings().map((reading) => [JSON.stringify(reading.labels), reading]));
    // the SDK for JavaScript repeats for ever what is no longer observed: what is gone is in no state, and told so once
    const gone = [...shown].filter(([key]) => !readings.has(key)).map(([, labels]) => ({ labels, ...nothing }));
    for (const { labels, ...now } of [...readings.values(), ...gone]) {
      for (const state of circuitStates) result.observe(gauges.state, now.state === state ? 1 : 0, { ...labels, state });
      result.observe(gauges.bufferedCalls, now.failures, { ...labels, kind: 'failed' });
      result.observe(gauges.bufferedCalls, now.calls - now.failures, { ...labels, kind: 'successful' });
      result.observe(gauges.failureRate, share(now.failures, now.calls), labels);
      result.observe(gauges.slowCallRate, share(now.slowCalls, now.calls), labels);
    }
    shown = new Map([...readings].map(([key, { labels }]) => [key, labels]));
  };
  meter.addBatchObservableCallback(observe, Object.values(gauges));
  return () => {
    watched.stop();
    meter.removeBatchObservableCallback(observe, Object.values(gauges));
  };
}

const nothing = { state: undefined, calls: 0, failures: 0, slowCalls: 0 };

type Instrument = (typeof instruments)[keyof typeof instruments];
