/** The most probes a half-open circuit can have. */
export const mostProbes = 1_000;

/**
 * The probes of a half-open circuit: a fixed number in all, each leased until a deadline, so that a probe that never
 * ends cannot hold the circuit half-open.
 */
export class Probes {
  readonly #permitted: number;
  readonly #deadlines = new Map<number, number>(); // of the probes that are out, by permit, the oldest first
  #successes = 0;
  #failures = 0;

  constructor(permitted: number) {
    this.#permitted = permitted;
  }

  get successes(): number {
    return this.#successes;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Whether every probe is out or done. */
  get full(): boolean {
    return this.#deadlines.size + this.#successes + this.#failures >= this.#permitted;
  }

  begin(): void {
    this.#deadlines.clear();
    this.#successes = this.#failures = 0;
  }

  /** Lends a probe to `permit` until `deadline`; false where every probe is out or done. */
  take(permit: number, deadline: number): boolean {
    if (this.full) return false;
    this.#deadlines.set(permit, deadline);
    return true;
  }

  /** Takes a probe back; false if that one is not out. */
  end(permit: number, result: 'success' | 'failure' | 'ignore'): boolean {
    if (!this.#deadlines.delete(permit)) return false;
    if (result === 'success') this.#successes += 1;
    if (result === 'failure') this.#failures += 1;
    return true;
  }

  /** The deadline of the probe that has been out longest, or Infinity. */
  earliestDeadline(): number {
    return this.#deadlines.values().next().value ?? Number.POSITIVE_INFINITY;
  }
}
