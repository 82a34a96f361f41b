import { Alone } from './alone.ts';
import { BoundedStore } from './bounded-store.ts';
import type { Clock } from './clock.ts';
import type { TakenAt } from './counts.ts';
import { type Decision, RateLimitError } from './decision.ts';
import { storedKey } from './demand.ts';
import type { Listeners } from './events.ts';
import type { Limit } from './limit.ts';
import type { Asked } from './local.ts';
import type { Change, Command, Demand, LimitReply, Reply, Store, Take } from './store.ts';
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
  readonly #outcome = new ReplyOutcome();
  readonly #closed: number;
  readonly #alone: readonly number[];
  #counted: Alone | undefined;

  /** `old` has asked the same store until now. */
  constructor(parts: SharedParts, old?: Shared) {
    this.#parts = parts;
    this.#verdicts = new Verdicts(parts.limits);
    // with the kind, so that a limit of another kind begins anew also where one of its name is still in the store
    this.#names = parts.limits.map(({ name, rule }) => `${encodeURIComponent(parts.name)}|${encodeURIComponent(name)}|${rule.kind}`);
    this.#closed = parts.limits.findIndex(({ onStoreError }) => onStoreError === 'closed');
    this.#alone = [...parts.limits.keys()].filter((i) => parts.limits[i]?.onStoreError === 'local');
    this.#bounded =
      old !== undefined ? old.#bounded : new BoundedStore(parts.store, parts.decisionTimeoutMs, parts.clock, health(parts.listeners));
  }

  /** What the store says, or `onStoreError`; and when that was. */
  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Promise<Answer> {
    const { charge, levels, reservation } = asked;
    const demands = this.#demands(keys, costs);
    const command: Take = { do: 'take', demands, charge, levels, reservation };
    const late = reservation === undefined ? ignored : (reply: Reply) => this.#giveBack(demands, reservation, reply);
    return this.#bounded.ask(command, this.#parts.change, late).then((reply) => {
      if (reply === undefined) return this.#withoutStore(keys, costs, asked);
      this.#outcome.reply = reply;
      const verdicts = this.#verdicts;
      return {
        decision: reply.done ? verdicts.allowed(this.#outcome, levels) : verdicts.refused(this.#outcome, levels),
        takenAt: reply.now,
      };
    });
  }

  /** Makes a reservation exact; false where the store did not say in time that it did. */
  async settle(
    keys: readonly string[],
    reserved: readonly number[],
    actual: readonly number[],
    takenAt: number | TakenAt,
    reservation: string,
  ): Promise<boolean> {
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
    await this.#must({
      do: 'reset',
      demands: this.#demands(
        keys,
        this.#names.map(() => 0),
      ),
    });
  }

  /** Stops waiting for the store. */
  close(): void {
    this.#bounded.close();
  }

  #ask(command: Command): Promise<Reply | undefined> {
    return this.#bounded.ask(command, this.#parts.change, ignored);
  }

  /** Nobody waits any more for what was taken; where that cannot be told, it counts until it expires. */
  #giveBack(demands: readonly Demand[], reservation: string, { done, now }: Reply): void {
    if (!done) return;
    const command: Command = { do: 'settle', demands: settled(demands, () => 0), reservation, takenAt: now };
    this.#parts.store.run(command, this.#parts.change).catch(ignored);
  }

  async #must(command: Command): Promise<void> {
    if ((await this.#ask(command)) !== undefined) return;
    throw new RateLimitError('ERR_STORE_UNAVAILABLE', 'the store did not answer in time', '', this.#bounded.askAgainInMs);
  }

  #demands(keys: readonly string[], costs: readonly number[]): Demand[] {
    const { limits, groupOf } = this.#parts;
    const stored = keys.map(storedKey);
    const demands: Demand[] = [];
    for (let i = 0; i < limits.length; i += 1) {
      const { rule } = limits[i] as Limit<never>;
      demands.push({ limit: this.#names[i] as string, key: stored[groupOf[i] as number] as string, rule, cost: costs[i] as number });
    }
    return demands;
  }

  #withoutStore(keys: readonly string[], costs: readonly number[], asked: Asked): Answer {
    const { limits, groupOf, instances, maxKeys, clock } = this.#parts;
    const nothing = { passing: 0, calendar: 0 };
    if (this.#closed >= 0) return { decision: this.#verdicts.unavailable(this.#closed, this.#bounded.askAgainInMs), takenAt: nothing };
    if (this.#alone.length === 0) return { decision: this.#verdicts.unasked(), takenAt: nothing };
    this.#counted ??= new Alone(this.#alone, limits, groupOf, instances, maxKeys, clock);
    return { decision: this.#counted.decide(keys, costs, asked), takenAt: this.#counted.takenAt };
  }
}

function settled(demands: readonly Demand[], actual: (i: number) => number): (Demand & { reserved: number })[] {
  return demands.map((demand, i) => ({ ...demand, cost: actual(i), reserved: demand.cost }));
}

/** How a reply came out, limit by limit. */
class ReplyOutcome implements Outcome {
  reply: Reply | undefined;

  wait(i: number): number {
    return this.#limit(i).waitUs;
  }

  left(i: number): number {
    return this.#limit(i).left;
  }

  rises(i: number): { readonly moreIn: number; readonly fullIn: number } {
    return { moreIn: this.#limit(i).moreInUs, fullIn: this.#limit(i).fullInUs };
  }

  #limit(i: number): LimitReply {
    return this.reply?.limits[i] as LimitReply;
  }
}

function ignored(): void {}

function health(listeners: Listeners): { failed(error: unknown): void; recovered(): void } {
  return {
    failed: (error) => listeners.emit('store-failed', { error }),
    recovered: () => listeners.emit('store-recovered', {}),
  };
}
