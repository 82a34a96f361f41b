import type { ClientQuestion, ClientSide } from '../call.ts';
import { CallOverError } from '../conversation.ts';
import {
  type Answer,
  isObject,
  type JsonObject,
  type RequestId,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  rpcCode,
} from '../json-rpc.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Connection, ConnectionListener, RequestOptions, ServerDescription } from './connection.ts';
import { legacyRevisions, urlElicitationRequired } from './legacy.ts';
import { moreVerbose } from './log-level.ts';
import { modernCode } from './modern.ts';
import type { Outstanding } from './outstanding.ts';
import type { FrameProblem, Pipe, PipeListener } from './pipe.ts';

/** What a client must have declared before a server may put such a question to it. */
const capabilityOf: Readonly<Record<string, string>> = {
  'sampling/createMessage': 'sampling',
  'elicitation/create': 'elicitation',
  'roots/list': 'roots',
  // a client may answer in a task, and is then asked for that
  'tasks/get': 'tasks',
  'tasks/result': 'tasks',
  'tasks/list': 'tasks',
  'tasks/cancel': 'tasks',
};

/** How long a message without an answer may take to be handed over, in ms. */
const oneWayMs = 5_000;

/** Notifications that are about a request, though they do not say which. */
const aboutRequests = ['notifications/message', 'notifications/elicitation/complete'];

/** A conversation in the revisions up to 2025-11-25: `initialize`, then requests and notifications both ways. */
export class LegacyClient implements Connection, PipeListener {
  readonly stateless = false;
  readonly #server: string;
  readonly #pipe: Pipe;
  readonly #listener: ConnectionListener;
  readonly #outstanding: Outstanding;
  /** What servers wanted of clients without sessions that these had not declared. */
  readonly #lacking = new WeakMap<ClientSide, string>();
  /** What the server was told that the clients can be asked for. */
  #declared: JsonObject = {};
  #description: ServerDescription = { serverInfo: {}, capabilities: {} };
  #watched: ReadonlySet<string> = new Set();
  #logLevel: string | undefined;

  constructor(server: string, pipe: Pipe, listener: ConnectionListener, outstanding: Outstanding) {
    this.#outstanding = outstanding;
    this.#server = server;
    this.#pipe = pipe;
    this.#listener = listener;
  }

  get description(): ServerDescription {
    return this.#description;
  }

  /** Asks for the handshake; rejects where the server will not. `capabilities` is what the clients of this conversation can be asked for. */
  async initialize(clientInfo: JsonObject, capabilities: JsonObject, signal: AbortSignal): Promise<JsonObject> {
    this.#declared = capabilities;
    const answer = await this.request('initialize', { protocolVersion: legacyRevisions[0], capabilities, clientInfo }, { signal });
    if ('error' in answer) throw this.#broken(`refused the handshake: ${answer.error.message}`);
    return answer.result;
  }

  /** Takes what the server said in {@link LegacyClient.initialize} over and completes the handshake. */
  async begin(welcome: JsonObject, signal: AbortSignal): Promise<void> {
    const { protocolVersion, serverInfo, capabilities: offered, instructions } = welcome;
    if (typeof protocolVersion !== 'string' || !legacyRevisions.includes(protocolVersion)) {
      throw this.#broken(`speaks revision ${JSON.stringify(protocolVersion)} of the protocol; known are ${legacyRevisions.join(', ')}`);
    }
    this.#description = {
      serverInfo: isObject(serverInfo) ? serverInfo : {},
      capabilities: isObject(offered) ? offered : {},
      ...(typeof instructions === 'string' && { instructions }),
    };
    this.#pipe.negotiated(protocolVersion);
    await this.#pipe.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, signal);
  }

  async request(method: string, given: JsonObject, options: RequestOptions): Promise<Answer> {
    const { client } = options;
    const { inputResponses, requestState, ...params } = given;
    // a server of these revisions gives out no state; what claims to be one was changed, or is somebody else's
    if (requestState !== undefined) return { error: { code: rpcCode.invalidParams, message: 'requestState was not given out here' } };
    if (this.#lowersLogLevel(client?.logLevel))
      await this.#send('logging/setLevel', { level: client?.logLevel }, { signal: options.signal });
    const answer = await this.#send(method, params, options);
    return client?.modern === true ? this.#forModernClient(answer, client, () => this.#send(method, params, options)) : answer;
  }

  async watch(uris: ReadonlySet<string>): Promise<void> {
    const before = this.#watched;
    this.#watched = new Set(uris);
    const { resources } = this.#description.capabilities;
    if (!isObject(resources) || resources['subscribe'] !== true) return;
    const signal = new AbortController().signal;
    const ask = (method: string, uri: string) => this.#send(method, { uri }, { signal }).catch(() => {}); // calls find out what is wrong
    await Promise.all([
      ...[...uris].filter((uri) => !before.has(uri)).map((uri) => ask('resources/subscribe', uri)),
      ...[...before].filter((uri) => !uris.has(uri)).map((uri) => ask('resources/unsubscribe', uri)),
    ]);
  }

  async close(): Promise<void> {
    this.#outstanding.end(new UpstreamError(this.#server, 'was disconnected', { carriedOut: 'perhaps' }));
    await this.#pipe.close();
  }

  message(message: RpcMessage, replyTo?: RequestId): void {
    if ('method' in message) {
      if ('id' in message) this.#answer(message, replyTo);
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

  #send(method: string, params: JsonObject, { signal, client }: RequestOptions): Promise<Answer> {
    const send = (id: RequestId, sent: JsonObject) => this.#pipe.send({ jsonrpc: '2.0', id, method, params: sent }, signal);
    return this.#outstanding.add(params, { signal, client }, send, (id, reason) => {
      if (method !== 'initialize') this.#cancel(id, reason);
    });
  }

  /** What these revisions say in ways that a client of the next one does not know. */
  async #forModernClient(answer: Answer, client: ClientSide, again: () => Promise<Answer>): Promise<Answer> {
    const lacking = this.#lacking.get(client);
    if (lacking !== undefined && failed(answer)) return missingCapability(lacking);
    const elicitations = requiredElicitations(answer);
    if (elicitations === undefined) return answer;
    if (client.capabilities['elicitation'] === undefined) return missingCapability('elicitation');
    // the questions that the error holds are put, then the call is made again
    const answers = await Promise.all(elicitations.map((params) => client.ask({ method: 'elicitation/create', params })));
    return answers.every(accepted) ? again() : answer;
  }

  /** Answers a request of the server: itself, or through the client whose request it belongs to. */
  #answer({ id, method, params = {} }: RpcRequest, replyTo: RequestId | undefined): void {
    const reply = (answer: Answer) => {
      this.#tell({ jsonrpc: '2.0', id, ...answer });
    };
    const capability = capabilityOf[method];
    const client = this.#clientFor(capability, replyTo);
    if (method === 'ping') reply({ result: {} });
    else if (client === undefined) reply({ error: { code: rpcCode.methodNotFound, message: `the client does not offer ${method}` } });
    else
      this.#ask(client, { method, params }, replyTo).then(reply, (error) =>
        reply({ error: { code: rpcCode.internalError, message: messageOf(error) } }),
      );
  }

  /** Asks a client; where its call ends meanwhile, though the server still wants to know, the question was about another one's. */
  async #ask(client: ClientSide, question: ClientQuestion, replyTo: RequestId | undefined): Promise<Answer> {
    try {
      return await client.ask(question);
    } catch (error) {
      const other = error instanceof CallOverError ? this.#clientFor(capabilityOf[question.method], replyTo) : undefined;
      if (other === undefined || other === client) throw error;
      return this.#ask(other, question, replyTo);
    }
  }

  /** The client that a question of the server is for, if it can be asked. */
  #clientFor(capability: string | undefined, replyTo: RequestId | undefined): ClientSide | undefined {
    if (capability === undefined) return undefined;
    // a conversation that was opened for clients that cannot be asked may be shared by several users
    const declared = this.#declared[capability] !== undefined;
    // questions about tasks are not among those that a client of 2026-07-28 can be asked
    const able = (client: ClientSide | undefined) =>
      declared && client?.capabilities[capability] !== undefined && !(client.modern && capability === 'tasks');
    const { clients } = this.#outstanding;
    // where the server does not say which request it means, the latest whose client can be asked
    const client = this.#outstanding.clientOf(replyTo) ?? clients.filter(able).at(-1) ?? clients.at(-1) ?? this.#listener.bystander();
    if (able(client)) return client;
    if (client?.modern === true) this.#lacking.set(client, capability);
    return undefined;
  }

  #receiveNotification(notification: RpcNotification, replyTo: RequestId | undefined): void {
    if (notification.method === 'notifications/progress') {
      this.#outstanding.progress(notification);
      return;
    }
    const client = this.#outstanding.clientOf(replyTo);
    const about = client === undefined ? this.#outstanding.clients : [client];
    if (!aboutRequests.includes(notification.method) || about.length === 0) this.#listener.notification(notification);
    else for (const each of new Set(about)) each.notify(notification);
  }

  /** Whether a client wants more log messages than the server has been asked for so far. */
  #lowersLogLevel(level: string | undefined): boolean {
    if (level === undefined || !moreVerbose(level, this.#logLevel) || this.#description.capabilities['logging'] === undefined) return false;
    this.#logLevel = level;
    return true;
  }

  #cancel(requestId: RequestId, reason: unknown): void {
    const params = { requestId, reason: reason instanceof Error ? reason.message : 'cancelled' };
    this.#tell({ jsonrpc: '2.0', method: 'notifications/cancelled', params });
  }

  /** Sends what has no answer; a server that does not take it in time, or is gone, goes without. */
  #tell(message: RpcMessage): void {
    this.#pipe.send(message, AbortSignal.timeout(oneWayMs)).catch(() => {});
  }

  #broken(problem: string): UpstreamError {
    return new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', code: 'ERR_UPSTREAM_PROTOCOL' });
  }
}

/** The questions of an answer that says: first send the user to these addresses. */
function requiredElicitations(answer: Answer): readonly JsonObject[] | undefined {
  if (!('error' in answer) || answer.error.code !== urlElicitationRequired || !isObject(answer.error.data)) return undefined;
  const { elicitations } = answer.error.data;
  return Array.isArray(elicitations) && elicitations.length > 0 && elicitations.every(isObject) ? elicitations : undefined;
}

/** The error of revision 2026-07-28 that says what a client would have to offer. */
function missingCapability(capability: string): Answer {
  const message = `the server needs a client that offers ${capability}`;
  return { error: { code: modernCode.missingClientCapability, message, data: { requiredCapabilities: { [capability]: {} } } } };
}

function failed(answer: Answer): boolean {
  return 'error' in answer || answer.result['isError'] === true;
}

function accepted(answer: Answer): boolean {
  return 'result' in answer && answer.result['action'] === 'accept';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the client is gone';
}
