import { type Clock, systemClock } from './clock.ts';
import { fraction, longestTimerMs, numberWithin, onlyKnown, wholeNumber } from './options.ts';
import type { Classifier } from './outcome.ts';
import { mostProbes } from './probes.ts';
import { countSize, rateThresholds, type SlidingWindow, type SlidingWindowOptions, slidingWindow } from './sliding-window.ts';

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
  /** From this many ms on a call is slow. Needed with `slowCallRateThreshold`. */
  readonly slowCallDurationThresholdMs?: number;
  /** Calls a count or time window must hold before it can open the circuit. @defaultValue `10`, or a smaller window's size */
  readonly minimumNumberOfCalls?: number;
  /** How long an open circuit refuses before it lets probes through. @defaultValue `60_000` */
  readonly waitDurationInOpenStateMs?: number;
  /** Probes that a half-open circuit admits in all; the rest are refused at once. @defaultValue `1` */
  readonly permittedNumberOfCallsInHalfOpenState?: number;
  /** How long a probe may take before it counts as failed. @defaultValue `waitDurationInOpenStateMs` */
  readonly maxWaitDurationInHalfOpenStateMs?: number;
  /** What errors and values mean. */
  readonly classify?: Classifier;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** The options, checked and completed. */
export interface Settings {
  readonly name: string;
  readonly window: SlidingWindow;
  readonly slowMs: number;
  readonly openMs: number;
  readonly probes: number;
  /** Share of failed probes from which a half-open circuit opens again. */
  readonly probeFailureRate: number;
  readonly probeMs: number;
  readonly classify: Classifier;
  readonly clock: Clock;
}

const known = [
  'name',
  'slidingWindow',
  'failureRateThreshold',
  'slowCallRateThreshold',
  'slowCallDurationThresholdMs',
  'minimumNumberOfCalls',
  'waitDurationInOpenStateMs',
  'permittedNumberOfCallsInHalfOpenState',
  'maxWaitDurationInHalfOpenStateMs',
  'classify',
  'clock',
];

const onlyForRates = ['failureRateThreshold', 'slowCallRateThreshold', 'slowCallDurationThresholdMs', 'minimumNumberOfCalls'] as const;

/** Checks the options of a breaker and completes them; throws a RangeError that names option, value and limit. */
export function breakerSettings(options: CircuitBreakerOptions): Settings {
  onlyKnown('CircuitBreaker', options, known);
  const { name = 'default', slidingWindow: window = { type: 'consecutive', failures: 5 }, classify = {}, clock = systemClock } = options;
  const { waitDurationInOpenStateMs: openMs = 60_000, permittedNumberOfCallsInHalfOpenState: probes = 1 } = options;
  const { maxWaitDurationInHalfOpenStateMs: probeMs = openMs, failureRateThreshold = 0.5 } = options;
  const consecutive = window?.type === 'consecutive';
  if (consecutive) refuseRateOptions(options);
  const failureRate = fraction('failureRateThreshold', failureRateThreshold);
  return {
    name,
    openMs: wholeNumber('waitDurationInOpenStateMs', openMs, 1, longestTimerMs),
    probes: wholeNumber('permittedNumberOfCallsInHalfOpenState', probes, 1, mostProbes),
    probeMs: wholeNumber('maxWaitDurationInHalfOpenStateMs', probeMs, 1, longestTimerMs),
    window: slidingWindow(window, rateThresholds(failureRate, options.slowCallRateThreshold, minimumCalls(options, window))),
    slowMs: slowMs(options),
    probeFailureRate: consecutive ? 1 / probes : failureRate,
    classify: checkedClassifier(classify),
    clock,
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

function refuseRateOptions(options: CircuitBreakerOptions): void {
  for (const option of onlyForRates) {
    if (options[option] !== undefined) {
      throw new RangeError(`${option} needs a slidingWindow of type 'count' or 'time'; a consecutive window has no rates`);
    }
  }
}
