import type { BudgetExceededError, UnpricedModelError } from '../errors.ts';

/**
 * The answer that says what a refusal says, as a server would have said it. The member `error` is what the clients of OpenAI and Anthropic
 * read a message and a code from.
 */
export function refusalResponse(error: BudgetExceededError | UnpricedModelError): Response {
  const problem = 'toProblem' in error ? error.toProblem() : problemOf(error);
  const shown = { type: 'permission_error', code: error.code, message: error.message };
  return new Response(JSON.stringify({ ...problem, error: shown }), {
    status: error.status,
    headers: { 'content-type': 'application/problem+json', 'x-should-retry': 'false' },
  });
}

function problemOf({ status, code, message, limit, model }: UnpricedModelError) {
  return { type: 'about:blank', title: 'Forbidden', status, code, detail: message, limit, model };
}
