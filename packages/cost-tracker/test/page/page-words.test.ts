import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BudgetReport } from '../../src/http.ts';
import { budgetPeriod, count, decimal, fraction, instant, nano, percent, period, short, usd } from '../../src/page/format.ts';
import { budgetsFor, standingOf } from '../../src/page/standing.ts';
import { runs } from '../runs.ts';

describe('words and numbers', () => {
  test.each([
    ['0', '$0.00'],
    ['7.75', '$7.75'],
    ['1234567.899', '$1,234,567.90'],
    ['0.25', '$0.25'],
    ['0.0004503', '$0.00045'],
    ['0.000000001', '$0.000000001'],
    ['0.999999999', '$1.00'],
    ['-0.3', '-$0.30'],
    ['90071992547409.93', '$90,071,992,547,409.93'],
  ])('%s USD is %s', (text, shown) => expect(usd(text)).toBe(shown));

  test('a share is cut off, so that it never reads as a threshold that was not reached', () => {
    expect(percent('89.999999999', '100')).toBe('89.9 %');
    expect(percent('90', '100')).toBe('90 %');
    expect(percent('110', '100')).toBe('110 %');
    expect(percent('0.000000001', '1000000000')).toBe('0 %');
    const amount = fc.bigInt({ min: 0n, max: 10n ** 18n });
    fc.assert(
      fc.property(amount, fc.bigInt({ min: 1n, max: 10n ** 15n }), (spent, limit) => {
        const text = (value: bigint) => `${value / 10n ** 9n}.${String(value % 10n ** 9n).padStart(9, '0')}`;
        expect(nano(text(spent))).toBe(spent);
        const tenths = BigInt(Math.round(Number(percent(text(spent), text(limit)).replace(' %', '')) * 10));
        if (spent < limit * 100n) {
          expect(tenths * limit).toBeLessThanOrEqual(spent * 1000n);
          expect((tenths + 1n) * limit).toBeGreaterThan(spent * 1000n);
        }
      }),
      runs(500),
    );
  });

  test('times, counts and periods', () => {
    expect(instant('2026-04-01T00:00:00.000Z', 'Asia/Seoul')).toBe('1 Apr 2026, 09:00 Asia/Seoul');
    expect(['2026-03-15T14:00', '2026-03-15', '2026-03'].map(period)).toEqual(['14:00', '15 Mar', 'Mar 2026']);
    expect([count(1_234_567), short(1_234_567), decimal(0.12345), fraction(1.1)]).toEqual(['1,234,567', '1.2M', '0.123', '110 %']);
    expect(
      ['month', 60_000, 7_200_000, 172_800_000].map((ms) => budgetPeriod(typeof ms === 'string' ? 'month' : { rollingMs: ms })),
    ).toEqual([...['month', 'last 1 min', 'last 2 h', 'last 2 days']]);
  });
});

describe('the standing of budgets', () => {
  const budget = (name: string, spentUsd: string, level: BudgetReport['level'], more: Partial<BudgetReport> = {}): BudgetReport => ({
    ...{ name, level, spentUsd, reservedUsd: '0', limitUsd: '100', headroomUsd: '0', usedRatio: Number(spentUsd) / 100 },
    ...{ periodStart: '2026-03-01T00:00:00.000Z', resetsAt: '2026-04-01T00:00:00.000Z', scope: { tenant: name }, period: 'month' },
    ...{ timeZone: 'UTC', thresholds: { warning: 0.9, critical: 1, blocked: 1.1 }, unpriced: 'refuse', etag: '""' },
    ...more,
  });

  test('the worst level comes first, then what is spent most', () => {
    const shuffled = [budget('a', '10', 'ok'), budget('b', '95', 'warning'), budget('c', '91', 'warning'), budget('d', '20', 'ok')];
    expect(budgetsFor(shuffled, '', '').map(({ name }) => name)).toEqual(['b', 'c', 'd', 'a']);
    expect(standingOf(budgetsFor(shuffled, '', ''))).toEqual({
      ...{ level: 'warning', title: 'Budget b is running out' },
      text: '95 % of $100.00 spent. It starts again on 1 Apr 2026, 00:00 UTC. 1 more budget needs attention.',
    });
  });

  test('a level counts for more than a share: thresholds differ', () => {
    const strict = budget('strict', '50', 'blocked', { thresholds: { warning: 0.3, critical: 0.4, blocked: 0.5 } });
    expect(standingOf(budgetsFor([budget('a', '104', 'critical'), strict], '', '')).title).toBe('Budget strict is blocked');
  });

  test('budgets of others are left out, budgets of all are not', () => {
    const all = [budget('acme', '1', 'ok'), budget('globex', '2', 'ok'), budget('models', '3', 'ok', { scope: { model: 'mini' } })];
    expect(budgetsFor(all, 'acme', '').map(({ name }) => name)).toEqual(['models', 'acme']);
    expect(budgetsFor(all, '', 'atlas')).toHaveLength(3);
  });

  test('each level says what it means', () => {
    expect(standingOf([])).toMatchObject({ level: 'none', title: 'No budget' });
    expect(standingOf([budget('a', '10', 'ok')])).toEqual({ level: 'ok', title: 'Within budget', text: 'a: 10 % of $100.00 spent.' });
    expect(standingOf([budget('a', '100', 'critical'), budget('b', '99', 'warning'), budget('c', '98', 'warning')]).text).toBe(
      '100 % of $100.00 spent. Calls are refused at 110 %. It starts again on 1 Apr 2026, 00:00 UTC. 2 more budgets need attention.',
    );
    const rolling = budget('a', '110', 'blocked', { period: { rollingMs: 60_000 } });
    expect(standingOf([rolling])).toMatchObject({
      ...{ title: 'Budget a is blocked', text: '110 % of $100.00 spent. Calls are refused. Room comes back as spend grows old.' },
    });
  });
});
