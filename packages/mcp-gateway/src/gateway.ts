import type { Readable, Writable } from 'node:stream';
import { setTimeout as pause, setImmediate as turn } from 'node:timers/promises';
import { Access, type AccessOptions, isLoopback } from './access.ts';
import { Audiences } from './audiences.ts';
import { type Answer, type ClientSide, isFor, type Owner, type Principal } from './call.ts';
import { dispatch } from './dispatch.ts';
import type { GatewayEvents, Listeners } from './events.ts';
import { httpApi } from './http-api.ts';
import { asText, type JsonObject, type RpcNotification } from './json-rpc.ts';
import { Metrics } from './metrics.ts';
import type { SignIns } from './oauth/sign-ins.ts';
import { ParkedConversations } from './parked.ts';
import { type Next, pipeline, type Stage } from './pipeline.ts';
import { Router } from './router.ts';
import { digestOf, StateSeal } from './sealed-state.ts';
import { type Audience, type ServerEntry, Servers, type ServersListener, type ServerTimes } from './servers.ts';
import { observeStage } from './stages/observe.ts';
import { CallSummary } from './summary.ts';
import type { VirtualServer } from './virtual-server.ts';
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
  /** Parts of what they offer, by the names under which clients see them. */
  readonly virtualServers?: ReadonlyMap<string, VirtualServer>;
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
  /** The sign-ins that people have to go through; the gateway serves their pages. @internal */
  readonly signIns?: SignIns;
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

/** How long the answers to calls that are called off may take, in ms. */
const answersMs = 500;

/** Many MCP servers as one. */
export class Gateway {
  readonly #parts: GatewayParts;
  readonly #serverInfo: JsonObject;
  readonly #access: Access;
  readonly #router: Router;
  readonly #legacy: LegacyHttp;
  readonly #modern: ModernServer;
  readonly #modernHttp: ModernHttp;
  readonly #audiences: Audiences;
  readonly #stdio = new Set<StdioEndpoint>();
  readonly #calls = new Set<Promise<Answer>>();
  #closed: Promise<void> | undefined;

  /** Answers a web-standard `Request`: mount it in any server that speaks them. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** @internal */
  readonly handle: (request: HttpRequest, reply: HttpReply) => Promise<void>;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { events, now, sessions, waiting, virtualServers = new Map() } = parts;
    this.#serverInfo = { name: 'tidegate', title: 'Tidegate', version: parts.version };
    const fault = (error: unknown, traceId = '') => events.emit('fault', { error, traceId });
    const personal = parts.servers.some((server) => server.personal === true);
    this.#audiences = new Audiences((audience, shared) => this.#serversOf(audience, shared), personal, now);
    const find = (principal: Principal, capabilities: JsonObject) => this.#audiences.of(principal, capabilities);
    const innermost = dispatch((call) => find(call.principal, call.client.capabilities), {
      fellBack: ({ server, name, traceId }, fallback) => events.emit('fallback', { server, fallback, name, traceId }),
    });
    const call = this.#counted(pipeline([observeStage(events, now), ...parts.stages], innermost));
    this.#access = new Access(parts.access);
    this.#router = new Router(find, virtualServers, (servers) => servers.watch(this.#watched(servers.audience)), call, fault);
    const describe = (principal: Principal) => this.#description(principal);
    this.#legacy = new LegacyHttp(this.#router, describe, sessions, now);
    this.#modern = new ModernServer(
      this.#router,
      new ParkedConversations(new StateSeal(), waiting.ttlMs, waiting.most),
      this.#serverInfo,
      describe,
    );
    this.#modernHttp = new ModernHttp(this.#modern, this.#router);
    this.handle = httpApi({
      access: this.#access,
      mcp: new McpHttp(this.#legacy, this.#modernHttp),
      router: this.#router,
      metrics: new Metrics(events, () => this.#legacy.sessions),
      summary: new CallSummary(events),
      open: this.open,
      ...(personal && parts.signIns && { signIns: parts.signIns }),
      fault,
    });
    this.fetch = webHandler(this.handle);
  }

  /** Whether anybody who can connect may come in. */
  get open(): boolean {
    return this.#parts.access.tokens.length === 0;
  }

  /** Whether people sign in to servers and the gateway does not know where they reach it. @internal */
  get needsAddress(): boolean {
    return this.#parts.signIns?.publicUrl === undefined && this.#parts.servers.some(({ personal }) => personal === true);
  }

  /** Where browsers reach it, unless the configuration says so; what listens to other machines too has no address that fits all. @internal */
  listensAt(origin: string): void {
    const { signIns } = this.#parts;
    if (signIns !== undefined && isLoopback(new URL(origin).hostname)) signIns.publicUrl ??= origin;
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

  /**
   * Serves one client over a pair of streams until it closes its end: all the gateway offers, or one virtual server.
   *
   * @throws RangeError where there is no such virtual server.
   */
  async serveStdio(input: Readable, output: Writable, { virtualServer }: { readonly virtualServer?: string } = {}): Promise<void> {
    const [first] = this.#access.principals;
    if (virtualServer !== undefined && !this.#router.hasVirtualServer(virtualServer))
      throw new RangeError(`there is no virtual server '${virtualServer}'`);
    const principal = { ...(first as Principal), ...(virtualServer !== undefined && { virtualServer }) };
    const endpoint = new StdioEndpoint(this.#router, this.#modern, principal, (caller) => this.#description(caller), output);
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
    await this.#answered();
    this.#parts.signIns?.close();
    this.#legacy.close();
    this.#modernHttp.close();
    for (const endpoint of this.#stdio) endpoint.close();
    await this.#parts.onClose();
  }

  #counted(next: Next): Next {
    return async (call) => {
      const answer = next(call);
      this.#calls.add(answer);
      try {
        return await answer;
      } finally {
        this.#calls.delete(answer);
      }
    };
  }

  /** The calls that have been called off are on their way to the ledger and their clients; a stage that does not let go is left. */
  async #answered(): Promise<void> {
    const enough = new AbortController();
    const late = pause(answersMs, undefined, { signal: enough.signal }).catch(() => {});
    await Promise.race([Promise.allSettled(this.#calls), late]);
    enough.abort();
    await turn();
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
          this.#tell(audience, { jsonrpc: '2.0', method: `notifications/${list}/list_changed` });
      },
      notification: (notification) => this.#tell(audience, notification),
      bystander: () => this.#bystander(audience),
    };
  }

  /** Tells an audience's clients what belongs to no call; of resources only those that asked. */
  #tell(owner: Owner, notification: RpcNotification): void {
    const uri = notification.method === 'notifications/resources/updated' ? asText(notification.params?.['uri']) : undefined;
    const hears = (principal: Principal) => isFor(owner, principal) && (uri === undefined || this.#router.sees(principal, uri));
    for (const session of this.#sessions(owner))
      if (hears(session.principal) && (uri === undefined || session.subscriptions.has(uri))) session.tell(notification);
    this.#modern.broadcast(hears, notification);
  }

  /** A session of the audience's user, with the same capabilities, that can be asked outside a call. */
  #bystander({ tenant, user, capabilities }: Audience): ClientSide | undefined {
    const wanted = digestOf(capabilities);
    for (const session of this.#sessions({ tenant })) {
      const same = session.principal.user === user && digestOf(session.capabilities) === wanted;
      if (same && session.bystander !== undefined) return session.bystander;
    }
    return undefined;
  }

  #watched(owner: Owner): Set<string> {
    const watched = new Set(this.#modern.watched(owner));
    for (const { subscriptions } of this.#sessions(owner)) for (const uri of subscriptions) watched.add(uri);
    return watched;
  }

  *#sessions(owner: Owner): Iterable<LegacySession> {
    for (const session of this.#legacy.of(owner.tenant)) if (isFor(owner, session.principal)) yield session;
    for (const { session } of this.#stdio) if (session !== undefined && isFor(owner, session.principal)) yield session;
  }

  /** What is known of the servers now: nobody waits for one that is away to be told what the others offer. */
  #description({ tenant }: Principal): GatewayDescription {
    return {
      extensions: this.#audiences.tenant(tenant).extensions,
      serverInfo: this.#serverInfo,
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
