import { HttpLimit, type HttpLimitOptions } from './limiting.ts';
import { watched, withHeaders } from './web-response.ts';

/** What {@link limitHandler} puts a limiter in front of. `settle` gets the handler's response, whose body is already under way. */
export interface LimitHandlerOptions<Subject> extends HttpLimitOptions<Subject, Request, Response> {
  /** Answers the requests that are let through. */
  readonly handler: (request: Request) => Response | Promise<Response>;
}

/**
 * A handler of web-standard requests that asks a limiter before another handler is called, and adds the headers to its answer.
 *
 * The response has ended when its body was read, broke off or was cancelled; that of a `HEAD` request, and one without a body, at once. Where
 * the handler throws, and where its answer is dropped unread, there is nothing to settle by: what was reserved counts as used.
 *
 * @throws RangeError for options that are unknown or not allowed; the returned function rejects with what the limiter, the handler and
 * the options' functions throw.
 */
export function limitHandler<Subject>(options: LimitHandlerOptions<Subject>): (request: Request) => Promise<Response> {
  const limit = new HttpLimit<Subject, Request, Response>('limitHandler', options, ['handler']);
  const { handler } = options;
  if (typeof handler !== 'function') throw new RangeError(`limitHandler: handler must be a function, not ${String(handler)}`);
  return async (request) => {
    const admission = await limit.admit(request);
    if (admission.outcome === 'skipped') return handler(request);
    const { headers } = admission;
    if (admission.outcome === 'refused') return new Response(admission.body, { status: admission.status, headers });
    const { hold } = admission;
    try {
      const response = await handler(request);
      const told = withHeaders(response, headers);
      return hold === undefined ? told : watched(told, request.method === 'HEAD', hold, limit.used(request, response));
    } catch (error) {
      hold?.end();
      throw error;
    }
  };
}
