import { isTimeoutError } from '../errors.ts';
import { fieldsOf } from './api-error.ts';

/** A chain of causes longer than this, or one that bites its tail, is cut. */
const longestChain = 8;

/** An error and what it was caused by, outermost first; a `RetryError` of the Vercel AI SDK leads to its last attempt. */
export function causes(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  for (let link = error; link !== undefined && link !== null && chain.length < longestChain; ) {
    chain.push(link);
    const fields = fieldsOf(link);
    link = fields?.['lastError'] ?? fields?.['cause'];
  }
  return chain;
}

/** The HTTP status that an answer or an error carries, by any of the names that clients give it. */
export function statusOf(source: unknown): number | undefined {
  const fields = fieldsOf(source);
  const response = fieldsOf(fields?.['response']);
  const named = [fields?.['status'], fields?.['statusCode'], response?.['status'], response?.['statusCode']];
  return [...named, fieldsOf(fields?.['$metadata'])?.['httpStatusCode']].find(isStatus);
}

/** Whether `value` is a number that can be an HTTP status. */
export function isStatus(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599;
}

/** The name of an error and that of its class: `openai` leaves the former at `Error`. */
export function namesOf(error: unknown): readonly unknown[] {
  const fields = fieldsOf(error);
  return fields === undefined ? [] : [fields['name'], (fields['constructor'] as { name?: unknown } | undefined)?.name];
}

/** Whether a time limit ran out: ours, `AbortSignal.timeout`'s or a client's that calls it so. */
export function isTimeLimit(error: unknown): boolean {
  return isTimeoutError(error) || namesOf(error).includes('TimeoutError');
}

/** Whether the caller called the request off. A client that aborts at a time limit without saying so looks the same. */
export function isAbort(error: unknown): boolean {
  const { code, message } = fieldsOf(error) ?? {};
  const names = namesOf(error);
  if (names.includes('AbortError') || names.includes('APIUserAbortError')) return true;
  // the last is what is left of openai's and anthropic's APIUserAbortError in minified code
  return code === 'ABORT_ERR' || code === 'ERR_CANCELED' || code === 'UND_ERR_ABORTED' || message === 'Request was aborted.';
}

/** Whether the request could not be made as it was written. */
export function isMistake(error: unknown): boolean {
  const code = fieldsOf(error)?.['code'];
  return typeof code === 'string' && (code.startsWith('ERR_INVALID_') || code === 'UND_ERR_INVALID_ARG');
}
