import type { CircuitState } from './circuit-state.ts';

// Registered symbols, so that the guards recognise errors of another copy of this package in the same process.
export const kind: unique symbol = Symbol.for('tidegate.error');
export const refusal: unique symbol = Symbol.for('tidegate.refusal');

/** The call was not made because the circuit is open, held open, or half-open with every probe already out. */
export class CircuitOpenError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'CircuitOpenError';
  /** Stable, for programs. */
  readonly code = 'ERR_CIRCUIT_OPEN';
  /** Name of the breaker that refused. */
  readonly limit: string;
  /** The breaker's state when it refused. */
  readonly state: CircuitState;
  /** When a call may be admitted again, in ms from now; absent for a circuit that is held open by hand. */
  declare readonly retryAfterMs?: number;
  /** @internal */
  readonly [kind] = 'circuit-open';
  /** @internal */
  readonly [refusal] = true;

  constructor(limit: string, state: CircuitState, retryAfterMs: number | undefined) {
    const when = retryAfterMs === undefined ? 'until it is closed by hand' : `for ${retryAfterMs} ms`;
    super(`circuit '${limit}' is ${state} ${when}`);
    this.limit = limit;
    this.state = state;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** No breaker was made: the registry is full of circuits that are open or held by hand, and forgetting one would admit its calls. */
export class RegistryFullError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'RegistryFullError';
  /** Stable, for programs. */
  readonly code = 'ERR_REGISTRY_FULL';
  /** The limit that refused. */
  readonly limit = 'maxBreakers';
  /** When one of the breakers looked at may be removed, in ms from now; absent where all of them are held by hand. */
  declare readonly retryAfterMs?: number;
  /** @internal */
  readonly [kind] = 'registry-full';
  /** @internal */
  readonly [refusal] = true;

  constructor(maxBreakers: number, retryAfterMs: number | undefined) {
    super(`no room for another breaker: ${maxBreakers} circuits are open or held by hand`);
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }
}

/** The call took longer than its limit; its `signal` was aborted with this error. */
export class TimeoutError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'TimeoutError';
  /** Stable, for programs. */
  readonly code = 'ERR_TIMEOUT';
  /** The limit that ran out, in ms. */
  readonly timeoutMs: number;
  /** @internal */
  readonly [kind] = 'timeout';

  constructor(timeoutMs: number) {
    super(`no result within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** A transition by hand that the state machine does not have, such as closed to half-open. */
export class IllegalTransitionError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'IllegalTransitionError';
  /** Stable, for programs. */
  readonly code = 'ERR_ILLEGAL_TRANSITION';

  constructor(limit: string, from: CircuitState, to: CircuitState) {
    super(`circuit '${limit}' cannot go from ${from} to ${to}`);
  }
}

/** Whether `error` is a {@link CircuitOpenError}, also one of another copy of this package. */
export function isCircuitOpenError(error: unknown): error is CircuitOpenError {
  return kindOf(error) === 'circuit-open';
}

/** Whether `error` is a {@link RegistryFullError}, also one of another copy of this package. */
export function isRegistryFullError(error: unknown): error is RegistryFullError {
  return kindOf(error) === 'registry-full';
}

/** Whether `error` is a {@link TimeoutError} of this package, also of another copy of it. */
export function isTimeoutError(error: unknown): error is TimeoutError {
  return kindOf(error) === 'timeout';
}

/**
 * Whether `error` is a refusal by a limit of the caller's own (an open circuit, a rate limit, a budget): the call was not
 * made, so it says nothing about the health of what would have been called.
 */
export function isRefusal(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { [refusal]?: unknown })[refusal] === true;
}

/** The kind that an error of this package carries, undefined for any other value. */
export function kindOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? (error as { [kind]?: unknown })[kind] : undefined;
}
