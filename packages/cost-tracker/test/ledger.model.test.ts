import { join } from 'node:path';
import { fc, test } from '@fast-check/vitest';
import { ManualClock, tempDir } from '@tidegate/test-kit';
import { afterAll, describe, expect } from 'vitest';
import { type BudgetOptions, type CostHold, CostTracker, isBudgetExceededError, memoryStore, type UsageStore } from '../src/index.ts';
import { formatUsd } from '../src/money.ts';
import { sqliteStore } from '../src/sqlite.ts';

const folder = tempDir();
afterAll(() => folder.remove());
let files = 0;

const stores: [string, number, () => UsageStore][] = [
  ['memoryStore', 200, memoryStore],
  ['sqliteStore', 40, () => sqliteStore(join(folder.path, `model-${files++}.db`))],
];

const ttl = 1_000;
const hour = 3_600_000;
const tenants = ['acme', 'beta'];
const tools = ['search', 'fetch'];
const budgets: BudgetOptions[] = [
  { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '0.00000002', period: 'month', timeZone: 'Asia/Seoul' },
  { name: 'acme-search', scope: { tenant: 'acme', tool: 'search' }, limitUsd: '0.000000011', period: 'day' },
  { name: 'fetch', scope: { tool: 'fetch' }, limitUsd: '0.000000015', period: 'day', thresholds: { critical: 0.95, blocked: 1 } },
];
const facts: Record<string, { ceiling: bigint; zoneHours: number; month: boolean; counts: (call: ModelCall) => boolean }> = {
  acme: { ceiling: 22n, zoneHours: 9, month: true, counts: (call) => call.tenant === 'acme' },
  'acme-search': { ceiling: 12n, zoneHours: 0, month: false, counts: (call) => call.tenant === 'acme' && call.tool === 'search' },
  fetch: { ceiling: 15n, zoneHours: 0, month: false, counts: (call) => call.tool === 'fetch' },
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
  | { do: 'wait'; ms: number };

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
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 300, ttl, 9 * hour, 24 * hour) }) },
);

/** The naive truth: a list of calls, added up anew for every question. */
class Model {
  readonly calls: ModelCall[] = [];

  periodOf(budget: string, at: number): string {
    const { zoneHours = 0, month = false } = facts[budget] ?? {};
    return new Date(at + zoneHours * hour).toISOString().slice(0, month ? 7 : 10);
  }

  state(budget: string, now: number): { spent: bigint; reserved: bigint } {
    const period = this.periodOf(budget, now);
    const counted = this.calls.filter((call) => facts[budget]?.counts(call) && this.periodOf(budget, call.at) === period);
    const add = (key: 'spent' | 'held', calls: ModelCall[]) => calls.reduce((total, call) => total + call[key], 0n);
    return {
      spent: add('spent', counted),
      reserved: add(
        'held',
        counted.filter((call) => call.at + ttl > now),
      ),
    };
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

  constructor(store: UsageStore) {
    this.tracker = new CostTracker({ store, budgets, clock: this.clock, holdTtlMs: ttl });
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'wait':
        return this.clock.advance(step.ms);
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
    const inTime = ended.call.at + ttl > this.clock.wall();
    // A call that outlived its hold is written whatever it cost; here it cost nothing, so that the line must still hold.
    const spent = inTime ? (ended.call.held * share) / 100n : 0n;
    await ended.hold.settle({ amountUsd: formatUsd(spent) });
    Object.assign(ended.call, { held: 0n, spent });
  }

  async #release(ended: { hold: CostHold; call: ModelCall } | undefined): Promise<void> {
    if (!ended) return;
    await ended.hold.release();
    this.model.calls.splice(this.model.calls.indexOf(ended.call), 1);
  }
}

describe.each(stores)('%s', (_name, numRuns, make) => {
  test.prop([fc.array(step, { maxLength: 60 })], { numRuns })(
    'agrees with a list of calls added up anew, and never passes a line, in any order of reserving, settling, releasing and expiring',
    async (steps) => {
      const pair = new Pair(make());
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
});
