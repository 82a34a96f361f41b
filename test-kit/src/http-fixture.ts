import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FixtureEvent, type FixtureSession, FixtureToolset, type Message } from './fixture-toolset.mjs';
import { FaultSwitch, type HttpFaults } from './http-faults.ts';
import { HttpReply, sseEvent } from './http-reply.ts';

export interface HttpFixtureOptions {
  /** The name in `serverInfo`. */
  name?: string;
  /** Tools and prompts in one page of their list; everything in one page when absent. */
  pageSize?: number;
  /** How a POST is answered; `json` drops the progress notifications, as JSON has no room for them. */
  reply?: 'json' | 'sse';
  /** A free port when absent. */
  port?: number;
  /** Told of each event beside the fixture's own list. */
  record?: (event: FixtureEvent) => void;
}

/** A request as the server received it. */
export interface RecordedRequest {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** The parsed JSON, the text where it is not JSON, undefined where there is none. */
  readonly body: unknown;
}

interface OpenSession {
  readonly rpc: FixtureSession;
  stream: ServerResponse | undefined;
}

const REVISIONS = new Set(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05']);

/** An MCP server over streamable HTTP, revision 2025-11-25 with sessions, whose faults are switched while it runs. */
export class HttpFixture implements AsyncDisposable {
  /** Everything received since the fixture was made, over restarts. */
  readonly requests: RecordedRequest[] = [];
  readonly faults = new FaultSwitch(() => this.#forgetSessions());
  #options: HttpFixtureOptions;
  #events: FixtureEvent[] = [];
  #server: Server | undefined;
  #toolset: FixtureToolset;
  #sessions = new Map<string, OpenSession>();
  #port: number;

  constructor(options: HttpFixtureOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
    this.#toolset = this.#newToolset();
  }

  /** The address of the MCP endpoint, the same over restarts. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}/mcp`;
  }

  /** Ids of the sessions that are open. */
  get sessions(): string[] {
    return [...this.#sessions.keys()];
  }

  /** How many GET streams are open: without one, nobody hears `list_changed`. */
  get streams(): number {
    return [...this.#sessions.values()].filter(({ stream }) => stream).length;
  }

  /** Whether it listens. */
  get up(): boolean {
    return this.#server !== undefined;
  }

  /** Everything the server did, over restarts. */
  events(): FixtureEvent[] {
    return [...this.#events];
  }

  /** How often a tool (any tool when absent) was executed, over restarts. */
  executions(tool?: string): number {
    return this.#events.filter(({ event, tool: name }) => event === 'call' && (tool === undefined || tool === name)).length;
  }

  /** Adds a tool and tells every open GET stream that the list has changed. */
  addTool(name: string): void {
    this.#toolset.addTool(name);
  }

  /** Removes an added tool and tells every open GET stream that the list has changed. */
  removeTool(name: string): void {
    this.#toolset.removeTool(name);
  }

  /** As a crash looks from outside: all connections are cut, nobody listens, memory (sessions, counter, added tools) is lost. */
  async kill(): Promise<void> {
    const server = this.#server;
    if (!server) return;
    this.#server = undefined;
    this.#forgetSessions();
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  /** Kills what runs and listens again on the same port. */
  async restart(): Promise<void> {
    await this.kill();
    this.#toolset = this.#newToolset();
    const server = createServer((request, response) => {
      this.#receive(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#record({ event: 'start' });
  }

  async close(): Promise<void> {
    await this.kill();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #newToolset(): FixtureToolset {
    const { name, pageSize } = this.#options;
    return new FixtureToolset({ name, pageSize, record: (event) => this.#record(event) });
  }

  #record(event: FixtureEvent): void {
    this.#events.push(event);
    this.#options.record?.(event);
  }

  #forgetSessions(): void {
    for (const { rpc, stream } of this.#sessions.values()) {
      rpc.close();
      stream?.destroy();
    }
    this.#sessions.clear();
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readBody(request);
    this.requests.push({ method: request.method ?? '', headers: request.headers, body });
    const message = typeof body === 'object' && body !== null ? (body as Message) : undefined;
    const faults = this.faults.next(message);
    if (faults.slow) await new Promise((resolve) => setTimeout(resolve, faults.slow));
    if (faults.hang || response.destroyed) return;
    const status = faults.status ?? misaddressed(request);
    if (status) refuse(response, status, faults.retryAfter);
    else if (faults.garbage) response.writeHead(200, { 'content-type': 'application/json' }).end('<html>this is not JSON</html>');
    else if (request.method === 'POST') await this.#post(request, response, message, faults);
    else if (request.method === 'GET') this.#listen(request, response);
    else this.#delete(request, response);
  }

  async #post(request: IncomingMessage, response: ServerResponse, message: Message | undefined, faults: HttpFaults): Promise<void> {
    const accept = header(request, 'accept') ?? '';
    if (!accept.includes('application/json') || !accept.includes('text/event-stream')) return refuse(response, 406);
    if (!message || Array.isArray(message)) return refuse(response, 400);
    const session = message.method === 'initialize' ? this.#open(response) : this.#find(request, response);
    if (!session) return;
    const isRequest = message.method !== undefined && message.id !== undefined;
    const { reply: kind = 'json' } = this.#options;
    const reply = new HttpReply(response, { kind, cut: faults.cutMidBody ?? false, die: () => void this.kill() });
    await session.rpc.handle(message, reply);
    if (isRequest) reply.end();
    else response.writeHead(202).end();
  }

  #delete(request: IncomingMessage, response: ServerResponse): void {
    const session = this.#find(request, response);
    if (!session) return;
    session.rpc.close();
    session.stream?.end();
    this.#sessions.delete(header(request, 'mcp-session-id') ?? '');
    response.writeHead(200).end();
  }

  #listen(request: IncomingMessage, response: ServerResponse): void {
    const session = this.#find(request, response);
    if (session?.stream) refuse(response, 409);
    else if (session) {
      session.stream = response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.flushHeaders();
      response.once('close', () => {
        session.stream = undefined;
      });
    }
  }

  #open(response: ServerResponse): OpenSession {
    const session: OpenSession = { rpc: this.#toolset.open((message) => session.stream?.write(sseEvent(message))), stream: undefined };
    const id = randomUUID();
    this.#sessions.set(id, session);
    response.setHeader('mcp-session-id', id);
    return session;
  }

  #find(request: IncomingMessage, response: ServerResponse): OpenSession | undefined {
    const id = header(request, 'mcp-session-id');
    const session = id === undefined ? undefined : this.#sessions.get(id);
    if (!session) refuse(response, id === undefined ? 400 : 404);
    return session;
  }
}

/** Starts an MCP server over streamable HTTP on the loopback address. */
export async function httpFixture(options: HttpFixtureOptions = {}): Promise<HttpFixture> {
  const fixture = new HttpFixture(options);
  await fixture.restart();
  return fixture;
}

const header = (request: IncomingMessage, name: string): string | undefined => {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** The status for a request that no MCP endpoint of this revision takes. */
function misaddressed(request: IncomingMessage): number | undefined {
  if (request.url?.split('?')[0] !== '/mcp') return 404;
  if (!['POST', 'GET', 'DELETE'].includes(request.method ?? '')) return 405;
  return REVISIONS.has(header(request, 'mcp-protocol-version') ?? '2025-03-26') ? undefined : 400;
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function refuse(response: ServerResponse, status: number, retryAfter?: string): void {
  const headers = { 'content-type': 'application/json', ...(retryAfter !== undefined && { 'retry-after': retryAfter }) };
  const error = { code: -32000, message: `refused with ${status}` };
  response.writeHead(status, headers).end(JSON.stringify({ jsonrpc: '2.0', id: null, error }));
}
