import fc from 'fast-check';
import { calendarQuota } from '../src/calendar.ts';
import { concurrency, per, type Rule, slidingWindow, tokenBucket } from '../src/index.ts';
import type { Change, Command, Demand, Reply, Store } from '../src/store.ts';

/** What happens to a store: time goes on or back, limits change, or a command comes. */
export type Step =
  | { readonly kind: 'wait'; readonly us: number }
  | { readonly kind: 'change'; readonly limit: number; readonly rule: number; readonly carry: Change['carry'] }
  | { readonly kind: 'take'; readonly asks: readonly Ask[]; readonly charge: boolean; readonly levels: boolean; readonly reserve: boolean }
  | { readonly kind: 'settle' | 'renew'; readonly which: number; readonly actual: readonly number[] }
  | { readonly kind: 'refund' | 'reset'; readonly asks: readonly Ask[] }
  | { readonly kind: 'lease'; readonly key: number; readonly want: number; readonly used: number; readonly again: boolean };

interface Ask {
  readonly limit: number;
  readonly key: number;
  readonly cost: number;
}

/** The settings that each of the limits may have; the first is a token bucket, because that alone can be leased. */
const settings: readonly (readonly Rule[])[] = [
  [
    tokenBucket({ rate: per(5, 'second'), reservationMs: 2_000 }),
    tokenBucket({ rate: per(7, 'minute'), burst: 20, debt: 3, reservationMs: 2_000 }),
    tokenBucket({ rate: per(999_999_937, 'hour'), burst: 30, debt: 0, reservationMs: 0 }),
  ],
  [
    tokenBucket({ rate: per(60, 'minute'), burst: 10, reservationMs: 5_000 }),
    tokenBucket({ rate: per(120, 'minute'), burst: 20, reservationMs: 5_000 }),
  ],
  [
    slidingWindow({ limit: 12, windowMs: 3_000, precision: 4 }),
    slidingWindow({ limit: 30, windowMs: 3_000, precision: 4 }),
    slidingWindow({ limit: 9, windowMs: 10_000, precision: 7 }),
  ],
  [concurrency({ limit: 2, leaseMs: 1_000 }), concurrency({ limit: 4, leaseMs: 1_000 })],
  [
    calendarQuota({ limit: 20, every: 'hour', timeZone: 'Asia/Kathmandu' }),
    calendarQuota({ limit: 50, every: 'hour', timeZone: 'Asia/Kathmandu' }),
    calendarQuota({ limit: 35, every: 'day', timeZone: 'Europe/Berlin' }),
  ],
].map((limits) => limits.map(({ rule }) => rule));

const ask = fc.record({
  limit: fc.nat(settings.length - 1),
  key: fc.nat(2),
  cost: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 14 })),
});
const asks = fc.uniqueArray(ask, { minLength: 1, maxLength: 5, selector: ({ limit }) => limit });
const wait = fc.oneof(
  fc.integer({ min: 0, max: 400_000 }),
  fc.integer({ min: 0, max: 20_000_000 }),
  fc.constantFrom(-1, -250_000, -3_600_000_000, 3_600_000_000, 86_400_000_000),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('wait' as const), us: wait }) },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      asks,
      charge: fc.oneof({ weight: 5, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      levels: fc.boolean(),
      reserve: fc.boolean(),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('settle' as const, 'settle' as const, 'renew' as const),
      which: fc.nat(100),
      actual: fc.array(fc.nat(20), { minLength: 5, maxLength: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('refund' as const, 'refund' as const, 'reset' as const), asks }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('lease' as const),
      key: fc.nat(2),
      want: fc.nat(30),
      used: fc.nat(30),
      again: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('change' as const),
      limit: fc.nat(settings.length - 1),
      rule: fc.nat(2),
      carry: fc.constantFrom('used' as const, 'proportional' as const, 'reset' as const),
    }),
  },
);

/** What may happen to a store. */
export const steps = fc.array(step, { minLength: 5, maxLength: 60, size: 'max' });

interface Open {
  readonly demands: readonly Demand[];
  readonly takenAt: number;
}

/** Makes the same happen to several stores whose clocks read the same, and compares what they answer. */
export class Twins {
  readonly #stores: readonly Store[];
  readonly #prefix: string;
  readonly #compare: (command: Command, replies: readonly Reply[]) => void;
  readonly #open: Open[] = [];
  readonly #ids: string[] = [];
  readonly #rules = settings.map((rules) => rules[0] as Rule);
  readonly #leases = new Map<number, { granted: number; takenAt: number }>();
  #change: Change = { version: 0, carry: 'used' };
  #count = 0;
  /** The time of all stores, in µs. */
  now = 1_800_000_000_000_000;

  constructor(stores: readonly Store[], prefix: string, compare: (command: Command, replies: readonly Reply[]) => void) {
    this.#stores = stores;
    this.#prefix = prefix;
    this.#compare = compare;
  }

  async happen(step: Step): Promise<void> {
    if (step.kind === 'wait') this.now += step.us;
    else if (step.kind === 'change') this.#reconfigure(step);
    else if (step.kind === 'lease') await this.#lease(step);
    else {
      const command = this.#command(step);
      if (command === undefined) return;
      const reply = await this.#run(command);
      if (command.do !== 'take' || command.reservation === undefined || !reply?.done) return;
      this.#open.push({ demands: command.demands, takenAt: reply.now });
      this.#ids.push(command.reservation);
    }
  }

  async #run(command: Command): Promise<Reply | undefined> {
    const replies = await Promise.all(this.#stores.map((store) => store.run(command, this.#change)));
    this.#compare(command, replies);
    return replies[0];
  }

  #reconfigure({ limit, rule, carry }: Extract<Step, { kind: 'change' }>): void {
    const rules = settings[limit] as readonly Rule[];
    this.#rules[limit] = rules[rule % rules.length] as Rule;
    this.#change = { version: this.#change.version + 1, carry };
  }

  async #lease({ key, want, used, again }: Extract<Step, { kind: 'lease' }>): Promise<void> {
    const held = again ? this.#leases.get(key) : undefined;
    const reserved = held?.granted ?? 0;
    const demand = { ...this.#demand({ limit: 0, key, cost: want }), reserved };
    this.#count += 1;
    const reply = await this.#run({
      do: 'lease',
      demands: [demand],
      used: Math.min(used, reserved),
      takenAt: held?.takenAt ?? 0,
      id: `lease ${this.#count}`,
    });
    if (reply !== undefined) this.#leases.set(key, { granted: reply.granted, takenAt: reply.now });
  }

  #command(step: Exclude<Step, { kind: 'wait' | 'change' | 'lease' }>): Command | undefined {
    this.#count += 1;
    switch (step.kind) {
      case 'take':
        return {
          do: 'take',
          demands: step.asks.map((one) => this.#demand(one)),
          charge: step.charge,
          levels: step.levels,
          ...(step.reserve || step.asks.some(({ limit }) => limit === 3) ? { reservation: `r${this.#count}` } : {}),
        };
      case 'refund':
        return { do: 'refund', id: `refund ${this.#count}`, demands: step.asks.map((one) => this.#demand(one)) };
      case 'reset':
        return { do: 'reset', demands: step.asks.map((one) => this.#demand(one)) };
      default:
        return this.#ofReservation(step.kind, step.which, step.actual);
    }
  }

  #ofReservation(kind: 'settle' | 'renew', which: number, actual: readonly number[]): Command | undefined {
    const at = which % Math.max(1, this.#open.length);
    const open = this.#open[at];
    const reservation = this.#ids[at];
    if (open === undefined || reservation === undefined) return undefined;
    const demands = open.demands.map((demand) => ({ ...demand, rule: this.#rules[Number(demand.limit.slice(-1))] as Rule }));
    if (kind === 'renew') return { do: 'renew', demands, reservation };
    this.#open.splice(at, 1);
    this.#ids.splice(at, 1);
    const settled = demands.map((demand, i) => ({ ...demand, cost: actual[i] as number, reserved: demand.cost }));
    return { do: 'settle', demands: settled, reservation, takenAt: open.takenAt };
  }

  #demand({ limit, key, cost }: Ask): Demand {
    return { limit: `${this.#prefix}|limit${limit}`, key: `key${key}`, rule: this.#rules[limit] as Rule, cost: limit === 3 ? 1 : cost };
  }
}
