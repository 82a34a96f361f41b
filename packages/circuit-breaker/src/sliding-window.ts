import { fraction, longestTimerMs, onlyKnown, wholeNumber } from './options.ts';

/** Which recent calls decide whether the circuit opens. */
export type SlidingWindowOptions = ConsecutiveWindowOptions | CountWindowOptions | TimeWindowOptions;

/** Opens after failures without a success between them. */
export interface ConsecutiveWindowOptions {
  /** Tells the windows apart. */
  readonly type: 'consecutive';
  /** How many failures in a row, 1 to 1 000 000. */
  readonly failures: number;
}

/** Looks at the last calls. */
export interface CountWindowOptions {
  /** Tells the windows apart. */
  readonly type: 'count';
  /** How many calls, 1 to 1 000 000; each takes a byte. */
  readonly size: number;
}

/** Looks at the calls of the last while. */
export interface TimeWindowOptions {
  /** Tells the windows apart. */
  readonly type: 'time';
  /** How long ago a call may have ended and still count. */
  readonly durationMs: number;
  /** Into how many equal parts that time is divided, 1 to 1 000; calls expire a part at a time. @defaultValue `10` */
  readonly buckets?: number;
}

/** Why a window says that the circuit should open. */
export type OpenReason = 'consecutive-failures' | 'failure-rate' | 'slow-call-rate';

/** The numbers a window holds now. */
export interface WindowCounts {
  /** Calls in the window. For a consecutive window: failures since the last success. */
  readonly calls: number;
  readonly failures: number;
  readonly slowCalls: number;
}

/** When a window of rates opens the circuit; thresholds are inclusive. */
export interface RateThresholds {
  readonly failureRate: number;
  readonly slowCallRate: number;
  readonly minimumCalls: number;
}

/** Remembers outcomes and says after each whether a threshold is reached. No I/O, no clock of its own. */
export interface SlidingWindow {
  /** Whether {@link SlidingWindow.record} looks at `now`. */
  readonly readsTime: boolean;
  /** Adds one call and evaluates the thresholds. */
  record(failed: boolean, slow: boolean, now: number): OpenReason | undefined;
  /** What the window holds at `now`. */
  counts(now: number): WindowCounts;
  /** Forgets everything. */
  clear(): void;
}

/** Makes the window that the options describe; throws a RangeError for values that contradict each other. */
export function slidingWindow(options: SlidingWindowOptions, thresholds: RateThresholds): SlidingWindow {
  switch (options?.type) {
    case 'consecutive':
      onlyKnown('slidingWindow', options, ['type', 'failures']);
      return new ConsecutiveWindow(wholeNumber('slidingWindow.failures', options.failures, 1, 1_000_000));
    case 'count':
      onlyKnown('slidingWindow', options, ['type', 'size']);
      return new CountWindow(countSize(options), thresholds);
    case 'time': {
      onlyKnown('slidingWindow', options, ['type', 'durationMs', 'buckets']);
      const { durationMs, buckets = 10 } = options;
      wholeNumber('slidingWindow.durationMs', durationMs, 1, longestTimerMs);
      return new TimeWindow(durationMs, wholeNumber('slidingWindow.buckets', buckets, 1, 1_000), thresholds);
    }
    default:
      throw new RangeError(
        `slidingWindow.type must be 'consecutive', 'count' or 'time', not '${String((options as { type?: unknown } | null)?.type)}'`,
      );
  }
}

/** The checked size of a count window. */
export function countSize({ size }: CountWindowOptions): number {
  return wholeNumber('slidingWindow.size', size, 1, 1_000_000);
}

/** Checks the thresholds of a window of rates. */
export function rateThresholds(failureRate: number, slowCallRate: number | undefined, minimumCalls: number): RateThresholds {
  return {
    failureRate: fraction('failureRateThreshold', failureRate),
    slowCallRate: slowCallRate === undefined ? Number.POSITIVE_INFINITY : fraction('slowCallRateThreshold', slowCallRate),
    minimumCalls: wholeNumber('minimumNumberOfCalls', minimumCalls, 1, 1_000_000),
  };
}

function reached(calls: number, failures: number, slowCalls: number, limit: RateThresholds): OpenReason | undefined {
  if (calls < limit.minimumCalls) return undefined;
  // divided, because 0.55 * 100 is a little more than 55
  if (failures / calls >= limit.failureRate) return 'failure-rate';
  if (slowCalls / calls >= limit.slowCallRate) return 'slow-call-rate';
  return undefined;
}

class ConsecutiveWindow implements SlidingWindow {
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
}

const FAILED = 1;
const SLOW = 2;

/** A ring of one byte a call with running sums: recording costs the same however large the window is. */
class CountWindow implements SlidingWindow {
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
}

/** Buckets that expire by time, not by calls: an idle hour leaves an empty window. */
class TimeWindow implements SlidingWindow {
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
    const at = this.#offset(this.#newest);
    this.#add(at, 1);
    this.#calls += 1;
    if (failed) {
      this.#add(at + 1, 1);
      this.#failures += 1;
    }
    if (slow) {
      this.#add(at + 2, 1);
      this.#slowCalls += 1;
    }
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

  #add(at: number, amount: number): void {
    this.#buckets[at] = (this.#buckets[at] ?? 0) + amount;
  }

  #offset(bucket: number): number {
    return (((bucket % this.#size) + this.#size) % this.#size) * 3;
  }
}
