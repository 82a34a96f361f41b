import type { ClientQuestion, ClientSide } from '../call.ts';
import { type Answer, asText, isObject, type JsonObject, type RequestId, type RpcMessage, type RpcNotification } from '../json-rpc.ts';
import { UpstreamError } from '../upstream-error.ts';
import { keepOpen } from './change-stream.ts';
import type { Connection, ConnectionListener, RequestOptions, ServerDescription } from './connection.ts';
import { sampleOf } from './lines.ts';
import { meta, modernRevisions, withMeta, withoutOwnedMeta } from './modern.ts';
import { encodeHeader, nameMember, parameterHeaders, parameterValues } from './modern-headers.ts';
import type { Outstanding } from './outstanding.ts';
import type { FrameProblem, Pipe, PipeListener } from './pipe.ts';

/** How often a server may ask for more input before its call is given up. */
const mostRounds = 20;

/** What tells of changes, by the member that asks for it. */
const changes = [
  ['toolsListChanged', 'notifications/tools/list_changed'],
  ['promptsListChanged', 'notifications/prompts/list_changed'],
  ['resourcesListChanged', 'notifications/resources/list_changed'],
] as const;

/** Notifications that go no further than the conversation, or than the client of one request. */
const ownBusiness = [
  'notifications/progress',
  'notifications/message',
  'notifications/subscriptions/acknowledged',
  'notifications/cancelled',
];

/** A conversation in revision 2026-07-28: every request says who asks and what it can be asked; there is no handshake. */
export class ModernClient implements Connection, PipeListener {
  readonly stateless = true;
  readonly #server: string;
  readonly #pipe: Pipe;
  readonly #listener: ConnectionListener;
  readonly #clientInfo: JsonObject;
  readonly #outstanding: Outstanding;
  #description: ServerDescription = { serverInfo: {}, capabilities: {} };
  #watch = new AbortController();

  constructor(server: string, pipe: Pipe, listener: ConnectionListener, clientInfo: JsonObject, outstanding: Outstanding) {
    this.#outstanding = outstanding;
    this.#server = server;
    this.#pipe = pipe;
    this.#listener = listener;
    this.#clientInfo = clientInfo;
  }

  get description(): ServerDescription {
    return this.#description;
  }

  /** Asks what the server is. The answer decides whether it speaks this revision at all. */
  discover(signal: AbortSignal): Promise<Answer> {
    return this.#send('server/discover', {}, { signal });
  }

  /** Takes the answer to {@link ModernClient.discover} over and begins to listen for changes. */
  begin({ capabilities, instructions, _meta }: JsonObject): void {
    const serverInfo = isObject(_meta) ? _meta[meta.serverInfo] : undefined;
    this.#description = {
      serverInfo: isObject(serverInfo) ? serverInfo : {},
      capabilities: isObject(capabilities) ? capabilities : {},
      ...(typeof instructions === 'string' && { instructions }),
    };
    void this.watch(new Set());
  }

  /** Carries the request out; where the client cannot take interim results, its questions are put to it here. */
  async request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    let sent = params;
    for (let round = 0; round < mostRounds; round += 1) {
      const answer = await this.#send(method, sent, options);
      const { client } = options;
      if ('result' in answer && method === 'tools/list') return this.#withoutUnusable(answer.result);
      if (client?.modern === true || !('result' in answer)) return answer;
      const { resultType, inputRequests, requestState } = answer.result;
      if (resultType !== 'input_required') return this.#complete(answer, resultType);
      const inputResponses = await answers(isObject(inputRequests) ? inputRequests : {}, client);
      sent = { ...params, inputResponses, ...(requestState !== undefined && { requestState }) };
    }
    throw this.#broken(`asked for input ${mostRounds} times and gave no result`);
  }

  /** Tools whose annotations cannot be followed over HTTP are not offered there, each by itself (2026-07-28, transports). */
  #withoutUnusable(result: JsonObject): Answer {
    const { tools } = result;
    if (!this.#pipe.cancelsByClosing || !Array.isArray(tools)) return { result };
    const usable = tools.filter((tool) => {
      try {
        if (isObject(tool)) parameterHeaders(tool['inputSchema']);
        return true;
      } catch (error) {
        this.#listener.problem({
          problem: `offers a tool that cannot be called: ${(error as Error).message}`,
          sample: asText(tool).slice(0, 200),
        });
        return false;
      }
    });
    return { result: { ...result, tools: usable } };
  }

  async watch(uris: ReadonlySet<string>): Promise<void> {
    this.#watch.abort(new Error('replaced'));
    this.#watch = new AbortController();
    const { capabilities } = this.#description;
    const offers = (part: string, member: string) => isObject(capabilities[part]) && capabilities[part][member] === true;
    const notifications = {
      ...(offers('tools', 'listChanged') && { toolsListChanged: true }),
      ...(offers('prompts', 'listChanged') && { promptsListChanged: true }),
      ...(offers('resources', 'listChanged') && { resourcesListChanged: true }),
      ...(uris.size > 0 && { resourceSubscriptions: [...uris] }),
    };
    if (Object.keys(notifications).length > 0) void this.#listen(notifications, this.#watch.signal);
  }

  async #listen(notifications: JsonObject, signal: AbortSignal): Promise<void> {
    await keepOpen({
      signal,
      open: async () => !('error' in (await this.#send('subscriptions/listen', { notifications }, { signal }))),
      over: () => signal.aborted || this.#outstanding.ended,
      missed: () => {
        for (const [member, method] of changes) if (notifications[member] === true) this.#listener.notification({ jsonrpc: '2.0', method });
      },
    });
  }

  async close(): Promise<void> {
    this.#watch.abort(new Error('closed'));
    this.#outstanding.end(new UpstreamError(this.#server, 'was disconnected', { carriedOut: 'perhaps' }));
    await this.#pipe.close();
  }

  message(message: RpcMessage, replyTo?: RequestId): void {
    if ('method' in message) {
      if ('id' in message)
        this.#listener.problem({ problem: `sent a request, ${message.method}, which this revision does not have`, sample: '' });
      else this.#receiveNotification(message, replyTo);
    } else {
      const problem = this.#outstanding.settle(message);
      if (problem !== undefined) this.#listener.problem(problem);
    }
  }

  problem(problem: FrameProblem): void {
    this.#listener.problem(problem);
    if (problem.id !== undefined) this.#outstanding.fail(problem.id, problem.problem);
  }

  closed(error: UpstreamError): void {
    if (this.#outstanding.end(error)) this.#listener.closed(error);
  }

  #send(method: string, params: JsonObject, { signal, client, tool }: RequestOptions): Promise<Answer> {
    const stamped = withMeta(withoutOwnedMeta(params), {
      [meta.protocolVersion]: modernRevisions[0],
      [meta.clientInfo]: this.#clientInfo,
      [meta.clientCapabilities]: client?.capabilities ?? {},
      ...(client?.logLevel !== undefined && { [meta.logLevel]: client.logLevel }),
    });
    const send = async (id: RequestId, sent: JsonObject) =>
      this.#pipe.send({ jsonrpc: '2.0', id, method, params: sent }, signal, this.#headers(method, params, tool));
    return this.#outstanding.add(stamped, { signal, client }, send, (id) => this.#cancel(id));
  }

  /** Only HTTP has headers, so that over stdio it is no matter what a tool says of them. */
  #headers(method: string, params: JsonObject, tool: JsonObject | undefined): Readonly<Record<string, string>> | undefined {
    if (!this.#pipe.cancelsByClosing) return undefined;
    try {
      return headersOf(method, params, tool);
    } catch (cause) {
      const problem = `offers a tool that cannot be called: ${(cause as Error).message}`;
      throw new UpstreamError(this.#server, problem, { carriedOut: 'no', code: 'ERR_UPSTREAM_PROTOCOL', cause });
    }
  }

  #receiveNotification(notification: RpcNotification, replyTo: RequestId | undefined): void {
    const { method, params } = notification;
    if (method === 'notifications/progress') this.#outstanding.progress(notification);
    if (method === 'notifications/message') this.#logged(notification, replyTo);
    if (ownBusiness.includes(method)) return;
    this.#listener.notification(params === undefined ? notification : { ...notification, params: withoutOwnedMeta(params) });
  }

  /** A log message is for the client of its own request alone; over stdio that is told only where there is but one it can be. */
  #logged(notification: RpcNotification, replyTo: RequestId | undefined): void {
    const wanting = this.#outstanding.clients.filter(({ logLevel }) => logLevel !== undefined);
    const client = replyTo === undefined && wanting.length === 1 ? wanting[0] : this.#outstanding.clientOf(replyTo);
    if (client?.logLevel !== undefined) client.notify(notification);
  }

  /** Over HTTP the end of the response's stream has said it already. */
  #cancel(requestId: RequestId): void {
    if (this.#pipe.cancelsByClosing || this.#outstanding.ended) return;
    this.#pipe.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId } }).catch(() => {});
  }

  /** Results of extensions are for clients that know of them. */
  #complete(answer: Answer, resultType: unknown): Answer {
    if (resultType === 'complete' || typeof resultType !== 'string') return answer;
    throw this.#broken(`answered with a result of the type '${sampleOf(resultType)}', which is not known here`);
  }

  #broken(problem: string): UpstreamError {
    return new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', code: 'ERR_UPSTREAM_PROTOCOL' });
  }
}

/** Puts a server's questions to a client side by side; what the client does not answer is left out. */
async function answers(questions: JsonObject, client: ClientSide | undefined): Promise<JsonObject> {
  const given = await Promise.all(
    Object.entries(questions).map(async ([key, question]) => {
      if (client === undefined || !isObject(question) || typeof question['method'] !== 'string') return [];
      const { method, params } = question;
      const answer = await client.ask({ method, params: isObject(params) ? params : {} } satisfies ClientQuestion);
      return 'result' in answer ? [[key, answer.result] as const] : [];
    }),
  );
  return Object.fromEntries(given.flat());
}

/** The headers that repeat a request, as revision 2026-07-28 wants them. */
function headersOf(method: string, params: JsonObject, tool: JsonObject | undefined): Record<string, string> {
  const member = nameMember(method);
  const name = member === undefined ? undefined : params[member];
  return {
    'mcp-protocol-version': modernRevisions[0] as string,
    'mcp-method': method,
    ...(typeof name === 'string' && { 'mcp-name': encodeHeader(name) }),
    ...(tool !== undefined && parameterValues(parameterHeaders(tool['inputSchema']), params['arguments'])),
  };
}
