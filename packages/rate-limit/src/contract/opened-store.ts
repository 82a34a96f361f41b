import { randomUUID } from 'node:crypto';
import type { Limit } from '../limit.ts';
import type { Change, Command, Demand, Lease, Reply, Settle, Store, Take } from '../store.ts';

/** A store to be tested, as its `open` gives it. */
export interface OpenedStore {
  /** The store. */
  readonly store: Store;
  /** Lets so many ms pass for the store: moves its clock, or waits. */
  advance(ms: number): Promise<void> | void;
  /** Lets go of what `open` opened. */
  close?(): Promise<void>;
}

/** What is asked of one limit: which, whose key, and how much. */
export type Ask = readonly [limit: Limit, cost: number, key?: string | undefined];

const unchanged: Change = { version: 0, carry: 'used' };

/** Puts commands to a store under names that no other run uses. */
export class Contractor {
  readonly #store: Store;
  readonly #namespace: string;

  constructor(store: Store, namespace: string = randomUUID()) {
    this.#store = store;
    this.#namespace = namespace;
  }

  /** The same limits and keys through another handle. */
  through(store: Store): Contractor {
    return new Contractor(store, this.#namespace);
  }

  run(command: Command, change: Change = unchanged): Promise<Reply> {
    return this.#store.run(command, change);
  }

  take(asks: readonly Ask[], options: Partial<Pick<Take, 'charge' | 'levels' | 'reservation'>> = {}, change?: Change): Promise<Reply> {
    return this.run({ do: 'take', demands: asks.map((ask) => this.demand(ask)), charge: true, levels: false, ...options }, change);
  }

  /** How much is left of a limit. */
  async left(limit: Limit, key?: string, change?: Change): Promise<number> {
    return (await this.take([[limit, 0, key]], { charge: false }, change)).limits[0]?.left ?? Number.NaN;
  }

  settle(ask: Ask, actual: number, reservation: string, takenAt: number): Promise<Reply> {
    const demands: Settle['demands'] = [{ ...this.demand(ask), reserved: ask[1], cost: actual }];
    return this.run({ do: 'settle', demands, reservation, takenAt });
  }

  renew(ask: Ask, reservation: string): Promise<Reply> {
    return this.run({ do: 'renew', demands: [this.demand(ask)], reservation });
  }

  lease(ask: Ask, before: Pick<Lease, 'used' | 'takenAt'> & { readonly reserved: number }, id: string): Promise<Reply> {
    const { used, takenAt, reserved } = before;
    return this.run({ do: 'lease', demands: [{ ...this.demand(ask), reserved }], used, takenAt, id });
  }

  demand([limit, cost, key = 'key']: Ask): Demand {
    return { limit: `${this.#namespace}|${limit.name}`, key, rule: limit.rule, cost };
  }
}
