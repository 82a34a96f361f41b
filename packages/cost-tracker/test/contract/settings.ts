import { expect, test } from 'vitest';
import { holdOf, type Ledger, nano, noon, windowOf } from './calls.ts';

export function settings(ledger: Ledger): void {
  test('budgets that are set are there for all, in the order of their names, under a new version each time', async () => {
    const { store, other } = ledger;
    expect(await store.readBudgets()).toEqual({ version: 0, budgets: [] });
    expect(await store.putBudget('b', '{"b":1}')).toEqual({ version: 1, budgets: [{ name: 'b', options: '{"b":1}' }] });
    await other.putBudget('a', '{}');
    expect(await store.putBudget('b', '{"b": 2}')).toEqual({
      version: 3,
      budgets: [
        { name: 'a', options: '{}' },
        { name: 'b', options: '{"b": 2}' },
      ],
    });
    expect(await other.putBudget('a', undefined)).toEqual({ version: 4, budgets: [{ name: 'b', options: '{"b": 2}' }] });
    expect(await store.readBudgets()).toEqual(await other.readBudgets());
    expect(await store.putBudget('never set', undefined)).toMatchObject({ version: 5, budgets: [{ name: 'b' }] });
  });

  test('whoever decides by budgets that have changed since is told so, and holds nothing', async () => {
    const { store, other } = ledger;
    const window = await windowOf();
    expect(await store.reserve(holdOf('a', '1'), [window], noon, 0)).toEqual({ admitted: true });
    await other.putBudget('acme', '{}');
    expect(await store.reserve(holdOf('b', '1'), [window], noon, 0)).toEqual({ admitted: undefined });
    // also for a key that is held already, and where there would be no room
    expect(await store.reserve(holdOf('a', '1'), [window], noon, 0)).toEqual({ admitted: undefined });
    expect(await store.reserve(holdOf('c', '100'), [window], noon, 0)).toEqual({ admitted: undefined });
    expect(await store.reserve(holdOf('c', '1'), [window], noon, 7)).toEqual({ admitted: undefined });
    expect(await store.budgetState(window, noon)).toEqual({ spent: 0n, reserved: nano('1') });
    expect(await store.reserve(holdOf('b', '1'), [window], noon, 1)).toEqual({ admitted: true });
  });

  test('many changes at once each get a version of their own', async () => {
    const changes = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? ledger.store : ledger.other).putBudget(`budget ${i}`, '{}'));
    const versions = (await Promise.all(changes)).map(({ version }) => version);
    expect(versions.sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect((await ledger.store.readBudgets()).budgets).toHaveLength(8);
  });
}
