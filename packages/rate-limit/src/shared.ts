import { Alone } from './alone.ts';
import { BoundedStore } from './bounded-store.ts';
import type { Clock } from './clock.ts';
import type { TakenAt } from './counts.ts';
import { type Decision, RateLimitError } from './decision.ts';
import { storedKey } from './demand.ts';
import type { Listeners } from './events.ts';
import type { Limit } from './limit.ts';
import type { Asked } from './local.ts';
import type { Change, Command, Demand, Reply, Store } from './store.ts';
import { type Outcome, Verdicts } from './verdict.ts';

/** What {@link Shared} is made of. */
export interface SharedParts {
  readonly store: Store;
  readonly limits: readonly Limit<never>[];
  readonly groupOf: readonly number[];
  readonly name: string;
  readonly clock: Clock;
  readonly decisionTimeoutMs: number;
  readonly instances: number;
  readonly maxKeys: number;
  readonly listeners: Listeners;
  readonly change: Change;
}

/** A decision, and when it was made: by the store's time, or by this process's where the store did not answer. */
export interface Answer {
  readonly decision: Decision;
  readonly takenAt: number | TakenAt;
}

/** The limits of a limiter that are kept in a store, and what is answered while it cannot be asked. */
export class Shared {
  readonly #parts: SharedParts;
  readonly #bounded: BoundedStore;
  readonly #verdicts: Verdicts;
  readonly #names: readonly string[];
  readonly #closed: number;
  readonly #alone: readonly number[];
  #counted: Alone | undefined;

  /** `old` has asked the same store until now. */
  constructor(parts: SharedParts, old?: Shared) {
    this.#parts = parts;
    this.#verdicts = new Verdicts(parts.limits);
    this.#names = parts.limits.map(({ name }) => `${encodeURIComponent(parts.name)}|${encodeURIComponent(name)}`);
    this.#closed = parts.limits.findIndex(({ onStoreError }) => onStoreError === 'closed');
    this.#alone = [...parts.limits.keys()].filter((i) => parts.limits[i]?.onStoreError === 'local');
    this.#bounded = old !== undefined ? old.#bounded : new BoundedStore(parts.store, parts.decisionTimeoutMs, parts.clock, health(parts.listeners));
  }

  /** What the store says, or `onStoreError`; and when that was. */
  async decide(keys: readonly string[], costs: readonly number[], asked: Asked): Promise<Answer> {
    const { charge, levels, reservation } = asked;
    const demands = this.#demands(keys, costs);
    const command: Command = { do: 'take', demands, charge, levels, ...(reservation === undefined ? {} : { reservation }) };
    const reply = await this.#bounded.ask(command, this.#parts.change, (late) => {
      if (late.done && reservation !== undefined) this.#tell({ do: 'settle', demands: settled(demands, () => 0), reservation, takenAt: late.now });
    });
    if (reply === undefined) return this.#withoutStore(keys, costs, asked);
    const outcome = outcomeOf(reply);
    return { decision: reply.done ? this.#verdicts.allowed(outcome, levels) : this.#verdicts.refused(outcome, levels), takenAt: reply.now };
  }

  /** Makes a reservation exact; false where the store did not say in time that it did. */
  async settle(keys: readonly string[], reserved: readonly number[], actual: readonly number[], takenAt: number | TakenAt, reservation: string): Promise<boolean> {
    if (typeof takenAt !== 'number') {
      this.#counted?.settle(keys, reserved, actual, takenAt, reservation);
      return true;
    }
    const demands = settled(this.#demands(keys, reserved), (i) => actual[i] as number);
    return (await this.#ask({ do: 'settle', demands, reservation, takenAt })) !== undefined;
  }

  /** Makes the leases of a reservation last longer: whether they are held; undefined where the store does not answer. */
  async renew(keys: readonly string[], costs: readonly number[], reservation: string): Promise<boolean | undefined> {
    return (await this.#ask({ do: 'renew', demands: this.#demands(keys, costs), reservation }))?.done;
  }

  /** @throws {@link RateLimitError} with `ERR_STORE_UNAVAILABLE` */
  async refund(keys: readonly string[], costs: readonly number[], id: string): Promise<void> {
    await this.#must({ do: 'refund', demands: this.#demands(keys, costs), id });
  }

  /** @throws {@link RateLimitError} with `ERR_STORE_UNAVAILABLE` */
  async reset(keys: readonly string[]): Promise<void> {
    await this.#must({ do: 'reset', demands: this.#demands(keys, this.#names.map(() => 0)) });
  }

  /** Stops waiting for the store. */
  close(): void {
    this.#bounded.close();
  }

  #ask(command: Command): Promise<Reply | undefined> {
    return this.#bounded.ask(command, this.#parts.change, () => {});
  }

  #tell(command: Command): void {
    this.#parts.store.run(command, this.#parts.change).catch(() => {}); // what is reserved then counts until it expires
  }

  async #must(command: Command): Promise<void> {
    if ((await this.#ask(command)) !== undefined) return;
    throw new RateLimitError('ERR_STORE_UNAVAILABLE', 'the store did not answer in time', '', this.#bounded.askAgainInMs);
  }

  #demands(keys: readonly string[], costs: readonly number[]): Demand[] {
    const stored = keys.map(storedKey);
    return this.#parts.limits.map(({ rule }, i) => ({
      limit: this.#names[i] as string,
      key: stored[this.#parts.groupOf[i] as number] as string,
      rule,
      cost: costs[i] as number,
    }));
  }

  #withoutStore(keys: readonly string[], costs: readonly number[], asked: Asked): Answer {
    const { limits, groupOf, instances, maxKeys, clock } = this.#parts;
    const nothing = { passing: 0, calendar: 0 };
    if (this.#closed >= 0) return { decision: this.#verdicts.unavailable(this.#closed, this.#bounded.askAgainInMs), takenAt: nothing };
    if (this.#alone.length === 0) return { decision: { ...this.#verdicts.allowedBy(0, 0), degraded: 'open' }, takenAt: nothing };
    this.#counted ??= new Alone(this.#alone, limits, groupOf, instances, maxKeys, clock);
    return { decision: this.#counted.decide(keys, costs, asked), takenAt: this.#counted.takenAt };
  }
}

function settled(demands: readonly Demand[], actual: (i: number) => number): (Demand & { reserved: number })[] {
  return demands.map((demand, i) => ({ ...demand, cost: actual(i), reserved: demand.cost }));
}

function outcomeOf({ limits }: Reply): Outcome {
  return {
    wait: (i) => limits[i]?.waitUs ?? 0,
    left: (i) => limits[i]?.left ?? 0,
    rises: (i) => ({ moreIn: limits[i]?.moreInUs ?? 0, fullIn: limits[i]?.fullInUs ?? 0 }),
  };
}

function health(listeners: Listeners): { failed(error: unknown): void; recovered(): void } {
  return {
    failed: (error) => listeners.emit('store-failed', { error }),
    recovered: () => listeners.emit('store-recovered', {}),
  };
}
