import { type ManagedServer, requireServer, startPostgres } from '@tidegate/test-kit';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { calendarQuota } from '../src/calendar.ts';
import { systemClock } from '../src/clock.ts';
import { type Command, concurrency, type Demand, per, type Reply, slidingWindow, tokenBucket } from '../src/index.ts';
import { checkedSchema } from '../src/postgres/schema.ts';
import { PostgresStore } from '../src/postgres/store.ts';
import { memoryStore } from '../src/stores.ts';
import { runs } from './runs.ts';

const present = requireServer('postgres');
let server: ManagedServer;
let pool: pg.Pool;

beforeAll(async () => {
  if (!present) return;
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.url, max: 2 });
});

afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

/** Every setting that a limit may be given while it runs, by the limit's name. */
const settings = {
  bucket: [
    tokenBucket({ rate: per(5, 'second'), burst: 10, debt: 4, reservationMs: 700 }),
    tokenBucket({ rate: per(7, 'second'), burst: 3, debt: 0, reservationMs: 700 }),
    tokenBucket({ rate: { amount: 1_000_003, periodMs: 86_399_999 }, burst: 20, reservationMs: 90 }),
  ],
  window: [
    slidingWindow({ limit: 6, windowMs: 1_000, precision: 4 }),
    slidingWindow({ limit: 9, windowMs: 1_000, precision: 4 }),
    slidingWindow({ limit: 4, windowMs: 3_333, precision: 7 }),
  ],
  calls: [concurrency({ limit: 2, leaseMs: 800 }), concurrency({ limit: 3, leaseMs: 300 })],
  quota: [
    calendarQuota({ limit: 7, every: 'hour', timeZone: 'Asia/Seoul' }),
    calendarQuota({ limit: 3, every: 'hour', timeZone: 'Asia/Seoul' }),
    calendarQuota({ limit: 11, every: 'day', timeZone: 'Asia/Kathmandu' }),
  ],
} as const;
type Name = keyof typeof settings;

const amount = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 25 }));
const change = fc.record({ version: fc.integer({ min: 0, max: 6 }), carry: fc.constantFrom('used', 'proportional', 'reset') });
const demands = fc.uniqueArray(
  fc.record({
    limit: fc.constantFrom<Name>('bucket', 'bucket', 'window', 'calls', 'quota'),
    key: fc.constantFrom('a', 'b', 'ключ', 'nul\u0000 \ud800', 'x'.repeat(10_000)),
    setting: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 })),
    cost: amount,
    reserved: amount,
    used: amount,
  }),
  { minLength: 1, maxLength: 4, selector: ({ limit, key }) => `${limit}|${key}` },
);
const step = fc.record({
  verb: fc.constantFrom('take', 'take', 'take', 'reserve', 'reserve', 'peek', 'settle', 'settle', 'renew', 'refund', 'reset', 'lease'),
  demands,
  change: fc.oneof(fc.constant({ version: 0, carry: 'used' as const }), change),
  levels: fc.boolean(),
  which: fc.nat({ max: 7 }),
  aheadMs: fc.oneof(
    { weight: 6, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.integer({ min: 0, max: 400 }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 5_000 }).map((ms) => ms + 0.125) },
    { weight: 1, arbitrary: fc.integer({ min: -4_000, max: 0 }) },
    { weight: 1, arbitrary: fc.constantFrom(-3_600_000, 3_600_000) },
  ),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Turns steps into commands, and remembers what was reserved so that it can be settled. */
class Script {
  readonly #prefix: string;
  readonly #reserved: { demands: Demand[]; id: string; takenAt: number }[] = [];
  readonly #oneCalendar: boolean;
  #ids = 0;

  /** A server knows the periods of a calendar only while it is asked by them: those of another are not compared while the clock is set back. */
  constructor(prefix: string, oneCalendar: boolean) {
    this.#prefix = prefix;
    this.#oneCalendar = oneCalendar;
  }

  command({ verb, demands: wanted, levels, which }: Step, now: number): Command {
    const asked = wanted.map(({ limit, key, setting, cost }) => this.#demand(limit, key, setting, cost));
    const known = this.#reserved[which % Math.max(1, this.#reserved.length)];
    const settled = (from: Demand[]) =>
      from.map((demand, i) => ({ ...demand, cost: wanted[i % wanted.length]?.used ?? 0, reserved: demand.cost }));
    this.#ids += 1;
    const id = `${this.#prefix} ${this.#ids}`;
    if (verb === 'settle') {
      const { demands: from, id: reservation, takenAt } = known ?? { demands: asked, id, takenAt: now };
      return { do: 'settle', demands: settled(from), reservation, takenAt };
    }
    if (verb === 'renew') return { do: 'renew', demands: known?.demands ?? asked, reservation: known?.id ?? id };
    if (verb === 'refund') return { do: 'refund', demands: asked, id };
    if (verb === 'reset') return { do: 'reset', demands: asked };
    if (verb === 'lease') return this.#lease(wanted[0] as Step['demands'][number], known?.takenAt ?? now, id);
    if (verb !== 'reserve') return { do: 'take', demands: asked, charge: verb === 'take', levels };
    this.#reserved.push({ demands: asked, id, takenAt: now });
    if (this.#reserved.length > 8) this.#reserved.shift();
    return { do: 'take', demands: asked, charge: true, levels, reservation: id };
  }

  #lease({ key, setting, cost, reserved, used }: Step['demands'][number], takenAt: number, id: string): Command {
    return { do: 'lease', demands: [{ ...this.#demand('bucket', key, setting, cost), reserved }], used, takenAt, id };
  }

  #demand(limit: Name, key: string, setting: number, cost: number): Demand {
    const known = limit === 'quota' && this.#oneCalendar ? 2 : settings[limit].length;
    const { rule } = settings[limit][setting % known] as { rule: Demand['rule'] };
    return { limit: `${this.#prefix}|${limit}`, key, rule, cost };
  }
}

let script = 0;

test.runIf(present)('the same commands at the same instants get the replies that a memory store gives', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
      let wall = Date.UTC(2026, 10, 20);
      const now = () => Math.floor(wall * 1_000);
      const expected = memoryStore({ clock: { ...systemClock, wall: () => wall } });
      const store = new PostgresStore({
        client: pool,
        schema: checkedSchema('test', {}),
        migrate: true,
        cleanupEveryMs: 0,
        clock: systemClock,
        now,
      });
      script += 1;
      const commands = new Script(
        `${script}`,
        steps.some(({ aheadMs }) => aheadMs < 0),
      );
      let together: { given: Promise<Reply>; wanted: Promise<Reply>; command: Command }[] = [];
      const compare = async (): Promise<void> => {
        for (const { given, wanted, command } of together) expect(await given, JSON.stringify(command)).toEqual(await wanted);
        together = [];
      };
      for (const next of steps) {
        if (next.aheadMs !== 0) await compare(); // what is asked at one instant goes in one round trip
        wall += next.aheadMs;
        const command = commands.command(next, now());
        together.push({ given: store.run(command, next.change), wanted: expected.run(command, next.change), command });
      }
      await compare();
      await store.close();
    }),
    runs(10),
  );
});
