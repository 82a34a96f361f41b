import { type Clock, systemClock } from '../clock.ts';
import { TimeoutError, type TimeoutKind } from '../errors.ts';
import { type ExecuteOptions, Execution, type Policy, type Protected, result, run, underSignal } from '../execution.ts';
import { clockOf, longestTimerMs, numberWithin, onlyKnown } from '../options.ts';
import { role } from '../policy-role.ts';
import { type Opening, type OpenStream, runStream } from '../stream.ts';
import { Countdown } from './countdown.ts';
import { StreamLimits } from './stream-limits.ts';

/** How long a call or a stream may take; at least one limit is needed. */
export interface TimeoutOptions {
  /** From the call to its result, of a stream to its end, in ms. */
  readonly totalMs?: number;
  /** From the call to the first item of a stream, in ms; of a call that is no stream, to its result. */
  readonly firstItemMs?: number;
  /** From the wish for a further item of a stream to that item, in ms. A slow consumer uses up none of it. */
  readonly idleMs?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** The limits that are set, in ms. */
export type TimeLimits = Readonly<Partial<Record<TimeoutKind, number>>>;

/**
 * Ends a call that takes too long: it rejects with a {@link TimeoutError} at once and the function's `signal` is aborted
 * with that error. What the function does after that is not waited for; a stream is closed.
 *
 * @throws RangeError without a limit.
 */
export function timeout(options: TimeoutOptions): Timeout {
  onlyKnown('timeout', options, ['totalMs', 'firstItemMs', 'idleMs', 'clock']);
  const { totalMs, firstItemMs, idleMs, clock = systemClock } = options;
  if (totalMs === undefined && firstItemMs === undefined && idleMs === undefined) {
    throw new RangeError('timeout needs at least one of totalMs, firstItemMs and idleMs');
  }
  const limits = {
    ...limit('totalMs', 'total', totalMs),
    ...limit('firstItemMs', 'first-item', firstItemMs),
    ...limit('idleMs', 'idle', idleMs),
  };
  return new Timeout(limits, clockOf(clock));
}

function limit(option: string, kind: TimeoutKind, ms: number | undefined): TimeLimits {
  return ms === undefined ? {} : { [kind]: numberWithin(option, ms, 1, longestTimerMs) };
}

/** What {@link timeout} makes. */
export class Timeout implements Policy {
  /** @internal */
  readonly [role] = 'timeout';
  readonly #limits: TimeLimits;
  readonly #ofCalls: TimeoutKind | undefined;
  readonly #clock: Clock;

  /** @internal */
  constructor(limits: TimeLimits, clock: Clock) {
    const { total = Number.POSITIVE_INFINITY, 'first-item': first = Number.POSITIVE_INFINITY } = limits;
    this.#limits = limits;
    this.#ofCalls = first < total ? 'first-item' : limits.total === undefined ? undefined : 'total';
    this.#clock = clock;
  }

  /** Runs `fn` under the limit. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    return signal === undefined ? this[run](fn, new Execution()) : underSignal(signal, (execution) => this[run](fn, execution));
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, parent: Execution): Promise<T> {
    const kind = this.#ofCalls;
    return kind === undefined ? result(fn, parent) : this.#limited(kind, this.#limits[kind] ?? 0, fn, parent);
  }

  /** @internal */
  [runStream]<T>(open: Opening<T>, parent: Execution): Promise<OpenStream<T>> {
    return new StreamLimits(this.#limits, this.#clock, parent).open(open);
  }

  #limited<T>(kind: TimeoutKind, ms: number, fn: Protected<T>, parent: Execution): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      parent.throwIfAborted();
      const end = (reason: unknown) => {
        done();
        reject(reason);
        execution.abort(reason);
      };
      const countdown = new Countdown(this.#clock, ms, () => end(new TimeoutError(ms, kind)));
      const execution = new Execution(parent, countdown);
      const done = () => {
        countdown.clear();
        parent.offAbort(end);
      };
      parent.onAbort(end);
      result(fn, execution).then(
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
