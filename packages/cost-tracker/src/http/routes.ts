import { createHash } from 'node:crypto';
import { type Authenticate, admit, type Reader } from './principal.ts';
import { problemResponse, Refused, refusalOf } from './problem.ts';

/** What a route is asked. */
export interface Asked {
  readonly request: Request;
  /** The query. */
  readonly search: URLSearchParams;
  /** What stands in the path's last segment, if that is a parameter; else the empty string. */
  readonly name: string;
  readonly reader: Reader;
}

/** A value that is sent as JSON, or an answer that is complete. */
export type Route = (asked: Asked) => Promise<object | Response>;

/** By path, whose last segment may be `{name}`, and method. */
export type Routes = Readonly<Record<string, Readonly<Partial<Record<'GET' | 'PUT', Route>>>>>;

const HEADERS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' };

/** Answers requests by the routes; nobody without credentials learns anything, not even which routes there are. */
export function answering(routes: Routes, authenticate: Authenticate): (request: Request) => Promise<Response> {
  return async (request) => {
    try {
      const reader = await admit(authenticate, request);
      const { pathname, searchParams: search } = new URL(request.url);
      const { route, name } = find(routes, request.method, pathname);
      const answer = await route({ request, search, name, reader });
      const response = answer instanceof Response ? answer : jsonResponse(answer, request);
      return request.method === 'HEAD' ? await withoutBody(response) : response;
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      return problemResponse(refusal);
    }
  };
}

function find(routes: Routes, method: string, pathname: string): { readonly route: Route; readonly name: string } {
  const [folder = '', last = ''] = /^(.*\/)([^/]*)$/.exec(pathname)?.slice(1) ?? [];
  const exact = routes[pathname];
  const methods = exact ?? (last === '' ? undefined : routes[`${folder}{name}`]);
  if (methods === undefined) throw new Refused(404, 'ERR_NOT_FOUND', `there is nothing at ${pathname}`);
  const route = methods[(method === 'HEAD' ? 'GET' : method) as 'GET' | 'PUT'];
  if (route) return { route, name: exact ? '' : decoded(last) };
  const allow = Object.keys(methods).flatMap((each) => (each === 'GET' ? ['GET', 'HEAD'] : [each]));
  throw new Refused(405, 'ERR_METHOD_NOT_ALLOWED', `${pathname} knows ${allow.join(', ')}`, { headers: { allow: allow.join(', ') } });
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Refused(404, 'ERR_NOT_FOUND', 'the path is not percent-encoded text');
  }
}

/** JSON with an entity tag, or 304 where the asker has it. */
export function jsonResponse(value: object, request: Request): Response {
  const text = JSON.stringify(value);
  const etag = tagOf(text);
  const headers = { ...HEADERS, etag };
  if (request.method !== 'PUT' && hasTag(request.headers.get('if-none-match'), etag)) return new Response(null, { status: 304, headers });
  return new Response(text, { headers: { ...headers, 'content-type': 'application/json' } });
}

/** The entity tag of a text. */
export function tagOf(text: string): string {
  return `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
}

/** Whether a list of entity tags, as `If-None-Match` or `If-Match` have it, names this one. */
export function hasTag(list: string | null, etag: string): boolean {
  // Intermediaries that compress make a tag weak; what it stands for is the same.
  return list !== null && (list.trim() === '*' || list.split(',').some((each) => each.trim().replace(/^W\//, '') === etag));
}

async function withoutBody(response: Response): Promise<Response> {
  await response.body?.cancel();
  return new Response(null, { status: response.status, headers: response.headers });
}
