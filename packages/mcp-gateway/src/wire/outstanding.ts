import type { ClientSide } from '../call.ts';
import { type Answer, isObject, type JsonObject, type RequestId, type RpcNotification, type RpcResponse } from '../json-rpc.ts';
import { UnreachableError, UpstreamError } from '../upstream-error.ts';
import type { FrameProblem, Pipe } from './pipe.ts';

interface Request {
  readonly settle: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
  readonly client: ClientSide | undefined;
  /** The client's own progress token, put back on the way. */
  readonly progressToken: unknown;
}

/** The requests of one conversation that have no answer yet, under ids of the conversation's own. */
export class Outstanding {
  readonly #server: string;
  readonly #requests = new Map<RequestId, Request>();
  #lastId = 0;
  #ended: UpstreamError | undefined;

  constructor(server: string) {
    this.#server = server;
  }

  /** Whether the conversation is over. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** Clients of requests that can be asked something, the latest request last. */
  get clients(): readonly ClientSide[] {
    return [...this.#requests.values()].flatMap(({ client }) => client ?? []);
  }

  /**
   * Adds a request: `send` gets its id and its parameters with a progress token of this conversation in place of the client's,
   * which another client may use too. An abort fails the request with the signal's reason and tells `cancelled`; after the end
   * of the conversation nothing is sent.
   */
  add(
    params: JsonObject,
    { signal, client }: { readonly signal: AbortSignal; readonly client?: ClientSide | undefined },
    send: (id: number, params: JsonObject) => ReturnType<Pipe['send']>,
    cancelled: (id: number, reason: unknown) => void,
  ): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(new UnreachableError(this.#server, 'has gone away', this.#ended));
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
      send(id, sent).then((outcome) => {
        if (outcome === 'ended') this.fail(id, 'ended its answer without a result');
      }, fail);
    });
  }

  /** The client of the request, if it has one and waits. */
  clientOf(id: RequestId | undefined): ClientSide | undefined {
    return id === undefined ? undefined : this.#requests.get(id)?.client;
  }

  /** Ends the request that a response answers; what is wrong where there is none. */
  settle(response: RpcResponse): FrameProblem | undefined {
    const request = response.id === undefined || response.id === null ? undefined : this.#requests.get(response.id);
    if (request === undefined)
      return { problem: 'sent a response that answers no open request', sample: `id ${JSON.stringify(response.id)}` };
    request.settle('result' in response ? { result: response.result } : { error: response.error });
    return undefined;
  }

  /** Ends a request that the server broke the protocol over. */
  fail(id: RequestId, problem: string): void {
    this.#requests.get(id)?.fail(new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', code: 'ERR_UPSTREAM_PROTOCOL' }));
  }

  /** Ends the conversation and fails what still waits. False where it had ended before. */
  end(error: UpstreamError): boolean {
    if (this.#ended !== undefined) return false;
    this.#ended = error;
    for (const { fail } of [...this.#requests.values()]) fail(error);
    return true;
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
