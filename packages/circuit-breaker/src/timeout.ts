import { type Clock, systemClock } from './clock.ts';
import { Countdown } from './countdown.ts';
import { TimeoutError } from './errors.ts';
import { type ExecuteOptions, Execution, type Policy, type Protected, run, underSignal } from './execution.ts';
import { longestTimerMs, numberWithin, onlyKnown } from './options.ts';
import { role } from './pipeline-order.ts';

/** How long a call may take. */
export interface TimeoutOptions {
  /** From the call to its result, in ms. */
  readonly totalMs: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/**
 * Ends a call that takes too long: it rejects with a {@link TimeoutError} at once and the function's `signal` is aborted
 * with that error. What the function does after that is not waited for.
 */
export function timeout(options: TimeoutOptions): Timeout {
  onlyKnown('timeout', options, ['totalMs', 'clock']);
  return new Timeout(numberWithin('totalMs', options.totalMs, 1, longestTimerMs), options.clock ?? systemClock);
}

/** What {@link timeout} makes. */
export class Timeout implements Policy {
  /** @internal */
  readonly [role] = 'timeout';
  readonly #totalMs: number;
  readonly #clock: Clock;

  /** @internal */
  constructor(totalMs: number, clock: Clock) {
    this.#totalMs = totalMs;
    this.#clock = clock;
  }

  /** Runs `fn` under the limit. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    return signal === undefined ? this[run](fn, new Execution()) : underSignal(signal, (execution) => this[run](fn, execution));
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, parent: Execution): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      parent.throwIfAborted();
      const end = (reason: unknown) => {
        done();
        reject(reason);
        execution.abort(reason);
      };
      const countdown = new Countdown(this.#clock, this.#totalMs, () => end(new TimeoutError(this.#totalMs)));
      const execution = new Execution(parent, countdown);
      const done = () => {
        countdown.clear();
        parent.offAbort(end);
      };
      parent.onAbort(end);
      invoke(fn, execution).then(
        (value) => {
          done();
          resolve(value);
        },
        (error) => {
          done();
          reject(error);
        },
      );
    });
  }
}

/** Calls `fn` so that what it throws at once is a rejection too. */
async function invoke<T>(fn: Protected<T>, execution: Execution): Promise<T> {
  return fn(execution);
}
