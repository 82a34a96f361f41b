import { type RateThresholds, reached } from './rate-thresholds.ts';
import type { OpenReason, SlidingWindow, TimeBucket, WindowCounts, WindowSnapshot } from './sliding-window.ts';

/** Buckets that expire by time, not by calls: an idle hour leaves an empty window. */
export class TimeWindow implements SlidingWindow {
  readonly readsTime = true;
  readonly #buckets: Float64Array; // calls, failures, slow calls of each bucket
  readonly #bucketMs: number;
  readonly #size: number;
  readonly #limit: RateThresholds;
  #newest = Number.NEGATIVE_INFINITY; // number of the newest bucket since the clock's zero
  #calls = 0;
  #failures = 0;
  #slowCalls = 0;

  constructor(durationMs: number, buckets: number, limit: RateThresholds) {
    this.#buckets = new Float64Array(buckets * 3);
    this.#bucketMs = durationMs / buckets;
    this.#size = buckets;
    this.#limit = limit;
  }

  record(failed: boolean, slow: boolean, now: number): OpenReason | undefined {
    this.#expire(now);
    this.#fill(this.#offset(this.#newest), 1, failed ? 1 : 0, slow ? 1 : 0);
    return reached(this.#calls, this.#failures, this.#slowCalls, this.#limit);
  }

  counts(now: number): WindowCounts {
    this.#expire(now);
    return { calls: this.#calls, failures: this.#failures, slowCalls: this.#slowCalls };
  }

  clear(): void {
    this.#buckets.fill(0);
    this.#calls = this.#failures = this.#slowCalls = 0;
  }

  slowReached(inFlight: number, now: number): boolean {
    this.#expire(now);
    return reached(this.#calls + inFlight, 0, this.#slowCalls + inFlight, this.#limit) !== undefined;
  }

  snapshot(now: number): WindowSnapshot {
    this.#expire(now);
    const buckets: TimeBucket[] = [];
    for (let bucket = this.#newest - this.#size + 1; bucket <= this.#newest; bucket += 1) {
      const at = this.#offset(bucket);
      const [calls = 0, failures = 0, slowCalls = 0] = this.#buckets.subarray(at, at + 3);
      if (calls > 0) buckets.push({ ageMs: Math.max(0, now - bucket * this.#bucketMs), calls, failures, slowCalls });
    }
    return { type: 'time', buckets };
  }

  restore(snapshot: WindowSnapshot, now: number): void {
    if (snapshot.type !== 'time') return;
    this.clear();
    this.#newest = Math.floor(now / this.#bucketMs);
    for (const { ageMs, calls, failures, slowCalls } of snapshot.buckets) {
      const bucket = Math.floor((now - ageMs) / this.#bucketMs + 1e-6); // what began a bucket shall begin it again
      if (bucket <= this.#newest - this.#size) continue;
      this.#fill(this.#offset(Math.min(bucket, this.#newest)), calls, failures, slowCalls);
    }
  }

  #expire(now: number): void {
    const current = Math.floor(now / this.#bucketMs);
    if (current - this.#newest >= this.#size) {
      this.clear();
    } else {
      for (let bucket = this.#newest + 1; bucket <= current; bucket += 1) this.#drop(this.#offset(bucket));
    }
    if (current > this.#newest) this.#newest = current;
  }

  #drop(at: number): void {
    this.#calls -= this.#buckets[at] ?? 0;
    this.#failures -= this.#buckets[at + 1] ?? 0;
    this.#slowCalls -= this.#buckets[at + 2] ?? 0;
    this.#buckets.fill(0, at, at + 3);
  }

  #fill(at: number, calls: number, failures: number, slowCalls: number): void {
    const buckets = this.#buckets;
    buckets[at] = (buckets[at] ?? 0) + calls;
    buckets[at + 1] = (buckets[at + 1] ?? 0) + failures;
    buckets[at + 2] = (buckets[at + 2] ?? 0) + slowCalls;
    this.#calls += calls;
    this.#failures += failures;
    this.#slowCalls += slowCalls;
  }

  #offset(bucket: number): number {
    return (((bucket % this.#size) + this.#size) % this.#size) * 3;
  }
}
