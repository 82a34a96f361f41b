import pLimit from 'p-limit';
import { type Clock, systemClock } from '../clock.ts';
import { begin, type ExecuteOptions, type Execution, type Policy, type Protected, run } from '../execution.ts';
import { clockOf, longestTimerMs, numberWithin, onlyKnown, textOf, wholeNumber } from '../options.ts';
import { role } from '../policy-role.ts';
import { type Opening, type OpenStream, runStream, WatchedStream } from '../stream.ts';
import { BulkheadFullError, stackless } from './policy-errors.ts';
import { WaitingLine } from './waiting-line.ts';

/** How many calls run at once. */
export interface BulkheadOptions {
  /** Names the bulkhead in errors. @defaultValue `'default'` */
  readonly name?: string;
  /** Calls that may run at once. */
  readonly maxConcurrent: number;
  /** Calls that may wait for a place, first come first served; the rest are refused at once. @defaultValue `0` */
  readonly maxQueue?: number;
  /** How long a call may wait for its place, in ms. No limit unless given. */
  readonly maxWaitMs?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** Numbers of a bulkhead at one moment. */
export interface BulkheadMetrics {
  /** Calls that hold a place. */
  readonly running: number;
  /** Calls that wait for one. */
  readonly queued: number;
  /** Calls refused since it was made. */
  readonly rejected: number;
}

/**
 * Bounds how many calls run at once, and how many wait for that.
 *
 * A call holds its place until its function has really ended, also after an abort or a time limit: what ignores its signal
 * still runs. A stream that is open holds it to its end, or until it is called off. A call that waits and is aborted rejects at once with the caller's reason and takes no place.
 */
export function bulkhead(options: BulkheadOptions): Bulkhead {
  onlyKnown('bulkhead', options, ['name', 'maxConcurrent', 'maxQueue', 'maxWaitMs', 'clock']);
  const { name = 'default', maxConcurrent, maxQueue = 0, maxWaitMs, clock = systemClock } = options;
  if (maxWaitMs !== undefined && maxQueue === 0) throw new RangeError('maxWaitMs needs a maxQueue: without one no call waits');
  return new Bulkhead({
    name: textOf('name', name),
    maxConcurrent: wholeNumber('maxConcurrent', maxConcurrent, 1, mostCalls),
    maxQueue: wholeNumber('maxQueue', maxQueue, 0, mostCalls),
    maxWaitMs: maxWaitMs === undefined ? Number.POSITIVE_INFINITY : numberWithin('maxWaitMs', maxWaitMs, 1, longestTimerMs),
    clock: clockOf(clock),
  });
}

/** The most calls that may run, or wait. */
export const mostCalls = 1_000_000;

/** What {@link bulkhead} makes. */
export class Bulkhead implements Policy {
  /** @internal */
  readonly [role] = 'bulkhead';
  readonly #settings: Required<BulkheadOptions>;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #line = new WaitingLine<() => void>();
  #running = 0;
  #rejected = 0;

  /** @internal */
  constructor(settings: Required<BulkheadOptions>) {
    this.#settings = settings;
    this.#limit = pLimit(settings.maxConcurrent);
  }

  /** Names the bulkhead in errors. */
  get name(): string {
    return this.#settings.name;
  }

  /**
   * Runs `fn` when there is a place. An abort of `options.signal` rejects at once with its reason.
   *
   * @throws {@link BulkheadFullError} without calling `fn` when the queue is full, or `maxWaitMs` is over.
   */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** The numbers of the bulkhead now. */
  metrics(): BulkheadMetrics {
    return { running: this.#running, queued: this.#line.size, rejected: this.#rejected };
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    const release = await this.acquire(execution);
    try {
      execution.throwIfAborted(); // an abort may come between the place and this line
      return await fn(execution);
    } finally {
      release();
    }
  }

  /** @internal */
  async [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    const release = await this.acquire(execution);
    const end = () => {
      execution.offAbort(end);
      release();
    };
    try {
      execution.throwIfAborted(); // an abort may come between the place and this line
      const stream = await open(execution);
      execution.onAbort(end);
      if (execution.aborted) end();
      return new WatchedStream(stream, end);
    } catch (error) {
      end();
      throw error;
    }
  }

  /**
   * Takes a place and returns what gives it back; giving it back twice does nothing more.
   *
   * @internal
   */
  async acquire(execution: Execution): Promise<() => void> {
    execution.throwIfAborted();
    const { maxConcurrent, maxQueue } = this.#settings;
    if (this.#running < maxConcurrent) return this.#take();
    if (this.#line.size < maxQueue) return this.#wait(execution);
    this.#rejected += 1;
    throw this.#refusal(`is full: ${this.#running} running, ${this.#line.size} queued`);
  }

  /** Holds a place of p-limit's. It may see a release a few microtasks after we do, and holds the next call back until then. */
  #take(): Promise<() => void> {
    this.#running += 1;
    return new Promise((granted, failed) => {
      const held = () => new Promise<void>((free) => granted(this.#releaseOnce(free)));
      this.#limit(held).catch(failed);
    });
  }

  #releaseOnce(free: () => void): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#running -= 1;
      free();
      this.#line.next()?.();
    };
  }

  #wait(execution: Execution): Promise<() => void> {
    const { clock, maxWaitMs } = this.#settings;
    return new Promise((resolve, reject) => {
      const end = () => {
        clock.clearTimeout(timer);
        execution.offAbort(abort);
        this.#line.leave(place);
      };
      const abort = (reason: unknown) => {
        end();
        reject(reason);
      };
      const place = this.#line.join(() => {
        end();
        resolve(this.#take());
      });
      const tooLong = () => {
        end();
        this.#rejected += 1;
        reject(this.#refusal(`had no place within ${maxWaitMs} ms`));
      };
      const timer = maxWaitMs === Number.POSITIVE_INFINITY ? undefined : clock.setTimeout(tooLong, maxWaitMs);
      execution.onAbort(abort);
    });
  }

  #refusal(why: string): BulkheadFullError {
    return stackless(() => new BulkheadFullError(this.name, why));
  }
}
