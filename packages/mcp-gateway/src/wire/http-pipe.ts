import type { IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { classify, isObject, type RequestId, type RpcMessage } from '../json-rpc.ts';
import { UpstreamError } from '../upstream-error.ts';
import { isEventStream, readEvents, type StreamEnd, tooLarge } from './event-stream.ts';
import type { HttpCredential } from './http-credential.ts';
import { HttpRequests, type HttpTarget, type OneRequest, readBody, readRefusal } from './http-requests.ts';
import { sampleOf } from './lines.ts';
import { largestMessage, type Pipe, type PipeListener } from './pipe.ts';

/** Where the messages of one request go. */
interface Taker {
  readonly take: (text: string) => void;
  /** Whether the request's answer was among them. */
  readonly answered: () => boolean;
}

/** How long the server may take to take leave of a session, in ms. */
const leaveMs = 1_000;

/** Messages over streamable HTTP: one POST a message, its answer as JSON or as an event stream, and a GET for the server's own. */
export class HttpPipe implements Pipe {
  readonly #server: string;
  readonly #url: URL;
  readonly #requests: HttpRequests;
  readonly #credential: HttpCredential | undefined;
  #listener: PipeListener | undefined;
  #session: string | undefined;
  #revision: string | undefined;
  readonly #closing = new AbortController();
  #listening = false;
  #forget = () => {};

  constructor(server: string, target: HttpTarget) {
    this.#server = server;
    this.#url = new URL(target.url);
    this.#requests = new HttpRequests(server, target);
    this.#credential = target.credential;
  }

  async open(listener: PipeListener): Promise<void> {
    this.#listener = listener;
  }

  readonly cancelsByClosing = true;

  async send(message: RpcMessage, signal?: AbortSignal, headers?: Readonly<Record<string, string>>): Promise<'ended'> {
    const id = 'id' in message && message.id !== null ? message.id : undefined;
    const response = await this.#request('POST', JSON.stringify(message), signal, headers);
    if ((response.statusCode ?? 0) >= 300) {
      const body = await readRefusal(response);
      // revision 2026-07-28, which is the one with headers of its own, tells some errors by status as well
      if (headers === undefined || id === undefined || !this.#isRefusedAnswer(response.statusCode, body, id))
        throw this.#requests.refused(response, body, this.#session !== undefined);
      return 'ended';
    }
    const session = response.headers['mcp-session-id'];
    if (typeof session === 'string' && headers === undefined) this.#session = session;
    const taker = this.#taker(id);
    const end = await this.#deliver(response, taker.take);
    if (end !== undefined && headers === undefined) await this.#takeUpAgain(end, taker, signal);
    return 'ended';
  }

  negotiated(revision: string): void {
    this.#revision = revision;
    this.#hear();
    this.#forget = this.#credential?.onSignedIn(() => this.#hear()) ?? this.#forget;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#forget();
    if (this.#session !== undefined) {
      const leave = this.#requests.sendAsIs('DELETE', this.#url, this.#within({ signal: AbortSignal.timeout(leaveMs) }));
      await leave.then((response) => response.resume()).catch(() => {}); // taking leave is a courtesy
    }
    this.#requests.close();
  }

  #request(
    method: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
    headers?: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    const request = { ...(body !== undefined && { body }), signal, ...(headers && { headers }) };
    return this.#requests.send(method, this.#url, this.#within(request));
  }

  /** A request as one of this conversation. */
  #within({ headers, ...request }: OneRequest): OneRequest {
    const conversation = {
      ...(this.#session !== undefined && { 'mcp-session-id': this.#session }),
      ...(this.#revision !== undefined && { 'mcp-protocol-version': this.#revision }),
    };
    return { ...request, headers: { ...conversation, ...headers } };
  }

  /** Hands on every message of a response; tells how a stream ended. */
  async #deliver(response: IncomingMessage, take: (text: string) => void): Promise<StreamEnd | undefined> {
    try {
      if (isEventStream(response)) return await readEvents(response, take);
      const text = await readBody(response, largestMessage, tooLarge);
      if (text.trim() !== '') take(text);
      return undefined;
    } catch (cause) {
      const problem = cause instanceof RangeError ? cause.message : `broke off its answer: ${(cause as Error).message}`;
      throw new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', cause });
    }
  }

  /** Goes on with a stream that the server ended before the answer, as revision 2025-11-25 lets it. */
  async #takeUpAgain(first: StreamEnd, taker: Taker, signal: AbortSignal | undefined): Promise<void> {
    for (let end: StreamEnd | undefined = first; !taker.answered() && end?.lastEventId !== undefined; ) {
      await pause(end.retryMs, undefined, { signal: signal ?? this.#closing.signal });
      const response = await this.#request('GET', undefined, signal, { accept: 'text/event-stream', 'last-event-id': end.lastEventId });
      if (response.statusCode !== 200 || !isEventStream(response)) {
        response.resume();
        return;
      }
      end = await this.#deliver(response, taker.take);
    }
  }

  /** Takes messages that belong to a request, and sees whether its answer is among them. */
  #taker(replyTo: RequestId | undefined): Taker {
    let answered = false;
    const take = (text: string) => {
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        this.#listener?.problem({ problem: 'sent a message that is not JSON', sample: sampleOf(text) });
        return;
      }
      const classified = classify(value);
      answered ||= classified.kind === 'response' && classified.message.id === replyTo;
      if (classified.kind === 'invalid') this.#listener?.problem({ problem: `sent ${classified.problem}`, sample: sampleOf(text) });
      else this.#listener?.message(classified.message, replyTo);
    };
    return { take, answered: () => answered };
  }

  /** Hands on the error in the body of a refused request, under the request's id. */
  #isRefusedAnswer(status: number | undefined, body: string, id: RequestId): boolean {
    if (status !== 400 && status !== 404) return false;
    try {
      const value: unknown = JSON.parse(body);
      const classified = classify(isObject(value) && (value['id'] === undefined || value['id'] === null) ? { ...value, id } : value);
      if (classified.kind !== 'response' || !('error' in classified.message)) return false;
      this.#listener?.message({ ...classified.message, id }, id);
      return true;
    } catch {
      return false;
    }
  }

  /** Listens, unless it does already; a server that is away, or wants a sign-in first, is found out by calls. */
  #hear(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#listen()
      .catch(() => {})
      .finally(() => {
        this.#listening = false;
      });
  }

  /** Keeps the stream of what the server says unasked open. A server without one answers 405. */
  async #listen(): Promise<void> {
    const { signal } = this.#closing;
    const { take } = this.#taker(undefined);
    let resume: Readonly<Record<string, string>> = {};
    for (;;) {
      const response = await this.#request('GET', undefined, signal, { accept: 'text/event-stream', ...resume });
      if (response.statusCode !== 200 || !isEventStream(response)) {
        response.resume();
        return;
      }
      const { lastEventId, retryMs } = await readEvents(response, take);
      resume = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
      await pause(retryMs, undefined, { signal });
    }
  }
}
