import { describe, expect, it } from 'vitest';
import { type ChaosFaultOptions, chaosBehavior, chaosFault, chaosLatency, chaosOutcome } from '../src/chaos.ts';
import { CircuitBreaker, type CircuitBreakerOptions } from '../src/index.ts';
import { instrumentCircuitBreakers } from '../src/otel.ts';
import {
  type BulkheadOptions,
  bulkhead,
  fallback,
  hedge,
  type RetryOptions,
  retry,
  retryBudget,
  type TimeoutOptions,
  timeout,
} from '../src/policies.ts';
import { registerCircuitBreakers } from '../src/prometheus.ts';
import { recordCalls, replayCalls } from '../src/replay.ts';

type Make = (value: unknown) => unknown;

const longest = 2_147_483_647;
const breakerOf = (options: object) => new CircuitBreaker(options as CircuitBreakerOptions);
const withBreaker =
  (option: string, others: object = {}): Make =>
  (value) =>
    breakerOf({ ...others, [option]: value });
const withWindow =
  (option: string, window: object): Make =>
  (value) =>
    breakerOf({ slidingWindow: { ...window, [option]: value } });
const withRetry =
  (option: string): Make =>
  (value) =>
    retry({ [option]: value } as RetryOptions);
const withBulkhead =
  (option: string): Make =>
  (value) =>
    bulkhead({ maxConcurrent: 1, maxQueue: 1, [option]: value } as BulkheadOptions);
const withQuantile =
  (option: string): Make =>
  (value) =>
    hedge({ delayMs: { quantile: 0.95, initialDelayMs: 1, [option]: value } });
const withChaos =
  (option: string): Make =>
  (value) =>
    chaosFault({ injectionRate: 1, fault: () => 1, [option]: value } as ChaosFaultOptions);
const count = { slidingWindow: { type: 'count', size: 1_000 } };

const nonsense = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, '1', null, true, 1n, [1], {}, new Date(1)];

/** Option, how it is given, its least and greatest value, whether fractions pass, and what is too small or too large. */
const numeric: Array<[option: string, make: Make, good: number[], bad: number[]]> = [
  ['waitDurationInOpenStateMs', withBreaker('waitDurationInOpenStateMs'), [1, longest], [-1, 0, 0.5, 1.5, longest + 1]],
  ['waitMultiplierInOpenState', withBreaker('waitMultiplierInOpenState'), [1, 1.5, 1_000], [-1, 0, 0.5, 1_001]],
  [
    'maxWaitDurationInOpenStateMs',
    withBreaker('maxWaitDurationInOpenStateMs', { waitDurationInOpenStateMs: 2 }),
    [2, longest],
    [-1, 0, 1, 2.5, longest + 1],
  ],
  ['waitJitterInOpenState', withBreaker('waitJitterInOpenState'), [0, 0.2, 1], [-0.1, 1.1, 20]],
  ['permittedNumberOfCallsInHalfOpenState', withBreaker('permittedNumberOfCallsInHalfOpenState'), [1, 1_000], [-1, 0, 1.5, 1_001]],
  ['maxWaitDurationInHalfOpenStateMs', withBreaker('maxWaitDurationInHalfOpenStateMs'), [1, longest], [-1, 0, 1.5, longest + 1]],
  ['failureRateThreshold', withBreaker('failureRateThreshold', count), [1e-9, 0.5, 1], [-0.5, 0, 1.01, 50, 101]],
  [
    'slowCallRateThreshold',
    withBreaker('slowCallRateThreshold', { ...count, slowCallDurationThresholdMs: 1 }),
    [1e-9, 0.5, 1],
    [-0.5, 0, 1.01, 50],
  ],
  [
    'slowCallDurationThresholdMs',
    withBreaker('slowCallDurationThresholdMs', { ...count, slowCallRateThreshold: 1 }),
    [0, 0.5, longest],
    [-1, longest + 1],
  ],
  ['minimumNumberOfCalls', withBreaker('minimumNumberOfCalls', count), [1, 1_000], [-1, 0, 1.5, 1_000_001]],
  ['slidingWindow.failures', withWindow('failures', { type: 'consecutive' }), [1, 1_000_000], [-1, 0, 1.5, 1_000_001]],
  ['slidingWindow.size', withWindow('size', { type: 'count' }), [1, 1_000_000], [-1, 0, 1.5, 1_000_001]],
  ['slidingWindow.durationMs', withWindow('durationMs', { type: 'time' }), [1, longest], [-1, 0, 1.5, longest + 1]],
  ['slidingWindow.buckets', withWindow('buckets', { type: 'time', durationMs: 10 }), [1, 1_000], [-1, 0, 1.5, 1_001]],
  ['maxAttempts', withRetry('maxAttempts'), [1, 1_000], [-1, 0, 1.5, 1_001]],
  ['initialDelayMs', withRetry('initialDelayMs'), [0, 0.5, longest], [-1, longest + 1]],
  ['multiplier', withRetry('multiplier'), [1, 1.5, 1_000], [-1, 0, 0.5, 1_001]],
  ['maxDelayMs', withRetry('maxDelayMs'), [0, 0.5, longest], [-1, longest + 1]],
  ['jitter', withRetry('jitter'), [0, 0.5, 1], [-0.1, 1.1, 50]],
  ['maxElapsedMs', withRetry('maxElapsedMs'), [0, 0.5, longest], [-1, longest + 1]],
  ['ratio', (ratio) => retryBudget({ ratio } as object), [0, 0.5, 1], [-0.1, 1.1, 20]],
  ['minPerSecond', (minPerSecond) => retryBudget({ minPerSecond } as object), [0, 0.5, 1_000_000], [-1, 1_000_001]],
  ['ttlMs', (ttlMs) => retryBudget({ ttlMs } as object), [1, 1.5, longest], [-1, 0, 0.5, longest + 1]],
  ['maxConcurrent', withBulkhead('maxConcurrent'), [1, 1_000_000], [-1, 0, 1.5, 1_000_001]],
  ['maxQueue', withBulkhead('maxQueue'), [0, 1_000_000], [-1, 1.5, 1_000_001]],
  ['maxWaitMs', withBulkhead('maxWaitMs'), [1, 1.5, longest], [-1, 0, 0.5, longest + 1]],
  ['maxHedges', (maxHedges) => hedge({ delayMs: 1, maxHedges } as never), [1, 100], [-1, 0, 1.5, 101]],
  ['delayMs', (delayMs) => hedge({ delayMs } as never), [0, 0.5, longest], [-1, longest + 1]],
  ['delayMs.quantile', withQuantile('quantile'), [1e-9, 0.95, 1], [-0.5, 0, 1.01, 95]],
  ['delayMs.initialDelayMs', withQuantile('initialDelayMs'), [0, 0.5, longest], [-1, longest + 1]],
  ['delayMs.minSamples', withQuantile('minSamples'), [1, 1_000], [-1, 0, 1.5, 1_001]],
  ['injectionRate', withChaos('injectionRate'), [0, 0.5, 1], [-0.1, 1.1, 50]],
  ['seed', withChaos('seed'), [0, 1, 4_294_967_295], [-1, 0.5, 4_294_967_296]],
  ['latencyMs', (latencyMs) => chaosLatency({ injectionRate: 1, latencyMs } as never), [0, 0.5, longest], [-1, longest + 1]],
  ['latencyMs', (max) => chaosLatency({ injectionRate: 1, latencyMs: [5, max] } as never), [5, 5.5, longest], [-1, 0, 4, longest + 1]],
  ['firstItemMs', (firstItemMs) => timeout({ firstItemMs } as TimeoutOptions), [1, 1.5, longest], [-1, 0, 0.5, longest + 1]],
  ['idleMs', (idleMs) => timeout({ idleMs } as TimeoutOptions), [1, 1.5, longest], [-1, 0, 0.5, longest + 1]],
  ['totalMs', (totalMs) => timeout({ totalMs } as TimeoutOptions), [1, 1.5, longest], [-1, 0, 0.5, longest + 1]],
];

describe.each(numeric)('%s', (option, make, good, bad) => {
  it.each(good)('takes %d', (value) => {
    expect(() => make(value)).not.toThrow();
  });

  it.each([...bad, ...nonsense])('refuses %s with its name, the value and the limit', (value) => {
    let error: unknown;
    try {
      make(value);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(RangeError);
    const { message } = error as Error;
    expect(message).toContain(option);
    expect(message).toContain(`not ${String(value)}`);
    expect(message).toMatch(/from \d+ to \d+|above 0 and at most 1/);
  });
});

describe('a percentage given for a fraction', () => {
  it.each(['failureRateThreshold', 'slowCallRateThreshold'])('is told how to write it (%s)', (option) => {
    const make = withBreaker(option, { ...count, slowCallDurationThresholdMs: 1, slowCallRateThreshold: 1 });
    expect(() => make(50)).toThrow('for 50 % write 0.5');
  });
});

describe('options that contradict each other are refused', () => {
  it.each([
    ['a minimum above the window', { slidingWindow: { type: 'count', size: 5 }, minimumNumberOfCalls: 6 }, 'minimumNumberOfCalls (6)'],
    ['a slow rate without a duration', { ...count, slowCallRateThreshold: 0.5 }, 'go together'],
    ['a slow duration without a rate', { ...count, slowCallDurationThresholdMs: 10 }, 'go together'],
    ['calls that hang without a slow rate', { ...count, slowCallInFlight: true }, 'slowCallInFlight needs a slowCallRateThreshold'],
    [
      'calls that hang at once',
      { ...count, slowCallInFlight: true, slowCallRateThreshold: 1, slowCallDurationThresholdMs: 0.5 },
      'slowCallInFlight needs a slowCallRateThreshold and a slowCallDurationThresholdMs of 1 or more',
    ],
    ['a hint alone that is neither true nor false', { openForHintAlone: 'yes' }, 'openForHintAlone must be true or false, not yes'],
    ['what is neither true nor false', { ...count, slowCallInFlight: 1 }, 'slowCallInFlight must be true or false, not 1'],
    ['calls that hang of a consecutive window', { slowCallInFlight: false }, 'slowCallInFlight needs a slidingWindow'],
    ['a failure rate of a consecutive window', { failureRateThreshold: 0.5 }, 'failureRateThreshold'],
    ['a minimum of a consecutive window', { minimumNumberOfCalls: 5 }, 'minimumNumberOfCalls'],
    [
      'a slow rate of a consecutive window',
      { slidingWindow: { type: 'consecutive', failures: 5 }, slowCallRateThreshold: 1, slowCallDurationThresholdMs: 1 },
      'slowCallRateThreshold',
    ],
  ])('%s', (_, options, message) => {
    expect(() => breakerOf(options)).toThrow(RangeError);
    expect(() => breakerOf(options)).toThrow(message);
  });
});

describe('what is not known is refused', () => {
  it.each<[string, () => unknown, string]>([
    ['an option of a breaker', () => breakerOf({ failureThreshold: 5 }), "'failureThreshold'"],
    ['an option of a consecutive window', () => breakerOf({ slidingWindow: { type: 'consecutive', failures: 5, size: 5 } }), "'size'"],
    ['an option of a count window', () => breakerOf({ slidingWindow: { type: 'count', size: 5, buckets: 5 } }), "'buckets'"],
    ['an option of a time window', () => breakerOf({ slidingWindow: { type: 'time', durationMs: 5, size: 5 } }), "'size'"],
    ['a type of window', () => breakerOf({ slidingWindow: { type: 'rolling', size: 5 } }), "not 'rolling'"],
    ['a window that is none', () => breakerOf({ slidingWindow: 'count' }), "not 'undefined'"],
    ['a window of null', () => breakerOf({ slidingWindow: null }), 'slidingWindow'],
    ['a rule of a classifier', () => breakerOf({ classify: { errors: () => 'ignore' } }), "'errors'"],
    ['a classifier that is a function', () => breakerOf({ classify: () => 'ignore' }), 'classify'],
    ['a rule that is no function', () => breakerOf({ classify: { error: 'ignore' } }), 'classify.error'],
    ['an option of a retry', () => retry({ attempts: 3 } as RetryOptions), "'attempts'"],
    ['a rule of a retry that is none', () => retry({ retryIf: true as never }), 'retryIf must be a function, not true'],
    ['an option of a budget', () => retryBudget({ percent: 20 } as object), "'percent'"],
    ['an option of a bulkhead', () => bulkhead({ maxConcurrent: 1, limit: 1 } as BulkheadOptions), "'limit'"],
    ['a wait without a queue', () => bulkhead({ maxConcurrent: 1, maxWaitMs: 1 }), 'maxWaitMs needs a maxQueue'],
    ['an option of a fallback', () => fallback({ to: () => 1, value: 1 } as never), "'value'"],
    ['a substitute that is no function', () => fallback({ to: 1 } as never), 'to must be a function, not 1'],
    ['a rule of a fallback that is none', () => fallback({ to: () => 1, fallbackIf: 1 } as never), 'fallbackIf must be a function'],
    ['an option of a hedge', () => hedge({ delayMs: 1, attempts: 1 } as never), "'attempts'"],
    ['an option of a delay', () => hedge({ delayMs: { quantile: 0.5, initialDelayMs: 1, p: 1 } as never }), "'p'"],
    ['a delay without a beginning', () => hedge({ delayMs: { quantile: 0.5 } as never }), 'delayMs.initialDelayMs'],
    ['a budget that is none', () => hedge({ delayMs: 1, budget: 5 as never }), 'made by retryBudget()'],
    ['an option of a fault', () => chaosFault({ injectionRate: 1, fault: () => 1, error: 1 } as never), "'error'"],
    ['an option of a latency', () => chaosLatency({ injectionRate: 1, latencyMs: 1, ms: 1 } as never), "'ms'"],
    ['an option of an outcome', () => chaosOutcome({ injectionRate: 1, outcome: () => 1, value: 1 } as never), "'value'"],
    ['an option of a behavior', () => chaosBehavior({ injectionRate: 1, behavior: () => 1, fn: 1 } as never), "'fn'"],
    ['a fault that is no function', () => chaosFault({ injectionRate: 1, fault: new Error('x') } as never), 'fault must be a function'],
    ['an outcome that is no function', () => chaosOutcome({ injectionRate: 1, outcome: 1 } as never), 'outcome must be a function'],
    ['a behavior that is no function', () => chaosBehavior({ injectionRate: 1 } as never), 'behavior must be a function, not undefined'],
    ['a switch that is no function', () => chaosFault({ injectionRate: 1, fault: () => 1, enabled: true } as never), 'enabled must be'],
    [
      'three bounds',
      () => chaosLatency({ injectionRate: 1, latencyMs: [1, 2, 3] } as never),
      'latencyMs must be a number from 0 to 2147483647, not 1,2,3',
    ],
    ['an option of a recording', () => recordCalls(new CircuitBreaker(), { write: () => {}, path: 'x' } as never), "'path'"],
    ['a recording to no function', () => recordCalls(new CircuitBreaker(), { write: 'x' as never }), 'write must be a function, not x'],
    ['an option of a replay', () => replayCalls([], { policies: {}, policy: {} } as never), "'policy'"],
    ['an option of OpenTelemetry', () => instrumentCircuitBreakers([], { meter: {}, name: 'x' } as never), "'name'"],
    ['an option of Prometheus', () => registerCircuitBreakers([], { client: {}, prefix: 'x' } as never), "'prefix'"],
    ['an option of a timeout', () => timeout({ totalMs: 1, ideMs: 1 } as TimeoutOptions), "'ideMs'"],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow(message);
  });
});

describe('the object of the caller', () => {
  const frozen = <T extends object>(options: T): T => {
    for (const value of Object.values(options)) if (typeof value === 'object') frozen(value as object);
    return Object.freeze(options);
  };

  it('is never changed, and changing it later changes nothing', async () => {
    const options = frozen({ name: 'a', slidingWindow: { type: 'count', size: 5 }, classify: {} } as const);
    const breaker = new CircuitBreaker(options);
    await breaker.execute(() => 1);
    breaker.transitionTo('open');
    retry(frozen({ maxAttempts: 2 }));
    bulkhead(frozen({ maxConcurrent: 2 }));
    hedge(frozen({ delayMs: { quantile: 0.5, initialDelayMs: 2 } }));
    chaosLatency(frozen({ injectionRate: 1, latencyMs: [1, 2] }));
    timeout(frozen({ totalMs: 2 }));
    const mutable = { slidingWindow: { type: 'consecutive' as const, failures: 2 } };
    const other = new CircuitBreaker(mutable);
    mutable.slidingWindow.failures = 1;
    other.onFailure(other.tryAcquire() ?? 0);
    expect(other.state).toBe('closed');
  });

  it('may carry undefined for what it leaves to the default', () => {
    const undefinedOptions = { name: undefined, slidingWindow: undefined, waitDurationInOpenStateMs: undefined, classify: undefined };
    expect(breakerOf(undefinedOptions).name).toBe('default');
    expect(() => retry({ maxAttempts: undefined, maxElapsedMs: undefined } as unknown as RetryOptions)).not.toThrow();
  });
});
