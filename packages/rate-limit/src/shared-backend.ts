import { randomBytes } from 'node:crypto';
import { type Backend, type BackendParts, backendOf } from './backend.ts';
import type { Decision, Refused } from './decision.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Asked } from './local.ts';
import { Reservation } from './reservation.ts';
import { ConcurrencyRule } from './rules/concurrency.ts';
import { Shared } from './shared.ts';
import type { SharedStore, Store } from './store.ts';

/**
 * Makes a store of your own fit for a limiter, which asks it within bounded time and keeps its leases.
 *
 * @example
 * const limiter = new RateLimiter({ limits, store: sharedStore({ run, close }) });
 */
export function sharedStore(store: Store): SharedStore {
  return {
    run: (command, change) => store.run(command, change),
    close: () => store.close(),
    [backendOf]: (parts, old) => new SharedBackend(parts, old as SharedBackend | undefined),
  };
}

class SharedBackend implements Backend {
  readonly #parts: BackendParts;
  readonly #shared: Shared;
  readonly #heartbeat: Heartbeat;
  readonly #leaseMs: number;
  readonly #process: string; // tells what this process does from what others do
  #sent = 0;
  readonly size = 0;

  constructor(parts: BackendParts & { readonly store: Store }, old: SharedBackend | undefined) {
    this.#parts = parts;
    this.#shared = new Shared(parts, old === undefined ? undefined : old.#shared);
    this.#heartbeat = old !== undefined ? old.#heartbeat : new Heartbeat(parts.clock);
    const leases = parts.limits.map(({ rule }) => (rule instanceof ConcurrencyRule ? rule.leaseUs / 1_000 : Number.POSITIVE_INFINITY));
    this.#leaseMs = Math.min(...leases);
    this.#process = randomBytes(9).toString('base64url');
  }

  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Promise<Decision> {
    return this.#shared.decide(keys, costs, asked).then(({ decision }) => decision);
  }

  async reserve(keys: readonly string[], costs: readonly number[], levels: boolean): Promise<Reservation | Refused> {
    const reservation = this.#id();
    const sentAt = this.#parts.clock.now();
    const { decision, takenAt } = await this.#shared.decide(keys, costs, { charge: true, levels, reservation });
    if (!decision.allowed) return decision;
    const lost = new AbortController();
    const stop = typeof takenAt === 'number' ? this.#keep(keys, costs, reservation, lost, sentAt) : () => {};
    const settle = async (actual: readonly number[] | undefined): Promise<boolean> => {
      stop();
      const told = await this.#shared.settle(keys, costs, actual ?? nothing(costs), takenAt, reservation);
      this.#parts.freed(keys);
      return told;
    };
    return new Reservation(decision, { costs: this.#parts.costs, settle, lost: lost.signal });
  }

  async charge(keys: readonly string[], costs: readonly number[]): Promise<void> {
    await this.#shared.settle(keys, nothing(costs), costs, 0, '');
  }

  refund(keys: readonly string[], costs: readonly number[]): Promise<void> {
    return this.#shared.refund(keys, costs, this.#id());
  }

  reset(keys: readonly string[]): Promise<void> {
    return this.#shared.reset(keys);
  }

  close(): void {
    this.#heartbeat.close();
    this.#shared.close();
  }

  #keep(keys: readonly string[], costs: readonly number[], reservation: string, lost: AbortController, sentAt: number): () => void {
    if (this.#leaseMs === Number.POSITIVE_INFINITY) return () => {};
    const lessee = {
      leaseMs: this.#leaseMs,
      renew: () => this.#shared.renew(keys, costs, reservation),
      lost: (error: Error) => {
        this.#parts.listeners.emit('lease-lost', {});
        lost.abort(error);
      },
    };
    return this.#heartbeat.keep(lessee, sentAt);
  }

  #id(): string {
    this.#sent += 1;
    return `${this.#process}${this.#sent}`;
  }
}

function nothing(costs: readonly number[]): readonly number[] {
  return costs.map(() => 0);
}
