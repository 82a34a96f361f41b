const LF = 10;
const CR = 13;
/** More than any event of a provider; what is longer is passed on unread. */
const LONGEST_EVENT = 64 * 1024 * 1024;

/**
 * Cuts the bytes of a `text/event-stream` into events as they come, so that whole ones can be left out and all other bytes stay as they
 * were. A parser of events gives their fields, not where their bytes begin and end.
 */
export class EventSplitter {
  readonly #keep: (data: string) => boolean;
  #begun: Uint8Array[] = [];
  #begunBytes = 0;
  #lineIsEmpty = true;
  #afterCr = false;
  /** A CR has ended an event at the end of a chunk; an LF that follows is still part of it. */
  #maybeHalf = false;
  #keptLast = true;
  #unread = false;

  /** `keep` is asked once for each event, with its data, in order. */
  constructor(keep: (data: string) => boolean) {
    this.#keep = keep;
  }

  /** The bytes to pass on: copies, because what is passed on may be given away. */
  push(chunk: Uint8Array): Uint8Array[] {
    if (this.#unread) return [chunk.slice()];
    const out: Uint8Array[] = [];
    let start = this.#otherHalf(chunk, out);
    for (let at = start; at < chunk.length; at += 1) {
      if (!this.#endsEvent(chunk[at])) continue;
      const end = this.#endOfBreak(chunk, at);
      this.#begun.push(chunk.slice(start, end));
      this.#finish(out);
      start = end;
      at = end - 1;
    }
    this.#hold(chunk.slice(start), out);
    return out;
  }

  /** What is left when no more comes. An event without its empty line is read all the same. */
  flush(): Uint8Array[] {
    const out: Uint8Array[] = [];
    if (this.#begunBytes > 0) this.#finish(out);
    return out;
  }

  #otherHalf(chunk: Uint8Array, out: Uint8Array[]): number {
    if (!this.#maybeHalf || chunk.length === 0) return 0;
    this.#maybeHalf = false;
    if (chunk[0] !== LF) return 0;
    if (this.#keptLast) out.push(chunk.slice(0, 1));
    return 1;
  }

  /** Whether the byte ends an empty line. */
  #endsEvent(byte: number | undefined): boolean {
    if (byte !== LF && byte !== CR) {
      this.#lineIsEmpty = false;
      this.#afterCr = false;
      return false;
    }
    const isSecondHalf = byte === LF && this.#afterCr;
    this.#afterCr = byte === CR;
    if (isSecondHalf) return false;
    const wasEmpty = this.#lineIsEmpty;
    this.#lineIsEmpty = true;
    return wasEmpty;
  }

  #endOfBreak(chunk: Uint8Array, at: number): number {
    this.#afterCr = false;
    if (chunk[at] !== CR) return at + 1;
    this.#maybeHalf = at + 1 === chunk.length;
    return chunk[at + 1] === LF ? at + 2 : at + 1;
  }

  #finish(out: Uint8Array[]): void {
    const event = concat(this.#begun);
    this.#begun = [];
    this.#begunBytes = 0;
    this.#keptLast = this.#keep(dataOf(event));
    if (this.#keptLast) out.push(event);
  }

  #hold(rest: Uint8Array, out: Uint8Array[]): void {
    if (rest.length === 0) return;
    this.#begun.push(rest);
    this.#begunBytes += rest.length;
    if (this.#begunBytes <= LONGEST_EVENT) return;
    this.#unread = true;
    out.push(concat(this.#begun));
    this.#begun = [];
    this.#begunBytes = 0;
  }
}

const decoder = new TextDecoder();

/** The lines of data of an event, as one text. */
function dataOf(event: Uint8Array): string {
  const lines = decoder.decode(event).split(/\r\n|\n|\r/);
  return lines.flatMap((line) => (line.startsWith('data:') ? [line.slice(line[5] === ' ' ? 6 : 5)] : [])).join('\n');
}

/** One array of all bytes. */
export function concat(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
