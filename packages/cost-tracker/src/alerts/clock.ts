/** Where alerts read the time, and how they wait. */
export interface AlertClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since the Unix epoch. */
  wall(): number;
  /** Runs `fn` once after `ms` milliseconds; returns what {@link AlertClock.clearTimeout} takes. */
  setTimeout(fn: () => void, ms: number): unknown;
  /** Cancels what {@link AlertClock.setTimeout} returned. */
  clearTimeout(timer: unknown): void;
}

/** The process's own clock. The globals are looked up at each call, so that fake timers drive it too. */
export const systemClock: AlertClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

/** A timer that keeps no process alive. */
export function timer(clock: AlertClock, fn: () => void, ms: number): unknown {
  const started = clock.setTimeout(fn, ms);
  (started as { unref?: () => unknown } | undefined)?.unref?.();
  return started;
}

/** Rings at each of several instants, with one timer. */
export class Alarm {
  readonly #clock: AlertClock;
  readonly #ring: () => void;
  readonly #instants = new Set<number>();
  #timer: unknown;

  constructor(clock: AlertClock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** Rings once more, after `ms` milliseconds. */
  ringIn(ms: number): void {
    this.#instants.add(this.#clock.now() + ms);
    this.#arm();
  }

  /** Never rings again, unless it is asked to. */
  stop(): void {
    this.#instants.clear();
    this.#arm();
  }

  #arm(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#instants.size === 0) return;
    let next = Number.POSITIVE_INFINITY;
    for (const instant of this.#instants) next = Math.min(next, instant);
    this.#timer = timer(this.#clock, () => this.#fire(), next - this.#clock.now());
  }

  #fire(): void {
    const now = this.#clock.now();
    const due = [...this.#instants].filter((instant) => instant <= now);
    for (const instant of due) this.#instants.delete(instant);
    this.#arm();
    // Node's timers may fire a fraction of a millisecond early; it is armed again then.
    if (due.length > 0) this.#ring();
  }
}
