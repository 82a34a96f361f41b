import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readBudgets } from '../src/budget.ts';
import type { BudgetOptions, BudgetWindow, UsageReport, UsageStore } from '../src/index.ts';
import { parseUsd } from '../src/money.ts';
import { callDimensions } from '../src/scope.ts';

const noon = Date.parse('2026-03-15T12:00:00Z');
const monthEnd = Date.parse('2026-04-01T00:00:00Z');
const day = 86_400_000;

async function windowOf(options: Partial<BudgetOptions> = {}, at = noon): Promise<BudgetWindow> {
  const full: BudgetOptions = { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '10', period: 'month', ...options };
  const [budget] = readBudgets([full]).values();
  if (!budget) throw new Error('no budget');
  return budget.windowAt(at);
}

let calls = 0;
function spent(usd: string, recordedAt = noon, tenant = 'acme'): UsageReport {
  calls += 1;
  return {
    key: { tenant, id: `call-${calls}` },
    dimensions: callDimensions({ tenant }, 'search'),
    at: recordedAt,
    recordedAt,
    kind: 'tool',
    name: 'search',
    provider: '',
    servedModel: '',
    usage: {},
    amount: parseUsd(usd, 'test'),
    costSource: 'priced',
    revision: 0,
    priceVersion: undefined,
    priceLines: undefined,
    success: true,
    durationMs: undefined,
    traceId: undefined,
    metadata: undefined,
  };
}

/** What the outbox of every store promises, whatever it is made of. */
export function outboxContract(name: string, make: () => UsageStore): void {
  describe(`${name} keeps what has to be told`, () => {
    let store: UsageStore;
    beforeEach(() => {
      store = make();
    });
    afterEach(() => store.close());

    const cross = async (usd: string, options?: Partial<BudgetOptions>, at = noon) =>
      store.saveUsage(spent(usd, at), [await windowOf(options, at)]);
    const claim = (now: number, { sink = 'a', leaseUntil = now + 1_000, limit = 10 } = {}) =>
      store.claimAlerts(sink, now, leaseUntil, limit);
    const levels = async (now: number, options?: Parameters<typeof claim>[1]) => (await claim(now, options)).map(({ level }) => level);

    test('a crossing with all that is to be said of it, once for each sink', async () => {
      await cross('9.5');
      const [alert, ...others] = await claim(noon);
      expect(others).toEqual([]);
      expect(alert).toEqual({
        id: expect.any(String),
        budget: 'acme',
        level: 'warning',
        threshold: 0.9,
        spent: 9_500_000_000n,
        limit: 10_000_000_000n,
        start: Date.parse('2026-03-01T00:00:00Z'),
        end: monthEnd,
        crossedAt: noon,
        attempts: 0,
      });
      expect(await claim(noon)).toEqual([]);
      expect(await claim(noon, { sink: 'b' })).toEqual([alert]);
    });

    test('nobody else has it while it is leased; then it is due again, with what was tried', async () => {
      await cross('9.5');
      await claim(noon, { leaseUntil: noon + 500 });
      expect(await claim(noon + 499)).toEqual([]);
      expect(await claim(noon + 500)).toMatchObject([{ level: 'warning', attempts: 1 }]);
    });

    test('it waits as long as it was put back for, and is never seen again once it was told', async () => {
      await cross('9.5');
      const [alert] = await claim(noon);
      await store.endAlert('a', alert?.id ?? '', noon + 5_000);
      expect(await claim(noon + 4_999)).toEqual([]);
      expect(await claim(noon + 5_000)).toMatchObject([{ attempts: 1 }]);
      await store.endAlert('a', alert?.id ?? '', undefined);
      expect(await claim(noon + day)).toEqual([]);
    });

    test('who comes late cannot bring back what was told', async () => {
      await cross('9.5');
      const [alert] = await claim(noon, { leaseUntil: noon + 1 });
      await claim(noon + 1);
      await store.endAlert('a', alert?.id ?? '', undefined);
      await store.endAlert('a', alert?.id ?? '', noon + 2);
      expect(await claim(noon + day)).toEqual([]);
    });

    test('what nobody claimed, or nobody knows, can be ended without harm', async () => {
      await cross('9.5');
      await store.endAlert('a', 'nobody knows it', undefined);
      const [alert] = await claim(noon);
      await store.endAlert('b', alert?.id ?? '', undefined);
      expect(await levels(noon, { sink: 'b' })).toEqual(['warning']);
    });

    test('a jump over three lines is told line by line, the next when the one before was ended', async () => {
      await cross('10.5');
      await cross('0.5');
      const [warning] = await claim(noon);
      expect(warning).toMatchObject({ level: 'warning' });
      expect(await claim(noon + 1)).toEqual([]);
      await store.endAlert('a', warning?.id ?? '', noon + 60_000);
      expect(await claim(noon + 59_999)).toEqual([]);
      expect(await levels(noon + 60_000)).toEqual(['warning']);
      await store.endAlert('a', warning?.id ?? '', undefined);
      const [critical] = await claim(noon + 60_001);
      expect(critical).toMatchObject({ level: 'critical', spent: 10_500_000_000n });
      await store.endAlert('a', critical?.id ?? '', undefined);
      expect(await claim(noon + 60_001)).toMatchObject([{ level: 'blocked', spent: 11_000_000_000n }]);
    });

    test('budgets, periods and sinks do not wait for each other', async () => {
      await cross('10', { name: 'one' });
      await cross('0', { name: 'two' });
      await cross('10', { name: 'one' }, monthEnd);
      expect(await claim(monthEnd)).toMatchObject([
        { budget: 'one', level: 'warning', end: monthEnd },
        { budget: 'two', level: 'warning' },
        { budget: 'one', level: 'warning', start: monthEnd },
      ]);
      expect(await claim(monthEnd)).toEqual([]);
      expect(await claim(monthEnd, { sink: 'b', limit: 1 })).toMatchObject([{ budget: 'one', end: monthEnd }]);
      expect(await claim(monthEnd, { sink: 'b' })).toHaveLength(2);
    });

    test('lines of equal height and lines crossed late come by their level, not by their time', async () => {
      await cross('10', { thresholds: { warning: 1, critical: 1, blocked: 1 } });
      for (const level of ['warning', 'critical', 'blocked']) {
        const [alert] = await claim(noon);
        expect(alert).toMatchObject({ level, threshold: 1 });
        await store.endAlert('a', alert?.id ?? '', undefined);
      }
      // another process's clock is behind
      await cross('0', { name: 'late', limitUsd: '11' }, noon + 10);
      await cross('1', { name: 'late', limitUsd: '11' }, noon);
      expect(await levels(noon + 20)).toEqual(['warning']);
    });

    test('a day after the period it is too late', async () => {
      await cross('11');
      expect(await levels(monthEnd + day - 1, { sink: 'a' })).toEqual(['warning']);
      expect(await levels(monthEnd + day, { sink: 'b' })).toEqual([]);
    });
  });
}
