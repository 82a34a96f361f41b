/** How long to wait before each further attempt. */
export interface Backoff {
  readonly initialDelayMs: number;
  readonly multiplier: number;
  readonly maxDelayMs: number;
  /** Share of the delay that chance decides: 0 waits all of it, 1 anything from 0 up to it ("full jitter"). */
  readonly jitter: number;
}

/**
 * The wait after `attempt` failed attempts (1 after the first), in ms; `random` is a number from 0 up to 1.
 *
 * Exponential with jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function delayAfter(attempt: number, backoff: Backoff, random: number): number {
  const factor = Math.min(backoff.multiplier ** (attempt - 1), Number.MAX_VALUE); // 0 times Infinity is no number
  const ceiling = Math.min(backoff.maxDelayMs, backoff.initialDelayMs * factor);
  return ceiling * (1 - backoff.jitter * random);
}
