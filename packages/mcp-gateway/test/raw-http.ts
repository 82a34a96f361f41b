import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createParser } from 'eventsource-parser';

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** Text as it is; anything else as JSON. */
  readonly body?: unknown;
}

export interface RawReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** One HTTP exchange with exactly these headers, so that a test decides about `Host` too. */
export async function exchange(url: string, request: RawRequest = {}): Promise<RawReply> {
  const response = await send(url, request);
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

function send(url: string, { method = 'GET', headers = {}, body }: RawRequest): Promise<IncomingMessage> {
  const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const length = payload === undefined ? {} : { 'content-length': String(Buffer.byteLength(payload)) };
    const request = httpRequest(url, { method, agent: false, headers: { ...length, ...headers } });
    request.once('response', resolve).once('error', reject).end(payload);
  });
}

/** The messages of an event stream as they come. */
export class EventStream {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Resolves when the other side has ended the stream. */
  readonly ended: Promise<void>;
  readonly #response: IncomingMessage;
  readonly #messages: unknown[] = [];
  #wake = () => {};

  constructor(response: IncomingMessage) {
    this.status = response.statusCode ?? 0;
    this.headers = response.headers;
    this.#response = response;
    const parser = createParser({
      onEvent: ({ data }) => {
        this.#messages.push(JSON.parse(data));
        this.#wake();
      },
    });
    response.setEncoding('utf8').on('data', (chunk: string) => parser.feed(chunk));
    this.ended = new Promise((resolve) => {
      response.once('close', () => {
        resolve();
        this.#wake();
      });
    });
  }

  static async open(url: string, request: RawRequest): Promise<EventStream> {
    return new EventStream(await send(url, request));
  }

  /** The next message, or undefined where the stream has ended without one. */
  async next(): Promise<unknown> {
    while (this.#messages.length === 0 && !this.#response.closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#messages.shift();
  }

  /** Every message up to the end. */
  async rest(): Promise<unknown[]> {
    await this.ended;
    return this.#messages.splice(0);
  }

  /** As a client that goes away does it. */
  cut(): void {
    this.#response.destroy();
  }
}

/** A client of revision 2025-11-25 that says what a test tells it to. */
export class RawClient {
  readonly #url: string;
  readonly headers: Record<string, string>;
  #lastId = 0;

  constructor(url: string, headers: Record<string, string>) {
    this.#url = url;
    this.headers = headers;
  }

  /** Opens a session. */
  static async connect(url: string, headers: Record<string, string> = {}): Promise<RawClient> {
    const opening = await new RawClient(url, headers).post(initialize());
    if (opening.status !== 200) throw new Error(`initialize was answered with ${opening.status}: ${opening.text}`);
    return new RawClient(url, { ...headers, 'mcp-session-id': String(opening.headers['mcp-session-id']) });
  }

  /** The answer to a request, which must be JSON. */
  async request(method: string, params: object = {}): Promise<{ result?: Record<string, unknown>; error?: Record<string, unknown> }> {
    this.#lastId += 1;
    const reply = await this.post({ jsonrpc: '2.0', id: this.#lastId, method, params });
    if (reply.status !== 200) throw new Error(`${method} was answered with ${reply.status}: ${reply.text}`);
    return JSON.parse(reply.text);
  }

  call(name: string, args: object = {}) {
    return this.request('tools/call', { name, arguments: args });
  }

  notify(method: string, params: object = {}): Promise<RawReply> {
    return this.post({ jsonrpc: '2.0', method, params });
  }

  post(body: unknown, headers: Record<string, string> = {}): Promise<RawReply> {
    return exchange(this.#url, { method: 'POST', headers: { ...posted, ...this.headers, ...headers }, body });
  }

  /** A POST whose answer is read as a stream. */
  postForStream(body: unknown): Promise<EventStream> {
    return EventStream.open(this.#url, { method: 'POST', headers: { ...posted, ...this.headers }, body });
  }

  /** The stream of what the gateway says unasked. */
  listen(headers: Record<string, string> = {}): Promise<EventStream> {
    return EventStream.open(this.#url, { headers: { accept: 'text/event-stream', ...this.headers, ...headers } });
  }

  leave(): Promise<RawReply> {
    return exchange(this.#url, { method: 'DELETE', headers: this.headers });
  }
}

/** What every POST of this protocol carries. */
export const posted = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

export function initialize(protocolVersion = '2025-11-25') {
  return {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: { protocolVersion, capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  };
}
