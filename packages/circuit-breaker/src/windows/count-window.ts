import { type RateThresholds, reached } from './rate-thresholds.ts';
import type { OpenReason, SlidingWindow, WindowCounts, WindowSnapshot } from './sliding-window.ts';

const FAILED = 1;
const SLOW = 2;

/** A ring of two bits a call with running sums: recording costs the same however large the window is. */
export class CountWindow implements SlidingWindow {
  readonly readsTime = false;
  readonly #size: number;
  readonly #ring: number[]; // eight calls a number: a small window of them takes half of what a typed array does
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
    this.#size = size;
    this.#ring = new Array<number>(Math.ceil(size / 8)).fill(0);
    this.#limit = limit;
  }

  record(failed: boolean, slow: boolean): OpenReason | undefined {
    const next = this.#next;
    const eight = this.#ring[next >> 3] ?? 0;
    const shift = (next & 7) << 1;
    if (this.#calls === this.#size) {
      const oldest = eight >> shift;
      this.#failures -= oldest & FAILED;
      this.#slowCalls -= (oldest & SLOW) >> 1;
    } else {
      this.#calls += 1;
    }
    this.#ring[next >> 3] = (eight & ~(3 << shift)) | (((failed ? FAILED : 0) | (slow ? SLOW : 0)) << shift);
    this.#next = next + 1 === this.#size ? 0 : next + 1;
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
    const call = (ago: number) => {
      const at = (this.#next - ago + this.#size) % this.#size;
      return ((this.#ring[at >> 3] ?? 0) >> ((at & 7) << 1)) & (FAILED | SLOW);
    };
    return { type: 'count', calls: Array.from({ length: this.#calls }, (_, i) => call(this.#calls - i)).join('') };
  }

  restore(snapshot: WindowSnapshot): void {
    if (snapshot.type !== 'count') return;
    this.clear();
    for (const call of snapshot.calls.slice(-this.#size)) this.record((Number(call) & FAILED) > 0, (Number(call) & SLOW) > 0);
  }
}
