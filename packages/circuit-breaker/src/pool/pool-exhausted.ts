import { kind, kindOf, refusal } from '../errors.ts';

/** The call was not made because no member of the pool takes calls now. */
export class PoolExhaustedError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'PoolExhaustedError';
  /** Stable, for programs. */
  readonly code = 'ERR_POOL_EXHAUSTED';
  /** Name of the pool that refused. */
  readonly limit: string;
  /** When the first member takes a call again, in ms from now. */
  readonly retryAfterMs: number;
  /** @internal */
  readonly [kind] = 'pool-exhausted';
  /** @internal */
  readonly [refusal] = true;

  constructor(limit: string, retryAfterMs: number) {
    super(`no member of pool '${limit}' takes calls for ${retryAfterMs} ms`);
    this.limit = limit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether `error` is a {@link PoolExhaustedError}, also one of another copy of this package. */
export function isPoolExhaustedError(error: unknown): error is PoolExhaustedError {
  return kindOf(error) === 'pool-exhausted';
}
