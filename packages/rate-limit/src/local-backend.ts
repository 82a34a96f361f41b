import type { Backend, BackendParts } from './backend.ts';
import type { TakenAt } from './counts.ts';
import type { Decision, Refused } from './decision.ts';
import type { Limit } from './limit.ts';
import { type Asked, Local } from './local.ts';
import { Reservation } from './reservation.ts';

/** A key a group; none for a group that nothing is known of. */
type Keys = readonly (string | undefined)[];

/** Counts in this process; takes over what `old` has counted. */
export function localBackend(parts: BackendParts, old?: Backend): Backend {
  return new LocalBackend(parts, old as LocalBackend | undefined);
}

class LocalBackend implements Backend {
  readonly one?: (key: string) => Decision;
  readonly #parts: BackendParts;
  readonly #local: Local;
  #reservations = 0;
  #next: { readonly backend: LocalBackend; readonly going: readonly Going[] } | undefined; // what counts since the limits were changed

  constructor(parts: BackendParts, old: LocalBackend | undefined) {
    const { limits, groupOf, maxKeys, clock, change } = parts;
    this.#parts = parts;
    const local = new Local(limits, groupOf, maxKeys, clock, old === undefined ? undefined : old.#local.counts);
    this.#local = local;
    if (local.isOne) this.one = (key) => local.one(key);
    if (old !== undefined) {
      const going = pairs(old.#parts.limits, limits);
      local.counts.carryFrom(old.#local.counts, going, change.carry);
      old.#next = { backend: this, going };
    }
    this.#reservations = old === undefined ? 0 : old.#reservations;
  }

  get size(): number {
    return this.#local.counts.size;
  }

  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Decision {
    return this.#local.decide(keys, costs, asked);
  }

  reserve(keys: readonly string[], costs: readonly number[], levels: boolean): Reservation | Refused {
    this.#reservations += 1;
    const reservation = `${this.#reservations}`;
    const decision = this.#local.decide(keys, costs, { charge: true, levels, reservation });
    if (!decision.allowed) return decision;
    const { takenAt } = this.#local.counts;
    const settle = async (actual: readonly number[] | undefined): Promise<boolean> => {
      this.#settle(keys, costs, actual ?? nothing(costs), takenAt, reservation);
      this.#parts.freed(keys);
      return true;
    };
    return new Reservation(decision, { costs: this.#parts.costs, settle, lost: neverLost });
  }

  charge(keys: readonly string[], costs: readonly number[]): undefined {
    this.#local.counts.settle(keys, nothing(costs), costs, this.#local.counts.takenAt, '');
  }

  /** Settles where the limits are counted by now. */
  #settle(keys: Keys, reserved: readonly number[], actual: readonly number[], takenAt: TakenAt, reservation: string): void {
    if (this.#next === undefined) {
      this.#local.counts.settle(keys, reserved, actual, takenAt, reservation);
      return;
    }
    const { backend, going } = this.#next;
    for (const { from, to } of going) {
      // one by one: limits that went by several keys may go by one now, but what was taken was taken from the keys that were
      const [nextKeys, nextReserved, nextActual]: [(string | undefined)[], number[], number[]] = [[], [], []];
      nextKeys[backend.#parts.groupOf[to] as number] = keys[this.#parts.groupOf[from] as number];
      nextReserved[to] = reserved[from] as number;
      nextActual[to] = actual[from] as number;
      backend.#settle(nextKeys, nextReserved, nextActual, takenAt, reservation);
    }
  }

  async refund(keys: readonly string[], costs: readonly number[]): Promise<void> {
    this.#local.counts.refund(keys, costs);
  }

  async reset(keys: readonly string[]): Promise<void> {
    this.#local.counts.reset(keys);
  }

  close(): void {}
}

const neverLost = new AbortController().signal;

function nothing(costs: readonly number[]): readonly number[] {
  return costs.map(() => 0);
}

/** A limit goes on as another, by their places. */
interface Going {
  readonly from: number;
  readonly to: number;
}

/** Which limits go on as which: those of the same name and kind. */
function pairs(old: readonly Limit<never>[], limits: readonly Limit<never>[]): Going[] {
  return limits.flatMap((limit, to) => {
    const from = old.findIndex(({ name, rule }) => name === limit.name && rule.kind === limit.rule.kind);
    return from < 0 ? [] : [{ from, to }];
  });
}
