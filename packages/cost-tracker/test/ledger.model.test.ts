import { join } from 'node:path';
import { fc, test } from '@fast-check/vitest';
import { ManualClock, tempDir } from '@tidegate/test-kit';
import { afterAll, describe, expect } from 'vitest';
import { type BudgetOptions, type CostHold, CostTracker, isBudgetExceededError, memoryStore, type UsageStore } from '../src/index.ts';
import { formatUsd } from '../src/money.ts';
import { postgresStore } from '../src/postgres.ts';
import { sqliteStore } from '../src/sqlite.ts';
import { always, dayMs, hourMs, type MakeLedger, noon, reportOf, scoped, windowOf } from './contract/calls.ts';
import { postgresOfTest } from './postgres-of-test.ts';
import { runs } from './runs.ts';

const { present, newLedger, newPool } = postgresOfTest();
const folder = tempDir();
afterAll(() => folder.remove());
let files = 0;

const stores: [string, number, MakeLedger][] = [
  [
    'memoryStore',
    200,
    () => {
      const store = memoryStore();
      return () => ({ ...store, close: async () => {} });
    },
  ],
  [
    'sqliteStore',
    40,
    () => {
      const file = join(folder.path, `model-${files++}.db`);
      return () => sqliteStore(file);
    },
  ],
];
if (present) {
  const make: MakeLedger = () => {
    const [pool, ledger] = [newPool(), newLedger()];
    return () => postgresStore(pool, ledger);
  };
  stores.push(['postgresStore', 4, make]);
}

const ttl = 1_000;
const tenants = ['acme', 'beta'];
const tools = ['search', 'fetch'];
const rollingMs = 90 * 60_000;
const budgets: BudgetOptions[] = [
  { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '0.00000002', period: 'month', timeZone: 'Asia/Seoul' },
  { name: 'acme-search', scope: { tenant: 'acme', tool: 'search' }, limitUsd: '0.000000011', period: 'day' },
  { name: 'fetch', scope: { tool: 'fetch' }, limitUsd: '0.000000015', period: 'day', thresholds: { critical: 0.95, blocked: 1 } },
  { name: 'beta', scope: { tenant: 'beta' }, limitUsd: '0.00000001', period: { rollingMs } },
];

interface Fact {
  readonly ceiling: bigint;
  counts(call: ModelCall): boolean;
  /** Whether what was spent at one instant counts at another. */
  together(at: number, now: number): boolean;
}

const sameDay = (at: number, now: number) => Math.floor(at / dayMs) === Math.floor(now / dayMs);
const monthInSeoul = (at: number) => new Date(at + 9 * hourMs).toISOString().slice(0, 7);
const minutes = (at: number) => Math.floor(at / (rollingMs / 60));
const facts: Record<string, Fact> = {
  acme: { ceiling: 22n, counts: (call) => call.tenant === 'acme', together: (at, now) => monthInSeoul(at) === monthInSeoul(now) },
  'acme-search': { ceiling: 12n, counts: (call) => call.tenant === 'acme' && call.tool === 'search', together: sameDay },
  fetch: { ceiling: 15n, counts: (call) => call.tool === 'fetch', together: sameDay },
  beta: {
    ceiling: 11n,
    counts: (call) => call.tenant === 'beta',
    together: (at, now) => minutes(at) <= minutes(now) && minutes(now) - minutes(at) <= 60,
  },
};

interface ModelCall {
  tenant: string;
  tool: string;
  at: number;
  held: bigint;
  spent: bigint;
}

type Step =
  | { do: 'reserve'; tenant: string; tool: string; nano: number }
  | { do: 'settle'; pick: number; share: number }
  | { do: 'release'; pick: number }
  | { do: 'wait'; ms: number }
  | { do: 'jump'; ms: number };

const pick = fc.nat({ max: 1_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      tenant: fc.constantFrom(...tenants),
      tool: fc.constantFrom(...tools),
      nano: fc.nat({ max: 9 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('settle' as const), pick, share: fc.integer({ min: 0, max: 100 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), pick }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 300, ttl, 60_000, hourMs, 9 * hourMs, dayMs) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(-1, -ttl, -hourMs, -dayMs, dayMs) }) },
);

/** The naive truth: a list of calls, added up anew for every question. */
class Model {
  readonly calls: ModelCall[] = [];

  /** Holds that have expired by any time that it was looked at are gone, also when the clock goes back. */
  state(budget: string, now: number): { spent: bigint; reserved: bigint } {
    for (const call of this.calls) if (call.at + ttl <= now) call.held = 0n;
    const counted = this.calls.filter((call) => facts[budget]?.counts(call) && facts[budget]?.together(call.at, now));
    const add = (key: 'spent' | 'held') => counted.reduce((total, call) => total + call[key], 0n);
    return { spent: add('spent'), reserved: add('held') };
  }

  refuses(call: ModelCall): string[] {
    if (call.held === 0n) return [];
    return Object.keys(facts).filter((budget) => {
      const { ceiling = 0n, counts } = facts[budget] ?? {};
      const { spent, reserved } = this.state(budget, call.at);
      return counts?.(call) && spent + reserved + call.held > ceiling;
    });
  }
}

/** A tracker and the model of it, taking the same steps. */
class Pair {
  readonly clock = new ManualClock({ wall: Date.parse('2026-03-30T00:00:00Z') });
  readonly model = new Model();
  readonly tracker: CostTracker;
  readonly #open: { hold: CostHold; call: ModelCall }[] = [];
  #wentBack = false;

  constructor(store: UsageStore) {
    this.tracker = new CostTracker({ store, budgets, clock: this.clock, holdTtlMs: ttl });
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'wait':
        return this.clock.advance(step.ms);
      case 'jump':
        this.#wentBack ||= step.ms < 0;
        return this.clock.jumpWall(step.ms);
      case 'reserve':
        return this.#reserve({ ...step, at: this.clock.wall(), held: BigInt(step.nano), spent: 0n });
      case 'settle':
        return this.#settle(this.#pick(step.pick), BigInt(step.share));
      case 'release':
        return this.#release(this.#pick(step.pick));
    }
  }

  async compare(): Promise<void> {
    for (const { name } of budgets) {
      const { spent, reserved } = this.model.state(name, this.clock.wall());
      const status = await this.tracker.status(name);
      expect(status).toMatchObject({ name, spentUsd: formatUsd(spent), reservedUsd: formatUsd(reserved) });
      // what was spent in a future that a clock showed counts where it was spent, and a budget that moves with the clock comes to it
      if (this.#wentBack && name === 'beta') continue;
      expect(spent + reserved).toBeLessThanOrEqual(facts[name]?.ceiling ?? 0n);
    }
  }

  #pick(index: number) {
    return this.#open.splice(index % Math.max(this.#open.length, 1), 1)[0];
  }

  async #reserve(call: ModelCall): Promise<void> {
    const [refusing] = this.model.refuses(call);
    const request = { kind: 'tool' as const, name: call.tool, scope: { tenant: call.tenant }, amountUsd: formatUsd(call.held) };
    const answer = await this.tracker.reserve(request).catch((error: unknown) => error);
    expect(isBudgetExceededError(answer) ? answer.limit : undefined).toBe(refusing);
    if (refusing !== undefined) return;
    this.model.calls.push(call);
    this.#open.push({ hold: answer as CostHold, call });
  }

  async #settle(ended: { hold: CostHold; call: ModelCall } | undefined, share: bigint): Promise<void> {
    if (!ended) return;
    // A call that outlived its hold is written whatever it cost; here it cost nothing, so that the line must still hold.
    const spent = ended.call.at + ttl <= this.clock.wall() ? 0n : (ended.call.held * share) / 100n;
    await ended.hold.settle({ amountUsd: formatUsd(spent) });
    Object.assign(ended.call, { held: 0n, spent });
  }

  async #release(ended: { hold: CostHold; call: ModelCall } | undefined): Promise<void> {
    if (!ended) return;
    await ended.hold.release();
    this.model.calls.splice(this.model.calls.indexOf(ended.call), 1);
  }
}

const sources = ['unpriced', 'estimated', 'partial', 'priced', 'reported'] as const;
const event = fc.record({
  call: fc.nat({ max: 5 }),
  costSource: fc.constantFrom(...sources),
  revision: fc.nat({ max: 1 }),
  amount: fc.nat({ max: 3 }),
  usage: fc.record({ inputTokens: fc.nat({ max: 3 }), outputTokens: fc.nat({ max: 3 }) }),
  success: fc.boolean(),
});
/** Where in another order an event comes, whether it comes once more, and whether the store is closed and opened before it. */
const place = fc.record({ first: fc.nat(), again: fc.option(fc.nat(), { nil: undefined }), reopened: fc.boolean() });

/** What a stream of events leaves in a ledger; each step is of one event, and may open the ledger anew. */
async function leftBy(make: MakeLedger, events: readonly { event: EventOf; reopened: boolean }[]) {
  const open = make();
  let store = open();
  for (const { event: told, reopened } of events) {
    if (reopened) {
      await store.close();
      store = open();
    }
    const { call, amount, ...known } = told;
    const tool = tools[call % 2] as string;
    const report = reportOf(`${call}`, '0', { tenant: tenants[call % 3] ?? 'gamma' }, tool, noon - call * 20 * hourMs);
    await store.saveUsage({ ...report, ...known, amount: BigInt(known.costSource === 'unpriced' ? 0 : amount) }, []);
  }
  const windows = await Promise.all([
    windowOf(),
    windowOf({ period: { rollingMs: dayMs } }),
    windowOf({ scope: { tool: 'fetch' }, period: 'day' }),
  ]);
  const left = {
    groups: await store.getUsageSummary({ dimensions: scoped({}), ...always }),
    total: await store.getMonthlyTotal({ dimensions: scoped({ tenant: 'acme' }), ...always }),
    states: await Promise.all(windows.map((window) => store.budgetState(window, noon))),
  };
  await store.close();
  return left;
}
type EventOf = typeof event extends fc.Arbitrary<infer T> ? T : never;

describe.each(stores)('%s', (_name, usual, make) => {
  test.prop([fc.array(step, { maxLength: 60 })], runs(usual))(
    'agrees with a list of calls added up anew, and never passes a line, in any order of reserving, settling, releasing and expiring',
    async (steps) => {
      const pair = new Pair(make()());
      await using tracker = pair.tracker;
      for (const each of steps) {
        await pair.take(each);
        await pair.compare();
      }
      const spentBy = (calls: ModelCall[]) => formatUsd(calls.reduce((sum, call) => sum + call.spent, 0n));
      const summary = await tracker.summary();
      expect(summary.totalUsd).toBe(spentBy(pair.model.calls));
      for (const tenant of tenants) {
        const own = summary.byTenant.find((each) => each.tenant === tenant)?.totalUsd ?? '0';
        expect(own).toBe(spentBy(pair.model.calls.filter((call) => call.tenant === tenant)));
      }
    },
  );

  test.prop([fc.array(fc.tuple(event, place), { maxLength: 20 })], runs(usual))(
    'is left the same by any stream of events that is repeated, comes in another order, or is broken off and gone on with',
    async (events) => {
      const inOrder = events.map(([told]) => ({ event: told, reopened: false }));
      const later = events.flatMap(([told, { first, again, reopened }]) =>
        [first, again].flatMap((at) => (at === undefined ? [] : [{ at, event: told, reopened }])),
      );
      expect(
        await leftBy(
          make,
          later.toSorted((a, b) => a.at - b.at),
        ),
      ).toEqual(await leftBy(() => memoryStore, inOrder));
    },
  );
});
