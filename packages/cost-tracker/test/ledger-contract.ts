import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { alerts } from './contract/alerts.ts';
import { always, holdOf, type Ledger, type MakeLedger, nano, noon, reportOf, scoped, windowOf } from './contract/calls.ts';
import { corrections } from './contract/corrections.ts';
import { pages } from './contract/pages.ts';
import { reports } from './contract/reports.ts';
import { rolling } from './contract/rolling.ts';
import { settings } from './contract/settings.ts';
import { anyText } from './contract/texts.ts';

/** What every store promises, whatever it is made of. Properties are tried so often. */
export function ledgerContract(name: string, make: MakeLedger, usual: number): void {
  describe(`${name} keeps the ledger's promises`, () => {
    const ledger = {} as { -readonly [Field in keyof Ledger]: Ledger[Field] };
    beforeEach(() => {
      const open = make();
      Object.assign(ledger, { store: open(), other: open() });
    });
    afterEach(() => Promise.all([ledger.store.close(), ledger.other.close()]));

    describe('holds and rows', () => holdsAndRows(ledger));
    describe('corrections', () => corrections(ledger, usual));
    describe('rolling budgets', () => rolling(ledger, usual));
    describe('reports', () => reports(ledger, usual));
    describe('pages of rows', () => pages(ledger, usual));
    describe('alerts', () => alerts(ledger));
    describe('budgets that are set', () => settings(ledger));
    describe('texts', () => anyText(ledger));
  });
}

function holdsAndRows(ledger: Ledger): void {
  test('a hold counts until it settles, and then its row does', async () => {
    const { store } = ledger;
    const window = await windowOf();
    expect(await store.reserve(holdOf('a', '3'), [window], noon, 0)).toEqual({ admitted: true });
    expect(await store.budgetState(window, noon)).toEqual({ spent: 0n, reserved: nano('3') });
    expect(await store.saveUsage(reportOf('a', '2.5'), [window])).toMatchObject({
      row: { correction: 0, amount: nano('2.5') },
      crossings: [],
    });
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('2.5'), reserved: 0n });
  });

  test('room ends exactly at the blocked threshold, to the nano-dollar', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '10.999999999'), [window], noon, 0);
    expect(await store.reserve(holdOf('b', '0.000000002'), [window], noon, 0)).toEqual({
      admitted: false,
      window,
      state: { spent: 0n, reserved: nano('10.999999999') },
    });
    expect(await store.reserve(holdOf('c', '0.000000001'), [window], noon, 0)).toEqual({ admitted: true });
  });

  test('a call that one budget refuses is held in none', async () => {
    const { store } = ledger;
    const wide = await windowOf();
    const narrow = await windowOf({ name: 'search', scope: { tenant: 'acme', tool: 'search' }, limitUsd: '1' });
    expect(await store.reserve(holdOf('a', '2'), [wide, narrow], noon, 0)).toMatchObject({
      admitted: false,
      window: { budget: 'search' },
    });
    expect(await store.budgetState(wide, noon)).toEqual({ spent: 0n, reserved: 0n });
    expect(await store.budgetState(narrow, noon)).toEqual({ spent: 0n, reserved: 0n });
  });

  test('a released hold leaves nothing, and releasing nothing is no error', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '3'), [window], noon, 0);
    await store.release({ tenant: 'acme', id: 'a' });
    await store.release({ tenant: 'acme', id: 'a' });
    expect(await store.budgetState(window, noon)).toEqual({ spent: 0n, reserved: 0n });
  });

  test('an abandoned hold counts up to its expiry and not a millisecond longer', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '11'), [window], noon, 0);
    expect(await store.reserve(holdOf('b', '1'), [window], noon + 999, 0)).toMatchObject({ admitted: false });
    expect(await store.reserve({ ...holdOf('b', '2'), expiresAt: noon + 2_000 }, [window], noon + 1_000, 0)).toEqual({ admitted: true });
    expect((await store.budgetState(window, noon + 1_999)).reserved).toBe(nano('2'));
    expect((await store.budgetState(window, noon + 2_000)).reserved).toBe(0n);
  });

  test('holds expire each at its own time, whatever the order they came in', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve({ ...holdOf('a', '1'), expiresAt: noon + 500 }, [window], noon, 0);
    await store.reserve({ ...holdOf('b', '2'), expiresAt: noon + 2_000 }, [window], noon, 0);
    expect((await store.budgetState(window, noon + 500)).reserved).toBe(nano('2'));
    expect((await store.budgetState(window, noon + 2_000)).reserved).toBe(0n);
  });

  test('a call that settles after its hold expired is recorded once', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '3'), [window], noon, 0);
    await store.budgetState(window, noon + 5_000);
    expect(await store.saveUsage(reportOf('a', '3'), [window])).toMatchObject({ row: { correction: 0 } });
    expect(await store.budgetState(window, noon + 5_000)).toEqual({ spent: nano('3'), reserved: 0n });
  });

  test('the same key holds once and is written once, within its tenant', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '3'), [window], noon, 0);
    expect(await store.reserve(holdOf('a', '3'), [window], noon, 0)).toEqual({ admitted: true });
    expect((await store.budgetState(window, noon)).reserved).toBe(nano('3'));

    expect(await store.saveUsage(reportOf('a', '3'), [window])).toMatchObject({ row: { correction: 0 } });
    expect(await store.saveUsage(reportOf('a', '3'), [window])).toEqual({ row: undefined, crossings: [] });
    expect(await store.reserve(holdOf('a', '3'), [window], noon, 0)).toEqual({ admitted: true });
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('3'), reserved: 0n });

    expect(await store.saveUsage(reportOf('a', '5', { tenant: 'other' }), [])).toMatchObject({ row: { correction: 0 } });
  });

  test('a budget that is new in mid-month starts from what its scope has spent and holds', async () => {
    const { store } = ledger;
    await store.saveUsage(reportOf('a', '3', { tenant: 'acme', user: 'mina' }), []);
    await store.saveUsage(reportOf('b', '4', { tenant: 'acme', user: 'joon' }), []);
    await store.saveUsage(reportOf('c', '5', { tenant: 'acme', user: 'mina' }, 'search', noon - 31 * 86_400_000), []);
    await store.reserve(holdOf('d', '2', { tenant: 'acme', user: 'mina' }), [], noon, 0);
    const window = await windowOf({ scope: { user: 'mina' } });
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('3'), reserved: nano('2') });
  });

  test('a row counts in every budget that covers it, also in one its writer does not know', async () => {
    const { store } = ledger;
    const known = await windowOf();
    const other = await windowOf({ name: 'other', scope: { tool: 'search' } });
    await store.budgetState(other, noon);
    await store.saveUsage(reportOf('a', '3'), [known]);
    await store.saveUsage(reportOf('b', '1', { tenant: 'else' }, 'fetch'), []);
    expect((await store.budgetState(other, noon)).spent).toBe(nano('3'));
  });

  test('the period of the admission pays, also when the row comes a month later', async () => {
    const { store } = ledger;
    const march = await windowOf();
    const april = await windowOf({}, noon + 31 * 86_400_000);
    await store.budgetState(april, noon);
    await store.saveUsage(reportOf('a', '3'), [march]);
    expect((await store.budgetState(april, noon)).spent).toBe(0n);
    expect((await store.budgetState(march, noon)).spent).toBe(nano('3'));
    await store.saveUsage(reportOf('b', '1', { tenant: 'acme' }, 'search', april.start), [april]);
    await store.saveUsage(reportOf('c', '2', { tenant: 'acme' }, 'search', april.start - 1), [march]);
    expect((await store.budgetState(april, noon)).spent).toBe(nano('1'));
    expect((await store.budgetState(march, noon)).spent).toBe(nano('5'));
  });

  test('calls of one turn count each in the period of its own time, whatever their order', async () => {
    const { store } = ledger;
    const [march, april] = [await windowOf(), await windowOf({}, noon + 31 * 86_400_000)];
    await store.budgetState(march, noon);
    const later = (id: string, usd: string) => reportOf(id, usd, { tenant: 'acme' }, 'search', april.start);
    await Promise.all([
      ...[store.saveUsage(later('a', '1'), [april]), store.saveUsage(reportOf('b', '2'), []), store.saveUsage(later('c', '3'), [])],
      ...[store.reserve({ ...later('d', '4'), expiresAt: april.end }, [april], noon, 0), store.reserve(holdOf('e', '5'), [], noon, 0)],
    ]);
    expect(await store.budgetState(march, noon)).toEqual({ spent: nano('2'), reserved: nano('5') });
    expect(await store.budgetState(april, noon)).toEqual({ spent: nano('4'), reserved: nano('4') });
  });

  test('a jump over three thresholds reports each once, in order', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.saveUsage(reportOf('a', '8'), [window]);
    const { crossings } = await store.saveUsage(reportOf('b', '3.2'), [window]);
    expect(crossings.map(({ mark, spent }) => [mark.level, mark.threshold, spent])).toEqual([
      ['warning', 0.9, nano('11.2')],
      ['critical', 1, nano('11.2')],
      ['blocked', 1.1, nano('11.2')],
    ]);
    expect(await store.saveUsage(reportOf('c', '1'), [window])).toMatchObject({ row: { correction: 0 }, crossings: [] });
  });

  test('the next period starts its thresholds anew', async () => {
    const { store } = ledger;
    const march = await windowOf();
    const april = await windowOf({}, noon + 31 * 86_400_000);
    const late = reportOf('b', '9', { tenant: 'acme' }, 'search', noon + 31 * 86_400_000);
    expect((await store.saveUsage(reportOf('a', '9'), [march])).crossings).toHaveLength(1);
    expect((await store.saveUsage(late, [april])).crossings).toHaveLength(1);
  });

  test('totals and groups add up the rows of a scope and a time', async () => {
    const { store } = ledger;
    await store.saveUsage(reportOf('a', '0.1'), []);
    await store.saveUsage({ ...reportOf('b', '0.2'), success: false }, []);
    await store.saveUsage(reportOf('c', '0.000000001', { tenant: 'beta' }), []);
    await store.saveUsage({ ...reportOf('d', '1', {}, ''), kind: 'prompt', name: 'plan' }, []);
    await store.saveUsage(reportOf('e', '7', { tenant: 'acme' }, 'search', noon + 5), []);

    const acme = scoped({ tenant: 'acme' });
    expect(await store.getMonthlyTotal({ dimensions: acme, from: noon, to: noon + 5 })).toBe(nano('0.3'));
    expect(await store.getMonthlyTotal({ dimensions: acme, from: noon + 1, to: noon + 6 })).toBe(nano('7'));
    expect(await store.getMonthlyTotal({ dimensions: scoped({ tenant: 'none' }), ...always })).toBe(0n);
    expect(await store.getUsageSummary({ dimensions: scoped({}), from: 0, to: noon + 5 })).toMatchObject([
      { tenant: '', kind: 'prompt', name: 'plan', calls: 1, failures: 0, total: nano('1') },
      { tenant: 'acme', kind: 'tool', name: 'search', calls: 2, failures: 1, total: nano('0.3') },
      { tenant: 'beta', kind: 'tool', name: 'search', calls: 1, failures: 0, total: 1n },
    ]);
  });

  test('what was asked for before the store was closed is done when it is closed', async () => {
    const { store } = ledger;
    const order: string[] = [];
    const saved = store.saveUsage(reportOf('a', '3'), []).then(() => order.push('saved'));
    await Promise.all([saved, store.close().then(() => order.push('closed'))]);
    expect(order).toEqual(['saved', 'closed']);
  });

  test('a closed store says so, and closing again is no error', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.close();
    await store.close();
    await expect(store.reserve(holdOf('a', '1'), [window], noon, 0)).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    await expect(store.getMonthlyTotal({ dimensions: window.dimensions, ...always })).rejects.toMatchObject({ code: 'ERR_CLOSED' });
  });
}
