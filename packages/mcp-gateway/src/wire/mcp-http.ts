import type { Principal } from '../call.ts';
import { classify, isObject, type RpcMessage, rpcCode } from '../json-rpc.ts';
import { accepts, BodyTooLarge, type HttpReply, type HttpRequest } from './exchange.ts';
import { legacyRevisions } from './legacy.ts';
import { type LegacyHttp, refuse } from './legacy-http.ts';
import { meta } from './modern.ts';
import type { ModernHttp } from './modern-http.ts';
import { largestMessage } from './pipe.ts';

/** The one endpoint of the protocol: reads a message and hands it to the era that it belongs to. */
export class McpHttp {
  readonly #legacy: LegacyHttp;
  readonly #modern: ModernHttp;

  constructor(legacy: LegacyHttp, modern: ModernHttp) {
    this.#legacy = legacy;
    this.#modern = modern;
  }

  /** Answers a request to the endpoint on behalf of an admitted principal. */
  async handle(request: HttpRequest, reply: HttpReply, principal: Principal): Promise<void> {
    if (request.method !== 'POST') return this.#legacy.handle(request, reply, principal);
    if (!accepts(request, 'application/json') || !accepts(request, 'text/event-stream')) {
      return refuse(reply, 406, rpcCode.invalidRequest, 'the client must accept application/json and text/event-stream');
    }
    if (!(request.header('content-type') ?? '').startsWith('application/json')) {
      return refuse(reply, 415, rpcCode.invalidRequest, 'the content type must be application/json');
    }
    const message = await read(request, reply);
    if (message === undefined) return;
    if (!isModern(message, request)) return this.#legacy.post(message, request, reply, principal);
    if ('method' in message && 'id' in message) return this.#modern.post(message, request, reply, principal);
    reply.send(202, {}); // this revision has no notifications that a server acts on
  }
}

/** A request that says who it is, or names a revision that has no sessions, stands for itself. */
function isModern(message: RpcMessage, request: HttpRequest): boolean {
  const _meta = 'method' in message ? message.params?.['_meta'] : undefined;
  if (isObject(_meta) && meta.protocolVersion in _meta) return true;
  const version = request.header('mcp-protocol-version');
  const initialize = 'method' in message && message.method === 'initialize';
  return version !== undefined && !legacyRevisions.includes(version) && request.header('mcp-session-id') === undefined && !initialize;
}

async function read(request: HttpRequest, reply: HttpReply): Promise<RpcMessage | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(await request.body(largestMessage));
  } catch (error) {
    if (error instanceof BodyTooLarge) refuse(reply, 413, rpcCode.invalidRequest, error.message, { connection: 'close' });
    else refuse(reply, 400, rpcCode.parseError, 'the body is not JSON');
    return undefined;
  }
  const classified = classify(value);
  if (classified.kind !== 'invalid') return classified.message;
  refuse(reply, 400, rpcCode.invalidRequest, `the body is ${classified.problem}`, {}, classified.id);
  return undefined;
}
