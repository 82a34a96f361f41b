import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { CallerRefusedError, SessionExpiredError, UnreachableError, UpstreamError } from '../upstream-error.ts';
import { authorizationOf, type HttpCredential, refusesCaller, sendUnder } from './http-credential.ts';
import { sampleOf } from './lines.ts';

/** A server that is reached over HTTP. */
export interface HttpTarget {
  /** The address of the protocol's endpoint. */
  readonly url: string;
  /** Sent with every request; where secrets go. */
  readonly headers: Readonly<Record<string, string>>;
  /** Who the requests come from, where the server wants that. */
  readonly credential?: HttpCredential;
}

/** One request as a pipe wants it. */
export interface OneRequest {
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
  /** Beside those of the target; they go before them. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** How much of a refusal is read, in bytes. */
const refusalKept = 20_000;

/** The requests of one pipe to its server: with the target's headers and credential, over connections of their own. */
export class HttpRequests {
  readonly #server: string;
  readonly #target: HttpTarget;
  readonly #agent: HttpAgent;
  #closed = false;

  constructor(server: string, target: HttpTarget) {
    this.#server = server;
    this.#target = target;
    this.#agent = isHttps(new URL(target.url)) ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  }

  /** Sends a request to an address of the target's origin, and again where its refusal has led to other credentials. */
  async send(method: string, url: URL, { headers = {}, ...request }: OneRequest = {}): Promise<IncomingMessage> {
    const { credential } = this.#target;
    if (credential === undefined) return this.#sendOnce(method, url, { ...request, headers });
    return sendUnder(credential, (authorization) => this.#sendOnce(method, url, { ...request, headers: { ...headers, ...authorization } }));
  }

  /** Sends a request as its sender is known now: no refusal leads to anything. */
  sendAsIs(method: string, url: URL, { headers = {}, ...request }: OneRequest = {}): Promise<IncomingMessage> {
    return this.#sendOnce(method, url, { ...request, headers: { ...headers, ...authorizationOf(this.#target.credential) } });
  }

  /** What a refusal means, of which `body` is what the server said; within a session it may mean that the server has forgotten that. */
  refused(response: IncomingMessage, body: string, inSession: boolean): UpstreamError {
    const status = response.statusCode ?? 0;
    // 404 says so; the reference server of the protocol says 400 to a session it does not know
    if (inSession && (status === 404 || (status === 400 && /session/i.test(body)))) return new SessionExpiredError(this.#server);
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

  /** Ends every connection; nothing is sent from now on. */
  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  #sendOnce(method: string, url: URL, { body, signal, headers }: OneRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#closed) throw new UnreachableError(this.#server, 'was disconnected');
      const send = isHttps(url) ? httpsRequest : httpRequest;
      const request = send(url, { method, agent: this.#agent, headers: { ...this.#headers(body), ...headers } });
      // the option `signal` would do this with an error, for which a connection that is just being given back has no listener
      const onAbort = () => {
        reject(signal?.reason);
        request.destroy();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      request.once('close', () => signal?.removeEventListener('abort', onAbort));
      request.once('response', resolve);
      request.on('error', (cause: NodeJS.ErrnoException) => reject(this.#unreachable(cause)));
      request.end(body);
    });
  }

  #headers(body: string | undefined): Record<string, string> {
    return {
      accept: 'application/json, text/event-stream',
      ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...this.#target.headers,
    };
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

/** What a server said with its refusal, or the beginning of it. */
export function readRefusal(response: IncomingMessage): Promise<string> {
  return readBody(response, refusalKept).catch(() => '');
}

/** The text of a body. One of more than `most` bytes is cut off, or an error where `tooMuch` makes one. */
export async function readBody(response: IncomingMessage, most: number, tooMuch?: () => Error): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of response) {
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length <= most) continue;
    if (tooMuch !== undefined) throw tooMuch();
    break;
  }
  return Buffer.concat(parts).toString('utf8');
}

function isHttps({ protocol }: URL): boolean {
  return protocol === 'https:';
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
