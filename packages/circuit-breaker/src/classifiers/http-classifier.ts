import { type Clock, systemClock } from '../clock.ts';
import { isRefusal } from '../errors.ts';
import { longestTimerMs, numberWithin, oneOf, onlyKnown } from '../options.ts';
import type { Classifier, Outcome } from '../outcome.ts';
import { fieldsOf } from './api-error.ts';
import { retryAfterOf, shouldRetryOf } from './server-hint.ts';
import { causes, isAbort, isMistake, isTimeLimit, statusOf } from './thrown.ts';

/** What an {@link httpClassifier} makes of answers that ask for fewer calls. */
export interface HttpClassifierOptions {
  /**
   * What a 429 means, and a 403 that says when to come back: `throttled` opens the circuit for as long as the server asks, `failure`
   * counts it like an outage, `ignore` leaves it to a rate limiter of your own. @defaultValue `'throttled'`
   */
  readonly rateLimited?: 'throttled' | 'failure' | 'ignore';
  /**
   * What a throttling answer (429, 503, 529) means that does not say for how long; a number is the wait in ms to assume. By default
   * it counts: one alone opens nothing, as nobody asked for that, and many of them are an outage. @defaultValue `'failure'`
   */
  readonly throttledWithoutHint?: 'failure' | 'ignore' | number;
  /** Where the time comes from to which HTTP dates are compared if an answer has no `Date`. */
  readonly clock?: Pick<Clock, 'wall'>;
}

/**
 * What statuses mean, with every choice made.
 *
 * @internal
 */
export interface StatusRules extends Required<HttpClassifierOptions> {
  /** What an answer means after which waiting does not help, such as a quota that is paid for. */
  readonly hopeless: 'ignore' | 'failure';
}

/** @internal */
export const httpOptions = ['rateLimited', 'throttledWithoutHint', 'clock'];

/**
 * Judges answers and errors of HTTP clients: `fetch`, undici, axios, got and whatever has a `status` or `statusCode`.
 *
 * 1xx to 3xx are successes, 408 and 5xx failures, 429, 503 and 529 throttled, and all other 4xx are the caller's mistake and count as
 * nothing, as does a 429 with `x-should-retry: false`. Errors without a status are failures (refused, reset and broken connections, names that
 * do not resolve, time limits), except a caller's abort, an invalid URL or argument and refusals by limits of the caller's own.
 *
 * @throws RangeError for options that are unknown or not allowed.
 */
export function httpClassifier(options: HttpClassifierOptions = {}): Classifier {
  onlyKnown('httpClassifier', options, httpOptions);
  const rules = statusRules(options, 'ignore');
  return {
    value: (answer) => answerOutcome(answer, rules) ?? 'success',
    error: (error) =>
      thrownOutcome(error, (link) => {
        const status = statusOf(link);
        return status === undefined ? undefined : statusOutcome(status, link, rules);
      }),
  };
}

/** @internal */
export function statusRules(options: HttpClassifierOptions, hopeless: StatusRules['hopeless']): StatusRules {
  const { rateLimited = 'throttled', throttledWithoutHint = 'failure', clock = systemClock } = options;
  oneOf('rateLimited', rateLimited, ['throttled', 'failure', 'ignore']);
  if (typeof throttledWithoutHint === 'number') numberWithin('throttledWithoutHint', throttledWithoutHint, 0, longestTimerMs);
  else oneOf('throttledWithoutHint', throttledWithoutHint, ['failure', 'ignore', 'a number of ms']);
  return { rateLimited, throttledWithoutHint, clock, hopeless };
}

/**
 * What an answer of an HTTP client means; undefined for any other value. Headers tell it from a value that has a `status` of its own.
 *
 * @internal
 */
export function answerOutcome(answer: unknown, rules: StatusRules): Outcome | undefined {
  const fields = fieldsOf(answer);
  if (fields === undefined || fieldsOf(fields['headers']) === undefined) return undefined;
  if (fields['status'] === 0) return fields['type'] === 'error' ? 'failure' : 'success'; // opaque: there was an answer
  const status = statusOf(fields);
  return status === undefined ? undefined : statusOutcome(status, answer, rules);
}

/**
 * What a status means; `source` is where a hint may be.
 *
 * @internal
 */
export function statusOutcome(status: number, source: unknown, rules: StatusRules): Outcome {
  if (status < 400) return 'success';
  if (status === 429 || status === 503 || status === 529) return throttled(status, source, rules);
  if (status === 403 && hintOf(source, rules) !== undefined) return throttled(status, source, rules); // GitHub's rate limit
  return status >= 500 || status === 408 ? 'failure' : 'ignore';
}

function throttled(status: number, source: unknown, rules: StatusRules): Outcome {
  if (status < 500 && rules.rateLimited !== 'throttled') return rules.rateLimited;
  const hint = hintOf(source, rules);
  if (hint !== undefined) return { throttledMs: hint };
  if (status === 429 && shouldRetryOf(source) === false) return rules.hopeless;
  const { throttledWithoutHint } = rules;
  return typeof throttledWithoutHint === 'number' ? { throttledMs: throttledWithoutHint } : throttledWithoutHint;
}

function hintOf(source: unknown, { clock }: StatusRules): number | undefined {
  return retryAfterOf(source, clock.wall());
}

/**
 * What a thrown error means. Whether the call was made at all and who ended it is looked for before `judge` is asked about the
 * error and its causes, outermost first.
 *
 * @internal
 */
export function thrownOutcome(error: unknown, judge: (link: unknown) => Outcome | undefined): Outcome {
  const chain = causes(error);
  if (chain.some(isRefusal)) return 'ignore';
  if (chain.some(isTimeLimit)) return 'failure';
  if (chain.some(isAbort)) return 'ignore';
  for (const link of chain) {
    const outcome = judge(link);
    if (outcome !== undefined) return outcome;
  }
  return chain.some(isMistake) ? 'ignore' : 'failure';
}
