import { type Clock, systemClock } from '../clock.ts';
import { clockOf, fraction, functionOf, longestTimerMs, numberWithin, oneOf, onlyKnown, textOf, wholeNumber } from '../options.ts';
import type { Classifier } from '../outcome.ts';
import { checkedClassifier } from '../settings.ts';

/** One of the endpoints of a pool; whatever else the object holds (a client, a URL) is handed to the called function. */
export interface PoolMember {
  /** Names the member in events and metrics; unique in its pool. */
  readonly name: string;
  /** Its share of the calls, relative to the others'. @defaultValue `1` */
  readonly weight?: number;
}

/**
 * Which member gets a call.
 *
 * - `round-robin`: each in turn, by weight.
 * - `least-in-flight`: the one with the fewest calls under way, by weight.
 * - `in-order`: the first that takes calls; the others are fallbacks.
 */
export type PoolOrder = 'round-robin' | 'least-in-flight' | 'in-order';

/** Ejects members whose success rate in an interval is far below the others'. */
export interface SuccessRateEjection {
  /** By how many standard deviations below the mean. @defaultValue `1.9` */
  readonly stdevFactor?: number;
  /** How many members must have had enough calls. @defaultValue `5` */
  readonly minimumMembers?: number;
  /** How many calls are enough. @defaultValue `100` */
  readonly minimumCalls?: number;
}

/** Ejects members of which too many calls of an interval failed, whatever the others do. */
export interface FailureRateEjection {
  /** Share of failures that ejects, inclusive. @defaultValue `0.85` */
  readonly threshold?: number;
  /** How many members must have had enough calls. @defaultValue `5` */
  readonly minimumMembers?: number;
  /** How many calls are enough. @defaultValue `50` */
  readonly minimumCalls?: number;
}

/** How a {@link CircuitBreakerPool} behaves. The numbers are those of Envoy's outlier detection. */
export interface CircuitBreakerPoolOptions<M extends PoolMember = PoolMember> {
  /** Names the pool in errors, events and metrics. @defaultValue `'default'` */
  readonly name?: string;
  /** The endpoints, at least one. */
  readonly members: readonly M[];
  /** Which member gets a call. @defaultValue `'round-robin'` */
  readonly order?: PoolOrder;
  /** To how many members one execution may go, each at most once; more than one only for calls that may be made twice. @defaultValue `1` */
  readonly maxAttempts?: number;
  /** Failures in a row that eject a member. @defaultValue `5` */
  readonly consecutiveFailures?: number;
  /** How long a member is ejected at first; each further time is longer by as much. Also how long a probe may take. @defaultValue `30_000` */
  readonly baseEjectionMs?: number;
  /** The longest ejection, jitter apart. @defaultValue `300_000`, or a longer `baseEjectionMs` */
  readonly maxEjectionMs?: number;
  /** The most that chance adds to an ejection, in ms. @defaultValue `0` */
  readonly maxEjectionJitterMs?: number;
  /** The largest share of the members that is ejected at a time; one always may be. @defaultValue `0.1` */
  readonly maxEjectionFraction?: number;
  /** Below this share of members that take calls, ejection is disregarded; 0 never does. @defaultValue `0.5` */
  readonly panicThreshold?: number;
  /** How often rates are looked at, and after how long in health the next ejection becomes shorter. @defaultValue `10_000` */
  readonly intervalMs?: number;
  /** Ejection by success rate, on unless `false`. */
  readonly successRate?: SuccessRateEjection | false;
  /** Ejection by failure rate, off unless given. */
  readonly failureRate?: FailureRateEjection;
  /** What errors and values mean. */
  readonly classify?: Classifier;
  /** Where time comes from. */
  readonly clock?: Clock;
  /** Where chance comes from: numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** The options of outlier detection, checked and completed. */
export interface OutlierSettings {
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionJitterMs: number;
  readonly maxEjectionFraction: number;
  readonly panicThreshold: number;
  /** Whether one healthy member is enough against panic: in order, each is a priority of its own. */
  readonly inOrder: boolean;
  readonly intervalMs: number;
  readonly successRate: Required<SuccessRateEjection> | undefined;
  readonly failureRate: Required<FailureRateEjection> | undefined;
  readonly random: () => number;
}

/** The options of a pool, checked and completed. */
export interface PoolSettings<M extends PoolMember> {
  readonly name: string;
  readonly members: readonly M[];
  readonly order: PoolOrder;
  readonly maxAttempts: number;
  readonly classify: Classifier;
  readonly clock: Clock;
  readonly outliers: OutlierSettings;
}

const known = [
  ...['name', 'members', 'order', 'maxAttempts', 'consecutiveFailures', 'baseEjectionMs', 'maxEjectionMs', 'maxEjectionJitterMs'],
  ...['maxEjectionFraction', 'panicThreshold', 'intervalMs', 'successRate', 'failureRate', 'classify', 'clock', 'random'],
];
const orders: readonly string[] = ['round-robin', 'least-in-flight', 'in-order'];

/** Checks the options of a pool and completes them; throws a RangeError that names option, value and limit. */
export function poolSettings<M extends PoolMember>(options: CircuitBreakerPoolOptions<M>): PoolSettings<M> {
  onlyKnown('CircuitBreakerPool', options, known);
  const { name = 'default', order = 'round-robin', maxAttempts = 1, classify = {}, clock = systemClock } = options;
  return {
    name: textOf('name', name),
    members: checkedMembers(options.members),
    order: oneOf('order', order, orders),
    maxAttempts: wholeNumber('maxAttempts', maxAttempts, 1, 1_000),
    classify: checkedClassifier(classify),
    clock: clockOf(clock),
    outliers: outlierSettings(options),
  };
}

function outlierSettings(options: CircuitBreakerPoolOptions<PoolMember>): OutlierSettings {
  const { consecutiveFailures = 5, baseEjectionMs = 30_000, maxEjectionJitterMs = 0, intervalMs = 10_000 } = options;
  const { maxEjectionFraction = 0.1, panicThreshold = 0.5, successRate = {}, failureRate, random = Math.random } = options;
  functionOf('random', random);
  wholeNumber('baseEjectionMs', baseEjectionMs, 1, longestTimerMs);
  const { maxEjectionMs = Math.max(300_000, baseEjectionMs) } = options;
  return {
    consecutiveFailures: wholeNumber('consecutiveFailures', consecutiveFailures, 1, 1_000_000),
    baseEjectionMs,
    maxEjectionMs: wholeNumber('maxEjectionMs', maxEjectionMs, baseEjectionMs, longestTimerMs),
    maxEjectionJitterMs: wholeNumber('maxEjectionJitterMs', maxEjectionJitterMs, 0, longestTimerMs),
    maxEjectionFraction: fraction('maxEjectionFraction', maxEjectionFraction),
    panicThreshold: panicThreshold === 0 ? 0 : fraction('panicThreshold', panicThreshold),
    inOrder: options.order === 'in-order',
    intervalMs: wholeNumber('intervalMs', intervalMs, 1, longestTimerMs),
    successRate: successRate === false ? undefined : successRateSettings(successRate),
    failureRate: failureRate === undefined ? undefined : failureRateSettings(failureRate),
    random,
  };
}

function successRateSettings(options: SuccessRateEjection): Required<SuccessRateEjection> {
  onlyKnown('successRate', options, ['stdevFactor', 'minimumMembers', 'minimumCalls']);
  const { stdevFactor = 1.9, minimumMembers = 5, minimumCalls = 100 } = options;
  return {
    stdevFactor: numberWithin('successRate.stdevFactor', stdevFactor, 0, 1_000),
    minimumMembers: wholeNumber('successRate.minimumMembers', minimumMembers, 1, 1_000_000),
    minimumCalls: wholeNumber('successRate.minimumCalls', minimumCalls, 1, 1_000_000),
  };
}

function failureRateSettings(options: FailureRateEjection): Required<FailureRateEjection> {
  onlyKnown('failureRate', options, ['threshold', 'minimumMembers', 'minimumCalls']);
  const { threshold = 0.85, minimumMembers = 5, minimumCalls = 50 } = options;
  return {
    threshold: fraction('failureRate.threshold', threshold),
    minimumMembers: wholeNumber('failureRate.minimumMembers', minimumMembers, 1, 1_000_000),
    minimumCalls: wholeNumber('failureRate.minimumCalls', minimumCalls, 1, 1_000_000),
  };
}

function checkedMembers<M extends PoolMember>(members: readonly M[]): readonly M[] {
  if (!Array.isArray(members) || members.length === 0) throw new RangeError('members must be an array of at least one');
  const names = new Set<string>();
  for (const { name, weight = 1 } of members as readonly M[]) {
    if (typeof name !== 'string') throw new RangeError(`members: name must be a string, not ${String(name)}`);
    if (names.has(name)) throw new RangeError(`members: two are named '${name}'`);
    names.add(name);
    if (!(Number.isFinite(weight) && weight > 0))
      throw new RangeError(`members: weight of '${name}' must be above 0, not ${String(weight)}`);
  }
  return [...members];
}
