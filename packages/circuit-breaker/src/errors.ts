import type { CircuitState } from './circuit-state.ts';

// Registered symbols, so that the guards recognise errors of another copy of this package in the same process.
export const kind: unique symbol = Symbol.for('tidegate.error') as typeof kind;
export const refusal: unique symbol = Symbol.for('tidegate.refusal') as typeof refusal;

/**
 * The call was not made because the circuit is open, held open, or half-open with every probe already out.
 *
 * An `Error` by `instanceof`, but without a stack: it would say nothing, and taking it is what refusing costs elsewhere.
 */
export class CircuitOpenError implements Error {
  /** Tells the class in stack traces and logs. */
  declare readonly name: 'CircuitOpenError';
  /** Stable, for programs. */
  readonly code = 'ERR_CIRCUIT_OPEN';
  /** Name of the breaker that refused. */
  readonly limit: string;
  /** The breaker's state when it refused. */
  readonly state: CircuitState;
  /** When a call may be admitted again, in ms from now; absent for a circuit that is held open by hand. */
  declare readonly retryAfterMs?: number;

  constructor(limit: string, state: CircuitState, retryAfterMs: number | undefined) {
    this.limit = limit;
    this.state = state;
    if (retryAfterMs !== undefined) this.retryAfterMs = retryAfterMs;
  }

  /** Which circuit refuses, and for how long. */
  get message(): string {
    const when = this.retryAfterMs === undefined ? 'until it is closed by hand' : `for ${this.retryAfterMs} ms`;
    return `circuit '${this.limit}' is ${this.state} ${when}`;
  }

  /** Whoever passes the error on may say more. */
  set message(value: string) {
    Object.defineProperty(this, 'message', { value, configurable: true, writable: true });
  }

  /** Name and message: where it was thrown says nothing. */
  get stack(): string {
    return `${this.name}: ${this.message}`;
  }

  /** As with any error. */
  set stack(value: string) {
    Object.defineProperty(this, 'stack', { value, configurable: true, writable: true });
  }
}

Object.setPrototypeOf(CircuitOpenError.prototype, Error.prototype);
Object.assign(CircuitOpenError.prototype, { name: 'CircuitOpenError', [kind]: 'circuit-open', [refusal]: true });

/** Which limit of time ran out: of the whole call, until the first item of a stream, or between two items. */
export type TimeoutKind = 'total' | 'first-item' | 'idle';

const timeoutCodes = { total: 'ERR_TIMEOUT', 'first-item': 'ERR_FIRST_ITEM_TIMEOUT', idle: 'ERR_IDLE_TIMEOUT' } as const;
const missing = { total: 'no result', 'first-item': 'no first item', idle: 'no further item' } as const;

/** The call took longer than its limit; its `signal` was aborted with this error. */
export class TimeoutError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'TimeoutError';
  /** Stable, for programs: `ERR_TIMEOUT`, or for streams `ERR_FIRST_ITEM_TIMEOUT` and `ERR_IDLE_TIMEOUT`. */
  readonly code: (typeof timeoutCodes)[TimeoutKind];
  /** The limit that ran out, in ms. */
  readonly timeoutMs: number;
  /** @internal */
  readonly [kind] = 'timeout';

  constructor(timeoutMs: number, which: TimeoutKind = 'total') {
    super(`${missing[which]} within ${timeoutMs} ms`);
    this.code = timeoutCodes[which];
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
