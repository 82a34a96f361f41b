import type { TokenBucket } from './token-bucket.ts';

/** The call may be made; it is charged to every limit. */
export interface Allowed {
  /** Tells an allowed call from a refused one. */
  readonly allowed: true;
  /** The limit with the least left. */
  readonly limit: string;
  /** How many more calls of cost 1 that limit would let through now. */
  readonly remaining: number;
}

/** The call may not be made; nothing was charged to any limit. */
export interface Refused {
  /** Tells a refused call from an allowed one. */
  readonly allowed: false;
  /** The same for every refusal by a limit. */
  readonly code: 'ERR_RATE_LIMITED';
  /** For people: which limit, and what it lets through. */
  readonly message: string;
  /** The limit that asks for the longest wait. */
  readonly limit: string;
  /** How many calls of cost 1 that limit would let through now. */
  readonly remaining: number;
  /** After this many ms, and not before, the same call fits, unless others come first; Infinity for a `permanent` refusal. */
  readonly retryAfterMs: number;
  /** The cost is above the limit's burst: no wait will do. */
  readonly permanent: boolean;
}

/** What a limiter answers. Refusals are values, not errors. */
export type Decision = Allowed | Refused;

const refusal = Symbol.for('tidegate.refusal');
const kind = Symbol.for('tidegate.error');

/** A refusal as an error: what `acquire` throws where waiting will not do. */
export class RateLimitError extends Error {
  /** Tells this error in logs. */
  override readonly name = 'RateLimitError';
  /** `ERR_RATE_LIMITED`: it would not fit in time. `ERR_QUEUE_FULL`: too many wait already. `ERR_CLOSED`: the limiter was closed. */
  readonly code: 'ERR_RATE_LIMITED' | 'ERR_QUEUE_FULL' | 'ERR_CLOSED';
  /** The limit that asks for the longest wait. */
  readonly limit: string;
  /** When the call would fit, in ms from now. */
  readonly retryAfterMs: number;
  /** @internal */
  readonly [kind] = 'rate-limit';
  /** @internal */
  readonly [refusal] = true;

  constructor(code: RateLimitError['code'], message: string, limit: string, retryAfterMs: number) {
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

/** What a refusal by this limit says; made once, because refusing must be cheap. */
export function refusalMessage({ name, rate, burst }: TokenBucket): string {
  return `limit '${name}' is used up (${rate.amount} per ${rate.periodMs / 1_000} s, burst ${burst})`;
}

/** What it says to a cost that no wait makes fit. */
export function permanentMessage({ name, burst }: TokenBucket): string {
  return `a cost above the burst of limit '${name}' (${burst}) never fits`;
}
