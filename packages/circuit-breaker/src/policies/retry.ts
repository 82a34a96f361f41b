import { delayAfter } from '../backoff.ts';
import { isRefusal } from '../errors.ts';
import { Listeners } from '../events.ts';
import { begin, type ExecuteOptions, type Execution, type Policy, type Protected, run } from '../execution.ts';
import { judged, type Outcome } from '../outcome.ts';
import { role } from '../policy-role.ts';
import { OpenStream } from '../stream.ts';
import { pause } from './pause.ts';
import { payIn } from './retry-budget.ts';
import { retryHintMs } from './retry-hint.ts';
import { type RetryOptions, type RetrySettings, retrySettings } from './retry-settings.ts';
import { discard } from './unwanted-value.ts';

/** What a {@link Retry} tells its listeners. */
export interface RetryEvents {
  /** A further attempt will be made after a wait. */
  retry: {
    /** Which attempt will be made, 2 for the first retry. */
    readonly attempt: number;
    /** How long it waits for that, in ms. */
    readonly delayMs: number;
    /** What the attempt before threw; undefined where it returned a value that `classify` judged bad. */
    readonly error: unknown;
  };
  /** A further attempt was worth making, but the budget is spent. */
  'budget-exhausted': {
    /** How many attempts were made. */
    readonly attempt: number;
    /** What the last one threw; undefined where it returned a value that `classify` judged bad. */
    readonly error: unknown;
  };
  /** A listener, a rule of `classify` or `retryIf` threw. */
  'listener-error': {
    /** What it threw. */
    readonly error: unknown;
  };
}

/** Numbers of a retry since it was made. */
export interface RetryMetrics {
  /** Calls, however often each was attempted. */
  readonly calls: number;
  /** Further attempts made. */
  readonly retries: number;
  /** Calls that ended badly because no attempt was left, the time was up or the server asked for too long a wait. */
  readonly exhausted: number;
  /** Calls that ended badly because the budget was spent. */
  readonly budgetExhausted: number;
}

/**
 * Makes a failed call again after a wait, and at the end throws the last error as it was thrown.
 *
 * A server's request to stay away is waited out in full: an error's `retryAfterMs` or the headers `retry-after-ms` and
 * `Retry-After` that it carries; one for longer than `maxDelayMs`, or `x-should-retry: false`, ends the retrying. Only for
 * calls that may be made twice.
 */
export function retry(options: RetryOptions = {}): Retry {
  return new Retry(retrySettings(options));
}

/** What {@link retry} makes. */
export class Retry implements Policy {
  /** @internal */
  readonly [role] = 'retry';
  readonly #settings: RetrySettings;
  readonly #mistakes = { threw: (error: unknown) => this.#listeners?.emit('listener-error', { error }) };
  #calls = 0;
  #retries = 0;
  #exhausted = 0;
  #budgetExhausted = 0;
  #listeners: Listeners<RetryEvents> | undefined;

  /** @internal */
  constructor(settings: RetrySettings) {
    this.#settings = settings;
  }

  /** Runs `fn` until it succeeds or another attempt is not worth it. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof RetryEvents>(event: E, listener: (event: RetryEvents[E]) => void): () => void {
    this.#listeners ??= new Listeners();
    return this.#listeners.add(event, listener);
  }

  /** The numbers of the retry now. */
  metrics(): RetryMetrics {
    return { calls: this.#calls, retries: this.#retries, exhausted: this.#exhausted, budgetExhausted: this.#budgetExhausted };
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    const { clock, budget, maxElapsedMs } = this.#settings;
    execution.throwIfAborted();
    this.#calls += 1;
    if (budget !== undefined) payIn(budget, execution);
    const startedAt = maxElapsedMs === Number.POSITIVE_INFINITY ? 0 : clock.now();
    let delayMs: number | undefined;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const value = await fn(execution);
        delayMs = this.#afterValue(value, attempt, startedAt, delayMs);
        if (delayMs === undefined) return value;
      } catch (error) {
        execution.throwIfAborted();
        delayMs = this.#afterError(error, attempt, startedAt, delayMs);
        if (delayMs === undefined) throw error;
      }
      await pause(delayMs, clock, execution);
      execution.throwIfAborted(); // an abort may come between the end of the wait and this line
      this.#retries += 1;
    }
  }

  /** The wait before the next attempt, or undefined where there is to be none. */
  #afterValue(value: unknown, attempt: number, startedAt: number, previousMs: number | undefined): number | undefined {
    if (this.#settings.classify.value === undefined || value instanceof OpenStream) return undefined; // what a stream brings is not known yet
    const hintMs = this.#hintOf(judged(this.#settings.classify, 'value', value, this.#mistakes), value);
    const delayMs = hintMs === undefined ? undefined : this.#delayAfter(attempt, hintMs, startedAt, previousMs, undefined);
    if (delayMs !== undefined) discard(value);
    return delayMs;
  }

  #afterError(error: unknown, attempt: number, startedAt: number, previousMs: number | undefined): number | undefined {
    const hintMs = this.#hintOfError(error);
    return hintMs === undefined ? undefined : this.#delayAfter(attempt, hintMs, startedAt, previousMs, error);
  }

  /** For how long to stay away at least where an error is worth another attempt, undefined where it is not. */
  #hintOfError(error: unknown): number | undefined {
    const { classify, clock } = this.#settings;
    if (!this.#maybeWorth(error)) return undefined;
    return classify.error === undefined ? retryHintMs(error, clock) : this.#hintOf(judged(classify, 'error', error, this.#mistakes), error);
  }

  #maybeWorth(error: unknown): boolean {
    const { retryIf } = this.#settings;
    try {
      return retryIf === undefined ? !isRefusal(error) : retryIf(error);
    } catch (thrown) {
      this.#mistakes.threw(thrown);
      return false;
    }
  }

  #hintOf(outcome: Outcome, result: unknown): number | undefined {
    if (outcome === 'success' || outcome === 'ignore') return undefined;
    return outcome === 'failure' ? retryHintMs(result, this.#settings.clock) : outcome.throttledMs;
  }

  /** The wait that is allowed before the next attempt, or undefined. Counts and tells. */
  #delayAfter(attempt: number, hintMs: number, startedAt: number, previousMs: number | undefined, error: unknown): number | undefined {
    const delayMs = this.#affordable(attempt, hintMs, startedAt, previousMs);
    if (delayMs === undefined) {
      this.#exhausted += 1;
      return undefined;
    }
    if (this.#settings.budget?.tryWithdraw() === false) {
      this.#budgetExhausted += 1;
      this.#listeners?.emit('budget-exhausted', { attempt, error });
      return undefined;
    }
    this.#listeners?.emit('retry', { attempt: attempt + 1, delayMs, error });
    return delayMs;
  }

  #affordable(attempt: number, hintMs: number, startedAt: number, previousMs: number | undefined): number | undefined {
    const { maxAttempts, maxElapsedMs, maxDelayMs, random, clock } = this.#settings;
    if (attempt >= maxAttempts || hintMs > maxDelayMs) return undefined; // waiting less than the server asks for would be refused again
    const delayMs = Math.max(hintMs, delayAfter(attempt, this.#settings, random(), previousMs));
    const late = maxElapsedMs !== Number.POSITIVE_INFINITY && clock.now() - startedAt + delayMs > maxElapsedMs;
    return late ? undefined : delayMs;
  }
}
