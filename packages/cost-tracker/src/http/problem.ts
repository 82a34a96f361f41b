import { isStoreError } from '../errors.ts';

/** Why a request was not answered: the body of every refusal, problem details by RFC 9457. */
export interface HttpProblem {
  /** No page describes the problem: `code` tells it apart. */
  readonly type: 'about:blank';
  /** The status in words. */
  readonly title: string;
  /** HTTP status. */
  readonly status: number;
  /** Which problem, for programs. */
  readonly code: HttpProblemCode;
  /** What is wrong, and what is allowed. */
  readonly detail: string;
  /** Of a bad body: where in it, as a JSON pointer (RFC 6901); the empty string means all of it. */
  readonly pointer?: string;
  /** Of a bad query: the parameter. */
  readonly parameter?: string;
}

/**
 * Which problem: no or unknown credentials (401); the credentials do not reach so far (403); no such route or metric (404); no such
 * method (405); a bad query or body (400, 413, 415); a budget that is not as `If-Match` or `If-None-Match` says (412); the ledger
 * cannot be read or written (503).
 */
export type HttpProblemCode =
  | 'ERR_UNAUTHORIZED'
  | 'ERR_FORBIDDEN'
  | 'ERR_NOT_FOUND'
  | 'ERR_METHOD_NOT_ALLOWED'
  | 'ERR_BAD_REQUEST'
  | 'ERR_PRECONDITION_FAILED'
  | 'ERR_STORE_UNAVAILABLE';

/** The media type of a {@link HttpProblem}. */
export const problemJson = 'application/problem+json';

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  503: 'Service Unavailable',
};

/** A request that is not answered; thrown by a route, caught where routes are called. */
export class Refused extends Error {
  readonly problem: HttpProblem;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: HttpProblemCode,
    detail: string,
    { headers = {}, ...where }: { readonly headers?: Record<string, string>; readonly pointer?: string; readonly parameter?: string } = {},
  ) {
    super(detail);
    this.problem = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, code, detail, ...where };
    this.headers = headers;
  }
}

/** A query parameter that cannot be read. */
export function badParameter(parameter: string, detail: string): Refused {
  return new Refused(400, 'ERR_BAD_REQUEST', detail, { parameter });
}

/** What an error means to the one who asked; undefined where it is nothing that an answer could tell of. */
export function refusalOf(error: unknown): Refused | undefined {
  if (error instanceof Refused) return error;
  // Paths and messages of the database are for the operator, who gets them as the tracker's own error elsewhere.
  if (isStoreError(error)) return new Refused(503, 'ERR_STORE_UNAVAILABLE', `the usage ledger cannot be used now (${error.code})`);
  return undefined;
}

/** A refusal as an answer. */
export function problemResponse({ problem, headers }: Refused): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: { 'content-type': problemJson, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff', ...headers },
  });
}
