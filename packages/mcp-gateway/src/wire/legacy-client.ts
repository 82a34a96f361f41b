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
import { UnreachableError, UpstreamError } from '../upstream-error.ts';
import type { FrameProblem, Pipe } from './pipe.ts';

/** The revisions of the protocol that begin with `initialize`, newest first. */
export const legacyRevisions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];

/** What a server said of itself. */
export interface ServerDescription {
  /** Its name and version. */
  readonly serverInfo: JsonObject;
  /** What it offers. */
  readonly capabilities: JsonObject;
  /** How to use it, for a model. */
  readonly instructions?: string;
}

/** How one request is carried out. */
export interface RequestOptions {
  /** Takes the request back. */
  readonly signal: AbortSignal;
  /** Takes the server's notifications about this request. */
  readonly notify: (notification: RpcNotification) => void;
}

/** A conversation with a server, whatever revision it speaks. */
export interface Connection {
  /** What the server said of itself. */
  readonly description: ServerDescription;
  /** Rejects with an {@link UpstreamError}, or with the signal's reason after the server has been told. */
  request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer>;
  /** Ends the conversation and what it started. */
  close(): Promise<void>;
}

/** What a conversation tells unasked. */
export interface ConnectionListener {
  /** A notification that belongs to no request. */
  notification(notification: RpcNotification): void;
  /** Something that is no message. */
  problem(problem: FrameProblem): void;
  /** The conversation has ended without our doing. */
  closed(error: UpstreamError): void;
}

interface Pending {
  readonly settle: (answer: Answer) => void;
  readonly fail: (error: unknown) => void;
  readonly notify: (notification: RpcNotification) => void;
  /** The client's own progress token, put back on the way. */
  readonly progressToken: unknown;
}

/** Opens a conversation in the revisions up to 2025-11-25: `initialize`, then requests and notifications both ways. */
export async function connectLegacy(
  server: string,
  pipe: Pipe,
  listener: ConnectionListener,
  clientInfo: JsonObject,
  signal: AbortSignal,
): Promise<Connection> {
  const client = new LegacyClient(server, pipe, listener);
  try {
    await client.open(clientInfo, signal);
    return client;
  } catch (error) {
    await pipe.close();
    throw error;
  }
}

class LegacyClient implements Connection {
  readonly #server: string;
  readonly #pipe: Pipe;
  readonly #listener: ConnectionListener;
  readonly #pending = new Map<RequestId, Pending>();
  #lastId = 0;
  #description: ServerDescription = { serverInfo: {}, capabilities: {} };
  #ended: UpstreamError | undefined;

  constructor(server: string, pipe: Pipe, listener: ConnectionListener) {
    this.#server = server;
    this.#pipe = pipe;
    this.#listener = listener;
  }

  get description(): ServerDescription {
    return this.#description;
  }

  async open(clientInfo: JsonObject, signal: AbortSignal): Promise<void> {
    await this.#pipe.open({
      message: (message) => this.#receive(message),
      problem: (problem) => this.#receiveProblem(problem),
      closed: (error) => this.#end(error),
    });
    const params = { protocolVersion: legacyRevisions[0], capabilities: {}, clientInfo };
    const answer = await this.request('initialize', params, { signal, notify: () => {} });
    if ('error' in answer) throw this.#broken(`refused the handshake: ${answer.error.message}`);
    const { protocolVersion, serverInfo, capabilities, instructions } = answer.result;
    if (typeof protocolVersion !== 'string' || !legacyRevisions.includes(protocolVersion)) {
      throw this.#broken(`speaks revision ${JSON.stringify(protocolVersion)} of the protocol; known are ${legacyRevisions.join(', ')}`);
    }
    this.#description = {
      serverInfo: isObject(serverInfo) ? serverInfo : {},
      capabilities: isObject(capabilities) ? capabilities : {},
      ...(typeof instructions === 'string' && { instructions }),
    };
    this.#pipe.negotiated(protocolVersion);
    await this.#pipe.send({ jsonrpc: '2.0', method: 'notifications/initialized' }, signal);
  }

  request(method: string, params: JsonObject, { signal, notify }: RequestOptions): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(new UnreachableError(this.#server, 'has gone away', this.#ended));
      this.#lastId += 1;
      const id = this.#lastId;
      const end = () => {
        this.#pending.delete(id);
        signal.removeEventListener('abort', onAbort);
      };
      const settle = (answer: Answer) => {
        end();
        resolve(answer);
      };
      const fail = (error: unknown) => {
        if (!this.#pending.has(id)) return;
        end();
        reject(error);
      };
      const onAbort = () => {
        fail(signal.reason);
        if (method !== 'initialize') this.#cancel(id, signal.reason);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const [sent, progressToken] = withProgressToken(params, id);
      this.#pending.set(id, { settle, fail, notify, progressToken });
      this.#pipe.send({ jsonrpc: '2.0', id, method, params: sent }, signal).then((outcome) => {
        if (outcome === 'ended') fail(this.#broken('ended its answer without a result'));
      }, fail);
    });
  }

  async close(): Promise<void> {
    this.#end(new UpstreamError(this.#server, 'was disconnected', { carriedOut: 'perhaps' }), true);
    await this.#pipe.close();
  }

  #receive(message: RpcMessage): void {
    if ('method' in message) {
      if ('id' in message) this.#receiveRequest(message);
      else this.#receiveNotification(message);
      return;
    }
    const pending = message.id === null ? undefined : this.#pending.get(message.id);
    if (pending !== undefined) pending.settle('result' in message ? { result: message.result } : { error: message.error });
    else this.#listener.problem({ problem: 'sent a response that answers no open request', sample: `id ${JSON.stringify(message.id)}` });
  }

  #receiveRequest({ id, method }: RpcRequest): void {
    const answer: Answer =
      method === 'ping' ? { result: {} } : { error: { code: rpcCode.methodNotFound, message: `this client does not offer ${method}` } };
    this.#pipe.send({ jsonrpc: '2.0', id, ...answer }).catch(() => {}); // a server that is gone needs no answer
  }

  #receiveNotification(notification: RpcNotification): void {
    if (notification.method !== 'notifications/progress') {
      this.#listener.notification(notification);
      return;
    }
    const pending = this.#pending.get(notification.params?.['progressToken'] as RequestId);
    if (pending?.progressToken === undefined) return;
    pending.notify({ ...notification, params: { ...notification.params, progressToken: pending.progressToken } });
  }

  #receiveProblem(problem: FrameProblem): void {
    this.#listener.problem(problem);
    if (problem.id !== undefined) this.#pending.get(problem.id)?.fail(this.#broken(problem.problem));
  }

  #cancel(requestId: number, reason: unknown): void {
    const params = { requestId, reason: reason instanceof Error ? reason.message : 'cancelled' };
    this.#pipe.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params }).catch(() => {});
  }

  #end(error: UpstreamError, byUs = false): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    for (const pending of [...this.#pending.values()]) pending.fail(error);
    if (!byUs) this.#listener.closed(error);
  }

  #broken(problem: string): UpstreamError {
    return new UpstreamError(this.#server, problem, { carriedOut: 'perhaps', code: 'ERR_UPSTREAM_PROTOCOL' });
  }
}

/** The parameters with a progress token of this conversation in place of the client's, which another client may use too. */
function withProgressToken(params: JsonObject, id: number): [JsonObject, unknown] {
  const meta = params['_meta'];
  if (!isObject(meta) || meta['progressToken'] === undefined) return [params, undefined];
  return [{ ...params, _meta: { ...meta, progressToken: id } }, meta['progressToken']];
}
