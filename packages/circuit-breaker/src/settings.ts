import type { Backoff } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { clockOf, fraction, functionOf, longestTimerMs, numberWithin, onlyKnown, textOf, trueOrFalse, wholeNumber } from './options.ts';
import type { Classifier } from './outcome.ts';
import { mostProbes } from './probes.ts';
import { type RateThresholds, rateThresholds } from './windows/rate-thresholds.ts';
import { countSize, type SlidingWindowOptions } from './windows/sliding-window.ts';

/** How a {@link CircuitBreaker} behaves. The names are resilience4j's. */
export interface CircuitBreakerOptions {
  /** Names the breaker in errors, events and metrics. @defaultValue `'default'` */
  readonly name?: string;
  /** Which recent calls decide. @defaultValue `{ type: 'consecutive', failures: 5 }` */
  readonly slidingWindow?: SlidingWindowOptions;
  /** Share of failures in a count or time window that opens the circuit, inclusive. @defaultValue `0.5` */
  readonly failureRateThreshold?: number;
  /** Share of slow calls in a count or time window that opens the circuit, inclusive. Off unless given. */
  readonly slowCallRateThreshold?: number;
  /** From this many ms on a call is slow; of a stream, the time to its first item. Needed with `slowCallRateThreshold`. */
  readonly slowCallDurationThresholdMs?: number;
  /**
   * Counts a call as slow as soon as it has taken that long, before it ends, and also if its caller then gives it up. A call
   * that hangs is seen at most a sixteenth of `slowCallDurationThresholdMs` late. @defaultValue `false`
   */
  readonly slowCallInFlight?: boolean;
  /** Calls a count or time window must hold before it can open the circuit. @defaultValue `10`, or a smaller window's size */
  readonly minimumNumberOfCalls?: number;
  /** How long an open circuit refuses before it lets probes through, in ms. @defaultValue `60_000` */
  readonly waitDurationInOpenStateMs?: number;
  /** What that wait is multiplied by each time the circuit opens again without having closed. @defaultValue `1` */
  readonly waitMultiplierInOpenState?: number;
  /** The longest such wait, in ms; a server may ask for longer. @defaultValue `600_000`, or a longer `waitDurationInOpenStateMs` */
  readonly maxWaitDurationInOpenStateMs?: number;
  /** Share of the wait that chance decides, 0 to 1, so that many processes do not probe together. @defaultValue `0` */
  readonly waitJitterInOpenState?: number;
  /**
   * Opens for just as long as a server asks, where that is shorter than the wait. Otherwise a hint can only make the wait longer.
   * @defaultValue `false`
   */
  readonly openForHintAlone?: boolean;
  /** Probes that a half-open circuit admits in all; the rest are refused at once. @defaultValue `1` */
  readonly permittedNumberOfCallsInHalfOpenState?: number;
  /** How long a probe may take to answer before it counts as failed, in ms. @defaultValue `waitDurationInOpenStateMs` */
  readonly maxWaitDurationInHalfOpenStateMs?: number;
  /** What errors and values mean. */
  readonly classify?: Classifier;
  /** Where time comes from. */
  readonly clock?: Clock;
  /** Where chance comes from: numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** The options, checked and completed. */
export interface Settings {
  readonly name: string;
  readonly window: SlidingWindowOptions;
  readonly thresholds: RateThresholds;
  /** Infinity where slow calls do not count. */
  readonly slowMs: number;
  readonly slowInFlight: boolean;
  readonly openFor: Backoff;
  readonly openForHintAlone: boolean;
  readonly probes: number;
  /** Share of failed probes from which a half-open circuit opens again. */
  readonly probeFailureRate: number;
  readonly probeMs: number;
  readonly classify: Classifier;
  readonly clock: Clock;
  readonly random: () => number;
}

const known = [
  'name',
  'slidingWindow',
  'failureRateThreshold',
  'slowCallRateThreshold',
  'slowCallDurationThresholdMs',
  'slowCallInFlight',
  'minimumNumberOfCalls',
  'waitDurationInOpenStateMs',
  'waitMultiplierInOpenState',
  'maxWaitDurationInOpenStateMs',
  'waitJitterInOpenState',
  'openForHintAlone',
  'permittedNumberOfCallsInHalfOpenState',
  'maxWaitDurationInHalfOpenStateMs',
  'classify',
  'clock',
  'random',
];

const onlyForRates = [
  'failureRateThreshold',
  'slowCallRateThreshold',
  'slowCallDurationThresholdMs',
  'slowCallInFlight',
  'minimumNumberOfCalls',
] as const;

/** Checks the options of a breaker and completes them; throws a RangeError that names option, value and limit. */
export function breakerSettings(options: CircuitBreakerOptions): Settings {
  onlyKnown('CircuitBreaker', options, known);
  const { name = 'default', slidingWindow: window = { type: 'consecutive', failures: 5 }, classify = {}, clock = systemClock } = options;
  const { permittedNumberOfCallsInHalfOpenState: probes = 1, failureRateThreshold = 0.5, openForHintAlone = false } = options;
  const openFor = openWaits(options);
  const { maxWaitDurationInHalfOpenStateMs: probeMs = openFor.initialDelayMs } = options;
  const consecutive = window?.type === 'consecutive';
  if (consecutive) refuseRateOptions(options);
  const failureRate = fraction('failureRateThreshold', failureRateThreshold);
  const slow = slowMs(options);
  return {
    name: textOf('name', name),
    openFor,
    openForHintAlone: trueOrFalse('openForHintAlone', openForHintAlone),
    probes: wholeNumber('permittedNumberOfCallsInHalfOpenState', probes, 1, mostProbes),
    probeMs: wholeNumber('maxWaitDurationInHalfOpenStateMs', probeMs, 1, longestTimerMs),
    window,
    thresholds: rateThresholds(failureRate, options.slowCallRateThreshold, minimumCalls(options, window)),
    slowMs: slow,
    slowInFlight: slowInFlight(options, slow),
    probeFailureRate: consecutive ? 1 / probes : failureRate,
    classify: checkedClassifier(classify),
    clock: clockOf(clock),
    random: functionOf('random', options.random ?? Math.random),
  };
}

function openWaits(options: CircuitBreakerOptions): Backoff {
  const {
    waitDurationInOpenStateMs: initial = 60_000,
    waitMultiplierInOpenState: multiplier = 1,
    waitJitterInOpenState: jitter = 0,
  } = options;
  const initialDelayMs = wholeNumber('waitDurationInOpenStateMs', initial, 1, longestTimerMs);
  const { maxWaitDurationInOpenStateMs: max = Math.max(600_000, initialDelayMs) } = options;
  return {
    initialDelayMs,
    multiplier: numberWithin('waitMultiplierInOpenState', multiplier, 1, 1_000),
    maxDelayMs: wholeNumber('maxWaitDurationInOpenStateMs', max, initialDelayMs, longestTimerMs),
    jitter: numberWithin('waitJitterInOpenState', jitter, 0, 1),
  };
}

function minimumCalls({ minimumNumberOfCalls }: CircuitBreakerOptions, window: SlidingWindowOptions): number {
  if (minimumNumberOfCalls !== undefined) return minimumNumberOfCalls;
  return window?.type === 'count' ? Math.min(10, countSize(window)) : 10;
}

/** Returns `classify` if it is a classifier. */
export function checkedClassifier(classify: Classifier): Classifier {
  if (typeof classify !== 'object' || classify === null) throw new RangeError(`classify must be an object, not ${typeof classify}`);
  onlyKnown('classify', classify, ['error', 'value']);
  for (const rule of ['error', 'value'] as const) {
    const type = typeof classify[rule];
    if (type !== 'function' && type !== 'undefined') throw new RangeError(`classify.${rule} must be a function, not ${type}`);
  }
  return classify;
}

function slowMs(options: CircuitBreakerOptions): number {
  const { slowCallRateThreshold: rate, slowCallDurationThresholdMs: duration } = options;
  if ((rate === undefined) !== (duration === undefined)) {
    throw new RangeError('slowCallRateThreshold and slowCallDurationThresholdMs go together: give both or neither');
  }
  return duration === undefined ? Number.POSITIVE_INFINITY : numberWithin('slowCallDurationThresholdMs', duration, 0, longestTimerMs);
}

function slowInFlight({ slowCallInFlight = false }: CircuitBreakerOptions, slow: number): boolean {
  if (typeof slowCallInFlight !== 'boolean')
    throw new RangeError(`slowCallInFlight must be true or false, not ${String(slowCallInFlight)}`);
  if (slowCallInFlight && !(slow >= 1 && slow <= longestTimerMs)) {
    throw new RangeError('slowCallInFlight needs a slowCallRateThreshold and a slowCallDurationThresholdMs of 1 or more');
  }
  return slowCallInFlight;
}

function refuseRateOptions(options: CircuitBreakerOptions): void {
  for (const option of onlyForRates) {
    if (options[option] !== undefined) {
      throw new RangeError(`${option} needs a slidingWindow of type 'count' or 'time'; a consecutive window has no rates`);
    }
  }
}
