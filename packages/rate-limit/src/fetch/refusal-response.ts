import type { RateLimitError } from '../decision.ts';

/** The answer that says what a refusal says, as a server would have said it. */
export function refusalResponse({ code, message, limit, retryAfterMs }: RateLimitError): Response {
  const status = code === 'ERR_STORE_UNAVAILABLE' ? 503 : 429;
  const headers = new Headers({ 'content-type': 'application/problem+json' });
  const known = Number.isFinite(retryAfterMs);
  if (known) {
    headers.set('retry-after', String(Math.ceil(retryAfterMs / 1_000)));
    headers.set('retry-after-ms', String(Math.ceil(retryAfterMs)));
  } else {
    headers.set('x-should-retry', 'false'); // no wait will do; the clients of OpenAI and Anthropic heed it
  }
  const problem = {
    type: status === 429 ? 'https://iana.org/assignments/http-problem-types#quota-exceeded' : 'about:blank',
    title: 'The request was not sent',
    status,
    detail: message,
    code,
    limit,
    ...(known && { retryAfterMs }),
  };
  return new Response(JSON.stringify(problem), { status, headers });
}
