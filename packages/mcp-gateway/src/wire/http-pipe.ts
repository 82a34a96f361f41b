import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { classify, isObject, type RequestId, type RpcMessage } from '../json-rpc.ts';
import { CallerRefusedError, SessionExpiredError, UnreachableError, UpstreamError } from '../upstream-error.ts';
import { isEventStream, readEvents, type StreamEnd, tooLarge } from './event-stream.ts';
import { authorizationOf, type HttpCredential, refusesCaller, sendUnder } from './http-credential.ts';
import { sampleOf } from './lines.ts';
import { largestMessage, type Pipe, type PipeListener } from './pipe.ts';

/** A server that is reached over streamable HTTP. */
export interface HttpTarget {
  /** The address of the protocol's endpoint. */
  readonly url: string;
  /** Sent with every request; where secrets go. */
  readonly headers: Readonly<Record<string, string>>;
  /** Who the requests come from, where the server wants that. */
  readonly credential?: HttpCredential;
}

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
  readonly #target: HttpTarget;
  readonly #agent: HttpAgent;
  #listener: PipeListener | undefined;
  #session: string | undefined;
  #revision: string | undefined;
  readonly #closing = new AbortController();
  #listening = false;
  #forget = () => {};

  constructor(server: string, target: HttpTarget) {
    this.#server = server;
    this.#target = target;
    this.#url = new URL(target.url);
    this.#agent = this.#url.protocol === 'https:' ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  async open(listener: PipeListener): Promise<void> {
    this.#listener = listener;
  }

  readonly cancelsByClosing = true;

  async send(message: RpcMessage, signal?: AbortSignal, headers?: Readonly<Record<string, string>>): Promise<'ended'> {
    const id = 'id' in message && message.id !== null ? message.id : undefined;
    const response = await this.#request('POST', JSON.stringify(message), signal, headers);
    if ((response.statusCode ?? 0) >= 300) {
      const body = await read(response, 20_000).catch(() => '');
      // revision 2026-07-28, which is the one with headers of its own, tells some errors by status as well
      if (headers === undefined || id === undefined || !this.#isRefusedAnswer(response.statusCode, body, id))
        throw this.#refused(response, body);
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
    this.#forget = this.#target.credential?.onSignedIn(() => this.#hear()) ?? this.#forget;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#forget();
    if (this.#session !== undefined) {
      const leave = this.#requestOnce('DELETE', undefined, AbortSignal.timeout(leaveMs), authorizationOf(this.#target.credential));
      await leave.then((response) => response.resume()).catch(() => {}); // taking leave is a courtesy
    }
    this.#agent.destroy();
  }

  /** Sends a request, and again where its refusal has led to other credentials. */
  async #request(
    method: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<IncomingMessage> {
    const { credential } = this.#target;
    if (credential === undefined) return this.#requestOnce(method, body, signal, headers);
    return sendUnder(credential, (authorization) => this.#requestOnce(method, body, signal, { ...headers, ...authorization }));
  }

  #requestOnce(
    method: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
    headers: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const send = this.#url.protocol === 'https:' ? httpsRequest : httpRequest;
      const request = send(this.#url, {
        method,
        agent: this.#agent,
        headers: { ...this.#headers(body), ...headers },
        ...(signal && { signal }),
      });
      request.once('response', resolve);
      request.once('error', (cause: NodeJS.ErrnoException) => reject(signal?.aborted ? signal.reason : this.#unreachable(cause)));
      request.end(body);
    });
  }

  #headers(body: string | undefined): Record<string, string> {
    return {
      accept: 'application/json, text/event-stream',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...(this.#session !== undefined && { 'mcp-session-id': this.#session }),
      ...(this.#revision !== undefined && { 'mcp-protocol-version': this.#revision }),
      ...this.#target.headers,
    };
  }

  /** Hands on every message of a response; tells how a stream ended. */
  async #deliver(response: IncomingMessage, take: (text: string) => void): Promise<StreamEnd | undefined> {
    try {
      if (isEventStream(response)) return await readEvents(response, take);
      const text = await read(response, largestMessage);
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

  #refused(response: IncomingMessage, body: string): UpstreamError {
    const status = response.statusCode ?? 0;
    // 404 says so; the reference server of the protocol says 400 to a session it does not know
    if (this.#session !== undefined && (status === 404 || (status === 400 && /session/i.test(body))))
      return new SessionExpiredError(this.#server);
    if (this.#target.credential !== undefined && refusesCaller(status))
      return new CallerRefusedError(this.#server, `answered with HTTP ${status}`, status, sampleOf(body.trim()));
    const retryAfterMs = status === 429 || status === 503 ? retryAfter(response.headers['retry-after']) : undefined;
    // a proxy says 503 of a request that it has passed on, too; only who asks for patience has not begun
    const refusedBeforeActing =
      [401, 403, 404, 405, 406, 413, 415, 429].includes(status) || retryAfterMs !== undefined || isRedirect(status);
    return new UpstreamError(this.#server, `answered with HTTP ${status}`, {
      detail: sampleOf(body.trim()),
      carriedOut: refusedBeforeActing ? 'no' : 'perhaps',
      retryAfterMs,
      status,
    });
  }

  #unreachable(cause: NodeJS.ErrnoException): UpstreamError {
    const problem = `cannot be reached: ${cause.message || cause.code}`;
    const beforeSending = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNABORTED'].includes(
      cause.code ?? '',
    );
    if (beforeSending) return new UnreachableError(this.#server, problem, cause);
    return new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', cause });
  }
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}

/** `Retry-After` in ms: seconds or an HTTP date (RFC 9110, 10.2.3). */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

async function read(response: IncomingMessage, most: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length > most) {
      if (most === largestMessage) throw tooLarge();
      break;
    }
  }
  return Buffer.concat(parts).toString('utf8');
}
