import { concat } from './event-splitter.ts';

/** What of a body is passed on, and what has to be written down before. */
export interface Passed {
  readonly bytes: readonly Uint8Array[];
  readonly written?: Promise<void>;
}

/** Reads a body as it passes; what it is told first of its ending counts. */
export interface BodyMeter {
  /** The bytes that take the place of `chunk`, which may be given away afterwards. */
  take(chunk: Uint8Array): Passed;
  /** No more comes. */
  end(): Passed;
  /** The body broke off. */
  broke(error: unknown): Promise<void>;
  /** Nobody reads it any more. */
  left(): Promise<void>;
  /** A meter for a copy of the same body. */
  again(): BodyMeter;
}

/** The body of an answer and those of its clones: the first that ends decides, and it is left when all of them are. */
class Readers {
  #count = 0;

  joined(): void {
    this.#count += 1;
  }

  left(meter: BodyMeter): void {
    this.#count -= 1;
    if (this.#count === 0) void meter.left();
  }
}

type Body = NonNullable<Response['body']>;
type Controller = ReadableByteStreamController | ReadableStreamDefaultController;

const bodyMethods = ['arrayBuffer', 'blob', 'bytes', 'formData', 'json', 'text'] as const;

/** Answers that nobody holds any more; what is kept about them holds no answer. */
const abandoned = new FinalizationRegistry<{ readonly readers: Readers; readonly meter: BodyMeter }>(({ readers, meter }) =>
  readers.left(meter),
);

/**
 * Lets everything that is read of `response` pass `meter`, whichever way it is read. The object stays the same: on top of it lie a `body`
 * that reads the native one when it is read itself, with no buffer of its own, body methods that
 * read it, and `clone`, which calls the native one.
 */
export function meterBody(response: Response, meter: BodyMeter): void {
  watch(response, meter, new Readers());
}

/** Whether there is a body whose end can be waited for. */
export function hasBodyToCome(response: Response): boolean {
  const { body, bodyUsed, headers } = response;
  const isUnread = typeof body?.getReader === 'function' && !body.locked && !bodyUsed;
  return isUnread && headers.get('content-length') !== '0' && Object.isExtensible(response);
}

function watch(response: Response, meter: BodyMeter, readers: Readers): void {
  new MeteredBody(response, meter, readers).install();
  readers.joined();
  abandoned.register(response, { readers, meter }, response);
}

class MeteredBody {
  readonly #response: Response;
  readonly #meter: BodyMeter;
  readonly #readers: Readers;
  readonly #nativeBody: () => Body | null;
  #shown: Body | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #pulling = false;
  #nativeClosed = false;
  #over = false;
  #cancelled = false;

  constructor(response: Response, meter: BodyMeter, readers: Readers) {
    this.#response = response;
    this.#meter = meter;
    this.#readers = readers;
    this.#nativeBody = getterOf(response, 'body') as () => Body | null;
  }

  install(): void {
    const response = this.#response;
    for (const name of bodyMethods) {
      const native: unknown = Reflect.get(response, name);
      if (typeof native === 'function') this.#lay(name, { value: this.#whole(name, native as () => Promise<unknown>), writable: true });
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

  /** Reads the native bytes as they come, lets them pass, and makes of them what the method makes. */
  #whole(name: (typeof bodyMethods)[number], native: () => Promise<unknown>): () => Promise<unknown> {
    const response = this.#response;
    return async () => {
      this.#passLockOn();
      const body = this.#nativeBody();
      if (response.bodyUsed || body === null || body.locked) return native.call(response); // rejects, which says nothing about the call
      const reader = body.getReader();
      this.#shown?.getReader(); // what is read whole is locked
      const type = response.headers.get('content-type');
      const passed = new Response(await this.#allOf(reader), type === null ? {} : { headers: { 'content-type': type } });
      return (passed[name as 'json'] as () => Promise<unknown>)();
    };
  }

  async #allOf(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
    const pieces: Uint8Array[] = [];
    try {
      for (let done = false; !done; ) {
        const next = await reader.read();
        done = next.done;
        const { bytes, written } = next.done ? this.#meter.end() : this.#meter.take(next.value);
        if (written !== undefined) await written;
        pieces.push(...bytes);
      }
      return concat(pieces);
    } catch (error) {
      await this.#meter.broke(error);
      throw error;
    }
  }

  #clone(native: () => Response): Response {
    this.#passLockOn();
    const copy = native();
    this.#shown?.getReader(); // as the native one: its successor is another stream
    this.#shown = undefined;
    watch(copy, this.#meter.again(), this.#readers);
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
      // what is left out is no reason to wake anybody
      while (!(await this.#step(reader, controller)));
    } catch (error) {
      await this.#break(controller, error);
    } finally {
      this.#pulling = false;
    }
    if (this.#nativeClosed) await this.#finish(controller);
  }

  /** Passes the next chunk on; true where something came of it. */
  async #step(reader: ReadableStreamDefaultReader<Uint8Array>, controller: Controller): Promise<boolean> {
    const { done, value } = await reader.read();
    if (this.#over) return true;
    if (done) {
      await this.#finish(controller);
      return true;
    }
    const { bytes, written } = this.#meter.take(value);
    if (written !== undefined) await written;
    if (this.#over) return true;
    return enqueue(controller, bytes);
  }

  #acquire(controller: Controller): ReadableStreamDefaultReader<Uint8Array> {
    if (this.#reader !== undefined) return this.#reader;
    const reader = (this.#nativeBody() as Body).getReader() as ReadableStreamDefaultReader<Uint8Array>;
    this.#reader = reader;
    // the end is told as soon as it comes, not when somebody reads on
    reader.closed.then(
      () => {
        this.#nativeClosed = true; // and a read under way has still to deliver its chunk
        return this.#pulling ? undefined : this.#finish(controller);
      },
      (error) => this.#break(controller, error),
    );
    return reader;
  }

  async #finish(controller: Controller): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    const { bytes, written } = this.#meter.end();
    if (written !== undefined) await written;
    if (this.#cancelled) return;
    enqueue(controller, bytes);
    controller.close();
    if ('byobRequest' in controller) controller.byobRequest?.respond(0); // or a BYOB read would wait for ever
  }

  async #break(controller: Controller, error: unknown): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#meter.broke(error);
    if (!this.#cancelled) controller.error(error);
  }

  #cancel(reason: unknown): Promise<void> | undefined {
    this.#cancelled = true;
    if (!this.#over) {
      this.#over = true;
      abandoned.unregister(this.#response); // it is left once, and its clones are not
      this.#readers.left(this.#meter);
    }
    this.#reader ??= this.#nativeBody()?.getReader();
    return this.#reader?.cancel(reason);
  }
}

function enqueue(controller: Controller, bytes: readonly Uint8Array[]): boolean {
  const some = bytes.filter(({ length }) => length > 0);
  for (const piece of some) controller.enqueue(piece as never);
  return some.length > 0;
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
