/** How the waits of a retry grow. */
export type BackoffKind = 'exponential' | 'linear' | 'decorrelated-jitter';

/** How long to wait before each further attempt. */
export interface Backoff {
  /** @defaultValue `'exponential'` */
  readonly kind?: BackoffKind;
  readonly initialDelayMs: number;
  readonly multiplier: number;
  readonly maxDelayMs: number;
  /** Share of the delay that chance decides: 0 waits all of it, 1 anything from 0 up to it ("full jitter"). */
  readonly jitter: number;
}

/**
 * The wait after `attempt` failed attempts (1 after the first), in ms; `random` is a number from 0 up to 1, `previousMs` the
 * wait before this one.
 *
 * All three with jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function delayAfter(attempt: number, backoff: Backoff, random: number, previousMs = backoff.initialDelayMs): number {
  const { initialDelayMs, maxDelayMs } = backoff;
  if (backoff.kind === 'decorrelated-jitter') {
    const spread = Math.max(0, 3 * previousMs - initialDelayMs); // none below the first wait: a cap may be smaller than it
    return Math.min(maxDelayMs, initialDelayMs + spread * random);
  }
  const growth = backoff.kind === 'linear' ? attempt : backoff.multiplier ** (attempt - 1);
  const factor = Math.min(growth, Number.MAX_VALUE); // 0 times Infinity is no number
  return Math.min(maxDelayMs, initialDelayMs * factor) * (1 - backoff.jitter * random);
}
