import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Answer } from '../src/json-rpc.ts';
import { keep } from './gateway-over.ts';

/** A message as it was POSTed. */
export interface Posted {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
}

export interface SseServerOptions {
  /** What the first event of a stream says. */
  readonly endpoint?: string;
  /** Takes a GET in place of opening a stream. */
  readonly get?: ((response: ServerResponse) => void) | undefined;
  /** The status of a POST to the address of the stream, as servers of later revisions take it. */
  readonly postToStream?: number;
  /** Takes a POST; true where it has answered it. */
  readonly post?: (message: Posted, response: ServerResponse) => boolean | undefined;
  /** What is answered on the stream, where anything is. */
  readonly answer?: (message: Posted) => Answer | undefined;
}

export interface SseRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly message: Posted | undefined;
}

/** A server over HTTP+SSE, revision 2024-11-05, that does what a test says; gone after the test. */
export class SseServer implements AsyncDisposable {
  readonly requests: SseRequest[] = [];
  readonly sockets = new Set<Socket>();
  #options: SseServerOptions;
  #streams = new Set<ServerResponse>();
  #server: Server | undefined;
  #port = 0;

  constructor(options: SseServerOptions) {
    this.#options = options;
  }

  /** How many streams are open. */
  get streams(): number {
    return this.#streams.size;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get url(): string {
    return `${this.origin}/sse`;
  }

  /** The methods of what was POSTed. */
  get methods(): string[] {
    return this.requests.flatMap(({ message }) => (message === undefined ? [] : [message.method ?? 'response']));
  }

  posted(method: string): Posted[] {
    return this.requests.flatMap(({ message }) => (message?.method === method ? [message] : []));
  }

  set(options: SseServerOptions): void {
    this.#options = { ...this.#options, ...options };
  }

  /** Writes to the latest stream, as it is. */
  write(text: string): void {
    [...this.#streams].at(-1)?.write(text);
  }

  send(message: object): void {
    this.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: '2.0', ...message })}\n\n`);
  }

  /** Ends the latest stream; with `how` 'cut', its connection in the middle of it. */
  end(how: 'end' | 'cut' = 'end'): void {
    const stream = [...this.#streams].at(-1);
    if (how === 'end') stream?.end();
    else stream?.socket?.resetAndDestroy();
  }

  /** From now on new connections fail; open ones live on. */
  refuse(): void {
    this.#server?.close();
  }

  async kill(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  async start(): Promise<void> {
    const server = createServer(async (request, response) => {
      let text = '';
      for await (const part of request) text += String(part);
      const { method = '', url: path = '', headers } = request;
      const message = text === '' ? undefined : (JSON.parse(text) as Posted);
      this.requests.push({ method, path, headers, message });
      if (method === 'GET') this.#open(response);
      else this.#take(path, message ?? {}, response);
    });
    server.on('connection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #open(response: ServerResponse): void {
    const { get, endpoint = '/message?session=1' } = this.#options;
    if (get !== undefined) {
      get(response);
      return;
    }
    this.#streams.add(response);
    response.once('close', () => this.#streams.delete(response));
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`event: endpoint\ndata: ${endpoint}\n\n`);
  }

  #take(path: string, message: Posted, response: ServerResponse): void {
    if (path === '/sse') return void response.writeHead(this.#options.postToStream ?? 404).end('Cannot POST /sse');
    const { post, answer } = this.#options;
    if (post?.(message, response)) return;
    response.writeHead(202).end('Accepted');
    const answered = answer?.(message);
    if (answered !== undefined) this.send({ id: message.id, ...answered });
  }
}

export async function sseServer(options: SseServerOptions = {}): Promise<SseServer> {
  const server = keep(new SseServer(options));
  await server.start();
  return server;
}

/** What a small server of revision 2024-11-05 answers. */
export function smallServer({ method, params }: Posted): Answer | undefined {
  if (method === 'initialize') {
    return { result: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo: { name: 'small', version: '1' } } };
  }
  if (method === 'tools/list') return { result: { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } };
  if (method === 'tools/call') {
    const { text } = (params as { arguments: { text: string } }).arguments;
    return text.startsWith('hang') ? undefined : { result: { content: [{ type: 'text', text }] } };
  }
  return undefined;
}
