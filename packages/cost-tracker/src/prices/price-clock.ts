/** Where a price book reads the time and waits. */
export interface PriceClock {
  /** Milliseconds since the Unix epoch. */
  wall(): number;
  /** Runs `fn` once after `ms` milliseconds; returns what {@link PriceClock.clearTimeout} takes. */
  setTimeout(fn: () => void, ms: number): unknown;
  /** Cancels what {@link PriceClock.setTimeout} returned. */
  clearTimeout(timer: unknown): void;
}

/** The process's own clock. The globals are looked up at each call, so that fake timers drive it too. */
export const systemClock: PriceClock = {
  wall: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};
