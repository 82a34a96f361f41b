import { randomBytes } from 'node:crypto';
import type { Clock } from './clock.ts';
import type { TakenAt } from './counts.ts';
import type { Decision, Refused } from './decision.ts';
import type { Cost } from './demand.ts';
import type { Listeners } from './events.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Limit } from './limit.ts';
import { type Asked, Local } from './local.ts';
import { Reservation } from './reservation.ts';
import { ConcurrencyRule } from './rules/concurrency.ts';
import { Shared } from './shared.ts';
import type { Change, Store } from './store.ts';

/** What a limiter's limits are counted with. */
export interface Backend {
  /** Charges a single token bucket with one key; absent where the limits are not that. */
  readonly one?: (key: string, cost: number) => Decision;
  /** Keys remembered in this process. */
  readonly size: number;
  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Decision | Promise<Decision>;
  reserve(keys: readonly string[], costs: readonly number[], levels: boolean): Reservation | Refused | Promise<Reservation | Refused>;
  /** Charges what was refused, as far as the limits let anything be used beyond them. */
  charge(keys: readonly string[], costs: readonly number[]): Promise<void> | undefined;
  refund(keys: readonly string[], costs: readonly number[]): Promise<void>;
  reset(keys: readonly string[]): Promise<void>;
  close(): void;
}

/** What a backend is made of. */
export interface BackendParts {
  readonly limits: readonly Limit<never>[];
  /** Which key each limit goes by. */
  readonly groupOf: readonly number[];
  readonly name: string;
  readonly clock: Clock;
  readonly decisionTimeoutMs: number;
  readonly instances: number;
  readonly maxKeys: number;
  readonly listeners: Listeners;
  readonly change: Change;
  /** Something came free for these keys. */
  readonly freed: (keys: readonly string[]) => void;
  /** What each limit is charged for so much. */
  readonly costs: (actual: Cost) => readonly number[];
}

/** A key a group; none for a group that nothing is known of. */
type Keys = readonly (string | undefined)[];

/** Counts in this process; takes over what `old` has counted. */
export function localBackend(parts: BackendParts, old?: Backend): Backend {
  return new LocalBackend(parts, old as LocalBackend | undefined);
}

/** Counts in a store, as `old` did. */
export function sharedBackend(parts: BackendParts & { readonly store: Store }, old?: Backend): Backend {
  return new SharedBackend(parts, old as SharedBackend | undefined);
}

class LocalBackend implements Backend {
  readonly one?: (key: string, cost: number) => Decision;
  readonly #parts: BackendParts;
  readonly #local: Local;
  #reservations = 0;
  #next: { readonly backend: LocalBackend; readonly going: readonly Going[] } | undefined; // what counts since the limits were changed

  constructor(parts: BackendParts, old: LocalBackend | undefined) {
    const { limits, groupOf, maxKeys, clock, change } = parts;
    this.#parts = parts;
    const local = new Local(limits, groupOf, maxKeys, clock, old === undefined ? undefined : old.#local.counts);
    this.#local = local;
    if (local.isOne) this.one = (key, cost) => local.one(key, cost);
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
    const [nextKeys, nextReserved, nextActual]: [(string | undefined)[], number[], number[]] = [[], [], []];
    for (const { from, to } of going) {
      nextKeys[backend.#parts.groupOf[to] as number] = keys[this.#parts.groupOf[from] as number];
      nextReserved[to] = reserved[from] as number;
      nextActual[to] = actual[from] as number;
    }
    backend.#settle(nextKeys, nextReserved, nextActual, takenAt, reservation);
  }

  async refund(keys: readonly string[], costs: readonly number[]): Promise<void> {
    this.#local.counts.refund(keys, costs);
  }

  async reset(keys: readonly string[]): Promise<void> {
    this.#local.counts.reset(keys);
  }

  close(): void {}
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
