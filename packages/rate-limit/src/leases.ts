import { randomBytes } from 'node:crypto';
import { type Clock, systemClock } from './clock.ts';
import { numberWithin, onlyKnown } from './options.ts';
import { BucketRule } from './rules/token-bucket.ts';
import { sharedStore } from './shared-backend.ts';
import type { Change, Command, Demand, LimitReply, Reply, SharedStore, Store, Take } from './store.ts';

/** How a process takes in advance. */
export interface LeaseOptions {
  /** For about how long a lease is to last, by what a key has used lately, in ms. @defaultValue `100` */
  readonly targetMs?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** A key that is used less in the target time is not worth a lease. */
const leastUse = 8;

/** Reservations that expire sooner are not worth a lease. */
const shortestUs = 100_000;

/** After a failure a key is asked for exactly for so long. */
const pauseMs = 1_000;

/** What this process has of one bucket, and how it uses it. */
interface Holding {
  readonly demand: Demand;
  readonly rule: BucketRule;
  readonly change: Change;
  granted: number;
  left: number;
  takenAt: number;
  /** Until when it may be spent, by this process's clock. */
  deadline: number;
  /** What else the store had left. */
  storeLeft: number;
  /** Ends when the store has answered. */
  asking: Promise<void> | undefined;
  pausedUntil: number;
  /** Used in this stretch of the target time, and in the one before. */
  uses: number;
  usesBefore: number;
  stretchEnds: number;
}

/**
 * A store of which this process takes tokens of busy keys in advance, and then decides alone: for a limit of token buckets only, whose
 * decisions need no reservation and no levels; all others are asked for as they are.
 *
 * Never lets more through than the store alone: what is taken in advance counts as used until it is given back, and does not refill
 * meanwhile. What a process that dies had taken counts as used until its reservation expires, one to two `reservationMs` later. A lease ends
 * by the time at which it was asked for, on this process's monotonic clock, which is never later than the store's end of it.
 */
export function leased(store: Store, options: LeaseOptions = {}): SharedStore {
  onlyKnown('leased', options, ['targetMs', 'clock']);
  return sharedStore(
    new LeasedStore(store, numberWithin('leased: targetMs', options.targetMs ?? 100, 1, 60_000), options.clock ?? systemClock),
  );
}

class LeasedStore implements Store {
  readonly #store: Store;
  readonly #targetMs: number;
  readonly #clock: Clock;
  readonly #holdings = new Map<string, Holding>();
  readonly #process = randomBytes(9).toString('base64url');
  #asked = 0;
  #timer: unknown;

  constructor(store: Store, targetMs: number, clock: Clock) {
    this.#store = store;
    this.#targetMs = targetMs;
    this.#clock = clock;
  }

  run(command: Command, change: Change): Promise<Reply> {
    if (command.do === 'reset') for (const demand of command.demands) this.#holdings.delete(nameOf(demand));
    if (command.do !== 'take' || !command.charge || command.levels || command.reservation !== undefined)
      return this.#store.run(command, change);
    const holdings = this.#holdingsOf(command, change);
    if (holdings === undefined) return this.#store.run(command, change);
    const now = this.#clock.now();
    if (this.#cover(command, holdings, now)) return Promise.resolve(this.#spend(command, holdings));
    // first comes what gives something back, then what is needed now, then what is taken in advance
    const first = holdings.some(({ left }) => left > 0) ? undefined : this.#store.run(command, change);
    for (const holding of holdings) void this.#ask(holding, this.#wanted(holding, now), now);
    return first ?? this.#store.run(command, change);
  }

  /** Notes the use of each; whether what is held is enough. */
  #cover({ demands }: Take, holdings: readonly Holding[], now: number): boolean {
    let covered = true;
    for (const [i, holding] of holdings.entries()) {
      const { cost } = demands[i] as Demand;
      this.#note(holding, cost, now);
      if (holding.left < cost || now >= holding.deadline) covered = false;
    }
    return covered;
  }

  /** Gives back what is held, and closes the store. */
  async close(): Promise<void> {
    this.#clock.clearTimeout(this.#timer);
    await Promise.all([...this.#holdings.values()].map((holding) => this.#return(holding)));
    this.#holdings.clear();
    await this.#store.close();
  }

  /** Takes the cost out of what is held of each. */
  #spend({ demands }: Take, holdings: readonly Holding[]): Reply {
    const limits: LimitReply[] = [];
    let now = 0;
    for (const [i, holding] of holdings.entries()) {
      holding.left -= (demands[i] as Demand).cost;
      limits.push({ waitUs: 0, left: holding.left + holding.storeLeft, moreInUs: 0, fullInUs: 0 });
      now = Math.max(now, holding.takenAt);
    }
    return { done: true, granted: 0, now, limits };
  }

  /** What is held of each limit; undefined where one is no bucket, or is held under another rule. */
  #holdingsOf({ demands }: Take, change: Change): Holding[] | undefined {
    const holdings: Holding[] = [];
    for (const demand of demands) {
      if (!(demand.rule instanceof BucketRule) || demand.rule.reservations.spellUs < shortestUs) return undefined;
      if (demand.cost > demand.rule.most) return undefined; // never fits, so it is no use
      const known = this.#holdings.get(nameOf(demand));
      if (known !== undefined && known.rule !== demand.rule && String(known.rule.settings) !== String(demand.rule.settings)) {
        void this.#return(known);
        this.#holdings.delete(nameOf(demand));
        return undefined;
      }
      holdings.push(known ?? this.#begin(demand, demand.rule, change));
    }
    return holdings;
  }

  #begin(demand: Demand, rule: BucketRule, change: Change): Holding {
    const stretchEnds = this.#clock.now() + this.#targetMs;
    const nothing = {
      granted: 0,
      left: 0,
      takenAt: 0,
      deadline: 0,
      storeLeft: 0,
      asking: undefined,
      pausedUntil: 0,
      uses: 0,
      usesBefore: 0,
    };
    const holding: Holding = { demand: { ...demand, cost: 0 }, rule, change, ...nothing, stretchEnds };
    this.#holdings.set(nameOf(demand), holding);
    if (this.#timer === undefined) this.#setTimer();
    return holding;
  }

  #note(holding: Holding, cost: number, now: number): void {
    if (now >= holding.stretchEnds) {
      holding.usesBefore = now >= holding.stretchEnds + this.#targetMs ? 0 : holding.uses;
      holding.uses = 0;
      holding.stretchEnds = now + this.#targetMs;
    }
    holding.uses += cost;
  }

  /** As much as it used in a stretch lately, and at most a quarter of the bucket: others want some too. */
  #wanted({ uses, usesBefore, rule, pausedUntil }: Holding, now: number): number {
    const lately = Math.max(uses, usesBefore);
    return lately < leastUse || now < pausedUntil ? 0 : Math.min(lately, Math.floor(rule.most / 4));
  }

  /** Gives back what is held, and what is on its way. */
  async #return(holding: Holding): Promise<void> {
    await holding.asking;
    await this.#ask(holding, 0, this.#clock.now());
  }

  /** Settles what is held and asks for `wanted` more, unless it is being asked for already. */
  async #ask(holding: Holding, wanted: number, sentAt: number): Promise<void> {
    if (holding.asking !== undefined || (wanted === 0 && holding.granted === 0)) return;
    holding.asking = this.#exchange(holding, wanted, sentAt).finally(() => {
      holding.asking = undefined;
    });
    await holding.asking;
  }

  async #exchange(holding: Holding, wanted: number, sentAt: number): Promise<void> {
    const { demand, granted: reserved, left, takenAt, change, rule } = holding;
    holding.granted = holding.left = 0;
    this.#asked += 1;
    const id = `${this.#process}${this.#asked}`;
    try {
      const demands = [{ ...demand, cost: wanted, reserved }] as const;
      const reply = await this.#store.run({ do: 'lease', demands, used: reserved - left, takenAt, id }, change);
      holding.granted = holding.left = reply.granted;
      holding.takenAt = reply.now;
      holding.storeLeft = reply.limits[0]?.left ?? 0;
      holding.deadline = sentAt + rule.reservations.spellUs / 1_000;
      if (wanted > 0 && reply.granted < leastUse) holding.pausedUntil = this.#clock.now() + this.#targetMs; // nearly empty: each call asks exactly
    } catch {
      holding.pausedUntil = this.#clock.now() + pauseMs; // what was held counts until it expires
    }
  }

  #setTimer(): void {
    this.#timer = this.#clock.setTimeout(() => this.#beat(), this.#targetMs * 2);
    (this.#timer as { unref?: () => void } | undefined)?.unref?.();
  }

  /** Gives back what keys that are not busy any more hold, and forgets keys that are not used. */
  #beat(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (const [name, holding] of this.#holdings) {
      if (now < holding.stretchEnds + this.#targetMs) continue;
      if (holding.granted > 0) void this.#ask(holding, 0, now);
      else if (holding.asking === undefined) this.#holdings.delete(name);
    }
    if (this.#holdings.size > 0) this.#setTimer();
  }
}

function nameOf({ limit, key }: Demand): string {
  return `${limit}|${key}`;
}
