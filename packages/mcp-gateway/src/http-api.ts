import type { Access } from './access.ts';
import type { Answer, Principal } from './call.ts';
import { deeperThan, isObject, type JsonObject, mostDepth, rpcCode } from './json-rpc.ts';
import type { Metrics } from './metrics.ts';
import { signInPages } from './oauth/sign-in-pages.ts';
import type { SignIns } from './oauth/sign-ins.ts';
import { asProblem, type Refusal, RefusedError, seconds, toRefusal } from './refusal.ts';
import type { Router } from './router.ts';
import type { CallSummary } from './summary.ts';
import { InvalidParams } from './target.ts';
import { BodyTooLarge, type HttpReply, type HttpRequest, sendJson } from './wire/exchange.ts';
import type { McpHttp } from './wire/mcp-http.ts';
import { largestMessage } from './wire/pipe.ts';

/** What the routes stand on. */
export interface HttpApiParts {
  readonly access: Access;
  readonly mcp: McpHttp;
  readonly router: Router;
  readonly metrics: Metrics;
  readonly summary: CallSummary;
  /** Where nobody signs in to a server there are no pages for that. */
  readonly signIns?: SignIns;
  /** Whether everybody who may connect is one and the same. */
  readonly open: boolean;
  readonly fault: (error: unknown) => void;
}

/** The gateway's one HTTP door: the protocol's endpoint, plain HTTP calls, metrics. Everything but `/healthz` asks for credentials. */
export function httpApi(parts: HttpApiParts): (request: HttpRequest, reply: HttpReply) => Promise<void> {
  return async (request, reply) => {
    try {
      if (parts.signIns !== undefined && request.path.startsWith('/oauth/')) await signInRoute(parts, parts.signIns, request, reply);
      else await route(parts, request, readable(reply, parts.access.allowedOrigin(request)));
    } catch (error) {
      const refusal = toRefusal(error);
      if (refusal.code === 'ERR_INTERNAL') parts.fault(error);
      sendProblem(reply, refusal);
    }
  };
}

type Route = (
  parts: HttpApiParts,
  exchange: { request: HttpRequest; reply: HttpReply; principal: Principal },
  rest: string,
) => Promise<void> | void;

/** By method and path; a path that ends in `/` takes one more segment. */
const routes: Readonly<Record<string, Route>> = {
  'GET /metrics': ({ metrics }, { reply, principal }) => metricsText(metrics, reply, principal),
  'GET /api/metrics/summary': ({ summary }, { reply, principal }) =>
    sendJson(reply, 200, summary.of(principal.role === 'operator' ? undefined : principal.tenant)),
  'GET /api/mcp/tools': async ({ router }, { reply, principal }) =>
    sendJson(reply, 200, { tools: (await router.catalog(principal)).tools }),
  'POST /api/mcp/tools/': ({ router }, { request, reply, principal }, name) => callTool(router, request, reply, principal, name),
};

async function route(parts: HttpApiParts, request: HttpRequest, reply: HttpReply): Promise<void> {
  const { method, path } = request;
  if (path === '/healthz' && method === 'GET') return sendJson(reply, 200, { status: 'ok' });
  const origin = parts.access.allowedOrigin(request);
  if (origin !== undefined && method === 'OPTIONS') return reply.send(204, preflight(origin, request));
  const admission = parts.access.admit(request);
  if (!('principal' in admission)) {
    const { status, code, message } = admission;
    return sendProblem(reply, { status, code, message }, status === 401 ? { 'www-authenticate': 'Bearer realm="tidegate"' } : {});
  }
  const { principal } = admission;
  const [atMcp, door] = /^\/mcp(?:\/([^/]+))?$/.exec(path) ?? [];
  if (atMcp !== undefined) return parts.mcp.handle(request, reply, throughDoor(parts.router, principal, door));
  const [, folder = '', last = ''] = /^(.*\/)([^/]+)$/.exec(path) ?? [];
  const found = routes[`${method} ${path}`] ?? routes[`${method} ${folder}`];
  if (found !== undefined) return found(parts, { request, reply, principal }, segment(last));
  sendProblem(reply, { status: 404, code: 'ERR_NOT_FOUND', message: `there is nothing at ${method} ${path}` });
}

/** People's browsers have no token. They come from other sites, but only by links. */
async function signInRoute(parts: HttpApiParts, signIns: SignIns, request: HttpRequest, reply: HttpReply): Promise<void> {
  const denial = parts.access.denyHost(request);
  if (denial === undefined) await signInPages({ signIns, open: parts.open }, request, reply);
  else sendProblem(reply, denial);
}

/** A caller as he comes in at `/mcp/<virtual server>`. */
function throughDoor(router: Router, principal: Principal, door: string | undefined): Principal {
  if (door === undefined) return principal;
  const virtualServer = segment(door);
  const allowed = principal.virtualServer === undefined || principal.virtualServer === virtualServer;
  if (allowed && router.hasVirtualServer(virtualServer)) return { ...principal, virtualServer };
  throw new RefusedError({ code: 'ERR_NOT_FOUND', status: 404, message: `there is no virtual server '${virtualServer}'` });
}

function segment(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    throw badRequest(400, `'${encoded}' is not percent-encoded text`);
  }
}

async function metricsText(metrics: Metrics, reply: HttpReply, principal: Principal): Promise<void> {
  if (principal.role !== 'operator') {
    return sendProblem(reply, {
      status: 403,
      code: 'ERR_FORBIDDEN',
      message: "the numbers of every tenant need a token with role 'operator'",
    });
  }
  reply.send(200, { 'content-type': metrics.contentType }, await metrics.text());
}

async function callTool(router: Router, request: HttpRequest, reply: HttpReply, principal: Principal, name: string): Promise<void> {
  // a page of another origin can send this type only after it has been allowed to
  if (!(request.header('content-type') ?? '').startsWith('application/json'))
    throw badRequest(415, 'the content type must be application/json');
  const params = { name, arguments: await readArguments(request) };
  const gone = new AbortController();
  reply.onGone(() => gone.abort(new Error('the client has gone')));
  const answer = await router.callTool({ principal, params, signal: gone.signal }).catch((error): Answer => {
    if (error instanceof InvalidParams) return { error: { code: rpcCode.invalidParams, message: error.message } };
    throw error;
  });
  if ('result' in answer) return sendJson(reply, 200, answer.result);
  const { code, message } = answer.error;
  const status = code === rpcCode.invalidParams || code === rpcCode.methodNotFound ? 400 : 502;
  throw new RefusedError({ code: 'ERR_UPSTREAM_ERROR', message, details: { rpcCode: code }, status });
}

async function readArguments(request: HttpRequest): Promise<JsonObject> {
  let value: unknown;
  try {
    const text = await request.body(largestMessage);
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch (error) {
    throw error instanceof BodyTooLarge ? badRequest(413, error.message) : badRequest(400, 'the body is not JSON');
  }
  if (!isObject(value)) throw badRequest(400, 'the body must be a JSON object: the arguments of the tool');
  if (deeperThan(mostDepth, value)) throw badRequest(400, `the body is nested more than ${mostDepth} levels deep`);
  return value;
}

function badRequest(status: 400 | 413 | 415, message: string): RefusedError {
  return new RefusedError({ code: 'ERR_BAD_REQUEST', status, message });
}

function sendProblem(reply: HttpReply, refusal: Refusal, headers: Readonly<Record<string, string>> = {}): void {
  const { status, retryAfterMs } = refusal;
  const retry = retryAfterMs === undefined ? {} : { 'retry-after': String(seconds(retryAfterMs)) };
  // what is left of a body that is too large is not read
  const end = status === 413 ? { connection: 'close' } : {};
  reply.send(status, { 'content-type': 'application/problem+json', ...retry, ...end, ...headers }, JSON.stringify(asProblem(refusal)));
}

/** What a page of an allowed origin may send. */
function preflight(origin: string, request: HttpRequest): Record<string, string> {
  return {
    ...forPagesOf(origin),
    'access-control-allow-methods': 'GET, POST, DELETE',
    'access-control-allow-headers': request.header('access-control-request-headers') ?? '',
    'access-control-max-age': '600',
  };
}

/** The headers by which a browser lets a page of this origin read the answer (Fetch standard, CORS protocol). */
function forPagesOf(origin: string): Record<string, string> {
  return { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'mcp-session-id', vary: 'origin' };
}

/** A reply that pages of this origin may read. */
function readable(reply: HttpReply, origin: string | undefined): HttpReply {
  if (origin === undefined) return reply;
  const headers = forPagesOf(origin);
  return {
    send: (status, own, body) => reply.send(status, { ...headers, ...own }, body),
    stream: (status, own) => reply.stream(status, { ...headers, ...own }),
    onGone: (fn) => reply.onGone(fn),
  };
}
