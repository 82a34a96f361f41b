export type { Permit } from './circuit.ts';
export { CircuitBreaker, type CircuitBreakerMetrics, type CircuitBreakerSnapshot } from './circuit-breaker.ts';
export type { CircuitState } from './circuit-state.ts';
export type { Clock } from './clock.ts';
export {
  CircuitOpenError,
  IllegalTransitionError,
  isCircuitOpenError,
  isRefusal,
  isRegistryFullError,
  isTimeoutError,
  RegistryFullError,
  TimeoutError,
} from './errors.ts';
export type { CircuitBreakerEvents, TransitionReason } from './events.ts';
export type { ExecuteOptions, ExecutionContext, Protected } from './execution.ts';
export type { Classifier, Outcome, ThrottledOutcome } from './outcome.ts';
export { CircuitBreakerRegistry, type CircuitBreakerRegistryEvents, type CircuitBreakerRegistryOptions } from './registry.ts';
export type { CircuitBreakerOptions } from './settings.ts';
export type {
  ConsecutiveWindowOptions,
  CountWindowOptions,
  OpenReason,
  SlidingWindowOptions,
  TimeWindowOptions,
} from './sliding-window.ts';
