import type { ClientSide, Owner, Principal } from '../call.ts';
import { Conversation } from '../conversation.ts';
import { type Answer, isObject, type JsonObject, type RequestId, type RpcNotification, type RpcRequest, rpcCode } from '../json-rpc.ts';
import type { ParkedConversations, ResumeProblem } from '../parked.ts';
import type { Router } from '../router.ts';
import { digestOf } from '../sealed-state.ts';
import { taskMethods } from '../tasks.ts';
import { forModernClient } from './era-results.ts';
import { legacyRevisions } from './legacy.ts';
import { type GatewayDescription, type Tell, withExtensions } from './legacy-session.ts';
import { isLogLevel, isWanted } from './log-level.ts';
import { meta, modernCode, modernRevisions, withoutOwnedMeta } from './modern.ts';
import { type Filter, Subscriptions } from './subscriptions.ts';

/** Requests whose answers may be questions. */
const conversational = ['tools/call', 'prompts/get', 'resources/read'];

/** Requests of this revision that are answered from what is known or by one server. */
const known = [
  ...conversational,
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'completion/complete',
  ...taskMethods,
];

/** How a request came and where its messages go. */
export interface ModernExchange {
  readonly principal: Principal;
  readonly tell: Tell;
  /** Aborted when the client has gone or taken the request back. */
  readonly signal: AbortSignal;
}

/** Where the messages of a conversation go at present: to the request that waits for them. */
interface Front {
  tell: Tell;
  progressToken: unknown;
}

/** The gateway as a server of revision 2026-07-28, whatever carries the messages. */
export class ModernServer {
  readonly #router: Router;
  readonly #parked: ParkedConversations;
  readonly #serverInfo: JsonObject;
  readonly #describe: (principal: Principal) => GatewayDescription;
  readonly #subscriptions: Subscriptions;
  readonly #fronts = new WeakMap<Conversation, Front>();

  constructor(router: Router, parked: ParkedConversations, serverInfo: JsonObject, describe: (principal: Principal) => GatewayDescription) {
    this.#router = router;
    this.#parked = parked;
    this.#serverInfo = serverInfo;
    this.#describe = describe;
    this.#subscriptions = new Subscriptions((principal) => router.watch(principal, {}));
  }

  /** Resources of which somebody on a tenant's behalf wants to hear. */
  watched(owner: Owner): Iterable<string> {
    return this.#subscriptions.watched(owner);
  }

  /** Tells every subscriber of a tenant that wants to hear of it. */
  broadcast(hears: (principal: Principal) => boolean, notification: RpcNotification): void {
    this.#subscriptions.tell(hears, notification);
  }

  /** Ends subscriptions with a result, and calls that wait for their clients. */
  close(): void {
    this.#subscriptions.close();
    this.#parked.close();
  }

  /** The answer to a request; rejects only with the signal's reason. */
  async answer(request: RpcRequest, exchange: ModernExchange): Promise<Answer> {
    const { id, method, params = {} } = request;
    const problem = envelopeProblem(params);
    if (problem !== undefined) return problem;
    if (method === 'server/discover') return this.#complete(method, { result: this.#discovered(exchange.principal) });
    if (method === 'subscriptions/listen') return this.#listen(id, params, exchange);
    if (!known.includes(method)) return { error: { code: rpcCode.methodNotFound, message: `method ${method} is not known` } };
    if (!conversational.includes(method)) return this.#complete(method, await this.#plain(method, params, exchange));
    return this.#converse(method, params, exchange);
  }

  #discovered(principal: Principal): JsonObject {
    const { capabilities, extensions, instructions } = this.#describe(principal);
    return {
      supportedVersions: [...modernRevisions, ...legacyRevisions],
      capabilities: withExtensions(capabilities, extensions),
      ...(instructions !== undefined && { instructions }),
    };
  }

  #complete(method: string, answer: Answer): Answer {
    return forModernClient(method, answer, this.#serverInfo);
  }

  #plain(method: string, params: JsonObject, { principal, tell, signal }: ModernExchange): Promise<Answer> {
    const ask = () => Promise.resolve<Answer>({ error: { code: rpcCode.invalidRequest, message: `${method} cannot ask for input` } });
    const known = declared(params);
    const client = { ...known, ask, notify: wanted(known.logLevel, tell) };
    return this.#router.answer({ principal, method, params: withoutOwnedMeta(params), client, signal });
  }

  async #converse(method: string, params: JsonObject, exchange: ModernExchange): Promise<Answer> {
    const { inputResponses = {}, requestState, _meta, ...subject } = params;
    if (!isObject(inputResponses)) return invalid("'inputResponses' must be an object");
    if (requestState !== undefined && typeof requestState !== 'string') return invalid("'requestState' must be a string");
    const digest = digestOf([method, subject]);
    const resumed = requestState !== undefined ? this.#parked.resume(requestState, exchange.principal, digest) : 'not-ours';
    if (typeof resumed === 'string' && resumed !== 'not-ours') return refusedState(resumed);
    // what is no answer is as good as none: the server asks again
    const answers = Object.fromEntries(Object.entries(inputResponses).filter(([, answer]) => isObject(answer)));
    const given = 'inputResponses' in params ? { ...params, inputResponses: answers } : params;
    const conversation = typeof resumed === 'string' ? this.#begin(method, given, exchange.principal, answers) : resumed;
    const front = this.#fronts.get(conversation) as Front;
    front.tell = exchange.tell;
    front.progressToken = isObject(_meta) ? _meta['progressToken'] : undefined;
    if (typeof resumed !== 'string') conversation.deliver(answers);
    const onAbort = () => conversation.abort(exchange.signal.reason);
    exchange.signal.addEventListener('abort', onAbort, { once: true });
    try {
      const turn = await conversation.turn();
      exchange.signal.throwIfAborted();
      if ('answer' in turn) return this.#complete(method, turn.answer);
      const state = this.#parked.park(conversation, exchange.principal, digest);
      return this.#complete(method, {
        result: { resultType: 'input_required', inputRequests: asked(turn.questions), requestState: state },
      });
    } finally {
      exchange.signal.removeEventListener('abort', onAbort);
    }
  }

  #begin(method: string, params: JsonObject, principal: Principal, answers: JsonObject): Conversation {
    const conversation = new Conversation(answers);
    const front: Front = { tell: () => {}, progressToken: undefined };
    this.#fronts.set(conversation, front);
    const { signal } = conversation;
    const known = declared(params);
    const client: ClientSide = {
      ...known,
      ask: (question) => conversation.ask(question),
      notify: wanted(known.logLevel, (notification) => tellFront(front, notification)),
    };
    conversation.begin(() => this.#router.answer({ principal, method, params: withoutOwnedMeta(params), client, signal }));
    return conversation;
  }

  async #listen(id: RequestId, params: JsonObject, { principal, tell, signal }: ModernExchange): Promise<Answer> {
    const filter = params['notifications'];
    if (!isObject(filter)) return invalid("'notifications' must be an object");
    await this.#subscriptions.listen(id, principal, filter as Filter, tell, signal);
    return { result: { resultType: 'complete', _meta: { [meta.serverInfo]: this.#serverInfo, [meta.subscriptionId]: id } } };
  }
}

/** Hands a notification to the request that waits, progress under the token that this request brought. */
function tellFront(front: Front, notification: RpcNotification): void {
  if (notification.method !== 'notifications/progress') front.tell(notification);
  else if (front.progressToken !== undefined)
    front.tell({ ...notification, params: { ...notification.params, progressToken: front.progressToken } });
}

/** What a request says of its client. Without a level it wants no log messages at all. */
function declared({ _meta }: JsonObject): { capabilities: JsonObject; logLevel: string | undefined; modern: true } {
  const { [meta.clientCapabilities]: capabilities, [meta.logLevel]: level } = _meta as JsonObject;
  return { capabilities: capabilities as JsonObject, logLevel: isLogLevel(level) ? level : undefined, modern: true };
}

/** Passes on log messages only as far as the request asked for them. */
function wanted(level: string | undefined, tell: (notification: RpcNotification) => void): (notification: RpcNotification) => void {
  return (notification) => {
    const isLog = notification.method === 'notifications/message';
    if (!isLog || (level !== undefined && isWanted(notification.params?.['level'], level))) tell(notification);
  };
}

/** What is wrong with the members that every request of this revision has. */
function envelopeProblem({ _meta }: JsonObject): Answer | undefined {
  const given = isObject(_meta) ? _meta : {};
  const version = given[meta.protocolVersion];
  if (typeof version !== 'string') return missing(meta.protocolVersion, 'a string');
  if (!modernRevisions.includes(version)) return unsupportedVersion(version);
  if (!isObject(given[meta.clientCapabilities])) return missing(meta.clientCapabilities, 'an object');
  return undefined;
}

function missing(member: string, what: string): Answer {
  return invalid(`'_meta["${member}"]' must be ${what}`);
}

function invalid(message: string): Answer {
  return { error: { code: rpcCode.invalidParams, message } };
}

/** The answer to a request in a revision that is not spoken here. */
export function unsupportedVersion(requested: string): Answer {
  const supported = [...modernRevisions, ...legacyRevisions];
  return { error: { code: modernCode.unsupportedVersion, message: 'Unsupported protocol version', data: { supported, requested } } };
}

const stateProblems: Readonly<Record<Exclude<ResumeProblem, 'not-ours'>, string>> = {
  'other-principal': 'requestState belongs to somebody else',
  'other-request': 'requestState belongs to another request',
  expired: 'requestState has expired, or was used before; make the request again without it',
};

function refusedState(problem: Exclude<ResumeProblem, 'not-ours'>): Answer {
  return { error: { code: rpcCode.invalidParams, message: stateProblems[problem] } };
}

/** Questions in this revision's words: it has no names for those that send the user to an address. */
function asked(questions: Readonly<Record<string, { method: string; params: JsonObject }>>): JsonObject {
  return Object.fromEntries(
    Object.entries(questions).map(([key, { method, params }]) => {
      const { elicitationId, ...rest } = params;
      return [key, { method, params: rest }];
    }),
  );
}
