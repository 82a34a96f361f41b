import type { FrameProblem } from './pipe.ts';

const newline = 10;

// Where a message's own id stands; any other may be one of the data inside it.
const idFirst = /^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(\d+)\s*,/;
const idLast = /"id"\s*:\s*(\d+)\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/;

/** Cuts a stream of bytes into lines, none longer than `largest` bytes; what is longer is dropped up to its end and reported. */
export class Lines {
  readonly #largest: number;
  readonly #line: (line: string) => void;
  readonly #problem: (problem: FrameProblem) => void;
  #parts: Buffer[] = [];
  #length = 0;
  #dropped: { head: string; tail: string } | undefined;

  constructor(largest: number, line: (line: string) => void, problem: (problem: FrameProblem) => void) {
    this.#largest = largest;
    this.#line = line;
    this.#problem = problem;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      this.#add(chunk.subarray(from, end));
      this.#end();
      from = end + 1;
    }
    if (from < chunk.length) this.#add(chunk.subarray(from));
  }

  /** The stream has ended; a line that has not is reported. */
  finish(): void {
    if (this.#dropped !== undefined) this.#end();
    else if (this.#length > 0) this.#problem({ problem: 'ended in the middle of a line', sample: sampleOf(this.#take()) });
  }

  #add(part: Buffer): void {
    if (this.#dropped !== undefined) {
      this.#dropped.tail = (this.#dropped.tail + part.subarray(-400).toString()).slice(-400);
      return;
    }
    this.#parts.push(part);
    this.#length += part.length;
    if (this.#length > this.#largest) {
      const text = this.#take(400);
      this.#dropped = { head: text, tail: part.subarray(-400).toString() };
    }
  }

  #end(): void {
    if (this.#dropped !== undefined) {
      const { head, tail } = this.#dropped;
      this.#dropped = undefined;
      const id = idFirst.exec(head)?.[1] ?? idLast.exec(tail)?.[1];
      const problem = { problem: `sent a line of more than ${this.#largest} bytes`, sample: sampleOf(head) };
      this.#problem(id === undefined ? problem : { ...problem, id: Number(id) });
      return;
    }
    const line = this.#take().trim();
    if (line !== '') this.#line(line);
  }

  #take(most = this.#length): string {
    const [only] = this.#parts;
    const bytes = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return bytes.toString('utf8', 0, Math.min(most, bytes.length));
  }
}

/** The beginning of what was sent, as it may stand in a report. */
export function sampleOf(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}
