import { longestTimerMs, onlyKnown, wholeNumber } from '../options.ts';
import { ConsecutiveWindow } from './consecutive-window.ts';
import { CountWindow } from './count-window.ts';
import type { RateThresholds } from './rate-thresholds.ts';
import { TimeWindow } from './time-window.ts';

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
  /** How many calls, 1 to 1 000 000; four take a byte or two. */
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
  /** Failed calls in the window. */
  readonly failures: number;
  /** Slow calls in the window, failed or not. */
  readonly slowCalls: number;
}

/** Remembers outcomes and says after each whether a threshold is reached. No I/O, no clock of its own. */
export interface SlidingWindow {
  /** Whether {@link SlidingWindow.record} looks at `now`. */
  readonly readsTime: boolean;
  /** Adds one call and evaluates the thresholds. */
  record(failed: boolean, slow: boolean, now: number): OpenReason | undefined;
  /** Whether the window and `inFlight` calls that are slow but have not ended together reach the threshold of slow calls. */
  slowReached(inFlight: number, now: number): boolean;
  /** What the window holds at `now`. */
  counts(now: number): WindowCounts;
  /** Forgets everything. */
  clear(): void;
  /** What the window holds at `now`, for another window of the same type to go on with. */
  snapshot(now: number): WindowSnapshot;
  /** Takes over what another window held; where that was longer, its latest calls. */
  restore(snapshot: WindowSnapshot, now: number): void;
}

/** What a window holds, as plain JSON. */
export type WindowSnapshot = ConsecutiveWindowSnapshot | CountWindowSnapshot | TimeWindowSnapshot;

/** What a consecutive window holds. */
export interface ConsecutiveWindowSnapshot {
  /** Tells the windows apart. */
  readonly type: 'consecutive';
  /** Failures since the last success. */
  readonly failures: number;
}

/** What a count window holds. */
export interface CountWindowSnapshot {
  /** Tells the windows apart. */
  readonly type: 'count';
  /** A digit for each call, the oldest first: 0, plus 1 if it failed, plus 2 if it was slow. */
  readonly calls: string;
}

/** What a time window holds. */
export interface TimeWindowSnapshot {
  /** Tells the windows apart. */
  readonly type: 'time';
  /** The parts of the window that hold calls. */
  readonly buckets: readonly TimeBucket[];
}

/** Calls of one part of a time window. */
export interface TimeBucket extends WindowCounts {
  /** How long ago the part began when the snapshot was taken, in ms. */
  readonly ageMs: number;
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
