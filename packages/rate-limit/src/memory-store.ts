import { type Clock, systemClock } from './clock.ts';
import { onlyKnown, wholeNumber } from './options.ts';
import { ConcurrencyRule, Leases } from './rules/concurrency.ts';
import type { Held, Rule } from './rules/rule.ts';
import { BucketRule } from './rules/token-bucket.ts';
import { sharedStore } from './shared-backend.ts';
import type { Change, Command, Demand, Lease, LimitReply, Reply, Settle, SharedStore, Store, Take } from './store.ts';

/** Where a {@link memoryStore} keeps its limits. */
export interface MemoryStoreOptions {
  /** States kept at once. @defaultValue `1_000_000` */
  readonly maxKeys?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/**
 * A store in the memory of this process: for several limiters that share limits there, and the measure of every other store.
 *
 * A limiter without a store is faster. Where `maxKeys` states are in use, commands for further keys fail.
 */
export function memoryStore(options: MemoryStoreOptions = {}): SharedStore {
  onlyKnown('memoryStore', options, ['maxKeys', 'clock']);
  return sharedStore(
    new MemoryStore(wholeNumber('memoryStore: maxKeys', options.maxKeys ?? 1_000_000, 1, 16_000_000), options.clock ?? systemClock),
  );
}

/** So many states are no reason to look for those that are idle. */
const few = 1_000;

/** What is kept for one limit and key. */
interface Entry {
  rule: Rule;
  version: number;
  state: Float64Array;
  held: Held | undefined;
  leases: Leases | undefined;
}

/** Does commands as {@link Store} promises, by the rules alone. */
class MemoryStore implements Store {
  readonly #entries = new Map<string, Entry>();
  readonly #refunds = new Map<string, number>();
  readonly #maxKeys: number;
  readonly #clock: Clock;
  #sweep: IterableIterator<[string, Entry]> = this.#entries.entries();

  constructor(maxKeys: number, clock: Clock) {
    this.#maxKeys = maxKeys;
    this.#clock = clock;
  }

  async run(command: Command, change: Change): Promise<Reply> {
    const now = Math.floor(this.#clock.wall() * 1_000);
    this.#forgetIdle(now);
    if (command.do === 'reset') for (const demand of command.demands) this.#entries.delete(keyOf(demand));
    const entries = command.demands.map((demand) => this.#entryAt(demand, change, now));
    const { done, granted = 0 } = this.#do(command, entries, now);
    if (changes(command, done)) for (const [i, demand] of command.demands.entries()) this.#keep(demand, entries[i] as Entry, now);
    const detail = command.do === 'take' && command.levels;
    const refused = command.do === 'take' && !done;
    return { done, granted, now, limits: entries.map((entry, i) => reply(entry, now, command.demands[i] as Demand, detail, refused)) };
  }

  async close(): Promise<void> {
    this.#entries.clear();
  }

  #do(command: Command, entries: Entry[], now: number): { done: boolean; granted?: number } {
    if (command.do === 'take') return { done: take(command, entries, now) };
    if (command.do === 'settle') settle(command, entries, now);
    else if (command.do === 'renew') return { done: renew(command.reservation, entries, now) };
    else if (command.do === 'refund') this.#refund(command.id, command.demands, entries, now);
    else if (command.do === 'lease') return lease(command, entries[0] as Entry, now);
    return { done: true };
  }

  #refund(id: string, demands: readonly Demand[], entries: Entry[], now: number): void {
    if (this.#refunds.has(id)) return;
    this.#refunds.set(id, now);
    for (const [i, { rule, state, held }] of entries.entries()) rule.refund(state, 0, now, (demands[i] as Demand).cost, held);
  }

  /** A copy of what is kept, brought to the present and to the rule of the demand. */
  #entryAt({ rule, ...demand }: Demand, { version, carry }: Change, now: number): Entry {
    const known = this.#entries.get(keyOf(demand));
    const kept = known?.rule.kind === rule.kind ? known : undefined; // a limit of another kind begins anew
    const entry: Entry = kept === undefined ? fresh(rule, version) : copyOf(kept);
    if (entry.leases !== undefined) entry.state[0] = entry.leases.count(now);
    const renewed = version > entry.version && carry === 'reset';
    if (renewed || String(entry.rule.settings) !== String(rule.settings)) {
      const mode = version > entry.version ? carry : 'kept';
      const held = entry.held === undefined ? undefined : carriedHeld(entry.held, entry.rule as BucketRule, rule as BucketRule, now, mode);
      entry.state = rule.carry(entry.state, entry.rule, now, mode);
      entry.held = held;
      entry.rule = rule;
    }
    rule.advance(entry.state, 0, now, entry.held);
    entry.version = Math.max(entry.version, version);
    return entry;
  }

  #keep(demand: Demand, entry: Entry, now: number): void {
    const key = keyOf(demand);
    if (!this.#entries.has(key) && this.#entries.size >= this.#maxKeys)
      throw new Error(`the store is full: ${this.#maxKeys} states are in use`);
    entry.leases?.prune(now);
    this.#entries.set(key, entry);
  }

  #forgetIdle(now: number): void {
    for (let looked = 0; looked < 2 && this.#entries.size >= few; looked += 1) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = this.#entries.entries();
        break;
      }
      const [key, kept] = next.value;
      const { rule, state, held, leases } = copyOf(kept);
      if (leases !== undefined) state[0] = leases.count(now);
      rule.advance(state, 0, now, held);
      if (rule.fullIn(state, 0, now) === 0) this.#entries.delete(key);
    }
    for (const [id, at] of this.#refunds) {
      if (now - at < 60_000_000) break;
      this.#refunds.delete(id);
    }
  }
}

function changes(command: Command, done: boolean): boolean {
  if (command.do === 'take') return done && command.charge;
  return command.do !== 'reset' && command.do !== 'renew';
}

function take({ demands, charge, reservation }: Take, entries: Entry[], now: number): boolean {
  const fits = entries.every(({ rule, state }, i) => rule.wait(state, 0, now, (demands[i] as Demand).cost) === 0);
  if (!fits || !charge) return fits;
  for (const [i, entry] of entries.entries()) {
    const { cost } = demands[i] as Demand;
    entry.rule.take(entry.state, 0, now, cost);
    if (reservation === undefined) continue;
    if (entry.rule instanceof ConcurrencyRule) {
      entry.leases ??= new Leases();
      entry.leases.set(reservation, now + entry.rule.leaseUs);
    } else hold(entry, now, cost);
  }
  return true;
}

function hold(entry: Entry, now: number, cost: number): void {
  if (!(entry.rule instanceof BucketRule)) return;
  if (entry.held === undefined) {
    entry.held = new Float64Array(3);
    entry.rule.advance(entry.state, 0, now, entry.held);
  }
  entry.rule.hold(entry.held, now, cost);
}

function settle({ demands, reservation, takenAt }: Settle, entries: Entry[], now: number): void {
  for (const [i, entry] of entries.entries()) {
    const { cost, reserved } = demands[i] as Settle['demands'][number];
    entry.rule.settle(entry.state, 0, now, { reserved, actual: cost, takenAt }, entry.held);
    entry.leases?.end(reservation);
    if (entry.leases !== undefined) entry.state[0] = entry.leases.count(now);
  }
}

function renew(reservation: string, entries: Entry[], now: number): boolean {
  return entries.every(
    ({ rule, leases }) => !(rule instanceof ConcurrencyRule) || (leases?.renew(reservation, now, now + rule.leaseUs) ?? false),
  );
}

function lease({ demands, used, takenAt }: Lease, entry: Entry, now: number): { done: boolean; granted: number } {
  const [{ reserved, cost }] = demands;
  if (reserved > 0) entry.rule.settle(entry.state, 0, now, { reserved, actual: used, takenAt }, entry.held);
  const granted = Math.min(cost, Math.floor(entry.rule.left(entry.state, 0, now) / 4));
  if (granted > 0) {
    entry.rule.take(entry.state, 0, now, granted);
    hold(entry, now, granted);
  }
  return { done: granted > 0, granted };
}

function reply({ rule, state }: Entry, now: number, { cost }: Demand, detail: boolean, refused: boolean): LimitReply {
  return {
    waitUs: refused ? rule.wait(state, 0, now, cost) : 0,
    left: rule.left(state, 0, now),
    moreInUs: detail ? rule.moreIn(state, 0, now) : 0,
    fullInUs: detail ? rule.fullIn(state, 0, now) : 0,
  };
}

function carriedHeld(held: Held, from: BucketRule, to: BucketRule, now: number, mode: Change['carry'] | 'kept'): Held {
  const units = mode === 'reset' ? 0 : Math.ceil((from.reservations.sum(held) / from.perToken) * to.perToken);
  return Float64Array.of(Math.floor(now / to.reservations.spellUs), units, 0);
}

function fresh(rule: Rule, version: number): Entry {
  return { rule, version, state: new Float64Array(rule.slots), held: undefined, leases: undefined };
}

function copyOf({ rule, version, state, held, leases }: Entry): Entry {
  return { rule, version, state: state.slice(), held: held?.slice(), leases };
}

function keyOf({ limit, key }: Pick<Demand, 'limit' | 'key'>): string {
  return `${limit}|${key}`;
}
