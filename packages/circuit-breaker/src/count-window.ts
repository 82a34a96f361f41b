import { type RateThresholds, reached } from './rate-thresholds.ts';
import type { OpenReason, SlidingWindow, WindowCounts, WindowSnapshot } from './sliding-window.ts';

const FAILED = 1;
const SLOW = 2;

/** A ring of one byte a call with running sums: recording costs the same however large the window is. */
export class CountWindow implements SlidingWindow {
  readonly readsTime = false;
  readonly #ring: Uint8Array;
  readonly #limit: RateThresholds;
  #next = 0;
  #calls = 0;
  #failures = 0;
  #slowCalls = 0;

  constructor(size: number, limit: RateThresholds) {
    if (limit.minimumCalls > size) {
      throw new RangeError(
        `minimumNumberOfCalls (${limit.minimumCalls}) is above slidingWindow.size (${size}): the circuit could never open`,
      );
    }
    this.#ring = new Uint8Array(size);
    this.#limit = limit;
  }

  record(failed: boolean, slow: boolean): OpenReason | undefined {
    const ring = this.#ring;
    if (this.#calls === ring.length) {
      const oldest = ring[this.#next] ?? 0;
      this.#failures -= oldest & FAILED;
      this.#slowCalls -= (oldest & SLOW) >> 1;
    } else {
      this.#calls += 1;
    }
    ring[this.#next] = (failed ? FAILED : 0) | (slow ? SLOW : 0);
    this.#next = this.#next + 1 === ring.length ? 0 : this.#next + 1;
    if (failed) this.#failures += 1;
    if (slow) this.#slowCalls += 1;
    return reached(this.#calls, this.#failures, this.#slowCalls, this.#limit);
  }

  counts(): WindowCounts {
    return { calls: this.#calls, failures: this.#failures, slowCalls: this.#slowCalls };
  }

  clear(): void {
    this.#next = this.#calls = this.#failures = this.#slowCalls = 0;
  }

  slowReached(inFlight: number): boolean {
    return reached(this.#calls + inFlight, 0, this.#slowCalls + inFlight, this.#limit) !== undefined;
  }

  snapshot(): WindowSnapshot {
    const oldestFirst = [...this.#ring.subarray(this.#next), ...this.#ring.subarray(0, this.#next)];
    return { type: 'count', calls: oldestFirst.slice(oldestFirst.length - this.#calls).join('') };
  }

  restore(snapshot: WindowSnapshot): void {
    if (snapshot.type !== 'count') return;
    this.clear();
    for (const call of snapshot.calls.slice(-this.#ring.length)) this.record((Number(call) & FAILED) > 0, (Number(call) & SLOW) > 0);
  }
}
