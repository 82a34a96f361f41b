import { retryAfterOf, shouldRetryOf } from '../classifiers/server-hint.ts';
import type { Clock } from '../clock.ts';

/**
 * How long to stay away from what answered with `result`, in ms: 0 where it asks for nothing, Infinity where it says by
 * `x-should-retry: false` that another attempt is of no use.
 *
 * The error's own `retryAfterMs` is taken at its word, however long: a program wrote it.
 */
export function retryHintMs(result: unknown, clock: Pick<Clock, 'wall'>): number {
  if (typeof result !== 'object' || result === null) return 0;
  if (shouldRetryOf(result) === false) return Number.POSITIVE_INFINITY;
  const { retryAfterMs } = result as { readonly retryAfterMs?: unknown };
  return typeof retryAfterMs === 'number' && retryAfterMs > 0 ? retryAfterMs : (retryAfterOf(result, clock.wall()) ?? 0);
}
