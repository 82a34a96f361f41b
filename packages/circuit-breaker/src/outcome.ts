import { numberWithin, shown } from './options.ts';

/**
 * What a finished call says about the health of what was called.
 *
 * - `success` and `failure` count.
 * - `ignore` says nothing (a caller's mistake, a caller that left): the permit is given back and nothing is counted.
 * - `{ throttledMs }` is a server's request to stay away for that long: the circuit opens at least until then.
 */
export type Outcome = 'success' | 'failure' | 'ignore' | ThrottledOutcome;

/** A server's request to be left alone. */
export interface ThrottledOutcome {
  /** For how long, in ms; a finite number from 0 on. */
  readonly throttledMs: number;
}

/** Decides what a result means. A rule that throws, or answers anything else, counts as `failure` and is reported as `listener-error`. */
export interface Classifier {
  /** What a thrown error means; without it every error is a `failure`, except the refusals of this package's policies. */
  error?(error: unknown): Outcome;
  /** What a returned value means; without it every value is a `success`. */
  value?(value: unknown): Outcome;
}

/** What a rule of a classifier answers; where it throws, or answers with no outcome, that is told and counts as a failure. */
export function judged(classify: Classifier, rule: 'error' | 'value', what: unknown, listener: { threw(error: unknown): void }): Outcome {
  try {
    return checkedOutcome(rule === 'value' ? classify.value?.(what) : classify.error?.(what));
  } catch (error) {
    listener.threw(error);
    return 'failure';
  }
}

/** Returns what a classifier answered if it is an outcome; a promise or a hint of NaN would open the circuit for ever. */
export function checkedOutcome(answer: unknown): Outcome {
  if (answer === 'success' || answer === 'failure' || answer === 'ignore') return answer;
  if (typeof answer === 'object' && answer !== null && 'throttledMs' in answer) return { throttledMs: waitHint(answer.throttledMs) };
  if (answer instanceof Promise) answer.catch(() => {}); // what an async rule throws has nobody to hear it
  throw new RangeError(`a classifier must answer 'success', 'failure', 'ignore' or { throttledMs }, not ${shown(answer)}`);
}

/** Checks for how long a server asks to be left alone. */
export function waitHint(throttledMs: unknown): number {
  return numberWithin('throttledMs', throttledMs as number, 0, Number.MAX_SAFE_INTEGER);
}
