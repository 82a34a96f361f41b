import { fc, test } from '@fast-check/vitest';
import { ManualClock, seededRandom } from '@tidegate/test-kit';
import { describe, expect } from 'vitest';
import { retryDelayMs } from '../src/alerts/retry-delay.ts';
import { type AlertSink, AlertSinkError, type BudgetAlert, BudgetAlerts } from '../src/alerts.ts';
import { CostTracker, memoryStore, type UsageStore } from '../src/index.ts';
import { runs } from './runs.ts';

const timeoutMs = 10_000;
const pollMs = 3_600_000;
const maxDelayMs = 1_800_000;
const hour = 3_600_000;
const day = 24 * hour;
const levels = ['warning', 'critical', 'blocked'];
const tenants = ['acme', 'beta'];
const budgets = tenants.map((name) => ({ name, scope: { tenant: name }, limitUsd: '10', period: 'day' as const }));

/** What an attempt meets: `unheard` is a receiver that has the alert and whose answer is lost. */
const fates = ['takes', 'takes', 'fails', 'asks', 'refuses', 'hangs', 'unheard'] as const;
type Fate = (typeof fates)[number];

type Step =
  | { do: 'spend'; tenant: string; usd: string; process: number }
  | { do: 'wait'; ms: number }
  | { do: 'kill'; process: number }
  | { do: 'restart'; process: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('spend' as const),
      tenant: fc.constantFrom(...tenants),
      usd: fc.constantFrom('1', '4', '9', '12'),
      process: fc.nat({ max: 1 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 500, 5_000, timeoutMs, 60_000, hour, 25 * hour) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'restart' as const), process: fc.nat({ max: 1 }) }) },
);

interface Attempt {
  readonly alert: BudgetAlert;
  readonly from: number;
  /** The process that makes it. */
  readonly by: object;
  fate: Fate;
  to: number | undefined;
}

const askedMs = 45_000;

/** A receiver whom every process tells, and what it saw. */
class Receiver {
  readonly attempts: Attempt[] = [];
  healed = false;
  readonly #fates: readonly Fate[];
  readonly #clock: ManualClock;

  constructor(clock: ManualClock, given: readonly Fate[]) {
    this.#clock = clock;
    this.#fates = given;
  }

  sink(name: string, by: { dead: boolean }): AlertSink {
    return {
      name,
      send: async (alert, { signal }) => {
        const fate = this.healed ? 'takes' : (this.#fates[this.attempts.length % this.#fates.length] ?? 'takes');
        const attempt: Attempt = { alert, by, from: this.#clock.wall(), fate, to: undefined };
        this.attempts.push(attempt);
        signal.addEventListener('abort', () => {
          attempt.to ??= this.#clock.wall();
        });
        if (fate === 'hangs' || fate === 'unheard') return new Promise(() => {});
        await Promise.resolve();
        attempt.to = this.#clock.wall();
        if (fate === 'fails') throw new Error('down');
        if (fate === 'asks') throw new AlertSinkError('later', { retryAfterMs: askedMs });
        if (fate === 'refuses') throw new AlertSinkError('never', { permanent: true });
      },
    };
  }

  /** Attempts by alert, in the order of the first. */
  byAlert(): Map<string, Attempt[]> {
    const found = new Map<string, Attempt[]>();
    for (const attempt of this.attempts) found.set(attempt.alert.id, [...(found.get(attempt.alert.id) ?? []), attempt]);
    return found;
  }
}

/** A process that shares the store: once it is dead, nothing that it asks for or answers happens any more. */
class Process {
  readonly life = { dead: false };
  readonly tracker: CostTracker;
  readonly #alerts: BudgetAlerts;

  constructor(store: UsageStore, clock: ManualClock, receivers: ReadonlyMap<string, Receiver>, random: () => number) {
    const { life } = this;
    const alive = <A extends unknown[], R>(method: (...args: A) => Promise<R>) => {
      return (...args: A): Promise<R> => (life.dead ? new Promise(() => {}) : method(...args));
    };
    const own = { ...store, claimAlerts: alive(store.claimAlerts), endAlert: alive(store.endAlert) };
    this.tracker = new CostTracker({ store: own, budgets, clock });
    const sinks = [...receivers].map(([name, receiver]) => receiver.sink(name, life));
    this.#alerts = new BudgetAlerts({ tracker: this.tracker, sinks, clock, random, timeoutMs, pollMs, maxDelayMs });
  }

  kill(): void {
    this.life.dead = true;
    void this.#alerts.close();
  }
}

class World {
  readonly clock = new ManualClock({ wall: Date.parse('2026-03-15T12:00:00Z') });
  readonly store = memoryStore();
  readonly receivers: ReadonlyMap<string, Receiver>;
  readonly processes: Process[];
  readonly killed: { at: number; life: object }[] = [];
  readonly #random: () => number;
  #calls = 0;

  constructor(fatesOf: readonly (readonly Fate[])[], seed: number) {
    this.#random = seededRandom(seed);
    this.receivers = new Map(fatesOf.map((given, index) => [`sink-${index}`, new Receiver(this.clock, given)]));
    this.processes = [this.#start(), this.#start()];
  }

  async take(taken: Step): Promise<void> {
    if (taken.do === 'wait') return this.clock.advanceAsync(taken.ms);
    const process = this.processes[taken.process] as Process;
    if (taken.do === 'spend') {
      const call = { kind: 'tool' as const, name: 'search', scope: { tenant: taken.tenant }, amountUsd: taken.usd };
      await process.tracker.record({ ...call, dedupeKey: `call-${this.#calls++}` });
      return;
    }
    if (!process.life.dead) this.killed.push({ at: this.clock.wall(), life: process.life });
    process.kill();
    if (taken.do === 'restart') this.processes[taken.process] = this.#start();
  }

  /** Everybody is well again, and there is time for all that is left. */
  async heal(): Promise<void> {
    for (const receiver of this.receivers.values()) receiver.healed = true;
    this.processes.forEach((process, index) => {
      if (process.life.dead) this.processes[index] = this.#start();
    });
    await this.clock.advanceAsync(2 * timeoutMs + 3 * maxDelayMs + 2 * pollMs);
  }

  #start(): Process {
    return new Process(this.store, this.clock, this.receivers, this.#random);
  }
}

const crossings = fc.record({
  fates: fc.tuple(
    fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 12 }),
    fc.array(fc.constantFrom(...fates), { minLength: 1, maxLength: 12 }),
  ),
  seed: fc.nat({ max: 1_000_000 }),
  steps: fc.array(step, { minLength: 1, maxLength: 25 }),
});

/** Whether the receiver has been told, whatever the sender knows of it. */
const has = ({ fate }: Attempt) => fate === 'takes' || fate === 'unheard';
/** Whether the sender learnt that nothing more is to be done; a process that is dead learns nothing. */
const over = (attempt: Attempt) => attempt.fate === 'takes' || attempt.fate === 'refuses';

describe('with processes that die and receivers that fail', () => {
  test.prop([crossings], runs(150))(
    'every receiver is told of every crossing, in order, and twice only where an answer was lost',
    async (given) => {
      const world = new World(given.fates, given.seed);
      const crossed = new Map<string, { end: number }>();
      for (const taken of given.steps) await world.take(taken);
      const now = world.clock.wall();
      for (const pending of await everyCrossing(world.store, now)) crossed.set(pending.key, pending);
      await world.heal();
      for (const receiver of world.receivers.values()) {
        const told = receiver.byAlert();
        const keys = new Set(receiver.attempts.map(({ alert }) => keyOf(alert)));
        for (const [key, { end }] of crossed) if (now < end + day) expect(keys).toContain(key);
        expect(told.size).toBe(keys.size);
        for (const attempts of told.values()) checkAttempts(attempts, world, receiver);
        checkOrder(receiver);
      }
      for (const process of world.processes) process.kill();
    },
  );
});

/** All crossings of periods that are current, through a sink that nobody tells. */
async function everyCrossing(store: UsageStore, now: number): Promise<{ key: string; end: number }[]> {
  const found: { key: string; end: number }[] = [];
  for (;;) {
    const claimed = await store.claimAlerts('witness', now, now + 1, 100);
    if (claimed.length === 0) return found;
    for (const { id, budget, level, start, end } of claimed) {
      found.push({ key: `${budget} ${new Date(start).toISOString()} ${level}`, end });
      await store.endAlert('witness', id, undefined);
    }
  }
}

function keyOf({ budget, periodStart, level }: BudgetAlert): string {
  return `${budget} ${periodStart} ${level}`;
}

function checkAttempts(attempts: readonly Attempt[], world: World, receiver: Receiver): void {
  const dead = (attempt: Attempt) => world.killed.find(({ life }) => life === attempt.by)?.at ?? Number.POSITIVE_INFINITY;
  const learnt = (attempt: Attempt) => (attempt.to ?? Number.POSITIVE_INFINITY) < dead(attempt);
  attempts.slice(1).forEach((attempt, index) => {
    const before = attempts[index] as Attempt;
    const lost = !learnt(before);
    // nothing more is sent once the sender knows that all is done
    if (over(before)) expect(lost).toBe(true);
    // what nobody gave back is nobody's until its lease is over
    if (lost) expect(attempt.from - before.from).toBeGreaterThanOrEqual(Math.min(2 * timeoutMs, dead(before) - before.from));
    else expect(attempt.from).toBeGreaterThan(before.to ?? Number.POSITIVE_INFINITY);
    if (before.fate === 'asks' && !lost) expect(attempt.from - (before.to ?? 0)).toBeGreaterThanOrEqual(askedMs);
  });
  const last = attempts.at(-1) as Attempt;
  const end = Date.parse(last.alert.resetsAt) + day;
  if (world.clock.wall() >= end) return; // it may have been given up
  expect(over(last)).toBe(true);
  if (attempts.every(({ fate }) => fate === 'takes' || fate === 'fails' || fate === 'asks') && world.killed.length === 0) {
    expect(attempts.filter(has)).toHaveLength(1);
  }
  expect(receiver.healed).toBe(true);
}

/** No line is told before what was to come before it is done with. */
function checkOrder(receiver: Receiver): void {
  const periods = new Map<string, Attempt[]>();
  for (const attempt of receiver.attempts) {
    const period = `${attempt.alert.budget} ${attempt.alert.periodStart}`;
    periods.set(period, [...(periods.get(period) ?? []), attempt]);
  }
  for (const attempts of periods.values()) {
    const ranks = attempts.map(({ alert }) => levels.indexOf(alert.level));
    expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
  }
}

describe('a wait', () => {
  const waits = fc
    .tuple(fc.integer({ min: 1, max: day }), fc.integer({ min: 1, max: day }))
    .map(([a, b]) => ({ initialDelayMs: Math.min(a, b), maxDelayMs: Math.max(a, b) }));
  const asked = fc.option(fc.double({ min: 0, max: 1e15, noNaN: true }), { nil: undefined });

  test.prop([fc.nat({ max: 10_000 }), asked, waits, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })], runs(1_000))(
    'is whole, grows to its bound, and is what the receiver asked for at least, up to a day',
    (earlier, askedFor, bounds, chance) => {
      const wait = retryDelayMs(earlier, askedFor, bounds, () => chance);
      const full = Math.min(bounds.maxDelayMs, bounds.initialDelayMs * 2 ** earlier);
      const wanted = Math.min(askedFor ?? 0, day);
      expect(Number.isSafeInteger(wait)).toBe(true);
      expect(wait).toBeGreaterThanOrEqual(Math.max(wanted, full / 2));
      expect(wait).toBeLessThanOrEqual(Math.ceil(Math.max(wanted, full)));
      expect(retryDelayMs(earlier + 1, askedFor, bounds, () => chance)).toBeGreaterThanOrEqual(wait);
    },
  );
});
