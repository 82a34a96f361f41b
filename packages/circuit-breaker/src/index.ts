export type { Permit } from './circuit.ts';
export { CircuitBreaker } from './circuit-breaker.ts';
export type { CircuitRecord } from './circuit-record.ts';
export type { CircuitState } from './circuit-state.ts';
export type { Clock } from './clock.ts';
export {
  CircuitOpenError,
  IllegalTransitionError,
  isCircuitOpenError,
  isRefusal,
  isTimeoutError,
  TimeoutError,
  type TimeoutKind,
} from './errors.ts';
export type { CircuitBreakerEvents, TransitionReason } from './events.ts';
export type { ExecuteOptions, ExecutionContext, Protected } from './execution.ts';
export type { Classifier, Outcome, ThrottledOutcome } from './outcome.ts';
export type { CircuitBreakerOptions } from './settings.ts';
export type { CircuitBreakerMetrics, CircuitBreakerSnapshot } from './snapshot.ts';
export type { ProtectedStream } from './stream.ts';
export type { Totals } from './tally.ts';
export type {
  ConsecutiveWindowOptions,
  ConsecutiveWindowSnapshot,
  CountWindowOptions,
  CountWindowSnapshot,
  OpenReason,
  SlidingWindowOptions,
  TimeBucket,
  TimeWindowOptions,
  TimeWindowSnapshot,
  WindowCounts,
  WindowSnapshot,
} from './windows/sliding-window.ts';
