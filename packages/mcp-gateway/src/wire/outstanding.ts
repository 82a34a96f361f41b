import type { ClientSide } from '../call.ts';
import { type Answer, isObject, type JsonObject, type RequestId, type RpcNotification } from '../json-rpc.ts';

interface Request {
  readonly settle: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
  readonly client: ClientSide | undefined;
  /** The client's own progress token, put back on the way. */
  readonly progressToken: unknown;
}

/** The requests of one conversation that have no answer yet, under ids of the conversation's own. */
export class Outstanding {
  readonly #requests = new Map<RequestId, Request>();
  #lastId = 0;

  /** Clients of requests that can be asked something, the latest request last. */
  get clients(): readonly ClientSide[] {
    return [...this.#requests.values()].flatMap(({ client }) => client ?? []);
  }

  /**
   * Adds a request: `send` gets its id and its parameters with a progress token of this conversation in place of the client's,
   * which another client may use too. An abort fails the request with the signal's reason and tells `cancelled`.
   */
  add(
    params: JsonObject,
    { signal, client }: { readonly signal: AbortSignal; readonly client?: ClientSide | undefined },
    send: (id: number, params: JsonObject) => Promise<unknown>,
    cancelled: (id: number, reason: unknown) => void,
  ): Promise<Answer> {
    if (signal.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const end = () => {
        signal.removeEventListener('abort', onAbort);
        return this.#requests.delete(id);
      };
      const fail = (error: unknown) => {
        if (end()) reject(error);
      };
      const settle = (answer: Answer) => {
        if (end()) resolve(answer);
      };
      const onAbort = () => {
        fail(signal.reason);
        cancelled(id, signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const [sent, progressToken] = withProgressToken(params, id);
      this.#requests.set(id, { settle, fail, client, progressToken });
      send(id, sent).catch(fail);
    });
  }

  /** Whether a request with this id waits. */
  has(id: unknown): boolean {
    return this.#requests.has(id as RequestId);
  }

  /** The client of the request, if it has one and waits. */
  clientOf(id: RequestId | undefined): ClientSide | undefined {
    return id === undefined ? undefined : this.#requests.get(id)?.client;
  }

  settle(id: RequestId, answer: Answer): void {
    this.#requests.get(id)?.settle(answer);
  }

  fail(id: RequestId, error: unknown): void {
    this.#requests.get(id)?.fail(error);
  }

  failAll(error: unknown): void {
    for (const { fail } of [...this.#requests.values()]) fail(error);
  }

  /** Hands progress on to the client whose request it is about, under the client's own token. */
  progress(notification: RpcNotification): void {
    const request = this.#requests.get(notification.params?.['progressToken'] as RequestId);
    if (request?.progressToken === undefined) return;
    request.client?.notify({ ...notification, params: { ...notification.params, progressToken: request.progressToken } });
  }
}

function withProgressToken(params: JsonObject, id: number): [JsonObject, unknown] {
  const meta = params['_meta'];
  if (!isObject(meta) || meta['progressToken'] === undefined) return [params, undefined];
  return [{ ...params, _meta: { ...meta, progressToken: id } }, meta['progressToken']];
}
