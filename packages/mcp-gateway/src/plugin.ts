import type { Answer, ClientQuestion } from './call.ts';
import type { ServerOptions } from './gateway-config.ts';
import { asText, type JsonObject, rpcCode } from './json-rpc.ts';
import type { Connect } from './upstream.ts';
import type { Connection, RequestOptions, ServerDescription } from './wire/connection.ts';

/** What a tool of a plug-in knows of the call. */
export interface PluginContext {
  /** Follows the call through logs, ledger and metrics. */
  readonly trace_id: string;
  /** Whose data it works on. */
  readonly tenant_id: string;
  /** Who of that tenant, where the credential says so. */
  readonly user_id: string | undefined;
  /** `member` or `operator`. */
  readonly user_role: string;
  /** Aborted when the caller takes the call back or its time is over. */
  readonly signal: AbortSignal;
  /** Tells the caller how far it is, if he wants to know. */
  readonly progress: (progress: number, total?: number, message?: string) => void;
  /** Puts a question to the caller's client, such as `elicitation/create`; time limits stand still meanwhile. */
  readonly ask: (question: ClientQuestion) => Promise<Answer>;
}

/** A tool that runs in the gateway's own process. */
export interface PluginTool {
  /** Without the plug-in's prefix. */
  readonly name: string;
  /** What it does, for a model. */
  readonly description?: string;
  /** JSON Schema of its arguments, which are checked against it before. @defaultValue any object */
  readonly inputSchema?: JsonObject;
  /** Whatever else the protocol lets a tool say of itself, such as `title` and `annotations`. */
  readonly more?: JsonObject;
  /** Does it. What it gives is the result; what it throws is told to the caller as a failure of the tool. */
  readonly run: (args: JsonObject, context: PluginContext) => unknown;
}

/** Tools of the gateway's own process, which stand beside those of servers and pass everything that theirs pass. */
export interface Plugin extends Pick<ServerOptions, 'prefix' | 'timeoutMs' | 'totalTimeoutMs' | 'idempotent' | 'retry'> {
  /** Unique among servers and plug-ins: letters, digits, `-` and `_`. */
  readonly name: string;
  /** Told with every result. @defaultValue `'0.0.0'` */
  readonly version?: string;
  /** In the order of the list. */
  readonly tools: readonly PluginTool[];
  /** A circuit that opens after tools have failed so often in a row. @defaultValue none */
  readonly breaker?: ServerOptions['breaker'];
}

/** Opens conversations with a plug-in: nothing is connected to, and all callers may share one. */
export function pluginConnect(plugin: Plugin, now: () => number): Connect {
  const connection = new PluginConnection(plugin, now);
  return async () => connection;
}

class PluginConnection implements Connection {
  readonly stateless = true;
  readonly description: ServerDescription;
  readonly #plugin: Plugin;
  readonly #now: () => number;
  readonly #tools: ReadonlyMap<string, PluginTool>;

  constructor(plugin: Plugin, now: () => number) {
    const { name, version = '0.0.0', tools } = plugin;
    this.#plugin = plugin;
    this.#now = now;
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.description = { serverInfo: { name, version }, capabilities: { tools: {} } };
  }

  async request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    if (method === 'tools/list') return { result: { tools: [...this.#tools.values()].map(offerOf) } };
    const tool = method === 'tools/call' ? this.#tools.get(asText(params['name'])) : undefined;
    if (tool === undefined) return { error: { code: rpcCode.methodNotFound, message: `a plug-in has no ${method}` } };
    return this.#run(tool, params, options);
  }

  async #run(tool: PluginTool, params: JsonObject, options: RequestOptions): Promise<Answer> {
    const { version = '0.0.0' } = this.#plugin;
    const context = contextOf(params, options);
    const { trace_id } = context;
    const startedAt = this.#now();
    try {
      const result = (await orAborted(tool.run((params['arguments'] ?? {}) as JsonObject, context), options.signal)) ?? null;
      const metadata = { tool: tool.name, version, duration_ms: this.#now() - startedAt, trace_id };
      return { result: { content: [textOf(result)], structuredContent: { success: true, result, metadata } } };
    } catch (error) {
      options.signal.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      const structuredContent = { success: false, error: message, metadata: { trace_id } };
      return { result: { content: [textOf(message)], structuredContent, isError: true } };
    }
  }

  async watch(): Promise<void> {} // it has no resources

  async close(): Promise<void> {} // nothing was opened
}

function offerOf({ name, description, inputSchema = { type: 'object' }, more = {} }: PluginTool): JsonObject {
  return { ...more, name, ...(description !== undefined && { description }), inputSchema };
}

function contextOf({ _meta }: JsonObject, { signal, client, caller }: RequestOptions): PluginContext {
  const progressToken = (_meta as JsonObject | undefined)?.['progressToken'];
  return {
    trace_id: caller?.traceId ?? '',
    tenant_id: caller?.principal.tenant ?? '',
    user_id: caller?.principal.user,
    user_role: caller?.principal.role ?? 'member',
    signal,
    progress: (progress, total, message) => {
      if (progressToken === undefined) return;
      const params = { progressToken, progress, ...(total !== undefined && { total }), ...(message !== undefined && { message }) };
      client?.notify({ jsonrpc: '2.0', method: 'notifications/progress', params });
    },
    ask: async (question) => client?.ask(question) ?? { error: { code: rpcCode.methodNotFound, message: 'there is nobody to ask' } },
  };
}

function textOf(value: unknown): JsonObject {
  return { type: 'text', text: asText(value) };
}

/** A tool that does not look at its signal does not hold its caller either. */
function orAborted(work: unknown, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    Promise.resolve(work)
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}
