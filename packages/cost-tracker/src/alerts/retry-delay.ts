/** How the waits between attempts grow. */
export interface RetryWaits {
  /** The first wait, in milliseconds. */
  readonly initialDelayMs: number;
  /** The longest wait. */
  readonly maxDelayMs: number;
}

const DAY_MS = 86_400_000;

/**
 * How long to wait after an attempt failed, in milliseconds: twice as long each time up to the longest, less up to half of it by chance,
 * so that many senders do not come back at once. Never less than the receiver asked for, up to a day.
 */
export function retryDelayMs(earlier: number, askedMs: number | undefined, waits: RetryWaits, random: () => number): number {
  const full = Math.min(waits.maxDelayMs, waits.initialDelayMs * 2 ** Math.min(earlier, 60));
  const wait = Math.ceil(full / 2 + (full / 2) * random());
  return Math.max(wait, Math.ceil(Math.min(askedMs ?? 0, DAY_MS)));
}
