import { setImmediate } from 'node:timers/promises';

/** What `setTimeout` of a {@link ManualClock} returns; `unref` and `ref` are there because callers of Node's timers use them. */
export interface ManualTimer {
  ref(): ManualTimer;
  unref(): ManualTimer;
  hasRef(): boolean;
}

interface Entry {
  readonly due: number;
  readonly fn: () => void;
}

export interface ManualClockOptions {
  /** Monotonic milliseconds at the start; 1 000 000 when absent, because a clock that starts at 0 hides bugs with 0. */
  now?: number;
  /** Epoch milliseconds at the start; 2026-01-15T12:00:00Z when absent. */
  wall?: number;
}

const LONGEST_TIMEOUT = 2 ** 31 - 1;

/** A clock that stands still until it is told to move. */
export class ManualClock {
  #now: number;
  #wallAhead: number;
  #timers = new Map<ManualTimer, Entry>();

  constructor({ now = 1_000_000, wall = Date.UTC(2026, 0, 15, 12) }: ManualClockOptions = {}) {
    this.#now = now;
    this.#wallAhead = wall - now;
  }

  /** Monotonic milliseconds. */
  now(): number {
    return this.#now;
  }

  /** Milliseconds since 1970. */
  wall(): number {
    return this.#now + this.#wallAhead;
  }

  /** Timers that have neither fired nor been cleared. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** As in Node, a delay below 1, above 2³¹ - 1 or NaN is 1: code that overflows it fails here as it does there. */
  setTimeout(fn: () => void, ms: number): ManualTimer {
    const delay = ms >= 1 && ms <= LONGEST_TIMEOUT ? ms : 1;
    let referenced = true;
    const keep = (value: boolean): ManualTimer => {
      referenced = value;
      return timer;
    };
    const timer: ManualTimer = { ref: () => keep(true), unref: () => keep(false), hasRef: () => referenced };
    this.#timers.set(timer, { due: this.#now + delay, fn });
    return timer;
  }

  /** A timer that fired, was cleared or is undefined is ignored. */
  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as ManualTimer);
  }

  /** Moves both clocks on and fires what falls due, each timer at its own instant, equal instants in the order they were set. */
  advance(ms: number): void {
    const end = this.#end(ms);
    while (this.#fireNext(end));
    this.#now = end;
  }

  /** As `advance`, but what awaits a timer runs before the next timer fires. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.#end(ms);
    // A turn of the real event loop ends only when no microtask is left, however many follow from each other.
    do await setImmediate();
    while (this.#fireNext(end));
    this.#now = end;
    await setImmediate();
  }

  /** Moves the wall clock alone, forwards or back, as NTP and daylight do to a careless program. */
  jumpWall(ms: number): void {
    this.#wallAhead += ms;
  }

  #end(ms: number): number {
    if (!(ms >= 0)) throw new RangeError(`ms must be >= 0, got ${ms}`);
    return this.#now + ms;
  }

  #fireNext(end: number): boolean {
    let next: [ManualTimer, Entry] | undefined;
    for (const candidate of this.#timers) if (!next || candidate[1].due < next[1].due) next = candidate;
    if (!next || next[1].due > end) return false;
    this.#timers.delete(next[0]);
    this.#now = Math.max(this.#now, next[1].due);
    next[1].fn();
    return true;
  }
}
