import type { MeteredCall, Seen } from '../meter/metered-call.ts';
import { type Body, bodyOf } from '../usage/reported-usage.ts';
import { concat, EventSplitter } from './event-splitter.ts';
import type { BodyMeter, Passed } from './metered-body.ts';
import type { AnswerReader, ModelApi } from './model-api.ts';

/** How an answer is read. */
export interface AnswerKind {
  readonly api: ModelApi;
  /** Whether it is a stream of events. */
  readonly isEvents: boolean;
  /** Whether events that are there only for the meter are left out. */
  readonly hides: boolean;
  /** Whether the provider refused. */
  readonly refused: boolean;
}

/** More than any answer that is no stream; of a longer one the usage is not known. */
const LONGEST_ANSWER = 256 * 1024 * 1024;

/** Reads the body of an answer as it passes, and ends the call with what it says. */
export class AnswerMeter implements BodyMeter {
  readonly #call: MeteredCall;
  readonly #kind: AnswerKind;
  readonly #reader: AnswerReader;
  readonly #splitter: EventSplitter | undefined;
  readonly #copies: AnswerMeter[];
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(call: MeteredCall, kind: AnswerKind, copies: AnswerMeter[] = []) {
    this.#call = call;
    this.#kind = kind;
    this.#copies = copies;
    copies.push(this);
    this.#reader = kind.api.reader();
    if (kind.isEvents) this.#splitter = new EventSplitter((data) => this.#keep(data));
  }

  /** A meter for another copy of the same answer. */
  again(): AnswerMeter {
    return new AnswerMeter(this.#call, this.#kind, this.#copies);
  }

  take(chunk: Uint8Array): Passed {
    if (this.#splitter === undefined) {
      this.#bytes += chunk.length;
      if (this.#bytes <= LONGEST_ANSWER) this.#pieces.push(chunk.slice());
      else this.#pieces = [];
      return { bytes: [chunk] };
    }
    const kept = this.#splitter.push(chunk);
    const bytes = this.#kind.hides ? kept : [chunk];
    // whoever has read the last word finds the call in the ledger
    return this.#reader.over ? { bytes, written: this.#call.ended(this.#reader.seen) } : { bytes };
  }

  end(): Passed {
    const left = this.#splitter?.flush() ?? [];
    if (this.#splitter === undefined) this.#readWhole();
    const { seen } = this.#reader;
    return { bytes: this.#kind.hides ? left : [], written: this.#kind.refused ? this.#call.refused(seen) : this.#call.ended(seen) };
  }

  broke(error: unknown): Promise<void> {
    return this.#leave((error as { name?: unknown } | undefined)?.name === 'AbortError');
  }

  left(): Promise<void> {
    return this.#leave(true);
  }

  /** The body cannot be read as it passes: empty, or read by somebody else. */
  unreadable(): Promise<void> {
    if (this.#kind.refused) return this.#call.release();
    return this.#call.ended({ ...this.#reader.seen, goesOn: true });
  }

  #leave(success: boolean): Promise<void> {
    if (this.#kind.refused) return this.#call.release();
    const [seen] = this.#copies.map((copy) => copy.#seenAtLast()).sort((a, b) => b.receivedBytes - a.receivedBytes) as [Seen];
    return this.#call.left(seen, success);
  }

  #seenAtLast(): Seen {
    if (this.#splitter !== undefined) return this.#reader.seen;
    this.#readPart();
    return this.#partOfWhole();
  }

  /** What is no stream was made whole before its first byte came, however much of it was read; where it says nothing it may have been long. */
  #partOfWhole(): Seen {
    const { seen } = this.#reader;
    return { ...seen, goesOn: !seen.final && seen.receivedBytes === 0 };
  }

  #keep(data: string): boolean {
    const event = data.startsWith('{') ? parsed(data) : undefined;
    if (event === undefined) {
      this.#reader.mark?.(data);
      return true;
    }
    const body = bodyOf(event);
    this.#reader.event(body);
    return this.#kind.api.isUsageOnly?.(body) !== true;
  }

  #readWhole(): void {
    const answer = parsed(new TextDecoder().decode(concat(this.#pieces)));
    this.#pieces = [];
    if (answer !== undefined) this.#reader.whole(answer);
  }

  /** Of a list of chunks that broke off, those that came. */
  #readPart(): void {
    const text = new TextDecoder().decode(concat(this.#pieces));
    this.#pieces = [];
    const whole = parsed(text);
    if (whole !== undefined) this.#reader.whole(whole);
    else for (const chunk of chunksOf(text)) this.#reader.event(chunk);
  }
}

const MOST_TRIES = 100;

/** The whole ones of a list that broke off. */
function chunksOf(text: string): readonly Body[] {
  let end = text.trimStart().startsWith('[') ? text.lastIndexOf('}') : -1;
  for (let tries = 0; end > 0 && tries < MOST_TRIES; tries += 1) {
    const chunks = parsed(`${text.slice(0, end + 1)}]`);
    if (Array.isArray(chunks)) return chunks.map(bodyOf);
    end = text.lastIndexOf('}', end - 1);
  }
  return [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
