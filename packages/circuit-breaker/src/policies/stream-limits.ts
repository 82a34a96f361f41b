import type { Clock } from '../clock.ts';
import { TimeoutError, type TimeoutKind } from '../errors.ts';
import { Execution, type Pausable, untilAborted } from '../execution.ts';
import { type Opening, OpenStream, WatchedStream } from '../stream.ts';
import { Countdown } from './countdown.ts';
import type { TimeLimits } from './timeout.ts';

/** The limits of one stream: the total one runs all the time, those for the first and for each further item take turns. */
export class StreamLimits implements Pausable {
  readonly #limits: TimeLimits;
  readonly #clock: Clock;
  readonly #parent: Execution;
  readonly #execution: Execution;
  readonly #end = (reason: unknown) => {
    this.#clear();
    this.#execution.abort(reason);
  };
  #total: Countdown | undefined;
  #turn: Countdown | undefined;
  #pauses = 0;

  constructor(limits: TimeLimits, clock: Clock, parent: Execution) {
    this.#limits = limits;
    this.#clock = clock;
    this.#parent = parent;
    this.#execution = new Execution(parent, this);
  }

  pause(): void {
    this.#pauses += 1;
    this.#total?.pause();
    this.#turn?.pause();
  }

  resume(): void {
    this.#pauses -= 1;
    this.#total?.resume();
    this.#turn?.resume();
  }

  async open<T>(open: Opening<T>): Promise<OpenStream<T>> {
    this.#parent.throwIfAborted();
    this.#parent.onAbort(this.#end);
    this.#total = this.#countdown('total');
    try {
      const stream = await this.#within('first-item', () => open(this.#execution));
      const limited = new LimitedStream(stream, (next) => this.#within('idle', next));
      return new WatchedStream(limited, () => this.#clear());
    } catch (error) {
      this.#clear();
      throw error;
    }
  }

  async #within<R>(kind: TimeoutKind, step: () => Promise<R>): Promise<R> {
    this.#execution.throwIfAborted();
    this.#turn = this.#countdown(kind);
    try {
      return await untilAborted(step(), this.#execution);
    } finally {
      this.#turn?.clear();
      this.#turn = undefined;
    }
  }

  #countdown(kind: TimeoutKind): Countdown | undefined {
    const ms = this.#limits[kind];
    if (ms === undefined) return undefined;
    const countdown = new Countdown(this.#clock, ms, () => this.#end(new TimeoutError(ms, kind)));
    for (let i = 0; i < this.#pauses; i += 1) countdown.pause();
    return countdown;
  }

  #clear(): void {
    this.#total?.clear();
    this.#turn?.clear();
    this.#parent.offAbort(this.#end);
  }
}

/** A stream of which every item is waited for in the same way. */
class LimitedStream<T> extends OpenStream<T> {
  readonly #stream: OpenStream<T>;
  readonly #wait: <R>(next: () => Promise<R>) => Promise<R>;

  constructor(stream: OpenStream<T>, wait: <R>(next: () => Promise<R>) => Promise<R>) {
    super(stream.first);
    this.#stream = stream;
    this.#wait = wait;
  }

  next(): Promise<IteratorResult<T, unknown>> {
    return this.#wait(() => this.#stream.next());
  }

  close(): Promise<unknown> {
    return this.#stream.close();
  }
}
