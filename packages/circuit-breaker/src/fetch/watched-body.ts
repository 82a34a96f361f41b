/** How an answer's body can end; what is told first counts. */
export interface BodyEnd {
  /** All of it was read. */
  ended(): void;
  /** It broke off, or was not what the reader took it for. */
  broke(error: unknown): void;
  /** Nobody reads it any more; `delivered` tells whether anything was read. */
  left(delivered: boolean): void;
}

/** The body of an answer and those of its clones: the first that ends decides, and it is left when all of them are. */
class SharedEnd {
  readonly #end: BodyEnd;
  #readers = 0;
  delivered = false;

  constructor(end: BodyEnd) {
    this.#end = end;
  }

  joined(): void {
    this.#readers += 1;
  }

  ended(): void {
    this.#end.ended();
  }

  broke(error: unknown): void {
    this.#end.broke(error);
  }

  left(): void {
    this.#readers -= 1;
    if (this.#readers === 0) this.#end.left(this.delivered);
  }
}

type Body = NonNullable<Response['body']>;
type Controller = ReadableByteStreamController | ReadableStreamDefaultController;

const bodyMethods = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const;

/** Answers that nobody holds any more; what is kept about them holds no answer. */
const abandoned = new FinalizationRegistry<SharedEnd>((end) => end.left());

/**
 * Tells `end` how the body of `response` ends, whichever way it is read. The object stays the same: on top of it lie a `body` that
 * reads the native one when it is read itself, with no buffer of its own, and the body methods and `clone`, which call the native ones.
 */
export function watchBody(response: Response, end: BodyEnd): void {
  watch(response, new SharedEnd(end));
}

function watch(response: Response, end: SharedEnd): void {
  new WatchedBody(response, end).install();
  end.joined();
  abandoned.register(response, end, response);
}

class WatchedBody {
  readonly #response: Response;
  readonly #end: SharedEnd;
  readonly #nativeBody: () => Body | null;
  #shown: Body | undefined;
  #reader: ReadableStreamDefaultReader | undefined;
  #pulling = false;
  #nativeClosed = false;
  #over = false;

  constructor(response: Response, end: SharedEnd) {
    this.#response = response;
    this.#end = end;
    this.#nativeBody = getterOf(response, 'body') as () => Body | null;
  }

  install(): void {
    const response = this.#response;
    for (const name of bodyMethods) {
      const native: unknown = Reflect.get(response, name);
      if (typeof native === 'function') this.#lay(name, { value: () => this.#readWhole(() => native.call(response)), writable: true });
    }
    const { clone } = response;
    this.#lay('clone', { value: () => this.#clone(() => clone.call(response)), writable: true });
    this.#lay('body', { get: () => this.#show() });
  }

  /** Not enumerable, as what lies beneath; to be laid over again by the next such fetch around this one. */
  #lay(name: string, property: PropertyDescriptor): void {
    Object.defineProperty(this.#response, name, { ...property, configurable: true, enumerable: false });
  }

  #show(): Body | null {
    if (this.#shown !== undefined) return this.#shown;
    const native = this.#nativeBody();
    if (native === null || native.locked || this.#response.bodyUsed) return native;
    const source = {
      pull: (controller: Controller) => this.#pull(controller),
      cancel: (reason: unknown) => this.#cancel(reason),
    };
    // of the native one's kind, for BYOB readers; bytes that are not ours to give away may not go through a byte stream
    const shown = isByteStream(native)
      ? new ReadableStream({ type: 'bytes', ...source })
      : new ReadableStream(source, { highWaterMark: 0 });
    this.#shown = shown as Body;
    return this.#shown;
  }

  async #readWhole(native: () => Promise<unknown>): Promise<unknown> {
    this.#passLockOn();
    if (this.#response.bodyUsed || this.#nativeBody()?.locked) return native(); // rejects, which says nothing about the server
    const reading = native();
    this.#shown?.getReader(); // what is read whole is locked
    try {
      const value = await reading;
      this.#end.ended();
      return value;
    } catch (error) {
      this.#end.broke(error);
      throw error;
    }
  }

  #clone(native: () => Response): Response {
    this.#passLockOn();
    const copy = native();
    this.#shown?.getReader(); // as the native one: its successor is another stream
    this.#shown = undefined;
    watch(copy, this.#end);
    return copy;
  }

  /** Somebody has a reader of the body that is shown: natively that is a lock. */
  #passLockOn(): void {
    if (this.#shown?.locked === true) this.#reader ??= this.#nativeBody()?.getReader();
  }

  async #pull(controller: Controller): Promise<void> {
    const reader = this.#acquire(controller);
    this.#pulling = true;
    try {
      const { done, value } = await reader.read();
      this.#pulling = false;
      if (this.#over) return;
      if (done) return this.#close(controller);
      this.#end.delivered = true;
      controller.enqueue(value as never);
      if (this.#nativeClosed) this.#close(controller);
    } catch (error) {
      this.#break(controller, error);
    }
  }

  #acquire(controller: Controller): ReadableStreamDefaultReader {
    if (this.#reader !== undefined) return this.#reader;
    const reader = (this.#nativeBody() as Body).getReader();
    this.#reader = reader;
    // the end is told as soon as it comes, not when somebody reads on
    reader.closed.then(
      () => {
        this.#nativeClosed = true; // and a read under way has still to deliver its chunk
        if (!this.#pulling) this.#close(controller);
      },
      (error) => this.#break(controller, error),
    );
    return reader;
  }

  #close(controller: Controller): void {
    if (this.#over) return;
    this.#over = true;
    this.#end.ended();
    controller.close();
    if ('byobRequest' in controller) controller.byobRequest?.respond(0); // or a BYOB read would wait for ever
  }

  #break(controller: Controller, error: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#end.broke(error);
    controller.error(error);
  }

  #cancel(reason: unknown): Promise<void> | undefined {
    this.#over = true;
    abandoned.unregister(this.#response); // it is left once, and its clones are not
    this.#end.left();
    this.#reader ??= this.#nativeBody()?.getReader();
    return this.#reader?.cancel(reason);
  }
}

function getterOf(object: object, name: string): () => unknown {
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const property = Object.getOwnPropertyDescriptor(holder, name);
    if (property !== undefined) return () => (property.get === undefined ? property.value : property.get.call(object));
  }
  return () => undefined;
}

function isByteStream(stream: ReadableStream): boolean {
  try {
    stream.getReader({ mode: 'byob' }).releaseLock();
    return true;
  } catch {
    return false;
  }
}
