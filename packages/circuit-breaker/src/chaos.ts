import { Chaos, type ChaosOptions, chaosOptions } from './chaos/chaos-injection.ts';
import { type Clock, systemClock } from './clock.ts';
import type { ExecutionContext } from './execution.ts';
import { functionOf, longestTimerMs, numberWithin, onlyKnown } from './options.ts';
import { pause } from './policies/pause.ts';

export type { Chaos, ChaosKind, ChaosMetrics, ChaosOptions } from './chaos/chaos-injection.ts';

/** Which calls fail, and how. */
export interface ChaosFaultOptions extends ChaosOptions {
  /** Makes what is thrown in place of the call. */
  readonly fault: () => unknown;
}

/** Which calls are late, and by how much. */
export interface ChaosLatencyOptions extends ChaosOptions {
  /** How long a call is held back before it is made, in ms, or between which two bounds. */
  readonly latencyMs: number | readonly [min: number, max: number];
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** Which calls are answered wrongly, and how. */
export interface ChaosOutcomeOptions extends ChaosOptions {
  /** Makes what is returned in place of the call. */
  readonly outcome: () => unknown;
}

/** Before which calls something happens, and what. */
export interface ChaosBehaviorOptions extends ChaosOptions {
  /** Runs before the call, which waits for it; what it throws is thrown in place of the call. */
  readonly behavior: (context: ExecutionContext) => unknown;
}

/**
 * Throws in place of a share of the calls. As all four kinds named as in Polly v8, to stand innermost in a pipeline, where every
 * policy takes it for the server's doing.
 */
export function chaosFault(options: ChaosFaultOptions): Chaos {
  onlyKnown('chaosFault', options, [...chaosOptions, 'fault']);
  const fault = functionOf('fault', options.fault);
  return new Chaos('fault', options, () => {
    throw fault();
  });
}

/** Holds a share of the calls back before they are made. An abort ends the wait. */
export function chaosLatency(options: ChaosLatencyOptions): Chaos {
  onlyKnown('chaosLatency', options, [...chaosOptions, 'latencyMs', 'clock']);
  const { latencyMs, clock = systemClock } = options;
  const [min, max] = latencyBounds(latencyMs);
  return new Chaos('latency', options, async (fn, execution, share) => {
    await pause(min + (max - min) * share, clock, execution);
    execution.throwIfAborted();
    return fn(execution);
  });
}

/** Returns something else in place of a share of the calls. */
export function chaosOutcome(options: ChaosOutcomeOptions): Chaos {
  onlyKnown('chaosOutcome', options, [...chaosOptions, 'outcome']);
  const outcome = functionOf('outcome', options.outcome) as () => never;
  return new Chaos('outcome', options, () => outcome());
}

/** Does something of the caller's own before a share of the calls, such as dropping a connection. */
export function chaosBehavior(options: ChaosBehaviorOptions): Chaos {
  onlyKnown('chaosBehavior', options, [...chaosOptions, 'behavior']);
  const behavior = functionOf('behavior', options.behavior);
  return new Chaos('behavior', options, async (fn, execution) => {
    await behavior(execution);
    execution.throwIfAborted();
    return fn(execution);
  });
}

function latencyBounds(latencyMs: ChaosLatencyOptions['latencyMs']): [min: number, max: number] {
  const [lower, upper] = Array.isArray(latencyMs) && latencyMs.length === 2 ? latencyMs : [latencyMs, latencyMs];
  const min = numberWithin('latencyMs', lower, 0, longestTimerMs);
  return [min, numberWithin('latencyMs', upper, min, longestTimerMs)];
}
