import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  BudgetExceededError,
  type BudgetThresholdEvent,
  CostTracker,
  type CostTrackerOptions,
  isBudgetExceededError,
  memoryStore,
  type ReserveOptions,
  type UsageStore,
} from '../src/index.ts';

const search: ReserveOptions = { kind: 'tool', name: 'search', scope: { tenant: 'acme' } };
const acme = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'month' as const };

let clock: ManualClock;
let trackers: CostTracker[];

beforeEach(() => {
  clock = new ManualClock({ wall: Date.parse('2026-03-15T12:00:00Z') });
  trackers = [];
});
afterEach(async () => {
  for (const tracker of trackers) await tracker.close();
});

function trackerOf(options: CostTrackerOptions = {}): CostTracker {
  const tracker = new CostTracker({ clock, budgets: [acme], toolPrices: { search: { perCallUsd: '0.25' } }, ...options });
  trackers.push(tracker);
  return tracker;
}

async function refusalOf(promise: Promise<unknown>): Promise<BudgetExceededError> {
  const error = await promise.catch((thrown: unknown) => thrown);
  if (isBudgetExceededError(error)) return error;
  throw new Error(`expected a refusal, got ${String(error)}`);
}

describe('reserving and settling', () => {
  test('holds the price of the tool, then records it', async () => {
    const tracker = trackerOf();
    const hold = await tracker.reserve(search);
    expect(await tracker.status('acme')).toEqual({
      name: 'acme',
      level: 'ok',
      spentUsd: '0',
      reservedUsd: '0.25',
      limitUsd: '1',
      headroomUsd: '0.75',
      usedRatio: 0,
      periodStart: '2026-03-01T00:00:00.000Z',
      resetsAt: '2026-04-01T00:00:00.000Z',
    });
    await hold.settle();
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.25', reservedUsd: '0', headroomUsd: '0.75', usedRatio: 0.25 });
  });

  test('ends once: the first settle or release counts, whatever comes later changes nothing', async () => {
    const tracker = trackerOf();
    const settled = await tracker.reserve(search);
    await Promise.all([settled.settle({ amountUsd: '0.1' }), settled.settle({ amountUsd: '0.2' }), settled.release()]);
    const released = await tracker.reserve(search);
    await released.release();
    await released.settle();
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.1', reservedUsd: '0' });
    expect((await tracker.summary()).calls).toBe(1);
  });

  test('a failed ending may be tried again', async () => {
    const store = memoryStore();
    const tracker = trackerOf({ store });
    const hold = await tracker.reserve(search);
    vi.spyOn(store, 'saveUsage').mockRejectedValueOnce(new Error('the disk is full'));
    await expect(hold.settle()).rejects.toThrow('the disk is full');
    await expect(hold.settle({ amountUsd: '-1' })).rejects.toThrow(RangeError);
    await hold.settle();
    expect((await tracker.status('acme')).spentUsd).toBe('0.25');
  });

  test('takes the amount given, else the price of the tool, else that of any tool; resources and prompts are free', async () => {
    const tracker = trackerOf({ toolPrices: { search: { perCallUsd: '0.25' }, '*': { perCallUsd: 0.01 } } });
    const calls: ReserveOptions[] = [
      search,
      { ...search, amountUsd: '0.3' },
      { ...search, name: 'other' },
      { ...search, name: 'constructor' },
      { ...search, kind: 'resource' },
      { ...search, kind: 'prompt', name: 'plan' },
    ];
    for (const call of calls) await (await tracker.reserve(call)).settle({ success: call.kind !== 'prompt' });
    expect(await tracker.summary()).toMatchObject({
      calls: 6,
      failures: 1,
      totalUsd: '0.57',
      byName: [
        { kind: 'prompt', name: 'plan', calls: 1, failures: 1, totalUsd: '0' },
        { kind: 'resource', name: 'search', calls: 1, failures: 0, totalUsd: '0' },
        { kind: 'tool', name: 'constructor', calls: 1, failures: 0, totalUsd: '0.01' },
        { kind: 'tool', name: 'other', calls: 1, failures: 0, totalUsd: '0.01' },
        { kind: 'tool', name: 'search', calls: 2, failures: 0, totalUsd: '0.55' },
      ],
      byTenant: [{ tenant: 'acme', calls: 6, failures: 1, totalUsd: '0.57' }],
    });
  });

  test('an abandoned hold gives its room back when it expires, and its late call is recorded all the same', async () => {
    const tracker = trackerOf({ holdTtlMs: 1_000 });
    const abandoned = await tracker.reserve({ ...search, amountUsd: '1.1' });
    clock.advance(999);
    await refusalOf(tracker.reserve(search));
    clock.advance(1);
    expect((await tracker.status('acme')).reservedUsd).toBe('0');
    await abandoned.settle();
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '1.1', level: 'blocked' });
  });

  test('a repeated attempt with the same key is the same call', async () => {
    const tracker = trackerOf();
    const first = await tracker.reserve({ ...search, idempotencyKey: 'job-1' });
    const again = await tracker.reserve({ ...search, idempotencyKey: 'job-1' });
    expect((await tracker.status('acme')).reservedUsd).toBe('0.25');
    await Promise.all([first.settle(), again.settle()]);
    await (await tracker.reserve({ ...search, idempotencyKey: 'job-1' })).settle();
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.25', reservedUsd: '0' });
  });

  test('an aborted reservation rejects with the reason and holds nothing, before and during the wait', async () => {
    const store = memoryStore();
    const tracker = trackerOf({ store });
    const reason = new Error('the client left');
    await expect(tracker.reserve(search, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

    const controller = new AbortController();
    const slow: UsageStore = {
      ...store,
      reserve: async (...args) => {
        const result = await store.reserve(...args);
        controller.abort(reason);
        return result;
      },
    };
    await expect(trackerOf({ store: slow }).reserve(search, { signal: controller.signal })).rejects.toBe(reason);
    expect((await tracker.status('acme')).reservedUsd).toBe('0');
  });
});

describe('refusing', () => {
  test('says which budget, how much, and when to come back', async () => {
    const tracker = trackerOf();
    await (await tracker.reserve({ ...search, amountUsd: '0.9' })).settle();
    await tracker.reserve({ ...search, amountUsd: '0.1' });
    const error = await refusalOf(tracker.reserve(search));
    expect(error).toBeInstanceOf(BudgetExceededError);
    expect(error).toMatchObject({
      name: 'BudgetExceededError',
      code: 'ERR_BUDGET_EXCEEDED',
      status: 403,
      limit: 'acme',
      limitUsd: '1',
      spentUsd: '0.9',
      reservedUsd: '0.1',
      requestedUsd: '0.25',
      resetsAt: '2026-04-01T00:00:00.000Z',
      retryAfterMs: Date.parse('2026-04-01') - clock.wall(),
      message: "budget 'acme' has no room for 0.25 USD: 0.9 spent and 0.1 held of 1",
    });
    expect(JSON.parse(JSON.stringify(error.toProblem()))).toEqual({
      type: 'about:blank',
      title: 'Forbidden',
      status: 403,
      code: 'ERR_BUDGET_EXCEEDED',
      detail: error.message,
      limit: 'acme',
      limitUsd: '1',
      spentUsd: '0.9',
      reservedUsd: '0.1',
      requestedUsd: '0.25',
      resetsAt: '2026-04-01T00:00:00.000Z',
      retryAfterMs: error.retryAfterMs,
    });
  });

  test('admits up to the blocked threshold exactly, also from many calls at once', async () => {
    const tracker = trackerOf();
    const answers = await Promise.allSettled(Array.from({ length: 200 }, () => tracker.reserve({ ...search, amountUsd: '0.01' })));
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(110);
    expect(await tracker.status('acme')).toMatchObject({ reservedUsd: '1.1', headroomUsd: '0', level: 'ok' });
  });

  test('a call that no period could pay is not told to come back, one that a whole period could is', async () => {
    const tracker = trackerOf();
    await tracker.reserve(search);
    expect((await refusalOf(tracker.reserve({ ...search, amountUsd: '1.1' }))).retryAfterMs).toBeGreaterThan(0);
    const error = await refusalOf(tracker.reserve({ ...search, amountUsd: '1.100000001' }));
    expect(error.retryAfterMs).toBeUndefined();
    expect('retryAfterMs' in error.toProblem()).toBe(false);
  });

  test('a call that may cost nothing is never refused', async () => {
    const tracker = trackerOf();
    await tracker.record({ ...search, amountUsd: '5', dedupeKey: 'big' });
    await refusalOf(tracker.reserve(search));
    await (await tracker.reserve({ ...search, name: 'free' })).settle();
    expect((await tracker.summary()).calls).toBe(2);
  });

  test('the next month has room again', async () => {
    const tracker = trackerOf();
    await (await tracker.reserve({ ...search, amountUsd: '1.1' })).settle();
    clock.advance(Date.parse('2026-04-01') - clock.wall() - 1);
    expect((await refusalOf(tracker.reserve(search))).retryAfterMs).toBe(1);
    clock.advance(1);
    await tracker.reserve(search);
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0', reservedUsd: '0.25', periodStart: '2026-04-01T00:00:00.000Z' });
  });

  test('every budget that covers the call must have room, and none holds a refused call', async () => {
    const mina = { name: 'mina', scope: { tenant: 'acme', user: 'mina' }, limitUsd: '0.1', period: 'day' as const };
    const tracker = trackerOf({ budgets: [acme, mina] });
    expect((await refusalOf(tracker.withScope({ user: 'mina' }, () => tracker.reserve(search)))).limit).toBe('mina');
    await tracker.withScope({ user: 'joon' }, () => tracker.reserve(search));
    expect((await tracker.status('acme')).reservedUsd).toBe('0.25');
    expect((await tracker.status('mina')).reservedUsd).toBe('0');
  });

  test('enforce does nothing until settled spend reaches the blocked threshold', async () => {
    const tracker = trackerOf();
    const hold = await tracker.reserve({ ...search, amountUsd: '1.1' });
    await tracker.enforce('acme');
    await hold.settle();
    expect(await refusalOf(tracker.enforce('acme'))).toMatchObject({ limit: 'acme', spentUsd: '1.1', requestedUsd: '0' });
  });

  test('the guard knows an error of another copy of the package', async () => {
    vi.resetModules();
    const copy = await import('../src/index.ts');
    expect(copy.BudgetExceededError).not.toBe(BudgetExceededError);
    const error = await refusalOf(trackerOf().reserve({ ...search, amountUsd: '2' }));
    expect(copy.isBudgetExceededError(error)).toBe(true);
    expect(copy.isStoreError(error)).toBe(false);
    for (const other of [null, undefined, 'text', new Error('plain'), {}]) expect(isBudgetExceededError(other)).toBe(false);
  });
});

describe('scopes', () => {
  test('follow asynchronous calls, nest, and give way to the scope of the call', async () => {
    const store = memoryStore();
    const rows = vi.spyOn(store, 'saveUsage');
    const tracker = trackerOf({ store });
    const settle = async (options: ReserveOptions) => (await tracker.reserve(options)).settle();
    const bare: ReserveOptions = { kind: 'tool', name: 'search' };
    await tracker.withScope({ tenant: 'acme', user: 'mina', traceId: 't-1' }, async () => {
      await settle(bare);
      await tracker.withScope({ user: 'joon', project: undefined, tenant: undefined }, () => settle(bare));
      await settle({ ...bare, scope: { project: 'p' } });
    });
    await settle(bare);
    expect(rows.mock.calls.map(([{ dimensions, traceId }]) => [dimensions.tenant, dimensions.user, dimensions.project, traceId])).toEqual([
      ['acme', 'mina', '', 't-1'],
      ['acme', 'joon', '', 't-1'],
      ['acme', 'mina', 'p', 't-1'],
      ['', '', '', undefined],
    ]);
  });
});

describe('recording', () => {
  test('writes a call once, whatever the budgets say', async () => {
    const tracker = trackerOf();
    expect(await tracker.record({ ...search, amountUsd: '5', dedupeKey: 'a' })).toBe(true);
    expect(await tracker.record({ ...search, amountUsd: '5', dedupeKey: 'a' })).toBe(false);
    expect((await tracker.status('acme')).spentUsd).toBe('5');
  });

  test('a late report counts in the month it belongs to', async () => {
    const tracker = trackerOf();
    await tracker.record({ ...search, dedupeKey: 'late', at: Date.parse('2026-02-28T23:59:59.999Z') });
    await tracker.record({ ...search, dedupeKey: 'now', metadata: { model: 'none' }, durationMs: 1.5 });
    expect((await tracker.status('acme')).spentUsd).toBe('0.25');
    expect(await tracker.monthlyTotalUsd()).toBe('0.25');
    expect(await tracker.monthlyTotalUsd({ scope: { tenant: 'beta' }, timeZone: 'Asia/Seoul' })).toBe('0');
    expect((await tracker.summary()).totalUsd).toBe('0.5');
    expect((await tracker.summary({ to: Date.parse('2026-03-01') })).totalUsd).toBe('0.25');
    expect((await tracker.summary({ from: Date.parse('2026-03-01'), scope: { tool: 'search' } })).calls).toBe(1);
  });
});

describe('thresholds', () => {
  const crossings = (tracker: CostTracker) => {
    const seen: BudgetThresholdEvent[] = [];
    return { seen, stop: tracker.on('budget-threshold', (event) => seen.push(event)) };
  };
  const spend = async (tracker: CostTracker, amountUsd: string) => tracker.record({ ...search, amountUsd, dedupeKey: crypto.randomUUID() });

  test('are told once each, in order, also when one call jumps over all', async () => {
    const tracker = trackerOf();
    const { seen } = crossings(tracker);
    await spend(tracker, '0.8');
    expect(seen).toEqual([]);
    await spend(tracker, '0.32');
    await spend(tracker, '1');
    const common = {
      budget: 'acme',
      spentUsd: '1.12',
      limitUsd: '1',
      periodStart: '2026-03-01T00:00:00.000Z',
      resetsAt: '2026-04-01T00:00:00.000Z',
    };
    expect(seen).toEqual([
      { ...common, level: 'warning', threshold: 0.9 },
      { ...common, level: 'critical', threshold: 1 },
      { ...common, level: 'blocked', threshold: 1.1 },
    ]);
  });

  test.each([
    ['0.899999999', 'ok'],
    ['0.9', 'warning'],
    ['0.999999999', 'warning'],
    ['1', 'critical'],
    ['1.099999999', 'critical'],
    ['1.1', 'blocked'],
  ])('%s of 1 USD is %s', async (amountUsd, level) => {
    const tracker = trackerOf();
    await spend(tracker, amountUsd);
    expect((await tracker.status('acme')).level).toBe(level);
  });

  test('are configurable', async () => {
    const tracker = trackerOf({ budgets: [{ ...acme, thresholds: { warning: 0.5, blocked: 1 } }] });
    const { seen } = crossings(tracker);
    await (await tracker.reserve({ ...search, amountUsd: '0.5' })).settle();
    await refusalOf(tracker.reserve({ ...search, amountUsd: '0.500000001' }));
    await (await tracker.reserve({ ...search, amountUsd: '0.5' })).settle();
    expect(seen.map(({ level, threshold }) => [level, threshold])).toEqual([
      ['warning', 0.5],
      ['critical', 1],
      ['blocked', 1],
    ]);
  });

  test('a removed listener hears nothing, and one that throws stops neither the others nor the call', async () => {
    const tracker = trackerOf();
    const removed = crossings(tracker);
    removed.stop();
    const errors: unknown[] = [];
    tracker.on('listener-error', ({ error }) => errors.push(error));
    tracker.on('listener-error', () => {
      throw new Error('again');
    });
    const thrown = new Error('listener');
    tracker.on('budget-threshold', () => {
      throw thrown;
    });
    const { seen } = crossings(tracker);
    await spend(tracker, '0.95');
    expect(removed.seen).toEqual([]);
    expect(seen).toHaveLength(1);
    expect(errors).toEqual([thrown]);
  });
});

test('a closed tracker says so', async () => {
  const tracker = new CostTracker({ budgets: [acme] });
  await tracker.close();
  await tracker[Symbol.asyncDispose]();
  await expect(tracker.reserve({ ...search, amountUsd: '1' })).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  await expect(tracker.status('acme')).rejects.toMatchObject({ code: 'ERR_CLOSED' });
});

test('without a clock the system time decides', async () => {
  vi.useFakeTimers({ now: Date.parse('2027-05-05T00:00:00Z'), toFake: ['Date'] });
  try {
    expect((await trackerOf({ clock: { wall: () => Date.now() } }).status('acme')).periodStart).toBe('2027-05-01T00:00:00.000Z');
    await using tracker = new CostTracker({ budgets: [acme] });
    expect((await tracker.status('acme')).periodStart).toBe('2027-05-01T00:00:00.000Z');
  } finally {
    vi.useRealTimers();
  }
});
