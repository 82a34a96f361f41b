import { kind, kindOf, refusal } from '../errors.ts';

/** The call was not made because the bulkhead and its queue are full, or because no place came free in time. */
export class BulkheadFullError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'BulkheadFullError';
  /** Stable, for programs. */
  readonly code = 'ERR_BULKHEAD_FULL';
  /** Name of the bulkhead that refused. */
  readonly limit: string;
  /** @internal */
  readonly [kind] = 'bulkhead-full';
  /** @internal */
  readonly [refusal] = true;

  constructor(limit: string, why: string) {
    super(`bulkhead '${limit}' ${why}`);
    this.limit = limit;
  }
}

/** Why the `signal` of a hedged attempt was aborted that another one overtook. Never thrown at a caller; counts as nothing. */
export class HedgeLostError extends Error {
  /** Tells the class in stack traces and logs. */
  override readonly name = 'HedgeLostError';
  /** Stable, for programs. */
  readonly code = 'ERR_HEDGE_LOST';
  /** @internal */
  readonly [kind] = 'hedge-lost';
  /** @internal */
  readonly [refusal] = true;

  constructor(winner: number) {
    super(winner === 0 ? 'the first call answered before this hedge' : `hedge ${winner} answered first`);
  }
}

/** Whether `error` is a {@link BulkheadFullError}, also one of another copy of this package. */
export function isBulkheadFullError(error: unknown): error is BulkheadFullError {
  return kindOf(error) === 'bulkhead-full';
}

/** Makes an error without a stack: a refusal's says nothing and is half its cost. */
export function stackless<E extends Error>(make: () => E): E {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const error = make();
  Error.stackTraceLimit = limit;
  return error;
}
