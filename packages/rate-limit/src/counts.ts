import type { Clock } from './clock.ts';
import type { Limit } from './limit.ts';
import { Memory } from './memory.ts';
import { ConcurrencyRule } from './rules/concurrency.ts';
import type { Carry, Held, Rule } from './rules/rule.ts';
import { BucketRule } from './rules/token-bucket.ts';

// in µs: 24.1 + 1 000 − 24.1 ms is a hair less than 1 000, and a call that comes when it was told must not be refused for that
const roundingSlack = 1 / 16;

/** When something was taken, by both clocks. */
export interface TakenAt {
  readonly passing: number;
  readonly calendar: number;
}

/**
 * The limits of one limiter, counted in this process.
 *
 * A decision leaves in {@link Counts.waits} what each limit said, and where its state is, until the next one.
 */
export class Counts {
  /** In how many µs the cost fits each limit: 0 where it does. */
  readonly waits: Float64Array;
  /** The rules, where all are token buckets that go by one key: then {@link Counts.charge} decides. */
  readonly buckets: readonly BucketRule[] | undefined;
  /** How many units of each of {@link Counts.buckets} are left by the latest {@link Counts.charge}; fewer than none where it is in the way. */
  readonly rooms: Float64Array;
  readonly #rules: readonly Rule[];
  readonly #groupOf: readonly number[]; // which key each limit goes by
  readonly #memories: readonly Memory[]; // one a key
  readonly #first: Memory;
  readonly #offsets: readonly number[]; // of each limit within the state of its key
  readonly #bases: Int32Array; // where the state of each key is, in this decision
  readonly #places: Int32Array; // where the state of each limit is, in this decision
  readonly #held = new Map<string, Held>();
  readonly #leases = new Map<string, Set<string>>(); // calls that run; they end with the process, so they need no expiry
  #sweep: IterableIterator<string> = this.#held.keys();
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #byCalendar: boolean;
  #passing = 0;
  #calendar = 0;

  /** `old` counts in the same process what these are to take over. */
  constructor(limits: readonly Limit<never>[], groupOf: readonly number[], maxKeys: number, clock: Clock, old?: Counts) {
    this.#rules = limits.map(({ rule }) => rule);
    this.#groupOf = groupOf;
    this.#clock = clock;
    this.#startMs = old === undefined ? clock.now() : old.#startMs;
    this.#byCalendar = this.#rules.some(({ byCalendar }) => byCalendar);
    this.#offsets = this.#rules.map((_, i) => this.#slots(groupOf[i] as number, i));
    this.#memories = [...new Set(groupOf)].map((group) => new Memory(this.#slots(group, this.#rules.length), maxKeys, this.#passed(group)));
    this.#places = new Int32Array(this.#rules.length);
    this.#bases = new Int32Array(this.#memories.length);
    this.#first = this.#memories[0] as Memory;
    this.waits = new Float64Array(this.#rules.length);
    this.rooms = new Float64Array(this.#rules.length);
    const buckets = this.#rules.filter((rule) => rule instanceof BucketRule);
    this.buckets = this.#memories.length === 1 && buckets.length === this.#rules.length ? buckets : undefined;
  }

  /** Keys that have a place of their own. */
  get size(): number {
    return this.#memories.reduce((sum, memory) => sum + memory.size, 0);
  }

  /** The present of this decision. */
  get takenAt(): TakenAt {
    return { passing: this.#passing, calendar: this.#calendar };
  }

  /** {@link Counts.charge} of a single bucket: the room. */
  chargeOne(bucket: BucketRule, key: string): number {
    this.#readClock();
    const memory = this.#first;
    const at = memory.place(key);
    return bucket.charge(memory.numbers, at, this.#passing, 1);
  }

  /** {@link Counts.take} of one from each of {@link Counts.buckets}, while nothing is reserved. */
  charge(buckets: readonly BucketRule[], key: string): boolean {
    this.#readClock();
    const base = this.#first.place(key);
    const { numbers } = this.#first;
    const now = this.#passing;
    let fits = true;
    for (let i = 0; i < buckets.length; i += 1) {
      const room = (buckets[i] as BucketRule).room(numbers, base + i * 2, now, 1);
      this.rooms[i] = room;
      if (room < 0) fits = false;
    }
    if (!fits) return false;
    for (let i = 0; i < buckets.length; i += 1) (buckets[i] as BucketRule).leave(numbers, base + i * 2, now, this.rooms[i] as number);
    return true;
  }

  /** Whether anything is reserved, or was and has not been looked at since. */
  get reserves(): boolean {
    return this.#held.size > 0;
  }

  /** Takes the costs from all limits, or from none; `reservation` names what may be settled later. */
  take(keys: readonly string[], costs: readonly number[], charge: boolean, reservation?: string): boolean {
    this.#readClock();
    this.#find(keys, charge);
    let fits = true;
    for (let i = 0; i < this.#rules.length; i += 1) {
      this.#look(i, keys);
      const wait = this.#rule(i).wait(this.#numbers(i), this.#at(i), this.#now(i), costs[i] as number);
      this.waits[i] = wait;
      if (wait > 0) fits = false;
    }
    if (!fits || !charge) return fits;
    for (let i = 0; i < this.#rules.length; i += 1) {
      this.#rule(i).take(this.#numbers(i), this.#at(i), this.#now(i), costs[i] as number);
      if (reservation !== undefined) this.#reserve(i, keys, costs[i] as number, reservation);
    }
    return true;
  }

  /** Makes a reservation exact; `actual` of what was `reserved` was used. Limits of which nothing is given are left alone. */
  settle(
    keys: readonly (string | undefined)[],
    reserved: readonly (number | undefined)[],
    actual: readonly (number | undefined)[],
    at: TakenAt,
    reservation: string,
  ): void {
    this.#readClock();
    for (let i = 0; i < this.#rules.length; i += 1) {
      const key = keys[this.#groupOf[i] as number];
      const [taken, used] = [reserved[i], actual[i]];
      if (key === undefined || taken === undefined || used === undefined) continue;
      this.#bases[this.#groupOf[i] as number] = this.#memory(i).place(key);
      this.#look(i, keys as readonly string[]);
      const settlement = { reserved: taken, actual: used, takenAt: this.#rule(i).byCalendar ? at.calendar : at.passing };
      // what was not used may be given back already where others share the place: it came back while they knew nothing of this key
      if (used > taken || !this.#isShared(i))
        this.#rule(i).settle(this.#numbers(i), this.#at(i), this.#now(i), settlement, this.#heldOf(i, keys as readonly string[]));
      this.#endReservation(i, keys as readonly string[], reservation);
    }
  }

  /** Gives back up to the costs. */
  refund(keys: readonly string[], costs: readonly number[]): void {
    this.#readClock();
    this.#find(keys, true);
    for (let i = 0; i < this.#rules.length; i += 1) {
      this.#look(i, keys);
      if (!this.#isShared(i)) this.#rule(i).refund(this.#numbers(i), this.#at(i), this.#now(i), costs[i] as number, this.#heldOf(i, keys));
    }
  }

  /** Forgets what a key has used. A state that it shares stays, because emptying it would let the others through. */
  reset(keys: readonly string[]): void {
    for (const [group, memory] of this.#memories.entries()) memory.clear(keys[group] as string);
    for (let i = 0; i < this.#rules.length; i += 1) {
      this.#held.delete(name(i, this.#key(i, keys)));
      this.#leases.delete(name(i, this.#key(i, keys)));
    }
  }

  /** The highest cost that fits limit `i` after the latest decision. */
  left(i: number): number {
    return this.#rule(i).left(this.#numbers(i), this.#at(i), this.#now(i));
  }

  /** In how many µs more fits limit `i`, and in how many all of it. */
  rises(i: number): { moreIn: number; fullIn: number } {
    const rule = this.#rule(i);
    return {
      moreIn: rule.moreIn(this.#numbers(i), this.#at(i), this.#now(i)),
      fullIn: rule.fullIn(this.#numbers(i), this.#at(i), this.#now(i)),
    };
  }

  /** Takes over what was counted under other limits: by name and kind, as `carry` says. Limits of another key begin anew. */
  carryFrom(old: Counts, pairs: readonly { readonly from: number; readonly to: number }[], carry: Carry): void {
    old.#readClock();
    this.#passing = old.#passing;
    this.#calendar = old.#calendar;
    for (const pair of pairs) {
      const source = old.#memories[old.#groupOf[pair.from] as number] as Memory;
      const memory = this.#memories[this.#groupOf[pair.to] as number] as Memory;
      memory.adopt(source, (from, at) => this.#carryOne(old, source, pair, from, at, carry));
      this.#carryReservations(old, pair.from, pair.to, carry);
    }
  }

  #carryOne(old: Counts, source: Memory, pair: { from: number; to: number }, from: number, at: number, carry: Carry): void {
    const before = old.#rule(pair.from);
    const start = from + (old.#offsets[pair.from] as number);
    const state = source.numbers.slice(start, start + before.slots);
    const rule = this.#rule(pair.to);
    before.advance(state, 0, old.#now(pair.from), undefined);
    const memory = this.#memories[this.#groupOf[pair.to] as number] as Memory;
    memory.numbers.set(rule.carry(state, before, old.#now(pair.from), carry), at + (this.#offsets[pair.to] as number));
  }

  #carryReservations(old: Counts, from: number, to: number, carry: Carry): void {
    const [before, rule] = [old.#rule(from), this.#rule(to)];
    const prefix = name(from, '');
    for (const [key, leases] of old.#leases) if (key.startsWith(prefix)) this.#leases.set(name(to, key.slice(prefix.length)), leases);
    if (!(before instanceof BucketRule && rule instanceof BucketRule) || carry === 'reset') return;
    for (const [key, held] of old.#held) {
      if (!key.startsWith(prefix)) continue;
      const units = Math.ceil((before.reservations.sum(held) / before.perToken) * rule.perToken);
      const spell = Math.floor(this.#passing / rule.reservations.spellUs);
      this.#held.set(name(to, key.slice(prefix.length)), Float64Array.of(spell, units, 0));
    }
  }

  /** Finds the state of each key. */
  #find(keys: readonly string[], toCharge: boolean): void {
    for (let group = 0; group < this.#memories.length; group += 1) {
      const memory = this.#memories[group] as Memory;
      this.#bases[group] = toCharge ? memory.place(keys[group] as string) : memory.find(keys[group] as string);
    }
  }

  /** Brings the state of limit `i` to the present. */
  #look(i: number, keys: readonly string[]): void {
    const at = (this.#bases[this.#groupOf[i] as number] as number) + (this.#offsets[i] as number);
    this.#places[i] = at;
    const rule = this.#rule(i);
    if (rule instanceof ConcurrencyRule) this.#numbers(i)[at] = this.#leases.get(name(i, this.#key(i, keys)))?.size ?? 0;
    else rule.advance(this.#numbers(i), at, this.#now(i), this.#heldOf(i, keys));
  }

  #reserve(i: number, keys: readonly string[], cost: number, reservation: string): void {
    const rule = this.#rule(i);
    const own = name(i, this.#key(i, keys));
    this.#forgetExpired();
    if (rule instanceof ConcurrencyRule) {
      this.#leases.set(own, (this.#leases.get(own) ?? new Set()).add(reservation));
    } else if (rule instanceof BucketRule) {
      let held = this.#held.get(own);
      if (held === undefined) {
        held = new Float64Array(3);
        this.#held.set(own, held);
        rule.advance(this.#numbers(i), this.#at(i), this.#passing, held);
      }
      rule.hold(held, this.#passing, cost);
    }
  }

  /** Looks at two old reservations whenever a new one comes, so that abandoned ones do not pile up. */
  #forgetExpired(): void {
    for (let looked = 0; looked < 2; looked += 1) {
      const next = this.#sweep.next();
      if (next.done) this.#sweep = this.#held.keys();
      else this.#reserved(Number.parseInt(next.value, 10), next.value.slice(next.value.indexOf('\n') + 1));
    }
  }

  /** Whether anything of a limit and key is reserved; forgets what has expired. */
  #reserved(i: number, key: string): boolean {
    if (this.#held.size === 0 && this.#leases.size === 0) return false;
    const own = name(i, key);
    if (this.#leases.get(own)?.size === 0) this.#leases.delete(own);
    const held = this.#held.get(own);
    if (held !== undefined) {
      this.#rule(i).advance(this.#numbers(i), this.#memory(i).find(key) + (this.#offsets[i] as number), this.#now(i), held);
      if ((held[1] as number) + (held[2] as number) === 0) this.#held.delete(own);
    }
    return this.#held.has(own) || this.#leases.has(own);
  }

  #endReservation(i: number, keys: readonly string[], reservation: string): void {
    this.#leases.get(name(i, this.#key(i, keys)))?.delete(reservation);
    this.#reserved(i, this.#key(i, keys));
  }

  /** Whether a key has used nothing that counts any more. */
  #passed(group: number): (numbers: Float64Array, at: number, key: string) => boolean {
    return (numbers, at, key) => {
      for (let i = 0; i < this.#rules.length; i += 1) {
        if (this.#groupOf[i] !== group) continue;
        if (this.#reserved(i, key)) return false;
        const own = at + (this.#offsets[i] as number);
        this.#rule(i).advance(numbers, own, this.#now(i));
        if (this.#rule(i).fullIn(numbers, own, this.#now(i)) > 0) return false;
      }
      return true;
    };
  }

  #readClock(): void {
    const passing = Math.floor((this.#clock.now() - this.#startMs) * 1_000 + roundingSlack);
    if (passing > this.#passing) this.#passing = passing;
    if (this.#byCalendar) this.#calendar = Math.max(this.#calendar, Math.floor(this.#clock.wall() * 1_000));
  }

  #isShared(i: number): boolean {
    return this.#memory(i).isShared(this.#bases[this.#groupOf[i] as number] as number);
  }

  #slots(group: number, before: number): number {
    return this.#rules.slice(0, before).reduce((sum, rule, i) => sum + (this.#groupOf[i] === group ? rule.slots : 0), 0);
  }

  #rule(i: number): Rule {
    return this.#rules[i] as Rule;
  }

  #memory(i: number): Memory {
    return this.#memories[this.#groupOf[i] as number] as Memory;
  }

  #numbers(i: number): Float64Array {
    return this.#memory(i).numbers;
  }

  #at(i: number): number {
    return this.#places[i] as number;
  }

  #now(i: number): number {
    return this.#rule(i).byCalendar ? this.#calendar : this.#passing;
  }

  #key(i: number, keys: readonly string[]): string {
    return keys[this.#groupOf[i] as number] as string;
  }

  #heldOf(i: number, keys: readonly string[]): Held | undefined {
    return this.#held.size === 0 ? undefined : this.#held.get(name(i, this.#key(i, keys)));
  }
}

/** What reservations of limit `i` are kept under. */
function name(i: number, key: string): string {
  return `${i}\n${key}`;
}
