/** The most probes a half-open circuit can have. */
export const mostProbes = 1_000;

/**
 * The probes of a half-open circuit: a fixed number in all, each leased until a deadline, so that a probe that never
 * ends cannot hold the circuit half-open.
 */
export class Probes {
  #out: Map<number, Lease> | undefined; // by permit; made when one is lent
  /** Probes that ended well. */
  successes = 0;
  /** Probes that ended badly. */
  failures = 0;

  begin(): void {
    this.#out = undefined;
    this.successes = this.failures = 0;
  }

  /** Whether that many probes are out or done. */
  full(permitted: number): boolean {
    return (this.#out?.size ?? 0) + this.successes + this.failures >= permitted;
  }

  /** Lends a probe to `permit` until `deadline`. */
  lend(permit: number, deadline: number): void {
    this.#out ??= new Map();
    this.#out.set(permit, { deadline, answered: false });
  }

  /** The probe goes on, but is known to be well: at its deadline it gives its place back and has not failed. */
  answered(permit: number): void {
    const lease = this.#out?.get(permit);
    if (lease !== undefined) lease.answered = true;
  }

  /** Takes a probe back; false if that one is not out. */
  end(permit: number, result: 'success' | 'failure' | 'ignore'): boolean {
    if (this.#out?.delete(permit) !== true) return false;
    if (result === 'success') this.successes += 1;
    if (result === 'failure') this.failures += 1;
    return true;
  }

  /** The first deadline that a probe without an answer has missed, if one has; takes back those with an answer. */
  missed(now: number): number | undefined {
    let first: number | undefined;
    for (const [permit, { deadline, answered }] of this.#out ?? []) {
      if (deadline > now) continue;
      if (answered) this.#out?.delete(permit);
      else first = Math.min(first ?? deadline, deadline);
    }
    return first;
  }

  /** The first deadline of the probes that are out, or Infinity; not the oldest's where other settings came between. */
  earliestDeadline(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const { deadline } of this.#out?.values() ?? []) first = Math.min(first, deadline);
    return first;
  }
}

interface Lease {
  readonly deadline: number;
  answered: boolean;
}
