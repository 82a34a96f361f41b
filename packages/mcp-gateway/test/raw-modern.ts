import { EventStream, exchange, posted, type RawReply } from './raw-http.ts';

/** What a request says beside its method and parameters. */
export interface ModernOptions {
  readonly capabilities?: object;
  readonly logLevel?: string;
  readonly progressToken?: unknown;
  /** Header lines beside, or in place of, those that the body asks for. */
  readonly headers?: Record<string, string>;
}

type Result = Record<string, unknown>;

/** The answer to a request. */
export interface ModernReply {
  readonly id?: unknown;
  readonly result?: Result;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
}

const version = '2026-07-28';
const prefix = 'io.modelcontextprotocol/';

/** What every request of revision 2026-07-28 says of its client. */
export function modernMeta({ capabilities = {}, logLevel, progressToken }: ModernOptions = {}): object {
  return {
    [`${prefix}protocolVersion`]: version,
    [`${prefix}clientInfo`]: { name: 'raw', version: '1' },
    [`${prefix}clientCapabilities`]: capabilities,
    ...(logLevel !== undefined && { [`${prefix}logLevel`]: logLevel }),
    ...(progressToken !== undefined && { progressToken }),
  };
}

/** A client of revision 2026-07-28 that says what a test tells it to. */
export class RawModern {
  readonly url: string;
  readonly headers: Record<string, string>;
  #lastId = 0;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.url = url;
    this.headers = headers;
  }

  /** The answer to a request, however it comes. */
  async request(method: string, params: object = {}, options: ModernOptions = {}): Promise<ModernReply> {
    const { text, headers } = await this.post(this.body(method, params, options), this.#headersOf(method, params, options));
    if (headers['content-type'] !== 'text/event-stream') return JSON.parse(text);
    const events = text.split('\n').filter((line) => line.startsWith('data: '));
    return JSON.parse((events.at(-1) as string).slice(6));
  }

  call(name: string, args: object = {}, options: ModernOptions = {}): Promise<ModernReply> {
    return this.request('tools/call', { name, arguments: args }, options);
  }

  /** A request whose answer is read as a stream. */
  stream(method: string, params: object = {}, options: ModernOptions = {}): Promise<EventStream> {
    const headers = { ...posted, ...this.headers, ...this.#headersOf(method, params, options) };
    return EventStream.open(this.url, { method: 'POST', headers, body: this.body(method, params, options) });
  }

  /** A POST with just these headers beside those of every POST. */
  post(body: unknown, headers: Record<string, string>): Promise<RawReply> {
    return exchange(this.url, { method: 'POST', headers: { ...posted, ...this.headers, ...headers }, body });
  }

  /** The body of the next request. */
  body(method: string, params: object = {}, options: ModernOptions = {}): object {
    this.#lastId += 1;
    return { jsonrpc: '2.0', id: this.#lastId, method, params: { _meta: modernMeta(options), ...params } };
  }

  #headersOf(
    method: string,
    params: { name?: string; uri?: string; taskId?: unknown },
    { headers }: ModernOptions,
  ): Record<string, string> {
    const task = typeof params.taskId === 'string' ? params.taskId : undefined;
    const name = params.name ?? params.uri ?? task;
    return { ...modernHeaders(method, name), ...headers };
  }
}

/** The headers that repeat what the body says. */
export function modernHeaders(method: string, name?: string): Record<string, string> {
  return { 'mcp-protocol-version': version, 'mcp-method': method, ...(name !== undefined && { 'mcp-name': name }) };
}

/** The text of the first content of a tool's result. */
export function textIn({ result, error }: ModernReply): string {
  if (error !== undefined) throw new Error(`an error was answered: ${error.code} ${error.message}`);
  const { content } = result as { content: readonly { text: string }[] };
  return content[0]?.text ?? '';
}
