/** The most probes a half-open circuit can have. */
export const mostProbes = 1_000;

/**
 * The probes of a half-open circuit: a fixed number in all, each leased until a deadline, so that a probe that never
 * ends cannot hold the circuit half-open.
 */
export class Probes {
  #deadlines: Map<number, number> | undefined; // of the probes that are out, by permit, the oldest first; made when one is
  /** Probes that ended well. */
  successes = 0;
  /** Probes that ended badly. */
  failures = 0;

  begin(): void {
    this.#deadlines = undefined;
    this.successes = this.failures = 0;
  }

  /** Whether that many probes are out or done. */
  full(permitted: number): boolean {
    return (this.#deadlines?.size ?? 0) + this.successes + this.failures >= permitted;
  }

  /** Lends a probe to `permit` until `deadline`. */
  lend(permit: number, deadline: number): void {
    this.#deadlines ??= new Map();
    this.#deadlines.set(permit, deadline);
  }

  /** Takes a probe back; false if that one is not out. */
  end(permit: number, result: 'success' | 'failure' | 'ignore'): boolean {
    if (this.#deadlines?.delete(permit) !== true) return false;
    if (result === 'success') this.successes += 1;
    if (result === 'failure') this.failures += 1;
    return true;
  }

  /** The first deadline of the probes that are out, or Infinity; not the oldest's where other settings came between. */
  earliestDeadline(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...(this.#deadlines?.values() ?? []));
  }
}
