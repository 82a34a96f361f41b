import { CircuitBreaker } from '../circuit-breaker.ts';
import { longestTimerMs } from '../options.ts';
import { type BulkheadOptions, bulkhead, mostCalls } from '../policies/bulkhead.ts';
import { retry } from '../policies/retry.ts';
import type { RetryOptions } from '../policies/retry-settings.ts';
import { type TimeoutOptions, timeout } from '../policies/timeout.ts';
import { mostProbes } from '../probes.ts';
import type { CircuitBreakerOptions } from '../settings.ts';

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Options as a file gives them. */
export type FileOptions = Readonly<Record<string, unknown>>;

/** One part of a policy: the options a file may give and how the package checks them. */
export interface PolicyPart {
  readonly description: string;
  /** Every option that a file may give, with what the schema says of its value. What a value may be is decided by `check`. */
  readonly options: Readonly<Record<string, JsonSchema>>;
  /** Options beside which `option` can be checked by itself. */
  readonly beside: (option: string) => FileOptions;
  /** Throws the package's own RangeError. */
  readonly check: (options: FileOptions) => void;
}

/** The window of a breaker, by its type; the first option of each is required. */
export const windows: Readonly<Record<string, Readonly<Record<string, JsonSchema>>>> = {
  consecutive: { failures: whole(1, 1_000_000) },
  count: { size: whole(1, 1_000_000) },
  time: { durationMs: whole(1, longestTimerMs), buckets: whole(1, 1_000) },
};

const anyWindow: FileOptions = { slidingWindow: { type: 'time', durationMs: 1, buckets: 1 } };
const slowCalls: FileOptions = { slowCallRateThreshold: 1, slowCallDurationThresholdMs: 1 };

/** What the parts of a policy are made of. An option that is added to the package is one line here. */
export const parts = {
  retry: {
    description: 'How a failed call is made again: the options of retry().',
    options: {
      maxAttempts: whole(1, 1_000),
      backoff: { enum: ['exponential', 'linear', 'decorrelated-jitter'] },
      initialDelayMs: number(0, longestTimerMs),
      multiplier: number(1, 1_000),
      maxDelayMs: number(0, longestTimerMs),
      jitter: number(0, 1),
      maxElapsedMs: number(0, longestTimerMs),
    },
    beside: () => ({}),
    check: (options) => void retry(options as RetryOptions),
  },
  circuitBreaker: {
    description: 'When the circuit opens and closes: the options of CircuitBreaker.',
    options: {
      slidingWindow: windowSchema(),
      failureRateThreshold: fraction(),
      slowCallRateThreshold: fraction(),
      slowCallDurationThresholdMs: number(0, longestTimerMs),
      slowCallInFlight: { type: 'boolean' },
      minimumNumberOfCalls: whole(1, 1_000_000),
      waitDurationInOpenStateMs: whole(1, longestTimerMs),
      waitMultiplierInOpenState: number(1, 1_000),
      maxWaitDurationInOpenStateMs: whole(1, longestTimerMs),
      waitJitterInOpenState: number(0, 1),
      openForHintAlone: { type: 'boolean' },
      permittedNumberOfCallsInHalfOpenState: whole(1, mostProbes),
      maxWaitDurationInHalfOpenStateMs: whole(1, longestTimerMs),
    },
    beside: (option) => {
      if (option === 'slidingWindow') return {};
      return { ...anyWindow, waitDurationInOpenStateMs: 1, ...(option.startsWith('slowCall') && slowCalls) };
    },
    check: (options) => void new CircuitBreaker(options as CircuitBreakerOptions),
  },
  bulkhead: {
    description: 'How many calls run at once: the options of bulkhead().',
    options: { maxConcurrent: whole(1, mostCalls), maxQueue: whole(0, mostCalls), maxWaitMs: number(1, longestTimerMs) },
    beside: () => ({ maxConcurrent: 1, maxQueue: 1 }),
    check: (options) => void bulkhead(options as unknown as BulkheadOptions),
  },
  timeout: {
    description: 'How long one attempt may take: the options of timeout().',
    options: { totalMs: number(1, longestTimerMs), firstItemMs: number(1, longestTimerMs), idleMs: number(1, longestTimerMs) },
    beside: () => ({}),
    check: (options) => void timeout(options as unknown as TimeoutOptions),
  },
} as const satisfies Readonly<Record<string, PolicyPart>>;

/** The name of a part of a policy. */
export type PartName = keyof typeof parts;

/** The parts, in the order of the file's documentation. */
export const partNames = Object.keys(parts) as readonly PartName[];

/** A policy with what it inherits, its options in the order of {@link parts}. */
export type PolicySettings = Readonly<Partial<Record<PartName, FileOptions>>>;

function whole(minimum: number, maximum: number): JsonSchema {
  return { type: 'integer', minimum, maximum };
}

function number(minimum: number, maximum: number): JsonSchema {
  return { type: 'number', minimum, maximum };
}

function fraction(): JsonSchema {
  return { type: 'number', exclusiveMinimum: 0, maximum: 1 };
}

function windowSchema(): JsonSchema {
  const oneOf = Object.entries(windows).map(([type, options]) => ({
    type: 'object',
    properties: { type: { const: type }, ...options },
    required: ['type', ...Object.keys(options).slice(0, 1)],
    additionalProperties: false,
  }));
  return { oneOf };
}
