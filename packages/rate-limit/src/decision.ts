/** How one limit stands after a decision. */
export interface LimitLevel {
  /** The limit's name. */
  readonly name: string;
  /** What it counts. */
  readonly unit: string;
  /** The highest cost that ever fits: a burst, a window's limit, or so many at once. */
  readonly quota: number;
  /** The period that `quota` is of, in ms; absent where it is of none. */
  readonly windowMs?: number;
  /** The highest cost that fits now. */
  readonly remaining: number;
  /** In how many ms more will fit; 0 where nothing is used. */
  readonly moreInMs: number;
  /** In how many ms nothing will be used any more, if nothing else comes. */
  readonly fullInMs: number;
}

/** What was answered without the store that shares the limits, and how. */
export type Degraded = 'open' | 'closed' | 'local';

/** The call may be made; it is charged to every limit. */
export interface Allowed {
  /** Tells an allowed call from a refused one. */
  readonly allowed: true;
  /** The limit with the least left. */
  readonly limit: string;
  /** The highest cost that limit would let through now; how many calls, of a limit that counts calls. */
  readonly remaining: number;
  /** Given where the store could not be asked in time: which of the limits' `onStoreError` answered. */
  readonly degraded?: Degraded;
  /** Each limit, where they were asked for. */
  readonly levels?: readonly LimitLevel[];
}

/** The call may not be made; nothing was charged to any limit. */
export interface Refused {
  /** Tells a refused call from an allowed one. */
  readonly allowed: false;
  /** `ERR_RATE_LIMITED`: by a limit. `ERR_STORE_UNAVAILABLE`: the store could not be asked, and a limit is `closed` then. */
  readonly code: 'ERR_RATE_LIMITED' | 'ERR_STORE_UNAVAILABLE';
  /** For people: which limit, and what it lets through. */
  readonly message: string;
  /** The limit that asks for the longest wait. */
  readonly limit: string;
  /** The highest cost that limit would let through now. */
  readonly remaining: number;
  /** After this many ms, and not before, the same call fits, unless others come first; Infinity for a `permanent` refusal. */
  readonly retryAfterMs: number;
  /** The cost is above what the limit ever lets through: no wait will do. */
  readonly permanent: boolean;
  /** Given where the store could not be asked in time: which of the limits' `onStoreError` answered. */
  readonly degraded?: Degraded;
  /** Each limit, where they were asked for. */
  readonly levels?: readonly LimitLevel[];
}

/** What a limiter answers. Refusals are values, not errors. */
export type Decision = Allowed | Refused;

const refusal = Symbol.for('tidegate.refusal');
const kind = Symbol.for('tidegate.error');

/** Why a {@link RateLimitError} was thrown. */
export type RateLimitErrorCode = 'ERR_RATE_LIMITED' | 'ERR_STORE_UNAVAILABLE' | 'ERR_QUEUE_FULL' | 'ERR_CLOSED' | 'ERR_LEASE_LOST';

/** A refusal as an error: what `reserve` and `acquire` throw. */
export class RateLimitError extends Error {
  /** Tells this error in logs. */
  override readonly name = 'RateLimitError';
  /**
   * `ERR_RATE_LIMITED`: it would not fit in time. `ERR_STORE_UNAVAILABLE`: the store could not be asked. `ERR_QUEUE_FULL`: too many
   * wait already. `ERR_CLOSED`: the limiter was closed. `ERR_LEASE_LOST`: a place was taken away, because its lease could not be renewed.
   */
  readonly code: RateLimitErrorCode;
  /** The limit that asks for the longest wait. */
  readonly limit: string;
  /** When the call would fit, in ms from now. */
  readonly retryAfterMs: number;
  /** @internal */
  readonly [kind] = 'rate-limit';
  /** @internal */
  readonly [refusal] = true;

  constructor(code: RateLimitErrorCode, message: string, limit: string, retryAfterMs: number) {
    super(message);
    this.code = code;
    this.limit = limit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether `error` is a {@link RateLimitError}, also one of another copy of this package. */
export function isRateLimitError(error: unknown): error is RateLimitError {
  return typeof error === 'object' && error !== null && (error as { [kind]?: unknown })[kind] === 'rate-limit';
}
