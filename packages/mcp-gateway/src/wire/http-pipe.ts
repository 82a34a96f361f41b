import { type ClientRequest, Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createParser } from 'eventsource-parser';
import { classify, isObject, type RequestId, type RpcMessage } from '../json-rpc.ts';
import { SessionExpiredError, UnreachableError, UpstreamError } from '../upstream-error.ts';
import { sampleOf } from './lines.ts';
import { largestMessage, type Pipe, type PipeListener } from './pipe.ts';

/** A server that is reached over streamable HTTP. */
export interface HttpTarget {
  /** The address of the protocol's endpoint. */
  readonly url: string;
  /** Sent with every request; where secrets go. */
  readonly headers: Readonly<Record<string, string>>;
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
  #stream: ClientRequest | undefined;

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
    await this.#deliver(response, id);
    return 'ended';
  }

  negotiated(revision: string): void {
    this.#revision = revision;
    this.#listen();
  }

  async close(): Promise<void> {
    this.#stream?.destroy();
    if (this.#session !== undefined) {
      const leave = this.#request('DELETE', undefined, AbortSignal.timeout(leaveMs));
      await leave.then((response) => response.resume()).catch(() => {}); // taking leave is a courtesy
    }
    this.#agent.destroy();
  }

  #request(
    method: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
    headers: Readonly<Record<string, string>> = {},
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

  /** Hands on every message of a response. */
  async #deliver(response: IncomingMessage, replyTo: RequestId | undefined): Promise<void> {
    const type = response.headers['content-type'] ?? '';
    try {
      if (type.includes('text/event-stream')) return await this.#readEvents(response, replyTo);
      const text = await read(response, largestMessage);
      if (text.trim() !== '') this.#parse(text, replyTo);
    } catch (cause) {
      const problem = cause instanceof RangeError ? cause.message : `broke off its answer: ${(cause as Error).message}`;
      throw new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', cause });
    }
  }

  async #readEvents(response: IncomingMessage, replyTo?: RequestId): Promise<void> {
    let size = 0;
    const parser = createParser({
      onEvent: (event) => {
        size = 0;
        if (event.data !== '') this.#parse(event.data, replyTo);
      },
    });
    response.setEncoding('utf8');
    for await (const chunk of response) {
      size += (chunk as string).length;
      if (size > largestMessage) throw tooLarge();
      parser.feed(chunk as string);
    }
  }

  #parse(text: string, replyTo: RequestId | undefined): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.#listener?.problem({ problem: 'sent a message that is not JSON', sample: sampleOf(text) });
      return;
    }
    const classified = classify(value);
    if (classified.kind === 'invalid') this.#listener?.problem({ problem: `sent ${classified.problem}`, sample: sampleOf(text) });
    else this.#listener?.message(classified.message, replyTo);
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

  /** Opens the stream of what the server says unasked. A server without one answers 405; one that is away is found out by calls. */
  #listen(): void {
    const request = (this.#url.protocol === 'https:' ? httpsRequest : httpRequest)(this.#url, {
      agent: false,
      headers: { ...this.#headers(undefined), accept: 'text/event-stream' },
    });
    this.#stream = request;
    request.once('error', () => {});
    request.once('response', (response) => {
      const isStream = (response.headers['content-type'] ?? '').includes('text/event-stream');
      if (response.statusCode === 200 && isStream) this.#readEvents(response).catch(() => {});
      else response.resume();
    });
    request.end();
  }

  #refused(response: IncomingMessage, body: string): UpstreamError {
    const status = response.statusCode ?? 0;
    // 404 says so; the reference server of the protocol says 400 to a session it does not know
    if (this.#session !== undefined && (status === 404 || status === 400)) return new SessionExpiredError(this.#server);
    const retryAfterMs = status === 429 || status === 503 ? retryAfter(response.headers['retry-after']) : undefined;
    const refusedBeforeActing = status === 429 || status === 503 || (status >= 300 && status < 500);
    const said = body.trim() === '' ? '' : `: ${sampleOf(body.trim())}`;
    return new UpstreamError(this.#server, `answered with HTTP ${status}${said}`, {
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

/** `Retry-After` in ms: seconds or an HTTP date (RFC 9110, 10.2.3). */
function retryAfter(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isFinite(ms) && ms >= 0 ? ms : undefined;
}

function tooLarge(): RangeError {
  return new RangeError(`sent a message of more than ${largestMessage} bytes`);
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
