import { appendFile } from 'node:fs/promises';

/** The most that waits to be written, in UTF-16 units. */
const mostBuffered = 4_194_304;

/**
 * Appends lines to a file without anybody waiting for it: pass its `write` to {@link recordCalls}.
 *
 * At most 4 MiB wait to be written; what finds no room, or could not be written, is left out and counted, and the trace says
 * in that place how many calls are missing.
 */
export function fileSink(path: string): FileSink {
  return new FileSink(path);
}

/** What {@link fileSink} makes. */
export class FileSink {
  readonly #path: string;
  #lines: string[] = [];
  #calls = 0; // in the lines
  #told = 0; // said by the lines to be missing
  #buffered = 0;
  #missing = 0;
  #dropped = 0;
  #planned = false; // whether a writing of the lines is to come
  #writing = Promise.resolve();
  #error: unknown;

  /** @internal */
  constructor(path: string) {
    this.#path = path;
  }

  /** Calls that were left out since the sink was made. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Why the last writing failed, or undefined where it did not. */
  get error(): unknown {
    return this.#error;
  }

  /** Takes a line, its line feed included. Never throws and never waits. */
  readonly write = (line: string): void => {
    if (this.#buffered + line.length > mostBuffered) {
      this.#dropped += 1;
      this.#missing += 1;
      return;
    }
    this.#tellMissing();
    this.#push(line);
    this.#calls += 1;
    this.#plan();
  };

  /** Resolves when what was handed in so far is written or counted as dropped. */
  async flush(): Promise<void> {
    this.#tellMissing();
    if (this.#lines.length > 0) this.#plan();
    await this.#writing;
  }

  /** As {@link FileSink.flush}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.flush();
  }

  /** Writes what is there once the writing before it is over; what comes in until then goes with it. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#writing = this.#writing.then(() => this.#writeLines());
  }

  async #writeLines(): Promise<void> {
    const [text, calls, told] = [this.#lines.join(''), this.#calls, this.#told];
    this.#planned = false;
    this.#lines = [];
    this.#calls = this.#told = 0;
    try {
      await appendFile(this.#path, text);
      this.#error = undefined;
    } catch (error) {
      this.#error = error;
      this.#dropped += calls;
      this.#missing += calls + told;
    }
    this.#buffered -= text.length;
  }

  #tellMissing(): void {
    if (this.#missing === 0) return;
    this.#push(`{"dropped":${this.#missing}}\n`);
    this.#told += this.#missing;
    this.#missing = 0;
  }

  #push(line: string): void {
    this.#lines.push(line);
    this.#buffered += line.length;
  }
}
