import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  /** Milliseconds after which waiting fails; 5 000 when absent. */
  timeoutMs?: number;
  /** What is waited for, as the error will say it. */
  what: string;
}

type Truthy<T> = Exclude<T, false | 0 | '' | null | undefined>;

const POLL_MS = 5;

/**
 * Waits for a condition of the outside world, which sends no event: asks every 5 ms and resolves with the first truthy
 * answer. A condition that throws counts as not yet met; the last error is the cause of the failure.
 */
export async function until<T>(condition: () => T | Promise<T>, { timeoutMs = 5_000, what }: UntilOptions): Promise<Truthy<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let cause: unknown;
    try {
      const answer = await condition();
      if (answer) return answer as Truthy<T>;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= deadline) throw new Error(`waited ${timeoutMs} ms in vain for: ${what}`, { cause });
    await sleep(POLL_MS);
  }
}
