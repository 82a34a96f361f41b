import { randomUUID } from 'node:crypto';
import type { ClientQuestion, ClientSide, Principal } from '../call.ts';
import {
  type Answer,
  isObject,
  type JsonObject,
  type RequestId,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
  rpcCode,
} from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { tasksExtension } from '../tasks.ts';
import { forLegacyClient } from './era-results.ts';
import { legacyRevisions } from './legacy.ts';
import { isWanted, logLevels } from './log-level.ts';

/** What the gateway says of itself to clients. */
export interface GatewayDescription {
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
  /** What the servers behind it offer beyond the protocol itself. */
  readonly extensions: JsonObject;
  readonly instructions?: string;
}

/** Capabilities with the extensions, where there are any. */
export function withExtensions(capabilities: JsonObject, extensions: JsonObject): JsonObject {
  return Object.keys(extensions).length > 0 ? { ...capabilities, extensions } : capabilities;
}

/** Takes messages to the client. */
export type Tell = (message: RpcMessage) => void;

/** A client of the revisions up to 2025-11-25, from its `initialize` on. */
export class LegacySession {
  readonly principal: Principal;
  /** The revision that was agreed on. */
  readonly revision: string;
  /** What the client declared that it can be asked for. */
  readonly capabilities: JsonObject;
  /** Resources whose changes it wants to hear of. */
  readonly subscriptions = new Set<string>();
  readonly #router: Router;
  readonly #running = new Map<RequestId, AbortController>();
  readonly #asked = new Map<RequestId, (answer: Answer) => void>();
  #logLevel: string | undefined;
  #lastQuestion = 0;
  /** When the client was last heard of, in ms of the gateway's clock. */
  usedAt = 0;
  /** Takes what the gateway says unasked, while somebody listens. */
  listener: { readonly tell: Tell; readonly end: () => void } | undefined;

  constructor(principal: Principal, router: Router, initialize: JsonObject) {
    this.principal = principal;
    this.#router = router;
    const { protocolVersion, capabilities } = initialize;
    const known = typeof protocolVersion === 'string' && legacyRevisions.includes(protocolVersion);
    this.revision = known ? protocolVersion : (legacyRevisions[0] as string);
    this.capabilities = isObject(capabilities) ? capabilities : {};
  }

  /** Whether a request is being worked on. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** The client outside any request, where it can be reached so. */
  get bystander(): ClientSide | undefined {
    return this.listener && this.#clientSide(this.listener.tell, new AbortController().signal);
  }

  /** The answer to `initialize`. */
  welcome({ serverInfo, capabilities, extensions, instructions }: GatewayDescription): Answer {
    const { [tasksExtension]: _tasks, ...others } = extensions; // tasks are an extension of the next revision only
    return {
      result: {
        protocolVersion: this.revision,
        capabilities: withExtensions(capabilities, others),
        serverInfo,
        ...(instructions !== undefined && { instructions }),
      },
    };
  }

  /** The response to a request, or undefined where the client has taken the request back. */
  async answer(request: RpcRequest, tell: Tell): Promise<RpcResponse | undefined> {
    const { id } = request;
    if (this.#running.has(id)) {
      return respond(id, { error: { code: rpcCode.invalidRequest, message: `a request with id ${JSON.stringify(id)} is still running` } });
    }
    const running = new AbortController();
    this.#running.set(id, running);
    try {
      return respond(id, await this.#answer(request, tell, running.signal));
    } catch (error) {
      if (running.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#running.delete(id);
    }
  }

  /** A notification of the client. */
  receive({ method, params }: RpcNotification): void {
    if (method !== 'notifications/cancelled') return;
    const reason = typeof params?.['reason'] === 'string' ? params['reason'] : 'the client cancelled the request';
    this.#running.get(params?.['requestId'] as RequestId)?.abort(new Error(reason));
  }

  /** The client's answer to a question. One that answers none is left aside. */
  receiveResponse(response: RpcResponse): void {
    if (response.id === undefined || response.id === null) return;
    this.#asked.get(response.id)?.('result' in response ? { result: response.result } : { error: response.error });
  }

  /** Sends a notification that belongs to no request, if it is wanted. */
  tell(notification: RpcNotification): void {
    if (this.#wants(notification)) this.listener?.tell(notification);
  }

  /** Ends what is running and what listens. */
  close(): void {
    for (const running of this.#running.values()) running.abort(new Error('the session has ended'));
    this.listener?.end();
    if (this.subscriptions.size === 0) return;
    this.subscriptions.clear();
    this.#router.watch(this.principal, this.capabilities).catch(() => {}); // a gateway that closes watches nothing any more
  }

  async #answer({ method, params = {} }: RpcRequest, tell: Tell, signal: AbortSignal): Promise<Answer> {
    if (method === 'logging/setLevel') return this.#setLogLevel(params['level']);
    if (method === 'resources/subscribe' || method === 'resources/unsubscribe') return this.#subscribe(method, params['uri']);
    const client = this.#clientSide(tell, signal);
    return forLegacyClient(await this.#router.answer({ principal: this.principal, method, params, client, signal }));
  }

  #setLogLevel(level: unknown): Answer {
    if (typeof level !== 'string' || !logLevels.includes(level)) return invalid(`'level' must be one of ${logLevels.join(', ')}`);
    this.#logLevel = level;
    return { result: {} };
  }

  async #subscribe(method: string, uri: unknown): Promise<Answer> {
    if (typeof uri !== 'string') return invalid("'uri' must be a string");
    if (method === 'resources/subscribe') this.subscriptions.add(uri);
    else this.subscriptions.delete(uri);
    await this.#router.watch(this.principal, this.capabilities);
    return { result: {} };
  }

  #clientSide(tell: Tell, signal: AbortSignal): ClientSide {
    return {
      capabilities: this.capabilities,
      logLevel: this.#logLevel,
      modern: false,
      ask: (question) => this.#ask(question, tell, signal),
      notify: (notification) => {
        if (this.#wants(notification)) tell(notification);
      },
    };
  }

  #ask({ method, params }: ClientQuestion, tell: Tell, signal: AbortSignal): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#lastQuestion += 1;
      const id = `tidegate-${this.#lastQuestion}`;
      const onAbort = () => {
        this.#asked.delete(id);
        tell({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
        reject(signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#asked.set(id, (answer) => {
        this.#asked.delete(id);
        signal.removeEventListener('abort', onAbort);
        resolve(answer);
      });
      // this revision names the questions that send the user to an address
      const named = params['mode'] === 'url' && params['elicitationId'] === undefined ? { ...params, elicitationId: randomUUID() } : params;
      tell({ jsonrpc: '2.0', id, method, params: named });
    });
  }

  #wants({ method, params }: RpcNotification): boolean {
    return method !== 'notifications/message' || this.#logLevel === undefined || isWanted(params?.['level'], this.#logLevel);
  }
}

function invalid(message: string): Answer {
  return { error: { code: rpcCode.invalidParams, message } };
}

/** An answer as a response; without an id where its request cannot be told, as the protocol's schema has it. */
export function respond(id: RequestId | undefined, answer: Answer): RpcResponse {
  return { jsonrpc: '2.0', ...(id !== undefined && { id }), ...answer };
}
