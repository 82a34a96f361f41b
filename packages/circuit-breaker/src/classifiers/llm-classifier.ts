import { oneOf, onlyKnown } from '../options.ts';
import type { Classifier, Outcome } from '../outcome.ts';
import { apiErrors, fieldsOf } from './api-error.ts';
import {
  answerOutcome,
  type HttpClassifierOptions,
  httpOptions,
  type StatusRules,
  statusOutcome,
  statusRules,
  thrownOutcome,
} from './http-classifier.ts';
import { isStatus, namesOf, statusOf } from './thrown.ts';

/** What an {@link llmClassifier} makes of answers that are neither good nor an outage. */
export interface LlmClassifierOptions extends HttpClassifierOptions {
  /**
   * What it means that the account is out of credit, over its spending limit or over the quota of the day. Waiting does not help and
   * the service is well, so it counts as nothing and the caller sees the error that says what to do. `failure` stops the calls,
   * for a breaker that guards a single key and has a fallback behind it. @defaultValue `'ignore'`
   */
  readonly quotaExhausted?: 'ignore' | 'failure';
}

/** By which `type` or `code` OpenAI and Anthropic say that no call succeeds until somebody pays or a limit is raised. */
const unpaid = new Set([
  'insufficient_quota',
  'billing_hard_limit_reached',
  'billing_not_active',
  'credit_balance_exhausted',
  'organization_spend_limit_exceeded',
  'organization_usage_limit_exceeded',
  'project_spend_limit_exceeded',
  'billing_error',
  'enforced_spend_limit_reached',
]);

/** The status that goes with a `type`, `code` or `status` word, for errors within a stream or body, which have none. */
const statuses: Readonly<Record<string, number>> = {
  overloaded_error: 529,
  rate_limit_error: 429,
  rate_limit_exceeded: 429,
  RESOURCE_EXHAUSTED: 429,
  api_error: 500,
  server_error: 500,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  timeout_error: 504,
  DEADLINE_EXCEEDED: 504,
  invalid_request_error: 400,
  context_length_exceeded: 400,
  content_filter: 400,
  invalid_prompt: 400,
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  authentication_error: 401,
  UNAUTHENTICATED: 401,
  permission_error: 403,
  PERMISSION_DENIED: 403,
  not_found_error: 404,
  model_not_found: 404,
  NOT_FOUND: 404,
  request_too_large: 413,
};

/** Thrown by `openai` about an answer that was good as far as the service is concerned. */
const answered = ['LengthFinishReasonError', 'ContentFilterFinishReasonError'];

/**
 * Judges calls of language models: as {@link httpClassifier}, and what the providers say in their error objects: OpenAI's, Anthropic's and
 * Gemini's, parsed, within a stream, or in errors of `openai`, `@anthropic-ai/sdk`, `@google/genai` and the Vercel AI SDK.
 *
 * A model that is not there (404), a context that is too long (400) and filtered content are no outage.
 *
 * @throws RangeError for options that are unknown or not allowed.
 */
export function llmClassifier(options: LlmClassifierOptions = {}): Classifier {
  onlyKnown('llmClassifier', options, [...httpOptions, 'quotaExhausted']);
  const { quotaExhausted = 'ignore' } = options;
  oneOf('quotaExhausted', quotaExhausted, ['ignore', 'failure']);
  const rules = statusRules(options, quotaExhausted);
  return {
    value: (answer) => answerOutcome(answer, rules) ?? bodyOutcome(answer, rules) ?? 'success',
    error: (error) => thrownOutcome(error, (link) => errorOutcome(link, rules)),
  };
}

function bodyOutcome(answer: unknown, rules: StatusRules): Outcome | undefined {
  return fieldsOf(fieldsOf(answer)?.['error']) === undefined ? undefined : errorOutcome(answer, rules);
}

function errorOutcome(error: unknown, rules: StatusRules): Outcome | undefined {
  if (namesOf(error).some((name) => answered.includes(name as string))) return 'success';
  const found = apiErrors(error);
  const words = found.flatMap(({ code, type, status, details }) => [code, type, status, fieldsOf(details)?.['error_code']]);
  const status = statusOf(error) ?? words.find(isStatus) ?? words.map((word) => statuses[String(word)]).find(isStatus);
  const hopeless = status === 402 || words.some((word) => unpaid.has(word as string)) || found.some(outOfDailyQuota);
  if (hopeless) return rules.hopeless;
  return status === undefined ? undefined : statusOutcome(status, error, rules);
}

/** Gemini names a wait of seconds also for a quota of the day; that it is one is told by a google.rpc.QuotaFailure beside it. */
function outOfDailyQuota({ details, errorDetails }: { readonly [key: string]: unknown }): boolean {
  return [details, errorDetails]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .flatMap((detail) => fieldsOf(detail)?.['violations'] ?? [])
    .some((violation) => String(fieldsOf(violation)?.['quotaId']).includes('PerDay'));
}
