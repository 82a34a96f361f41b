import type { Readable, Writable } from 'node:stream';
import type { Principal } from '../call.ts';
import {
  classify,
  isObject,
  type RequestId,
  type RpcMessage,
  type RpcNotification,
  type RpcRequest,
  type RpcResponse,
  rpcCode,
} from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { type GatewayDescription, LegacySession, respond } from './legacy-session.ts';
import { Lines } from './lines.ts';
import { meta } from './modern.ts';
import type { ModernServer } from './modern-server.ts';
import { largestMessage } from './pipe.ts';

/** Serves the one client that started this process, over its standard streams. */
export class StdioEndpoint {
  readonly #router: Router;
  readonly #modern: ModernServer;
  readonly #running = new Map<RequestId, AbortController>();
  readonly #principal: Principal;
  readonly #describe: (principal: Principal) => GatewayDescription;
  readonly #output: Writable;
  #session: LegacySession | undefined;
  #input: Readable | undefined;

  constructor(
    router: Router,
    modern: ModernServer,
    principal: Principal,
    describe: (principal: Principal) => GatewayDescription,
    output: Writable,
  ) {
    this.#router = router;
    this.#modern = modern;
    this.#principal = principal;
    this.#describe = describe;
    this.#output = output;
  }

  /** Reads until the client closes its end or breaks off. */
  async serve(input: Readable): Promise<void> {
    const lines = new Lines(
      largestMessage,
      (line) => this.#receive(line),
      ({ problem }) => this.#write(respond(undefined, { error: { code: rpcCode.invalidRequest, message: `the client ${problem}` } })),
    );
    this.#input = input;
    this.#output.on('error', () => this.close());
    try {
      for await (const chunk of input) lines.push(chunk as Buffer);
    } catch {
      // a client that breaks off has ended too
    }
    this.#session?.close();
    for (const running of this.#running.values()) running.abort(new Error('the client has gone'));
  }

  /** Reads no further. */
  close(): void {
    this.#input?.destroy();
  }

  /** Tells a client of the older revisions. */
  get session(): LegacySession | undefined {
    return this.#session;
  }

  #receive(line: string): void {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      this.#write(respond(undefined, { error: { code: rpcCode.parseError, message: 'the line is not JSON' } }));
      return;
    }
    const classified = classify(value);
    if (classified.kind === 'request' && begins(classified.message)) this.#begin(classified.message);
    else if (classified.kind === 'request') void this.#request(classified.message);
    else if (classified.kind === 'notification') this.#notification(classified.message);
    else if (classified.kind === 'response') this.#session?.receiveResponse(classified.message);
    else this.#write(respond(classified.id, { error: { code: rpcCode.invalidRequest, message: `the line is ${classified.problem}` } }));
  }

  #notification(notification: RpcNotification): void {
    const { method, params } = notification;
    const running = method === 'notifications/cancelled' ? this.#running.get(params?.['requestId'] as RequestId) : undefined;
    if (running !== undefined) running.abort(new Error('the client took the request back'));
    else this.#session?.receive(notification);
  }

  #begin({ id, params = {} }: RpcRequest): void {
    this.#session = new LegacySession(this.#principal, this.#router, params);
    this.#session.listener = { tell: (message) => this.#write(message), end: () => {} };
    this.#write(respond(id, this.#session.welcome(this.#describe(this.#principal))));
  }

  async #request(request: RpcRequest): Promise<void> {
    const response = await this.#answer(request).catch(() =>
      respond(request.id, { error: { code: rpcCode.internalError, message: 'the gateway failed; its log has the reason' } }),
    );
    if (response !== undefined) this.#write(response);
  }

  /** A request that says who it is stands for itself; the others belong to the one session that `initialize` begins. */
  async #answer(request: RpcRequest): Promise<RpcResponse | undefined> {
    if (standsForItself(request)) return this.#answerModern(request);
    if (this.#session !== undefined) return this.#session.answer(request, (message) => this.#write(message));
    return respond(request.id, {
      error: { code: rpcCode.invalidRequest, message: 'begin with initialize, or say in _meta which revision this is' },
    });
  }

  async #answerModern(request: RpcRequest): Promise<RpcResponse | undefined> {
    const { id } = request;
    if (this.#running.has(id))
      return respond(id, { error: { code: rpcCode.invalidRequest, message: 'a request with this id is still running' } });
    const running = new AbortController();
    this.#running.set(id, running);
    const exchange = { principal: this.#principal, tell: (message: RpcMessage) => this.#write(message), signal: running.signal };
    try {
      return respond(id, await this.#modern.answer(request, exchange));
    } catch (error) {
      if (running.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#running.delete(id);
    }
  }

  #write(message: RpcMessage): void {
    this.#output.write(`${JSON.stringify(message)}\n`);
  }
}

/** Whether a request says which revision it is of; those with a handshake say so once, in `initialize`. */
function standsForItself({ params }: RpcRequest): boolean {
  const _meta = params?.['_meta'];
  return isObject(_meta) && meta.protocolVersion in _meta;
}

function begins(request: RpcRequest): boolean {
  return request.method === 'initialize' && !standsForItself(request);
}
