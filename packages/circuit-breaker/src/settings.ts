import { type Clock, systemClock } from './clock.ts';
import { fraction, longestTimerMs, numberWithin, onlyKnown, wholeNumber } from './options.ts';
import type { Classifier } from './outcome.ts';
import { mostProbes } from './probes.ts';
import { rateThresholds, type SlidingWindow, type SlidingWindowOptions, slidingWindow } from './sliding-window.ts';

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
  const windowOptions = options.slidingWindow ?? { type: 'consecutive', failures: 5 };
  const consecutive = windowOptions.type === 'consecutive';
  if (consecutive) refuseRateOptions(options);
  const openMs = wholeNumber('waitDurationInOpenStateMs', options.waitDurationInOpenStateMs ?? 60_000, 1, longestTimerMs);
  const probes = wholeNumber('permittedNumberOfCallsInHalfOpenState', options.permittedNumberOfCallsInHalfOpenState ?? 1, 1, mostProbes);
  const failureRate = fraction('failureRateThreshold', options.failureRateThreshold ?? 0.5);
  return {
    name: options.name ?? 'default',
    window: slidingWindow(windowOptions, rateThresholds(failureRate, options.slowCallRateThreshold, minimumCalls(options, windowOptions))),
    slowMs: slowMs(options),
    openMs,
    probes,
    probeFailureRate: consecutive ? 1 / probes : failureRate,
    probeMs: wholeNumber('maxWaitDurationInHalfOpenStateMs', options.maxWaitDurationInHalfOpenStateMs ?? openMs, 1, longestTimerMs),
    classify: options.classify ?? {},
    clock: options.clock ?? systemClock,
  };
}

function minimumCalls(options: CircuitBreakerOptions, window: SlidingWindowOptions): number {
  return options.minimumNumberOfCalls ?? (window.type === 'count' ? Math.min(10, window.size) : 10);
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
