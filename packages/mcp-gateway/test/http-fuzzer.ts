import type { Gateway } from '../src/index.ts';
import { headersOf, initializeOf, legacyFrame, legacyHeaders, modernFrame, mutatedHeaders, withAnswers } from './frames-of-clients.ts';
import { exchanged, fetched, type Heard, type Posted } from './in-process.ts';
import { inTime } from './lane.ts';
import { chance, type Json, mutated, pick, type Random, restructured } from './mutations.ts';
import { readingOf, replyProblems } from './verdict.ts';

const hangMs = 10_000;
const bytesOf = (frame: unknown) => Buffer.from(JSON.stringify(frame));

/** One client of a gateway's HTTP endpoint that gets everything wrong, and looks closely at what it is told. */
export class HttpFuzzer {
  readonly #gateway: Gateway;
  readonly #random: Random;
  #sessions: string[] = [];
  #states: string[] = [];

  constructor(gateway: Gateway, random: Random) {
    this.#gateway = gateway;
    this.#random = random;
  }

  /** Mutates a few frames; tells how many. Rejects with what was wrong with an answer. */
  async step(): Promise<number> {
    const random = this.#random;
    if (this.#sessions.length === 0) await this.#post(legacyHeaders(''), bytesOf(initializeOf(random)));
    if (chance(random, 0.01)) return this.#listen();
    return chance(random, 0.5) ? this.#legacy() : this.#modern();
  }

  async #legacy(): Promise<number> {
    const random = this.#random;
    const headers = legacyHeaders(chance(random, 0.03) ? 'nobodys' : pick(random, this.#sessions));
    await this.#post(chance(random, 0.2) ? mutatedHeaders(random, headers) : headers, mutated(random, legacyFrame(random)));
    return 1;
  }

  async #modern(): Promise<number> {
    const random = this.#random;
    const frame = modernFrame(random, this.#states);
    const changed = restructured(random, frame);
    // headers of the changed frame let it through to what lies behind them
    const [body, headers] = chance(random, 0.5) ? [bytesOf(changed), headersOf(changed)] : [mutated(random, frame), headersOf(frame)];
    const heard = await this.#post(chance(random, 0.2) ? mutatedHeaders(random, headers) : headers, body);
    return 1 + (await this.#answer(body, heard));
  }

  /** Takes up what waits for an answer, first wrongly and then rightly, so that nothing is left waiting. */
  async #answer(body: Buffer, { messages }: Heard): Promise<number> {
    const right = withAnswers(body.toString('utf8'), messages.at(-1));
    if (right === undefined) return 0;
    this.#states = [...this.#states, (right['params'] as { requestState: string }).requestState].slice(-8);
    const wrong = restructured(this.#random, right);
    const heard = await this.#post(headersOf(wrong), bytesOf(wrong));
    await this.#finish(bytesOf(wrong), heard);
    await this.#finish(bytesOf(right), await this.#post(headersOf(right), bytesOf(right)));
    return 1;
  }

  /** Answers rightly until there are no more questions. */
  async #finish(body: Buffer, { messages }: Heard): Promise<void> {
    const right = withAnswers(body.toString('utf8'), messages.at(-1));
    if (right !== undefined) await this.#finish(bytesOf(right), await this.#post(headersOf(right), bytesOf(right)));
  }

  /** The stream of a session, or of nobody, that its client soon leaves. */
  async #listen(): Promise<number> {
    const random = this.#random;
    const headers = { ...legacyHeaders(pick(random, this.#sessions)), accept: 'text/event-stream' };
    await this.#exchange({ method: 'GET', headers: mutatedHeaders(random, headers), body: Buffer.alloc(0) }, true);
    return 1;
  }

  async #post(headers: Record<string, string>, body: Buffer): Promise<Heard> {
    const posted: Posted = { method: 'POST', headers, body };
    const { method } = readingOf(body.toString('utf8'), headers);
    const takenBack = method === 'subscriptions/listen';
    const heard = await this.#exchange(posted, takenBack);
    const problems = replyProblems(posted, heard, takenBack);
    if (problems.length > 0) throw new Error(described(posted, heard, problems));
    await this.#keep(heard);
    return heard;
  }

  #exchange(posted: Posted, cut: boolean): Promise<Heard> {
    const what = () => `${JSON.stringify(posted.headers)} ${posted.body.toString('utf8').slice(0, 2_000)}`;
    const asked = (message: unknown) => this.#respond(posted.headers, message as Json);
    const overFetch =
      !cut && chance(this.#random, 0.05) && valid(posted.headers) && !/__ask|"inputResponses"/.test(posted.body.toString('latin1'));
    const heard = overFetch ? fetched(this.#gateway, posted) : exchanged(this.#gateway, posted, asked, cut);
    return inTime(heard, hangMs, what);
  }

  /** Answers a question within a call: out of order, wrongly, rightly, and once more. */
  #respond(headers: Readonly<Record<string, string>>, question: Json): void {
    if (question['method'] === undefined || question['id'] === undefined) return;
    const right = { jsonrpc: '2.0', id: question['id'], result: { action: 'accept', content: { name: 'x' } } };
    const send = (body: Buffer) => exchanged(this.#gateway, { method: 'POST', headers, body }, () => {}, false);
    void send(bytesOf({ ...right, id: 'tidegate-999' }));
    if (chance(this.#random, 0.5)) void send(mutated(this.#random, right));
    void send(bytesOf(right));
    void send(bytesOf(right));
  }

  /** Remembers a session that was opened, and leaves the oldest of too many. */
  async #keep({ headers }: Heard): Promise<void> {
    const opened = headers['mcp-session-id'];
    if (opened === undefined) return;
    this.#sessions.push(opened);
    if (this.#sessions.length <= 4) return;
    const left = this.#sessions.shift() as string;
    const { status } = await this.#exchange({ method: 'DELETE', headers: legacyHeaders(left), body: Buffer.alloc(0) }, false);
    if (status !== 204) throw new Error(`a session that is left was answered with ${status}`);
  }
}

function valid(headers: Readonly<Record<string, string>>): boolean {
  return Object.values(headers).every((value) => /^[\x20-\x7e]*$/.test(value));
}

function described({ headers, body }: Posted, heard: Heard, problems: readonly string[]): string {
  const said = heard.messages.map((message) => JSON.stringify(message).slice(0, 1_000)).join('\n');
  return `${problems.join('\n')}\nsent ${JSON.stringify(headers)}\n${body.toString('utf8').slice(0, 1_000)}\nheard ${heard.status} ${JSON.stringify(heard.headers)}\n${said}`;
}
