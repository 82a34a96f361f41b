/** The most probes a half-open circuit can have; also the distance between the permits of two generations. */
export const mostProbes = 1_000;

/**
 * The permits of a half-open circuit: a fixed number in all, each leased until a deadline, so that a probe that never
 * ends cannot hold the circuit half-open.
 */
export class Probes {
  readonly #deadlines: Float64Array; // of the probes that are out; 0 for a free place
  #out = 0;
  #successes = 0;
  #failures = 0;

  constructor(permitted: number) {
    this.#deadlines = new Float64Array(permitted);
  }

  get successes(): number {
    return this.#successes;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Whether every probe is out or done. */
  get full(): boolean {
    return this.#out + this.#successes + this.#failures >= this.#deadlines.length;
  }

  begin(): void {
    this.#deadlines.fill(0);
    this.#out = this.#successes = this.#failures = 0;
  }

  /** Takes a place until `deadline`: its number from 1 on, or 0 where every probe is out or done. */
  take(deadline: number): number {
    if (this.full) return 0;
    const place = this.#deadlines.indexOf(0);
    this.#deadlines[place] = deadline;
    this.#out += 1;
    return place + 1;
  }

  /** Gives a place back; false if that probe is not out. */
  end(place: number, result: 'success' | 'failure' | 'ignore'): boolean {
    if (!((this.#deadlines[place - 1] ?? 0) > 0)) return false;
    this.#deadlines[place - 1] = 0;
    this.#out -= 1;
    if (result === 'success') this.#successes += 1;
    if (result === 'failure') this.#failures += 1;
    return true;
  }

  /** The deadline of the probe that has been out longest, or Infinity. */
  earliestDeadline(): number {
    let earliest = Number.POSITIVE_INFINITY;
    for (const deadline of this.#deadlines) if (deadline > 0 && deadline < earliest) earliest = deadline;
    return earliest;
  }
}
