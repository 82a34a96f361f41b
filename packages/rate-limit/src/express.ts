import type { HttpLimitOptions } from './http/limiting.ts';
import { type NodeRequest, type NodeResponse, nodeMiddleware } from './http/node.ts';

/**
 * Middleware for Express 5 that limits requests; `settle` gets Express's request and response.
 *
 * What the limiter and the options' functions throw goes to `next`, and so to the error handlers of the application.
 *
 * @throws RangeError for options that are unknown or not allowed
 * @example
 * app.use(expressLimit({ limiter, subject: (request) => addressKey(client(request)) }));
 */
export function expressLimit<Subject, Request extends NodeRequest = NodeRequest, Answer extends NodeResponse = NodeResponse>(
  options: HttpLimitOptions<Subject, Request, Answer>,
): (request: Request, response: Answer, next: (error?: unknown) => void) => void {
  const limit = nodeMiddleware('expressLimit', options);
  return (request, response, next) => {
    void limit(request, response, next);
  };
}
