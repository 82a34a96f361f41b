import { type ExecuteOptions, Execution, type ExecutionContext, untilAborted } from './execution.ts';

/** A function under protection that answers with a stream. */
export type ProtectedStream<T> = (context: ExecutionContext) => AsyncIterable<T> | PromiseLike<AsyncIterable<T>>;

/** A stream whose first item is there. Policies open streams as they make calls; some then watch what follows. */
export abstract class OpenStream<T> {
  readonly first: IteratorResult<T, unknown>;

  constructor(first: IteratorResult<T, unknown>) {
    this.first = first;
  }

  /** The next item after the first. */
  abstract next(): Promise<IteratorResult<T, unknown>>;
  /** The consumer wants no more. */
  abstract close(): Promise<unknown>;
}

/** Opens a stream inside its policies. */
export type Opening<T> = (execution: Execution) => Promise<OpenStream<T>>;

/** The method of a policy that goes on watching a stream which it has opened; to the others, opening it is a call like any. */
export const runStream = Symbol('runStream');

/** A policy that watches streams to their end. */
export interface StreamPolicy {
  [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>>;
}

/** Calls `fn` and waits for the first item. When the execution is called off, at whatever moment, the source is closed. */
export async function opened<T>(fn: ProtectedStream<T>, execution: Execution): Promise<OpenStream<T>> {
  const source = await fn(execution);
  const iterate = source?.[Symbol.asyncIterator];
  if (typeof iterate !== 'function') throw new TypeError(`a stream must be an async iterable, not ${typeof source}`);
  const iterator = iterate.call(source);
  const stop = () => {
    closeOf(iterator).catch(() => {}); // whoever called it off has his reason already
  };
  execution.onAbort(stop);
  if (execution.aborted) stop();
  execution.throwIfAborted();
  return new SourceStream(iterator, await iterator.next());
}

/** A rejection also where the source throws at once: whoever else hears of an abort is still to hear of it. */
async function closeOf(iterator: AsyncIterator<unknown, unknown>): Promise<unknown> {
  return iterator.return?.();
}

/** What a policy answers with in place of a stream is a plain one; returns it as one whose first item is there. */
export async function openedOf<T>(stream: OpenStream<T> | AsyncIterable<T>, execution: Execution): Promise<OpenStream<T>> {
  return stream instanceof OpenStream ? stream : opened(() => stream, execution);
}

class SourceStream<T> extends OpenStream<T> {
  readonly #iterator: AsyncIterator<T, unknown>;

  constructor(iterator: AsyncIterator<T, unknown>, first: IteratorResult<T, unknown>) {
    super(first);
    this.#iterator = iterator;
  }

  async next(): Promise<IteratorResult<T, unknown>> {
    return this.#iterator.next();
  }

  async close(): Promise<unknown> {
    return this.#iterator.return?.();
  }
}

/** How a stream came to its end: by itself, by an error, or because its consumer wanted no more. */
export type StreamEnd = { readonly by: 'itself' | 'consumer' } | { readonly by: 'error'; readonly error: unknown };

/** A stream whose end is told, once. */
export class WatchedStream<T> extends OpenStream<T> {
  readonly #stream: OpenStream<T>;
  readonly #ended: (end: StreamEnd) => void;

  constructor(stream: OpenStream<T>, ended: (end: StreamEnd) => void) {
    super(stream.first);
    this.#stream = stream;
    this.#ended = ended;
    if (stream.first.done) ended({ by: 'itself' });
  }

  async next(): Promise<IteratorResult<T, unknown>> {
    try {
      const item = await this.#stream.next();
      if (item.done) this.#ended({ by: 'itself' });
      return item;
    } catch (error) {
      this.#ended({ by: 'error', error });
      throw error;
    }
  }

  close(): Promise<unknown> {
    this.#ended({ by: 'consumer' });
    return this.#stream.close();
  }
}

/** The consumer stopped while it waited for an item. */
const left = new DOMException('left', 'AbortError');

/**
 * What the caller iterates over. Nothing is called before the first `next()`; an abort ends a waiting `next()` at once, and so
 * does `return()`, whether or not the source listens.
 */
export class ProtectedIterator<T> implements AsyncIterableIterator<T> {
  readonly #open: Opening<T>;
  readonly #signal: AbortSignal | undefined;
  readonly #execution = new Execution();
  readonly #onAbort = () => this.#callOff(this.#signal?.reason);
  #stream: OpenStream<T> | undefined;
  #last: Promise<unknown> | undefined;
  #over = false;

  constructor(open: Opening<T>, options: ExecuteOptions | undefined) {
    this.#open = open;
    this.#signal = options?.signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<T, unknown>> {
    const step = this.#last === undefined ? this.#step() : this.#last.then(() => this.#step());
    const arrived = () => {
      if (this.#last === last) this.#last = undefined;
    };
    const last: Promise<void> = step.then(arrived, arrived);
    this.#last = last;
    return step;
  }

  async return(value?: unknown): Promise<IteratorResult<T, unknown>> {
    if (!this.#over && this.#last !== undefined) {
      this.#end();
      this.#callOff(left);
    } else if (!this.#over) {
      this.#over = true;
      await this.#leave();
    }
    return { done: true, value };
  }

  async #step(): Promise<IteratorResult<T, unknown>> {
    if (this.#over) return { done: true, value: undefined };
    try {
      if (this.#stream === undefined) this.#listen();
      this.#execution.throwIfAborted();
      const item = await untilAborted(this.#stream === undefined ? this.#first() : this.#stream.next(), this.#execution);
      if (item.done) this.#end();
      return item;
    } catch (error) {
      this.#end();
      if (error === left) return { done: true, value: undefined };
      throw error;
    }
  }

  #listen(): void {
    if (this.#signal?.aborted) this.#onAbort();
    else this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  async #first(): Promise<IteratorResult<T, unknown>> {
    this.#stream = await this.#open(this.#execution);
    if (this.#execution.aborted) this.#close();
    return this.#stream.first;
  }

  #callOff(reason: unknown): void {
    this.#execution.abort(reason);
    this.#close();
  }

  /** Another library's policy may not have passed the abort on. */
  #close(): void {
    this.#stream?.close().catch(() => {});
  }

  /** Waits for the source to close, which an abort can still end. */
  async #leave(): Promise<void> {
    try {
      if (this.#stream !== undefined && !this.#execution.aborted) await untilAborted(this.#stream.close(), this.#execution);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#over = true;
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }
}
