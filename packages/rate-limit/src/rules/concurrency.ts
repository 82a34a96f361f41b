import { commonLimit, type Limit, type LimitOptions } from '../limit.ts';
import { onlyKnown, wholeNumber } from '../options.ts';
import { longestMs } from '../rate.ts';
import type { Rule } from './rule.ts';

/** How many calls may run at once. */
export interface ConcurrencyOptions<Subject = unknown> extends Omit<LimitOptions<Subject>, 'unit'> {
  /** The most at once. */
  readonly limit: number;
  /** A call whose process has not been heard of for so many ms is taken as ended. @defaultValue `30_000` */
  readonly leaseMs?: number;
}

/** A limit on how many calls run at once. */
export interface Concurrency<Subject = unknown> extends Limit<Subject> {
  /** The most at once. */
  readonly limit: number;
}

/** The unit of calls that run at once. */
export const callsAtOnce = 'concurrent-requests';

/**
 * So many calls at once, each from `reserve` or `acquire` until it is released or settled. A call holds a lease that is renewed while
 * its process lives, so that a process that dies gives its places back.
 */
export function concurrency<Subject = unknown>(options: ConcurrencyOptions<Subject>): Concurrency<Subject> {
  onlyKnown('concurrency', options, ['name', 'key', 'onStoreError', 'limit', 'leaseMs']);
  const limit = wholeNumber('concurrency: limit', options.limit, 1, 1_000_000);
  const leaseMs = wholeNumber('concurrency: leaseMs', options.leaseMs ?? 30_000, 100, longestMs);
  return {
    ...commonLimit('concurrency', options, callsAtOnce),
    description: `${limit} at once`,
    limit,
    rule: new ConcurrencyRule(limit, leaseMs),
  };
}

// A place comes free when some call ends, which nobody knows beforehand.
const askAgainUs = 100_000;

/** State: how many leases there are. Whose they are and when they end is kept beside it, by {@link Leases}. */
export class ConcurrencyRule implements Rule {
  readonly kind = 'concurrency';
  readonly byCalendar = false;
  readonly slots = 1;
  readonly most = 1;
  readonly windowMs = undefined;
  /** The most at once. */
  readonly limit: number;
  /** How long a lease lasts unless it is renewed, in µs. */
  readonly leaseUs: number;

  constructor(limit: number, leaseMs: number) {
    this.limit = limit;
    this.leaseUs = leaseMs * 1_000;
  }

  get settings(): readonly number[] {
    return [this.limit, this.leaseUs, askAgainUs];
  }

  advance(): void {}

  wait(state: Float64Array, at: number): number {
    return (state[at] as number) < this.limit ? 0 : askAgainUs;
  }

  take(state: Float64Array, at: number): void {
    state[at] = (state[at] as number) + 1;
  }

  hold(): void {}

  settle(): void {}

  refund(): void {}

  left(state: Float64Array, at: number): number {
    return Math.max(0, this.limit - (state[at] as number));
  }

  moreIn(state: Float64Array, at: number): number {
    return state[at] === 0 ? 0 : askAgainUs;
  }

  fullIn(state: Float64Array, at: number): number {
    return this.moreIn(state, at);
  }

  part(processes: number): Rule {
    return new ConcurrencyRule(Math.max(1, Math.floor(this.limit / processes)), this.leaseUs / 1_000);
  }

  carry(state: Float64Array): Float64Array {
    return state.slice();
  }
}

/** The leases of one key: an id each, and when it ends. */
export class Leases {
  readonly #until = new Map<string, number>();

  /** How many have not ended. */
  count(now: number): number {
    let running = 0;
    for (const until of this.#until.values()) if (until > now) running += 1;
    return running;
  }

  /** Forgets those that have ended. */
  prune(now: number): void {
    for (const [id, until] of this.#until) {
      if (until <= now) this.#until.delete(id);
    }
  }

  /** Begins a lease, or makes it last longer. */
  set(id: string, until: number): void {
    this.#until.set(id, until);
  }

  /** Makes a lease last longer; false where it has ended. */
  renew(id: string, now: number, until: number): boolean {
    if ((this.#until.get(id) ?? now) <= now) return false;
    this.#until.set(id, until);
    this.prune(now);
    return true;
  }

  /** Ends a lease. */
  end(id: string): void {
    this.#until.delete(id);
  }
}
