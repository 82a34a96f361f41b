import { begin, type ExecuteOptions, type Execution, type ExecutionContext, type Policy, type Protected, run } from '../execution.ts';
import { functionOf, onlyKnown } from '../options.ts';
import { role } from '../policy-role.ts';
import { type Opening, type OpenStream, openedOf, runStream } from '../stream.ts';

/** What the function of a {@link fallback} is called with. */
export interface FallbackContext extends ExecutionContext {
  /** Why the call needs a substitute. */
  readonly error: unknown;
}

/** What is given in place of an error. */
export interface FallbackOptions {
  /** Makes the substitute, of a stream another one. What it throws is thrown at the caller as it is: give it `error` as its `cause` where that matters. */
  readonly to: (context: FallbackContext) => unknown;
  /** Which errors get a substitute. One that throws says no. @defaultValue every error */
  readonly fallbackIf?: (error: unknown) => boolean;
}

/** Numbers of a fallback since it was made. */
export interface FallbackMetrics {
  /** Calls that got a substitute. */
  readonly fallbacks: number;
  /** Calls for which there was to be one, but `to` failed. */
  readonly failed: number;
}

/**
 * Gives a substitute where a call fails, a refusal by a limit of our own included.
 *
 * A call that was called off has none: an abort by the caller, or a time limit around the fallback, passes through.
 */
export function fallback(options: FallbackOptions): Fallback {
  onlyKnown('fallback', options, ['to', 'fallbackIf']);
  const { to, fallbackIf = () => true } = options;
  return new Fallback(functionOf('to', to), functionOf('fallbackIf', fallbackIf));
}

/** What {@link fallback} makes. */
export class Fallback implements Policy {
  /** @internal */
  readonly [role] = 'fallback';
  readonly #to: (context: FallbackContext) => unknown;
  readonly #fallbackIf: (error: unknown) => boolean;
  #fallbacks = 0;
  #failed = 0;

  /** @internal */
  constructor(to: (context: FallbackContext) => unknown, fallbackIf: (error: unknown) => boolean) {
    this.#to = to;
    this.#fallbackIf = fallbackIf;
  }

  /** Runs `fn`, or gives the substitute. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** The numbers of the fallback now. */
  metrics(): FallbackMetrics {
    return { fallbacks: this.#fallbacks, failed: this.#failed };
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    execution.throwIfAborted();
    try {
      return await fn(execution);
    } catch (error) {
      execution.throwIfAborted();
      if (!this.#has(error)) throw error;
      return this.#substitute(error, execution);
    }
  }

  /** @internal */
  async [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    return openedOf(await this[run]((inner) => open(inner as Execution), execution), execution);
  }

  #has(error: unknown): boolean {
    try {
      return this.#fallbackIf(error);
    } catch {
      return false;
    }
  }

  async #substitute<T>(error: unknown, execution: Execution): Promise<T> {
    try {
      const value = await this.#to(contextOf(error, execution));
      this.#fallbacks += 1;
      return value as T;
    } catch (thrown) {
      this.#failed += 1;
      throw thrown;
    }
  }
}

/** Adds the error to what an execution shows, without making its signal. */
function contextOf(error: unknown, execution: Execution): FallbackContext {
  return {
    error,
    hedge: execution.hedge,
    suspendTimeouts: execution.suspendTimeouts,
    get signal() {
      return execution.signal;
    },
  };
}
