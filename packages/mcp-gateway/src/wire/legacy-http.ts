import { randomUUID } from 'node:crypto';
import type { Principal } from '../call.ts';
import { type RequestId, type RpcMessage, type RpcRequest, rpcCode } from '../json-rpc.ts';
import type { Router } from '../router.ts';
import { accepts, event, eventStream, type HttpReply, type HttpRequest, type HttpStream, openEvents, sendJson } from './exchange.ts';
import { legacyRevisions } from './legacy.ts';
import { type GatewayDescription, LegacySession, respond } from './legacy-session.ts';

/** Bounds of the sessions of one endpoint. */
export interface SessionBounds {
  /** Sessions at once, of all clients together. */
  readonly most: number;
  /** How long a session without requests and without an open stream is kept, in ms. */
  readonly idleMs: number;
}

/** The streamable HTTP endpoint of revision 2025-11-25 and those before it. */
export class LegacyHttp {
  readonly #router: Router;
  readonly #describe: (principal: Principal) => GatewayDescription;
  readonly #bounds: SessionBounds;
  readonly #now: () => number;
  readonly #sessions = new Map<string, LegacySession>();
  readonly #streams = new Set<HttpStream>();

  constructor(router: Router, describe: (principal: Principal) => GatewayDescription, bounds: SessionBounds, now: () => number) {
    this.#router = router;
    this.#describe = describe;
    this.#bounds = bounds;
    this.#now = now;
  }

  /** Sessions at the moment. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** Answers a request other than a POST. */
  async handle(request: HttpRequest, reply: HttpReply, principal: Principal): Promise<void> {
    const { method } = request;
    if (method !== 'GET' && method !== 'DELETE') {
      return refuse(reply, 405, rpcCode.invalidRequest, `method ${method} is not allowed`, { allow: 'GET, POST, DELETE' });
    }
    const session = this.#sessionOf(request, reply, principal);
    if (session === undefined) return;
    if (method === 'GET') this.#listen(request, reply, session);
    else this.#end(request, reply, session);
  }

  /** The sessions of a tenant. */
  *of(tenant: string): Iterable<LegacySession> {
    for (const session of this.#sessions.values()) if (session.principal.tenant === tenant) yield session;
  }

  /** Ends all sessions and streams. */
  close(): void {
    for (const session of this.#sessions.values()) session.close();
    this.#sessions.clear();
    for (const stream of [...this.#streams]) stream.end();
  }

  /** Answers a message that a client posted. */
  async post(message: RpcMessage, request: HttpRequest, reply: HttpReply, principal: Principal): Promise<void> {
    const asked = 'method' in message && 'id' in message ? message : undefined;
    if (asked?.method === 'initialize') return this.#begin(asked, reply, principal);
    const session = this.#sessionOf(request, reply, principal, asked?.id);
    if (session === undefined) return;
    if (asked !== undefined) return this.#answer(asked, reply, session);
    if (!('method' in message)) session.receiveResponse(message);
    else if (!('id' in message)) session.receive(message);
    reply.send(202, {});
  }

  #begin(request: RpcRequest, reply: HttpReply, principal: Principal): void {
    this.#sweep();
    if (this.#sessions.size >= this.#bounds.most) {
      refuse(reply, 503, rpcCode.internalError, `${this.#sessions.size} sessions are open, the most this gateway keeps`, {
        'retry-after': '10',
      });
      return;
    }
    const id = randomUUID();
    const session = new LegacySession(principal, this.#router, request.params ?? {});
    session.usedAt = this.#now();
    this.#sessions.set(id, session);
    sendJson(reply, 200, respond(request.id, session.welcome(this.#describe(principal))), { 'mcp-session-id': id });
  }

  /** Answers with JSON, unless something has to be said before the answer: then with a stream. */
  async #answer(request: RpcRequest, reply: HttpReply, session: LegacySession): Promise<void> {
    let stream: HttpStream | undefined;
    const response = await session.answer(request, (message) => {
      stream ??= this.#open(reply);
      stream.write(event(message));
    });
    if (stream !== undefined) {
      if (response !== undefined) stream.write(event(response));
      stream.end();
    } else if (response !== undefined) {
      sendJson(reply, 200, response);
    } else {
      reply.send(200, eventStream, ''); // taken back: nothing is answered
    }
  }

  #listen(request: HttpRequest, reply: HttpReply, session: LegacySession): void {
    if (!accepts(request, 'text/event-stream')) {
      refuse(reply, 406, rpcCode.invalidRequest, 'the client must accept text/event-stream');
      return;
    }
    if (session.listener !== undefined) {
      refuse(reply, 409, rpcCode.invalidRequest, 'this session has a stream already');
      return;
    }
    const stream = this.#open(reply);
    session.listener = { tell: (message) => stream.write(event(message)), end: () => stream.end() };
    stream.onClose(() => {
      session.listener = undefined;
      session.usedAt = this.#now();
    });
    stream.write(':\n\n'); // lets the client see the headers at once
  }

  #end(request: HttpRequest, reply: HttpReply, session: LegacySession): void {
    this.#sessions.delete(request.header('mcp-session-id') ?? '');
    session.close();
    reply.send(204, {});
  }

  /** The request's session, if it is this principal's; a session of somebody else is as unknown as one that never was. */
  #sessionOf(request: HttpRequest, reply: HttpReply, principal: Principal, id?: RequestId): LegacySession | undefined {
    const key = request.header('mcp-session-id');
    if (key === undefined) {
      refuse(reply, 400, rpcCode.invalidRequest, 'the header Mcp-Session-Id is missing; begin with initialize', {}, id);
      return undefined;
    }
    const session = this.#sessions.get(key);
    if (session === undefined || !isSame(session.principal, principal)) {
      refuse(reply, 404, rpcCode.invalidRequest, 'the session is not known; begin again with initialize', {}, id);
      return undefined;
    }
    const revision = request.header('mcp-protocol-version');
    if (revision !== undefined && !legacyRevisions.includes(revision)) {
      refuse(
        reply,
        400,
        rpcCode.invalidRequest,
        `revision ${revision} is not spoken here; known are ${legacyRevisions.join(', ')}`,
        {},
        id,
      );
      return undefined;
    }
    session.usedAt = this.#now();
    return session;
  }

  #open(reply: HttpReply): HttpStream {
    const stream = openEvents(reply);
    this.#streams.add(stream);
    stream.onClose(() => this.#streams.delete(stream));
    return stream;
  }

  #sweep(): void {
    const oldest = this.#now() - this.#bounds.idleMs;
    for (const [id, session] of this.#sessions) {
      if (session.usedAt < oldest && session.listener === undefined && !session.busy) this.#sessions.delete(id);
    }
  }
}

/** Refuses a request to the endpoint. */
export function refuse(
  reply: HttpReply,
  status: number,
  code: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  id?: RequestId,
): void {
  sendJson(reply, status, respond(id, { error: { code, message } }), headers);
}

/** Whether two requests come from the same caller, by the same door. */
function isSame(one: Principal, other: Principal): boolean {
  return one.tenant === other.tenant && one.user === other.user && one.virtualServer === other.virtualServer;
}
