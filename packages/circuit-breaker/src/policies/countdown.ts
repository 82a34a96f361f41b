import type { Clock } from '../clock.ts';

/** A timer that can be paused; each pause needs a resume of its own. */
export class Countdown {
  readonly #clock: Clock;
  readonly #fire: () => void;
  #leftMs: number;
  #startedAt = 0;
  #timer: unknown;
  #pauses = 0;
  #over = false;

  constructor(clock: Clock, ms: number, fire: () => void) {
    this.#clock = clock;
    this.#leftMs = ms;
    this.#fire = fire;
    this.#start();
  }

  pause(): void {
    this.#pauses += 1;
    if (this.#over || this.#pauses > 1) return;
    this.#clock.clearTimeout(this.#timer);
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clock.now() - this.#startedAt));
  }

  resume(): void {
    this.#pauses -= 1;
    if (!this.#over && this.#pauses === 0) this.#start();
  }

  clear(): void {
    this.#over = true;
    this.#clock.clearTimeout(this.#timer);
  }

  #start(): void {
    this.#startedAt = this.#clock.now();
    this.#timer = this.#clock.setTimeout(() => {
      this.#over = true;
      this.#fire();
    }, this.#leftMs);
  }
}
