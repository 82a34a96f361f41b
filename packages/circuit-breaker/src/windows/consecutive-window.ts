import type { OpenReason, SlidingWindow, WindowCounts, WindowSnapshot } from './sliding-window.ts';

/** Failures in a row. */
export class ConsecutiveWindow implements SlidingWindow {
  readonly readsTime = false;
  readonly #limit: number;
  #failures = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  record(failed: boolean): OpenReason | undefined {
    if (!failed) {
      this.#failures = 0;
      return undefined;
    }
    this.#failures += 1;
    return this.#failures >= this.#limit ? 'consecutive-failures' : undefined;
  }

  counts(): WindowCounts {
    return { calls: this.#failures, failures: this.#failures, slowCalls: 0 };
  }

  clear(): void {
    this.#failures = 0;
  }

  slowReached(): boolean {
    return false;
  }

  snapshot(): WindowSnapshot {
    return { type: 'consecutive', failures: this.#failures };
  }

  restore(snapshot: WindowSnapshot): void {
    if (snapshot.type === 'consecutive') this.#failures = snapshot.failures;
  }
}
