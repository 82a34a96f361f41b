import type { ClientSide } from './call.ts';
import type { Answer, JsonObject, RpcNotification } from './json-rpc.ts';
import { SessionExpiredError, UnreachableError, UpstreamError } from './upstream-error.ts';
import type { Connection, ConnectionListener, RequestOptions, ServerDescription } from './wire/connection.ts';
import type { FrameProblem } from './wire/pipe.ts';

/** Opens a conversation; rejects with an {@link UpstreamError}. */
export type Connect = (listener: ConnectionListener, signal: AbortSignal) => Promise<Connection>;

/** What an upstream tells. */
export interface UpstreamListener {
  /** A conversation has begun, for the first time or again. */
  connected(connection: Connection): void;
  /** The conversation has ended without our doing, or could not begin. */
  lost(error: UpstreamError): void;
  notification(notification: RpcNotification): void;
  problem(problem: FrameProblem): void;
  /** A client that can be asked something outside any call. */
  bystander(): ClientSide | undefined;
}

/** A conversation and how many requests are under way in it. */
interface Conversation {
  readonly connection: Connection;
  running: number;
}

/** One server as one tenant sees it: connects when it is first needed and again after it was lost. */
export class Upstream {
  readonly name: string;
  readonly #connect: Connect;
  readonly #connectMs: number;
  readonly #listener: UpstreamListener;
  #current: Conversation | undefined;
  #connecting: Promise<Conversation> | undefined;
  /** Conversations in which nothing more is asked, kept for the answers that they still owe. */
  readonly #retired = new Set<Conversation>();
  readonly #closing = new AbortController();
  #watched: ReadonlySet<string> = new Set();

  constructor(name: string, connect: Connect, connectMs: number, listener: UpstreamListener) {
    this.name = name;
    this.#connect = connect;
    this.#connectMs = connectMs;
    this.#listener = listener;
  }

  /** Whether the open conversation is one that clients of any kind may share; undefined while there is none. */
  get stateless(): boolean | undefined {
    return this.#current?.connection.stateless;
  }

  /** What the server said of itself in the open conversation. */
  get description(): ServerDescription | undefined {
    return this.#current?.connection.description;
  }

  /** Which resources the server is to tell changes of, now and in later conversations. */
  async watch(uris: ReadonlySet<string>): Promise<void> {
    this.#watched = uris;
    await this.#current?.connection.watch(uris);
  }

  /** The open conversation, or a new one. An abort ends the wait, not the connecting, which others may wait for. */
  async connection(signal: AbortSignal): Promise<Connection> {
    return (await this.#conversation(signal)).connection;
  }

  /**
   * Carries one request out. A session that the server has forgotten is opened again, once.
   */
  async request(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    try {
      return await this.#ask(method, params, options);
    } catch (error) {
      if (!(error instanceof SessionExpiredError)) throw error;
    }
    return this.#ask(method, params, options);
  }

  async close(): Promise<void> {
    this.#closing.abort(new UpstreamError(this.name, 'was disconnected', { carriedOut: 'no' }));
    const current = this.#current ?? (await this.#connecting?.catch(() => undefined));
    this.#current = undefined;
    await Promise.all([current, ...this.#retired].map((conversation) => conversation?.connection.close()));
  }

  async #conversation(signal: AbortSignal): Promise<Conversation> {
    if (this.#current !== undefined) return this.#current;
    this.#connecting ??= this.#open();
    return orAborted(this.#connecting, signal);
  }

  async #ask(method: string, params: JsonObject, options: RequestOptions): Promise<Answer> {
    const conversation = await this.#conversation(options.signal);
    options.begun?.();
    conversation.running += 1;
    try {
      return await conversation.connection.request(method, params, options);
    } catch (error) {
      if (error instanceof SessionExpiredError || error instanceof UnreachableError) this.#retire(conversation, error);
      throw error;
    } finally {
      conversation.running -= 1;
      this.#endIfIdle(conversation);
    }
  }

  async #open(): Promise<Conversation> {
    const lost = (error: UpstreamError) => {
      this.#current = undefined;
      this.#listener.lost(error);
    };
    const limit = new UpstreamError(this.name, `did not answer the handshake within ${this.#connectMs} ms`, { carriedOut: 'no' });
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(limit), this.#connectMs);
    const onClose = () => deadline.abort(this.#closing.signal.reason);
    this.#closing.signal.addEventListener('abort', onClose, { once: true });
    try {
      this.#closing.signal.throwIfAborted();
      const { notification, problem, bystander } = this.#listener;
      const connection = await this.#connect({ notification, problem, bystander, closed: lost }, deadline.signal);
      this.#current = { connection, running: 0 };
      if (this.#watched.size > 0) await connection.watch(this.#watched);
      this.#listener.connected(connection);
      return this.#current;
    } catch (error) {
      const unreachable = beforeAnyCall(this.name, error);
      if (unreachable instanceof UpstreamError) this.#listener.lost(unreachable);
      throw unreachable;
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener('abort', onClose);
      this.#connecting = undefined;
    }
  }

  /** A forgotten session and a server that cannot be reached end the conversation, though nothing has said so. */
  #retire(conversation: Conversation, error: UpstreamError): void {
    if (this.#current !== conversation) return;
    this.#current = undefined;
    this.#retired.add(conversation);
    if (error instanceof UnreachableError) this.#listener.lost(error);
  }

  #endIfIdle(conversation: Conversation): void {
    if (conversation.running > 0 || !this.#retired.delete(conversation)) return;
    conversation.connection.close().catch(() => {}); // the server has forgotten it already
  }
}

/** Whatever went wrong while connecting, no call has been carried out. */
function beforeAnyCall(server: string, error: unknown): unknown {
  if (!(error instanceof UpstreamError) || error.carriedOut === 'no') return error;
  const problem = error.message.replace(`server '${server}' `, '');
  const { code, retryAfterMs, detail } = error;
  return new UpstreamError(server, problem, { carriedOut: 'no', code, retryAfterMs, detail, cause: error });
}

/** The promise's outcome, or the signal's reason if that comes first. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
