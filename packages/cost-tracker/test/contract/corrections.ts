import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { CostSource, UsageReport, UsageRow } from '../../src/index.ts';
import { runs } from '../runs.ts';
import { always, holdOf, type Ledger, nano, noon, reportOf, scoped, windowOf } from './calls.ts';

const sources: readonly CostSource[] = ['unpriced', 'estimated', 'partial', 'priced', 'reported'];

export function corrections(ledger: Ledger, usual: number): void {
  test('what is known better is a row of its own, with the difference', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.saveUsage({ ...reportOf('a', '3'), costSource: 'estimated', usage: { inputTokens: 10, outputTokens: 5 } }, [window]);
    const better = { ...reportOf('a', '2.5'), usage: { inputTokens: 4, cacheReadTokens: 6 }, recordedAt: noon + 9 };
    const { row } = await store.saveUsage(better, [window]);
    expect(row).toEqual({
      ...better,
      ...{ correction: 1, failures: 0, unpriced: 0 },
      ...{ amount: -nano('0.5'), usage: { inputTokens: -6, cacheReadTokens: 6, outputTokens: -5 } },
    });
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('2.5'), reserved: 0n });
    expect(await store.getMonthlyTotal({ dimensions: window.dimensions, ...always })).toBe(nano('2.5'));
    const rows = await store.readRows({ dimensions: window.dimensions, ...always }, undefined, 10);
    expect(rows.map(({ correction, amount }) => [correction, amount])).toEqual([
      [0, nano('3')],
      [1, -nano('0.5')],
    ]);
    expect(rows[1]).toEqual(row);
  });

  test('each source is believed over those before it, and never the other way round', async () => {
    const { store } = ledger;
    for (const [better, source] of sources.entries()) {
      for (const [worse, other] of sources.entries()) {
        const id = `${source} ${other}`;
        await store.saveUsage({ ...reportOf(id, '1'), costSource: other }, []);
        const { row } = await store.saveUsage({ ...reportOf(id, '0.5'), costSource: source }, []);
        expect(row?.amount, id).toBe(better > worse ? -nano('0.5') : undefined);
      }
    }
  });

  test('a later revision is believed whatever it says, and an earlier one never', async () => {
    const { store } = ledger;
    const report = (usd: string, revision: number, costSource: CostSource): UsageReport => ({
      ...reportOf('a', usd),
      revision,
      costSource,
    });
    await store.saveUsage(report('3', 1, 'reported'), []);
    expect((await store.saveUsage(report('2', 2, 'estimated'), [])).row).toMatchObject({ correction: 1, amount: -nano('1') });
    expect((await store.saveUsage(report('9', 1, 'reported'), [])).row).toBeUndefined();
    expect((await store.saveUsage(report('5', 2, 'partial'), [])).row).toMatchObject({ correction: 2, amount: nano('3') });
  });

  test('of two reports known equally well the larger is believed: first by its cost, then by its tokens', async () => {
    const { store } = ledger;
    const report = (usd: string, inputTokens: number) => ({ ...reportOf('a', usd), usage: { inputTokens } });
    await store.saveUsage(report('2', 10), []);
    expect((await store.saveUsage(report('1', 90), [])).row).toBeUndefined();
    expect((await store.saveUsage(report('2', 11), [])).row).toMatchObject({ amount: 0n, usage: { inputTokens: 1 } });
    expect((await store.saveUsage(report('3', 1), [])).row).toMatchObject({ amount: nano('1'), usage: { inputTokens: -10 } });
    expect((await store.saveUsage(report('3', 1), [])).row).toBeUndefined();
  });

  test('a call that turns out to have succeeded, or to have a price, is taken off those that have not', async () => {
    const { store } = ledger;
    const query = { dimensions: scoped({ tenant: 'acme' }), ...always };
    const told = async () => (await store.getUsageSummary(query)).map(({ calls, failures, unpriced }) => [calls, failures, unpriced]);
    await store.saveUsage({ ...reportOf('a', '0'), costSource: 'unpriced', success: false }, []);
    expect(await told()).toEqual([[1, 1, 1]]);
    expect((await store.saveUsage(reportOf('a', '1'), [])).row).toMatchObject({ failures: -1, unpriced: -1, success: true });
    expect(await told()).toEqual([[1, 0, 0]]);
    expect((await store.saveUsage({ ...reportOf('a', '1'), revision: 1, success: false }, [])).row).toMatchObject({ failures: 1 });
    expect(await told()).toEqual([[1, 1, 0]]);
  });

  test('a correction belongs to whom the call belonged to, and to its period', async () => {
    const { store } = ledger;
    const [own, others] = [await windowOf(), await windowOf({ name: 'joon', scope: { user: 'joon' } })];
    await store.saveUsage(reportOf('a', '3', { tenant: 'acme', user: 'mina' }), [own]);
    await store.budgetState(others, noon);
    const moved = { ...reportOf('a', '4', { tenant: 'acme', user: 'joon' }, 'fetch', noon + 40 * 86_400_000), kind: 'prompt' as const };
    const { row } = await store.saveUsage({ ...moved, revision: 1 }, [own]);
    expect(row).toMatchObject({ at: noon, kind: 'tool', name: 'search', dimensions: { user: 'mina', tool: 'search' }, amount: nano('1') });
    expect((await store.budgetState(own, noon)).spent).toBe(nano('4'));
    expect((await store.budgetState(others, noon)).spent).toBe(0n);
  });

  test('a correction crosses thresholds, and one that takes back leaves crossed what was', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.saveUsage({ ...reportOf('a', '8'), costSource: 'estimated' }, [window]);
    expect((await store.saveUsage(reportOf('a', '9.5'), [window])).crossings.map(({ mark }) => mark.level)).toEqual(['warning']);
    expect((await store.saveUsage({ ...reportOf('a', '1'), revision: 1 }, [window])).crossings).toEqual([]);
    expect((await store.saveUsage({ ...reportOf('a', '9.5'), revision: 2 }, [window])).crossings).toEqual([]);
  });

  test('a report drops the hold of its call only where it is written', async () => {
    const { store } = ledger;
    const window = await windowOf();
    await store.reserve(holdOf('a', '3'), [window], noon, 0);
    await Promise.all([store.saveUsage(reportOf('a', '1'), [window]), store.saveUsage(reportOf('a', '1'), [window])]);
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('1'), reserved: 0n });
  });

  const report = fc.record({
    revision: fc.nat({ max: 2 }),
    costSource: fc.constantFrom(...sources),
    amount: fc.nat({ max: 2 }),
    usage: fc.record({ inputTokens: fc.nat({ max: 2 }), cacheReadTokens: fc.nat({ max: 1 }), outputTokens: fc.nat({ max: 1 }) }),
    success: fc.boolean(),
  });
  let run = 0;

  test('any order of the same reports, each as often as it comes, comes to the same sums', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(report, { minLength: 2, maxLength: 4 }), async (reports) => {
        run += 1;
        const orders = permutations(reports.map((each) => ({ ...each, amount: BigInt(each.costSource === 'unpriced' ? 0 : each.amount) })));
        const sums = orders.map(async (order, index) => {
          const user = `${run}-${index}`;
          const key = reportOf(user, '0', { tenant: 'acme', user });
          // one after the other, and some of them twice
          for (const [n, each] of [...order, ...order.slice(index % order.length)].entries()) {
            const store = n % 2 === 0 ? ledger.store : ledger.other;
            await store.saveUsage({ ...key, ...each }, []);
          }
          return sumOf(await ledger.store.readRows({ dimensions: scoped({ user }), ...always }, undefined, 100));
        });
        const [first, ...others] = await Promise.all(sums);
        for (const other of others) expect(other).toEqual(first);
      }),
      runs(usual),
    );
  });
}

function sumOf(rows: readonly UsageRow[]) {
  const sum = { amount: 0n, input: 0, cached: 0, output: 0, failures: 0, unpriced: 0 };
  for (const { amount, usage, failures, unpriced } of rows) {
    sum.amount += amount;
    sum.input += usage.inputTokens ?? 0;
    sum.cached += usage.cacheReadTokens ?? 0;
    sum.output += usage.outputTokens ?? 0;
    sum.failures += failures;
    sum.unpriced += unpriced;
  }
  return sum;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}
