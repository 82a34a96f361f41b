import { randomBytes } from 'node:crypto';
import type { Answer, Call, CallKind, ClientSide, Principal } from './call.ts';
import type { Catalog, CatalogReader, CatalogView, Located } from './catalog.ts';
import { isObject, type JsonObject, rpcCode } from './json-rpc.ts';
import { pageOf } from './list-page.ts';
import type { Next } from './pipeline.ts';
import { asRpcError, asToolResult, type Refusal, RefusedError, toRefusal } from './refusal.ts';
import type { Servers } from './servers.ts';
import { InvalidParams, renamed, target, withoutTask } from './target.ts';
import { TaskNames, taskMethods, underName } from './tasks.ts';
import type { VirtualServer } from './virtual-server.ts';

/** A client's request in the gateway's own terms. */
export interface ClientRequest {
  readonly principal: Principal;
  readonly method: string;
  readonly params: JsonObject;
  readonly signal: AbortSignal;
  readonly client: ClientSide;
}

/** Finds the servers of a client. */
export type FindServers = (principal: Principal, capabilities: JsonObject) => Promise<Servers>;

/** A client that cannot be asked or told anything. */
const nobody: ClientSide = {
  capabilities: {},
  modern: false,
  ask: async ({ method }) => ({ error: { code: rpcCode.methodNotFound, message: `the client does not offer ${method}` } }),
  notify: () => {},
};

/** What there is in a virtual server that is not configured any more. */
const nothing: CatalogReader = {
  view: { tools: [], resources: [], resourceTemplates: [], prompts: [] },
  tool: () => undefined,
  prompt: () => undefined,
  resource: () => undefined,
  template: () => undefined,
};

/** Answers requests: lists from the catalogue, everything else through the pipeline to the server that has it. */
export class Router {
  readonly #servers: FindServers;
  readonly #virtualServers: ReadonlyMap<string, VirtualServer>;
  readonly #tasks = new TaskNames();
  readonly #watch: (servers: Servers) => Promise<void>;
  readonly #call: Next;
  readonly #onFault: (error: unknown, traceId: string) => void;

  /** `virtualServers`: what there is to be seen by each of their names. */
  constructor(
    servers: FindServers,
    virtualServers: ReadonlyMap<string, VirtualServer>,
    watch: (servers: Servers) => Promise<void>,
    call: Next,
    onFault: (error: unknown, traceId: string) => void,
  ) {
    this.#servers = servers;
    this.#virtualServers = virtualServers;
    this.#watch = watch;
    this.#call = call;
    this.#onFault = onFault;
  }

  /** The answer to a request of either protocol era; never rejects but with the signal's reason. */
  async answer(request: ClientRequest): Promise<Answer> {
    const { method } = request;
    switch (method) {
      case 'ping':
        return { result: {} };
      case 'tools/list':
        return this.#list(request, 'tools');
      case 'resources/list':
        return this.#list(request, 'resources');
      case 'resources/templates/list':
        return this.#list(request, 'resourceTemplates');
      case 'prompts/list':
        return this.#list(request, 'prompts');
      case 'tools/call':
      case 'resources/read':
      case 'prompts/get':
      case 'completion/complete':
      case 'tasks/get':
      case 'tasks/update':
      case 'tasks/cancel':
        return this.#outcome(request);
      default:
        return { error: { code: rpcCode.methodNotFound, message: `method ${method} is not known` } };
    }
  }

  /** Calls a tool; rejects with what refused it. For callers that are not MCP clients. */
  async callTool(request: Omit<ClientRequest, 'method' | 'client'>): Promise<Answer> {
    return this.#call(await this.#routed({ ...request, method: 'tools/call', client: nobody }));
  }

  /** Has the resources watched that clients of this kind want to hear of. */
  async watch(principal: Principal, capabilities: JsonObject): Promise<void> {
    await this.#watch(await this.#servers(principal, capabilities));
  }

  /** What is known of a tool now; waits for no server. */
  async knownTool(principal: Principal, capabilities: JsonObject, name: string): Promise<JsonObject | undefined> {
    return this.#seenBy(principal, (await this.#servers(principal, capabilities)).known).tool(name)?.entry;
  }

  /** Everything the principal can see. */
  async catalog(principal: Principal): Promise<CatalogView> {
    return this.#seenBy(principal, await (await this.#servers(principal, {})).catalog()).view;
  }

  /** Whether there is such a virtual server. */
  hasVirtualServer(name: string): boolean {
    return this.#virtualServers.has(name);
  }

  /** Whether a principal may hear of a resource. */
  sees({ virtualServer }: Principal, uri: string): boolean {
    return virtualServer === undefined || this.#virtualServers.get(virtualServer)?.hasResource(uri) === true;
  }

  /** The part of a catalogue that a principal sees. */
  #seenBy({ virtualServer }: Principal, catalog: Catalog): CatalogReader {
    return virtualServer === undefined ? catalog : (this.#virtualServers.get(virtualServer)?.of(catalog) ?? nothing);
  }

  async #list({ principal, client, params }: ClientRequest, member: keyof CatalogView): Promise<Answer> {
    const servers = await this.#servers(principal, client.capabilities);
    const { view } = this.#seenBy(principal, await servers.catalog());
    const page = pageOf(view, member, params['cursor']);
    if (page === undefined)
      return { error: { code: rpcCode.invalidParams, message: 'the cursor is none of this list: begin without one' } };
    const { missing } = servers;
    const { entries, nextCursor } = page;
    return {
      result: {
        [member]: entries,
        ...(nextCursor !== undefined && { nextCursor }),
        // a list without a server that is away says so; one that is away but was seen before keeps its entries
        ...(missing.length > 0 && { _meta: { 'io.tidegate/missing': missing } }),
      },
    };
  }

  async #outcome(request: ClientRequest): Promise<Answer> {
    try {
      if (taskMethods.includes(request.method))
        return underName(await this.#call(await this.#routedTask(request)), request.params['taskId']);
      const call = await this.#routed(request);
      return this.#tasks.outward(await this.#call(call), call.server, call.principal);
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      if (error instanceof InvalidParams) return { error: { code: rpcCode.invalidParams, message: error.message } };
      const refusal = this.#refusalOf(error);
      // a tool that does not exist is the client's mistake, not news for a model
      return request.method === 'tools/call' && refusal.code !== 'ERR_UNKNOWN_NAME'
        ? { result: asToolResult(refusal) }
        : asRpcError(refusal, request.method === 'resources/read' ? rpcCode.resourceNotFound : rpcCode.invalidParams);
    }
  }

  /** A request about a task goes to the server that has it. */
  async #routedTask({ principal, method, params, signal, client }: ClientRequest): Promise<Call> {
    const place = this.#tasks.inward(params['taskId'], principal);
    if (place === undefined) throw new InvalidParams("'taskId' names no task of yours");
    const name = `${place.server} (tasks)`;
    return {
      kind: 'task',
      name,
      server: place.server,
      counted: name,
      method,
      params: { ...params, taskId: place.taskId },
      principal,
      traceId: traceIdOf(params) ?? randomBytes(16).toString('hex'),
      repeatable: method === 'tasks/get',
      signal,
      client,
      offered: {},
    };
  }

  #refusalOf(error: unknown): Refusal {
    const refusal = toRefusal(error);
    if (refusal.code === 'ERR_INTERNAL') this.#onFault(error, '');
    return refusal;
  }

  async #routed(request: ClientRequest): Promise<Call> {
    const { principal, method, params, signal, client } = request;
    const { kind, name, find } = target(method, params);
    const servers = await this.#servers(principal, client.capabilities);
    const located =
      find(this.#seenBy(principal, servers.known)) ??
      find(this.#seenBy(principal, await servers.catalog())) ??
      (principal.virtualServer === undefined ? byPrefix(servers, kind, name) : undefined);
    const entry = located && servers.entry(located.server);
    if (located === undefined || entry === undefined) {
      const details = kind === 'resource' ? { details: { uri: name } } : {};
      throw new RefusedError({ code: 'ERR_UNKNOWN_NAME', message: `there is no ${kind} '${name}'`, ...details });
    }
    return {
      kind,
      name: located.known,
      server: located.server,
      counted: countedAs(kind, located),
      method,
      params: renamed(method, withoutTask(params), located.name),
      principal,
      traceId: traceIdOf(params) ?? randomBytes(16).toString('hex'),
      repeatable: kind !== 'tool' || entry.repeatable(located.name, located.entry),
      signal,
      client,
      offered: located.entry,
    };
  }
}

/** A listed name counts as itself, an address as the template that it fits, an unlisted name as one of its server's unknown ones. */
function countedAs(kind: CallKind, { server, entry, known }: Located): string {
  if (kind === 'completion') return `${server} (completions)`;
  const { uri, uriTemplate, name: listed } = entry;
  const own = kind === 'resource' ? (uriTemplate ?? uri) : listed;
  return typeof own !== 'string' ? `${server} (unknown)` : kind === 'resource' ? own : known;
}

/** A server that has never answered may have the name: the call then says what is wrong with the server. */
function byPrefix(servers: Servers, kind: CallKind, name: string): Located | undefined {
  const entry = kind === 'tool' || kind === 'prompt' ? servers.byPrefix(name) : undefined;
  if (entry === undefined || !servers.missing.includes(entry.name)) return undefined;
  const own = name.slice(entry.prefix.length);
  if (kind === 'tool' && entry.offers?.(own) === false) return undefined;
  return { server: entry.name, name: own, known: name, entry: {} };
}

/** The trace id of a W3C `traceparent` that the client sent along. */
function traceIdOf(params: JsonObject): string | undefined {
  const meta = params['_meta'];
  const traceparent = isObject(meta) ? meta['traceparent'] : undefined;
  return typeof traceparent === 'string' ? /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}$/.exec(traceparent)?.[1] : undefined;
}
