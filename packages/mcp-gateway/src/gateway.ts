import type { Readable, Writable } from 'node:stream';
import { Access, type AccessOptions } from './access.ts';
import { Audiences } from './audiences.ts';
import type { Answer, ClientSide, Principal } from './call.ts';
import { dispatch } from './dispatch.ts';
import type { GatewayEvents, Listeners } from './events.ts';
import { httpApi } from './http-api.ts';
import { asText, type JsonObject, type RpcNotification } from './json-rpc.ts';
import { Metrics } from './metrics.ts';
import { ParkedConversations } from './parked.ts';
import { pipeline, type Stage } from './pipeline.ts';
import { Router } from './router.ts';
import { digestOf, StateSeal } from './sealed-state.ts';
import { type Audience, type ServerEntry, Servers, type ServersListener, type ServerTimes } from './servers.ts';
import { observeStage } from './stages/observe.ts';
import { CallSummary } from './summary.ts';
import type { HttpReply, HttpRequest } from './wire/exchange.ts';
import { LegacyHttp, type SessionBounds } from './wire/legacy-http.ts';
import type { GatewayDescription, LegacySession } from './wire/legacy-session.ts';
import { McpHttp } from './wire/mcp-http.ts';
import { ModernHttp } from './wire/modern-http.ts';
import { ModernServer } from './wire/modern-server.ts';
import { StdioEndpoint } from './wire/stdio-endpoint.ts';
import { webHandler } from './wire/web.ts';

/** What a gateway is made of. */
export interface GatewayParts {
  /** The servers, in the order of their lists. */
  readonly servers: readonly ServerEntry[];
  /** Who may come in. */
  readonly access: AccessOptions;
  /** What every call passes between the client and its server, outermost first. */
  readonly stages: readonly Stage[];
  /** How long things may take. */
  readonly times: ServerTimes;
  /** How many client sessions are kept, and how long. */
  readonly sessions: SessionBounds;
  /** How long a call waits for its client's answers, and how many may wait. */
  readonly waiting: WaitingBounds;
  /** Takes and gives the gateway's news; shared with whoever made the parts. */
  readonly events: Listeners;
  /** Monotonic ms. */
  readonly now: () => number;
  /** What the gateway tells clients of itself. */
  readonly version: string;
  /** Run when the gateway closes, after the servers. */
  readonly onClose: () => Promise<void>;
}

/** Bounds of the calls that wait for answers of clients without sessions. */
export interface WaitingBounds {
  /** How long one waits before it is called off, in ms. */
  readonly ttlMs: number;
  /** Calls that wait at once; one more calls the oldest off. */
  readonly most: number;
}

/** Many MCP servers as one. */
export class Gateway {
  readonly #parts: GatewayParts;
  readonly #access: Access;
  readonly #router: Router;
  readonly #legacy: LegacyHttp;
  readonly #modern: ModernServer;
  readonly #modernHttp: ModernHttp;
  readonly #audiences: Audiences;
  readonly #stdio = new Set<StdioEndpoint>();
  #closed: Promise<void> | undefined;

  /** Answers a web-standard `Request`: mount it in any server that speaks them. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** @internal */
  readonly handle: (request: HttpRequest, reply: HttpReply) => Promise<void>;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { events, now, sessions, waiting } = parts;
    const fault = (error: unknown, traceId = '') => events.emit('fault', { error, traceId });
    this.#audiences = new Audiences((audience, shared) => this.#serversOf(audience, shared), now);
    const find = (principal: Principal, capabilities: JsonObject) => this.#audiences.of(principal, capabilities);
    const innermost = dispatch((call) => find(call.principal, call.client.capabilities), {
      fellBack: ({ server, name, traceId }, fallback) => events.emit('fallback', { server, fallback, name, traceId }),
    });
    const call = pipeline([observeStage(events, now), ...parts.stages], innermost);
    this.#access = new Access(parts.access);
    this.#router = new Router(find, (servers, { tenant }) => servers.watch(this.#watched(tenant)), call, fault);
    const describe = () => this.#description();
    this.#legacy = new LegacyHttp(this.#router, describe, sessions, now);
    this.#modern = new ModernServer(this.#router, new ParkedConversations(new StateSeal(), waiting.ttlMs, waiting.most), describe);
    this.#modernHttp = new ModernHttp(this.#modern, this.#router);
    this.handle = httpApi({
      access: this.#access,
      mcp: new McpHttp(this.#legacy, this.#modernHttp),
      router: this.#router,
      metrics: new Metrics(events, () => this.#legacy.sessions),
      summary: new CallSummary(events),
      fault,
    });
    this.fetch = webHandler(this.handle);
  }

  /** Whether anybody who can connect may come in. */
  get open(): boolean {
    return this.#parts.access.tokens.length === 0;
  }

  /** Connects to every server on behalf of every known tenant; resolves when each has answered or the time for a list is over. */
  async warmUp(): Promise<void> {
    const tenants = new Set(this.#access.principals.map(({ tenant }) => tenant));
    await Promise.all([...tenants].map((tenant) => this.#audiences.tenant(tenant).catalog()));
  }

  /** Calls a tool as a principal of this gateway, through everything that clients' calls pass. */
  callTool(
    principal: Principal,
    name: string,
    args: Readonly<Record<string, unknown>>,
    { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Answer> {
    return this.#router.callTool({ principal, params: { name, arguments: args }, signal });
  }

  /** Serves one client over a pair of streams until it closes its end. */
  async serveStdio(input: Readable, output: Writable): Promise<void> {
    const principal = this.#access.principals[0] as Principal;
    const endpoint = new StdioEndpoint(this.#router, this.#modern, principal, () => this.#description(), output);
    this.#stdio.add(endpoint);
    try {
      await endpoint.serve(input);
    } finally {
      this.#stdio.delete(endpoint);
    }
  }

  /** Calls `listener` at each event of that name; the returned function removes it. */
  on<E extends keyof GatewayEvents>(event: E, listener: (event: GatewayEvents[E]) => void): () => void {
    return this.#parts.events.on(event, listener);
  }

  /** Ends sessions, calls, conversations and child processes, then writes what is still to be written. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** @see {@link Gateway.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#modern.close();
    await this.#audiences.close(); // first, so that calls that are under way are answered
    this.#legacy.close();
    this.#modernHttp.close();
    for (const endpoint of this.#stdio) endpoint.close();
    await this.#parts.onClose();
  }

  #serversOf(audience: Audience, shared: Servers | undefined): Servers {
    return new Servers(audience, this.#parts.servers, this.#parts.times, this.#listener(audience), shared);
  }

  #listener(audience: Audience): ServersListener {
    const { events } = this.#parts;
    const { tenant } = audience;
    return {
      up: (server) => events.emit('server', { server, tenant, state: 'up' }),
      down: (server, reason) => events.emit('server', { server, tenant, state: 'down', reason }),
      problem: (server, problem, sample) => events.emit('frame', { server, problem, sample }),
      collision: (name, holder, other) => events.emit('collision', { name, holder, other }),
      catalogChanged: () => {
        events.emit('catalog', { tenant });
        for (const list of ['tools', 'resources', 'prompts'])
          this.#tell(tenant, { jsonrpc: '2.0', method: `notifications/${list}/list_changed` });
      },
      notification: (notification) => this.#tell(tenant, notification),
      bystander: () => this.#bystander(audience),
    };
  }

  /** Tells a tenant's clients what belongs to no call; of resources only those that asked. */
  #tell(tenant: string, notification: RpcNotification): void {
    const uri = notification.method === 'notifications/resources/updated' ? asText(notification.params?.['uri']) : undefined;
    for (const session of this.#sessions(tenant)) if (uri === undefined || session.subscriptions.has(uri)) session.tell(notification);
    this.#modern.broadcast(tenant, notification);
  }

  /** A session of the audience's user, with the same capabilities, that can be asked outside a call. */
  #bystander({ tenant, user, capabilities }: Audience): ClientSide | undefined {
    const wanted = digestOf(capabilities);
    for (const session of this.#sessions(tenant)) {
      const same = session.principal.user === user && digestOf(session.capabilities) === wanted;
      if (same && session.bystander !== undefined) return session.bystander;
    }
    return undefined;
  }

  #watched(tenant: string): Set<string> {
    const watched = new Set(this.#modern.watched(tenant));
    for (const { subscriptions } of this.#sessions(tenant)) for (const uri of subscriptions) watched.add(uri);
    return watched;
  }

  *#sessions(tenant: string): Iterable<LegacySession> {
    yield* this.#legacy.of(tenant);
    for (const { session } of this.#stdio) if (session?.principal.tenant === tenant) yield session;
  }

  #description(): GatewayDescription {
    return {
      serverInfo: { name: 'tidegate', title: 'Tidegate', version: this.#parts.version },
      capabilities: {
        tools: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        prompts: { listChanged: true },
        completions: {},
        logging: {},
      },
    };
  }
}
