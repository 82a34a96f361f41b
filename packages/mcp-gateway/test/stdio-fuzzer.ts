import { PassThrough, Writable } from 'node:stream';
import { validateFrame } from '../../../tests/conformance/frames.ts';
import type { Gateway } from '../src/index.ts';
import { initializeOf, legacyFrame, modernFrame, withAnswers } from './frames-of-clients.ts';
import { parsed } from './in-process.ts';
import { inTime } from './lane.ts';
import { chance, type Json, mutated, type Random, restructured } from './mutations.ts';
import { modernMeta } from './raw-modern.ts';
import { messageProblems, type Reading, readingOf } from './verdict.ts';

const hangMs = 10_000;

/** What has been told since the last line that was sent. */
interface Waiting {
  readonly text: string;
  readonly reading: Reading;
  readonly messages: unknown[];
  readonly answered: () => void;
}

/** One client over a pair of streams that gets everything wrong, in both eras, and looks closely at what it is told. */
export class StdioFuzzer {
  readonly served: Promise<void>;
  readonly #random: Random;
  readonly #input = new PassThrough();
  #rest = '';
  #waiting: Waiting | undefined;
  #problems: string[] = [];
  /** Answers to questions that may have been none, each of which may be refused. */
  #spoiled = 0;
  #fences = 0;
  #fence: { readonly id: string; readonly passed: () => void } | undefined;
  #steps = 0;

  constructor(gateway: Gateway, random: Random) {
    this.#random = random;
    const output = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#hear(chunk.toString('utf8'));
        done();
      },
    });
    this.served = gateway.serveStdio(this.#input, output);
  }

  /** Mutates a frame; tells how many it were. Rejects with what was wrong with an answer. */
  async step(): Promise<number> {
    const random = this.#random;
    this.#steps += 1;
    if (this.#steps % 100 === 1) await this.#send(Buffer.from(JSON.stringify(initializeOf(random))), 1);
    const frame = chance(random, 0.5) ? legacyFrame(random) : modernFrame(random);
    await this.#send(mutated(random, frame), chance(random, 0.03) ? 2 : 1);
    return 1;
  }

  async close(): Promise<void> {
    this.#input.end();
    await this.served;
  }

  /** Sends a line, once or twice at once, and waits for the answers and for what comes after them. */
  async #send(line: Buffer, times: number): Promise<void> {
    const text = line.toString('utf8').trim();
    const reading = readingOf(text);
    const listens = reading.method === 'subscriptions/listen';
    const expected = reading.isRequest && !listens ? times : 0;
    let open = expected;
    this.#spoiled = 0;
    const messages: unknown[] = [];
    const answered = new Promise<void>((resolve) => {
      this.#waiting = { text, reading, messages, answered: () => --open <= 0 && resolve() };
      if (expected === 0) resolve();
    });
    for (let time = 0; time < times; time += 1) this.#input.write(Buffer.concat([line, Buffer.from('\n')]));
    if (listens) this.#write({ method: 'notifications/cancelled', params: { requestId: reading.id } });
    await inTime(answered, hangMs, () => text.slice(0, 2_000));
    await this.#pass();
    this.#judge({ text, reading, messages, times, listens });
    // what waits for an answer gets it, so that nothing is left waiting
    for (const message of messages) {
      const right = withAnswers(text, message);
      if (right !== undefined) await this.#send(Buffer.from(JSON.stringify(right)), 1);
    }
  }

  #judge({ text, reading, messages, times, listens }: Omit<Waiting, 'answered'> & { times: number; listens: boolean }): void {
    const answers = messages.filter((message) => !('method' in (message as Json)));
    const each = answers.flatMap((answer) => messageProblems(reading, [answer], listens));
    if (reading.isRequest && answers.length !== times && !listens) each.push(`${answers.length} answers to ${times} requests`);
    if (answers.length > times) each.push(`${answers.length} answers to ${times} lines`);
    const problems = [...this.#problems, ...each];
    if (problems.length === 0) return;
    throw new Error(`${problems.join('\n')}\nsent ${text.slice(0, 1_000)}\nheard ${JSON.stringify(messages).slice(0, 2_000)}`);
  }

  /** A right request: whatever was answered before it has been heard. Everything is still in order where it is answered. */
  async #pass(): Promise<void> {
    this.#fences += 1;
    const id = `fence-${this.#fences}`;
    const passed = new Promise<void>((resolve) => {
      this.#fence = { id, passed: resolve };
    });
    this.#write({ id, method: 'server/discover', params: { _meta: modernMeta() } });
    await inTime(passed, hangMs, () => 'a healthy request');
  }

  #write(message: object): void {
    this.#input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  #hear(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#take(parsed(line) as Json);
  }

  #take(message: Json): void {
    if (this.#fence !== undefined && message['id'] === this.#fence.id) {
      if ((message['result'] as Json | undefined)?.['resultType'] !== 'complete')
        this.#problems.push(`the healthy request: ${JSON.stringify(message)}`);
      this.#fence.passed();
    } else if ('method' in message) this.#told(message);
    else if (!('id' in message) && this.#spoiled > 0) this.#spoiled -= 1;
    else {
      this.#waiting?.messages.push(message);
      this.#waiting?.answered();
    }
  }

  /** What is told is of the session, or of the request that waits. */
  #told(message: Json): void {
    const problems = (['legacy', 'modern'] as const).map((era) => validateFrame(era, 'to-client', message));
    if (problems.every((each) => each.length > 0)) this.#problems.push(...problems.flat(), JSON.stringify(message));
    if (message['id'] === undefined) return;
    const right = { jsonrpc: '2.0', id: message['id'], result: { action: 'accept', content: { name: 'x' } } };
    const spoiled = restructured(this.#random, right);
    // one that has become a request would be answered
    if (!('method' in spoiled) && ('result' in spoiled || 'error' in spoiled)) {
      this.#spoiled += 1;
      this.#input.write(`${JSON.stringify(spoiled)}\n`);
    }
    this.#write(right);
    this.#write(right);
  }
}
