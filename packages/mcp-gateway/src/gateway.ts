import type { Readable, Writable } from 'node:stream';
import { Access, type AccessOptions } from './access.ts';
import type { Answer, Call, Principal } from './call.ts';
import { dispatch } from './dispatch.ts';
import type { GatewayEvents, Listeners } from './events.ts';
import { httpApi } from './http-api.ts';
import { Metrics } from './metrics.ts';
import { pipeline, type Stage } from './pipeline.ts';
import { Router } from './router.ts';
import { type ServerEntry, type ServersListener, type ServerTimes, TenantServers } from './servers.ts';
import { observeStage } from './stages/observe.ts';
import { CallSummary } from './summary.ts';
import type { HttpReply, HttpRequest } from './wire/exchange.ts';
import { LegacyHttp, type SessionBounds } from './wire/legacy-http.ts';
import type { GatewayDescription } from './wire/legacy-session.ts';
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
  /** Takes and gives the gateway's news; shared with whoever made the parts. */
  readonly events: Listeners;
  /** Monotonic ms. */
  readonly now: () => number;
  /** What the gateway tells clients of itself. */
  readonly version: string;
  /** Run when the gateway closes, after the servers. */
  readonly onClose: () => Promise<void>;
}

/** Many MCP servers as one. */
export class Gateway {
  readonly #parts: GatewayParts;
  readonly #access: Access;
  readonly #router: Router;
  readonly #mcp: LegacyHttp;
  readonly #tenants = new Map<string, TenantServers>();
  readonly #stdio = new Set<StdioEndpoint>();
  #closed: Promise<void> | undefined;

  /** Answers a web-standard `Request`: mount it in any server that speaks them. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** @internal */
  readonly handle: (request: HttpRequest, reply: HttpReply) => Promise<void>;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    const { events, now, sessions } = parts;
    const servers = (tenant: string) => this.#serversOf(tenant);
    const innermost = dispatch(servers, {
      fellBack: (call: Call, fallback) =>
        events.emit('fallback', { server: call.server, fallback, name: call.name, traceId: call.traceId }),
    });
    const call = pipeline([observeStage(events, now), ...parts.stages], innermost);
    const fault = (error: unknown, traceId = '') => events.emit('fault', { error, traceId });
    this.#access = new Access(parts.access);
    this.#router = new Router(servers, call, fault);
    this.#mcp = new LegacyHttp(this.#router, () => this.#description(), sessions, now);
    this.handle = httpApi({
      access: this.#access,
      mcp: this.#mcp,
      router: this.#router,
      metrics: new Metrics(events, () => this.#mcp.sessions),
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
    await Promise.all([...tenants].map((tenant) => this.#serversOf(tenant).catalog()));
  }

  /** Calls a tool as a principal of this gateway, through everything that clients' calls pass. */
  callTool(
    principal: Principal,
    name: string,
    args: Readonly<Record<string, unknown>>,
    { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Answer> {
    return this.#router.callTool({ principal, params: { name, arguments: args }, signal, notify: () => {} });
  }

  /** Serves one client over a pair of streams until it closes its end. */
  async serveStdio(input: Readable, output: Writable): Promise<void> {
    const principal = this.#access.principals[0] as Principal;
    const endpoint = new StdioEndpoint(this.#router, principal, () => this.#description(), output);
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
    this.#mcp.close();
    for (const endpoint of this.#stdio) endpoint.close();
    await Promise.all([...this.#tenants.values()].map((servers) => servers.close()));
    await this.#parts.onClose();
  }

  #serversOf(tenant: string): TenantServers {
    let servers = this.#tenants.get(tenant);
    if (servers === undefined) {
      servers = new TenantServers(tenant, this.#parts.servers, this.#parts.times, this.#listener());
      this.#tenants.set(tenant, servers);
    }
    return servers;
  }

  #listener(): ServersListener {
    const { events } = this.#parts;
    return {
      up: (server, tenant) => events.emit('server', { server, tenant, state: 'up' }),
      down: (server, tenant, reason) => events.emit('server', { server, tenant, state: 'down', reason }),
      problem: (server, problem, sample) => events.emit('frame', { server, problem, sample }),
      collision: (name, holder, other) => events.emit('collision', { name, holder, other }),
      catalogChanged: (tenant) => {
        events.emit('catalog', { tenant });
        for (const list of ['tools', 'resources', 'prompts']) {
          const notification = { jsonrpc: '2.0', method: `notifications/${list}/list_changed` } as const;
          this.#mcp.broadcast(tenant, notification);
          for (const endpoint of this.#stdio) endpoint.notify(notification);
        }
      },
    };
  }

  #description(): GatewayDescription {
    return {
      serverInfo: { name: 'tidegate', title: 'Tidegate', version: this.#parts.version },
      capabilities: {
        tools: { listChanged: true },
        resources: { listChanged: true },
        prompts: { listChanged: true },
        completions: {},
      },
    };
  }
}
