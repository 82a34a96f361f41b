import { type Backoff, delayAfter } from './backoff.ts';
import { type Clock, systemClock } from './clock.ts';
import { isRefusal } from './errors.ts';
import { type ExecuteOptions, Execution, type Policy, type Protected, run, underSignal } from './execution.ts';
import { longestTimerMs, numberWithin, onlyKnown, wholeNumber } from './options.ts';
import { role } from './pipeline-order.ts';

/** When and how often a failed call is made again. */
export interface RetryOptions {
  /** Attempts in all, the first included. @defaultValue `3` */
  readonly maxAttempts?: number;
  /** Upper bound of the first wait, in ms. @defaultValue `200` */
  readonly initialDelayMs?: number;
  /** What each further bound is multiplied by. @defaultValue `2` */
  readonly multiplier?: number;
  /** The longest wait, in ms. A server that asks for longer ends the retrying at once. @defaultValue `30_000` */
  readonly maxDelayMs?: number;
  /** Share of each wait that chance decides, 0 to 1. @defaultValue `1` */
  readonly jitter?: number;
  /** Attempts and waits together, in ms; a wait that would pass it is not begun. No limit unless given. */
  readonly maxElapsedMs?: number;
  /** Whether an error is worth another attempt. @defaultValue every error but a refusal by a limit of our own */
  readonly retryIf?: (error: unknown) => boolean;
  /** Where time comes from. */
  readonly clock?: Clock;
  /** Where chance comes from: numbers from 0 up to 1. */
  readonly random?: () => number;
}

const known = ['maxAttempts', 'initialDelayMs', 'multiplier', 'maxDelayMs', 'jitter', 'maxElapsedMs', 'retryIf', 'clock', 'random'];

/**
 * Makes a failed call again after a wait, and at the end throws the last error as it was thrown.
 *
 * An error with a `retryAfterMs` is waited out for at least that long. Only for calls that may be made twice.
 */
export function retry(options: RetryOptions = {}): Retry {
  onlyKnown('retry', options, known);
  const { maxAttempts = 3, initialDelayMs = 200, multiplier = 2, maxDelayMs = 30_000, jitter = 1, maxElapsedMs } = options;
  return new Retry({
    maxAttempts: wholeNumber('maxAttempts', maxAttempts, 1, 1_000),
    initialDelayMs: numberWithin('initialDelayMs', initialDelayMs, 0, longestTimerMs),
    multiplier: numberWithin('multiplier', multiplier, 1, 1_000),
    maxDelayMs: numberWithin('maxDelayMs', maxDelayMs, 0, longestTimerMs),
    jitter: numberWithin('jitter', jitter, 0, 1),
    maxElapsedMs: maxElapsedMs === undefined ? Number.POSITIVE_INFINITY : numberWithin('maxElapsedMs', maxElapsedMs, 0, longestTimerMs),
    retryIf: options.retryIf ?? ((error) => !isRefusal(error)),
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  });
}

/** What {@link retry} makes. */
export class Retry implements Policy {
  /** @internal */
  readonly [role] = 'retry';
  readonly #settings: Required<RetryOptions> & Backoff;

  /** @internal */
  constructor(settings: Required<RetryOptions> & Backoff) {
    this.#settings = settings;
  }

  /** Runs `fn` until it succeeds or another attempt is not worth it. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    return signal === undefined ? this[run](fn, new Execution()) : underSignal(signal, (execution) => this[run](fn, execution));
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    const { clock, maxElapsedMs } = this.#settings;
    const startedAt = maxElapsedMs === Number.POSITIVE_INFINITY ? 0 : clock.now();
    for (let attempt = 1; ; attempt += 1) {
      execution.throwIfAborted(); // an abort may come between the end of a wait and this line
      try {
        return await fn(execution);
      } catch (error) {
        execution.throwIfAborted();
        const delayMs = this.#delayFor(attempt, error);
        if (delayMs === undefined || clock.now() - startedAt + delayMs > maxElapsedMs) throw error;
        await pause(delayMs, clock, execution);
      }
    }
  }

  /** The wait before the next attempt, or undefined where there is to be none. */
  #delayFor(attempt: number, error: unknown): number | undefined {
    const { maxAttempts, retryIf, maxDelayMs, random } = this.#settings;
    if (attempt >= maxAttempts || !retryIf(error)) return undefined;
    const hint = retryAfterOf(error);
    if (hint > maxDelayMs) return undefined; // waiting less than the server asks for would be refused again
    return Math.max(hint, delayAfter(attempt, this.#settings, random()));
  }
}

function retryAfterOf(error: unknown): number {
  const hint = typeof error === 'object' && error !== null ? (error as { retryAfterMs?: unknown }).retryAfterMs : undefined;
  return typeof hint === 'number' && hint > 0 ? hint : 0;
}

function pause(ms: number, clock: Clock, execution: Execution): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = (reason: unknown) => {
      clock.clearTimeout(timer);
      reject(reason);
    };
    const timer = clock.setTimeout(() => {
      execution.offAbort(cancel);
      resolve();
    }, ms);
    execution.onAbort(cancel);
  });
}
