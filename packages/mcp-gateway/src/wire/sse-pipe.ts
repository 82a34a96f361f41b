import type { IncomingMessage } from 'node:http';
import type { RpcMessage } from '../json-rpc.ts';
import { UnreachableError, UpstreamError } from '../upstream-error.ts';
import { isEventStream, readEvents } from './event-stream.ts';
import { takeFrame } from './frame.ts';
import { HttpRequests, type HttpTarget, readRefusal } from './http-requests.ts';
import { sampleOf } from './lines.ts';
import type { Pipe, PipeListener } from './pipe.ts';

/**
 * Messages over HTTP+SSE, the transport of revision 2024-11-05 that later ones replaced: a GET opens a stream of events, the first
 * of which names the address that messages are POSTed to; all that the server has to say comes on the stream. The stream is the
 * session: once it has ended, it cannot be taken up again.
 */
export class SsePipe implements Pipe {
  readonly #server: string;
  readonly #url: URL;
  readonly #requests: HttpRequests;
  readonly #closing = new AbortController();
  /** Where messages go, once the stream has named it. */
  #endpoint: URL | undefined;

  constructor(server: string, target: HttpTarget) {
    this.#server = server;
    this.#url = new URL(target.url);
    this.#requests = new HttpRequests(server, target);
  }

  readonly cancelsByClosing = false;

  readonly legacyOnly = true;

  async open(listener: PipeListener, signal: AbortSignal): Promise<void> {
    const onAbort = () => this.#closing.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      await this.#listen(await this.#openStream(), listener);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async send(message: RpcMessage, signal?: AbortSignal): Promise<'sent'> {
    if (this.#endpoint === undefined) throw new UnreachableError(this.#server, 'has no open stream');
    const response = await this.#requests.send('POST', this.#endpoint, { body: JSON.stringify(message), signal });
    const body = readRefusal(response);
    if ((response.statusCode ?? 0) >= 300) throw this.#requests.refused(response, await body, true);
    return 'sent';
  }

  negotiated(): void {}

  async close(): Promise<void> {
    this.#closing.abort();
    this.#requests.close();
  }

  async #openStream(): Promise<IncomingMessage> {
    const headers = { accept: 'text/event-stream' };
    const response = await this.#requests.send('GET', this.#url, { headers, signal: this.#closing.signal });
    if ((response.statusCode ?? 0) >= 300) throw this.#requests.refused(response, await readRefusal(response), false);
    if (isEventStream(response)) return response;
    response.destroy();
    throw this.#broken('answered with no event stream', response.headers['content-type'] ?? '');
  }

  /** Takes what the stream brings, up to its end; resolves once its first event has named the endpoint. */
  #listen(stream: IncomingMessage, listener: PipeListener): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve, reject) => {
      const take = (data: string, event?: string) => {
        if (signal.aborted) return;
        if (this.#endpoint !== undefined) {
          takeEvent(listener, data, event);
          return;
        }
        try {
          this.#endpoint = this.#endpointOf(data, event);
          resolve();
        } catch (error) {
          this.#closing.abort(error);
        }
      };
      this.#endOf(stream, take).then((end) => {
        if (signal.aborted) reject(signal.reason);
        else if (this.#endpoint === undefined) reject(end);
        else listener.closed(end);
        this.#requests.close();
      }, reject);
    });
  }

  async #endOf(stream: IncomingMessage, take: (data: string, event?: string) => void): Promise<UpstreamError> {
    try {
      await readEvents(stream, take);
      return new UpstreamError(this.#server, 'ended its stream', { carriedOut: 'perhaps' });
    } catch (cause) {
      const problem = cause instanceof RangeError ? cause.message : `broke off its stream: ${(cause as Error).message}`;
      return new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', cause });
    }
  }

  /** Of another origin there is none: no server makes the gateway send a user's messages and its own secrets elsewhere. */
  #endpointOf(data: string, event: string | undefined): URL {
    if (event !== 'endpoint') throw this.#broken('began its stream with something else than its endpoint', data);
    if (!URL.canParse(data, this.#url.href)) throw this.#broken('named an endpoint that is no address', data);
    const endpoint = new URL(data, this.#url);
    if (endpoint.origin !== this.#url.origin) throw this.#broken('named an endpoint of another origin', data);
    // a name and password in the address are the configuration's, whatever the server wrote
    endpoint.username = this.#url.username;
    endpoint.password = this.#url.password;
    return endpoint;
  }

  #broken(problem: string, said: string): UpstreamError {
    return new UpstreamError(this.#server, problem, { carriedOut: 'no', code: 'ERR_UPSTREAM_PROTOCOL', detail: sampleOf(said) });
  }
}

function takeEvent(listener: PipeListener, data: string, event = 'message'): void {
  if (event === 'message') takeFrame(data, 'message', listener);
  else listener.problem({ problem: `sent an event '${sampleOf(event)}', which is no message`, sample: sampleOf(data) });
}
