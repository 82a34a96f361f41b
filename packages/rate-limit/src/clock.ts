/** Where time comes from. A test clock and the fake timers of any test runner fit. */
export interface Clock {
  /** Monotonic milliseconds: never goes back, starts anywhere. */
  now(): number;
  /** Milliseconds since the Unix epoch. */
  wall(): number;
  /** Runs `fn` once after `ms` milliseconds; returns what {@link Clock.clearTimeout} takes. */
  setTimeout(fn: () => void, ms: number): unknown;
  /** Cancels what {@link Clock.setTimeout} returned. */
  clearTimeout(timer: unknown): void;
}

// The global `performance` is behind a getter, which costs more than all else that a call does with time. Fake timers that
// replace it replace `Date` as well, a look at which costs nothing.
const [ownDate, ownPerformance] = [Date, performance];

/** The process's own clock. The globals are looked up at each call, so that fake timers drive it too. */
export const systemClock: Clock = {
  now: () => (Date === ownDate ? ownPerformance : performance).now(),
  wall: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
