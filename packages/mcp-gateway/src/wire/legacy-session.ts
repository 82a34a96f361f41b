import type { Principal } from '../call.ts';
import {
  type Answer,
  type JsonObject,
  type RequestId,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
  rpcCode,
} from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { legacyRevisions } from './legacy-client.ts';

/** What the gateway says of itself to clients. */
export interface GatewayDescription {
  readonly serverInfo: JsonObject;
  readonly capabilities: JsonObject;
}

/** Where messages that belong to one request go while it runs. */
export type Notify = (notification: RpcNotification) => void;

/** A client of the revisions up to 2025-11-25, from its `initialize` on. */
export class LegacySession {
  readonly principal: Principal;
  /** The revision that was agreed on. */
  readonly revision: string;
  readonly #router: Router;
  readonly #running = new Map<RequestId, AbortController>();
  /** When the client was last heard of, in ms of the gateway's clock. */
  usedAt = 0;
  /** Takes what the gateway says unasked, while somebody listens. */
  listener: { readonly notify: Notify; readonly end: () => void } | undefined;

  constructor(principal: Principal, router: Router, initialize: JsonObject) {
    this.principal = principal;
    this.#router = router;
    const asked = initialize['protocolVersion'];
    this.revision = typeof asked === 'string' && legacyRevisions.includes(asked) ? asked : (legacyRevisions[0] as string);
  }

  /** Whether a request is being worked on. */
  get busy(): boolean {
    return this.#running.size > 0;
  }

  /** The answer to `initialize`. */
  welcome({ serverInfo, capabilities }: GatewayDescription): Answer {
    return { result: { protocolVersion: this.revision, capabilities, serverInfo } };
  }

  /** The response to a request, or undefined where the client has taken the request back. */
  async answer(request: RpcRequest, notify: Notify): Promise<RpcResponse | undefined> {
    const { id, method, params = {} } = request;
    if (this.#running.has(id)) {
      return respond(id, { error: { code: rpcCode.invalidRequest, message: `a request with id ${JSON.stringify(id)} is still running` } });
    }
    const running = new AbortController();
    this.#running.set(id, running);
    try {
      const { principal } = this;
      return respond(id, await this.#router.answer({ principal, method, params, notify, signal: running.signal }));
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

  /** Ends what is running and what listens. */
  close(): void {
    for (const running of this.#running.values()) running.abort(new Error('the session has ended'));
    this.listener?.end();
  }
}

/** An answer as a response. */
export function respond(id: RequestId | null, answer: Answer): RpcResponse {
  return { jsonrpc: '2.0', id, ...answer };
}
