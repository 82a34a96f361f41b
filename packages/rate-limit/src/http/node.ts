import type { Connection } from './client-address.ts';
import { Ending, type EndingResponse } from './ending.ts';
import { HttpLimit, type HttpLimitOptions } from './limiting.ts';

/** What of a request of `node:http` is read. */
export interface NodeRequest {
  /** The method. */
  readonly method?: string | undefined;
  /** The path and the query. */
  readonly url?: string | undefined;
  /** The headers, their names in small letters. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The connection. */
  readonly socket: Connection;
}

/** What of a response of `node:http` is used. */
export interface NodeResponse extends EndingResponse {
  /** The status. */
  statusCode: number;
  /** Sets a header. */
  setHeader(name: string, value: string): unknown;
  /** Sends the rest. */
  end(body: string): unknown;
}

/**
 * Limits requests to a server of `node:http`, as middleware for anything that calls `(request, response, next)`, or on its own: it
 * resolves with whether the request was let through, and has answered it where not. The headers are set on both.
 *
 * A request whose client went away before the limiter answered is not let through. Errors of the limiter and of the options' functions go
 * to `next`; without it they reject.
 *
 * @throws RangeError for options that are unknown or not allowed
 * @example
 * const limit = nodeLimit({ limiter, subject: (request) => addressKey(client(request)) });
 * createServer(async (request, response) => {
 *   if (await limit(request, response)) response.end('hello');
 * });
 */
export function nodeLimit<Subject, Request extends NodeRequest = NodeRequest, Answer extends NodeResponse = NodeResponse>(
  options: HttpLimitOptions<Subject, Request, Answer>,
): (request: Request, response: Answer, next?: (error?: unknown) => void) => Promise<boolean> {
  return nodeMiddleware('nodeLimit', options);
}

/** {@link nodeLimit} by another name. */
export function nodeMiddleware<Subject, Request extends NodeRequest, Answer extends NodeResponse>(
  owner: string,
  options: HttpLimitOptions<Subject, Request, Answer>,
): (request: Request, response: Answer, next?: (error?: unknown) => void) => Promise<boolean> {
  const limit = new HttpLimit(owner, options);
  return async (request, response, next) => {
    let passed: boolean;
    try {
      passed = await answered(limit, request, response);
    } catch (error) {
      if (next === undefined) throw error;
      next(error);
      return false;
    }
    if (passed) next?.();
    return passed;
  };
}

async function answered<Subject, Request, Answer extends NodeResponse>(
  limit: HttpLimit<Subject, Request, Answer>,
  request: Request,
  response: Answer,
): Promise<boolean> {
  const ending = limit.holds ? new Ending(response) : undefined; // the client may leave while the limiter decides
  const admission = await limit.admit(request);
  if (admission.outcome === 'skipped') return true;
  const { hold } = admission.outcome === 'allowed' ? admission : {};
  if (ending?.over) hold?.release();
  if (ending?.over) return false;
  for (const [name, value] of Object.entries(admission.headers)) response.setHeader(name, value);
  if (admission.outcome === 'allowed') {
    if (hold !== undefined) (ending ?? new Ending(response)).whenOver(() => hold.end(limit.used(request, response)));
    return true;
  }
  response.statusCode = admission.status;
  response.end(admission.body);
  return false;
}
