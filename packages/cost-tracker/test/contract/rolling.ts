import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../runs.ts';
import { dayMs, hourMs, type Ledger, nano, noon, reportOf, windowOf } from './calls.ts';

const minute = 60_000;

export function rolling(ledger: Ledger, usual: number): void {
  test('a budget over the last hour counts what is up to an hour old, and nothing that is older by a sixtieth of it', async () => {
    const { store } = ledger;
    const at = (instant: number) => windowOf({ period: { rollingMs: hourMs } }, instant);
    await store.saveUsage(reportOf('a', '3'), [await at(noon)]);
    await store.saveUsage(reportOf('b', '4', { tenant: 'acme' }, 'search', noon + 30 * minute), [await at(noon + 30 * minute)]);
    const spent = async (instant: number) => (await store.budgetState(await at(instant), instant)).spent;
    expect(await spent(noon)).toBe(nano('3'));
    expect(await spent(noon + 30 * minute)).toBe(nano('7'));
    expect(await spent(noon + 60 * minute)).toBe(nano('7'));
    expect(await spent(noon + 61 * minute)).toBe(nano('4'));
    expect(await spent(noon + 91 * minute)).toBe(0n);
    // and back again, as after a clock was set back
    expect(await spent(noon + 45 * minute)).toBe(nano('7'));
  });

  test('a rolling budget that is new starts from what was spent and held before', async () => {
    const { store } = ledger;
    for (const [i, age] of [0, 1, 12, 23, 24.3, 30].entries()) {
      await store.saveUsage(reportOf(`${i}`, '1', { tenant: 'acme' }, 'search', noon - age * hourMs), []);
    }
    const hold = { ...reportOf('held', '2', { tenant: 'acme' }, 'search', noon - hourMs), expiresAt: noon + 1 };
    await store.reserve(hold, [], noon, 0);
    const window = await windowOf({ period: { rollingMs: dayMs } });
    expect(await store.budgetState(window, noon)).toEqual({ spent: nano('4'), reserved: nano('2') });
  });

  test('what a budget has left behind is there again when the clock goes back so far', async () => {
    const { store } = ledger;
    const at = (instant: number) => windowOf({ period: { rollingMs: hourMs } }, instant);
    const report = (id: string, instant: number) => reportOf(id, '1', { tenant: 'acme' }, 'search', instant);
    for (let i = 0; i <= 16; i += 1) await store.saveUsage(report(`${i}`, noon + i * 15 * minute), [await at(noon + i * 15 * minute)]);
    await store.saveUsage(report('late', noon), [await at(noon)]);
    const spent = async (instant: number) => (await store.budgetState(await at(instant), instant)).spent;
    expect(await spent(noon)).toBe(nano('2'));
    expect(await spent(noon + hourMs)).toBe(nano('6'));
    expect(await spent(noon + 4 * hourMs)).toBe(nano('5'));
  });

  const step = fc.record({
    afterMs: fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 70_000 })),
    nano: fc.integer({ min: 1, max: 40 }),
    share: fc.constantFrom(0n, 50n, 100n),
  });
  let run = 0;

  test('no stretch of a rolling budget’s length ever sees more spent than its line, and room comes back', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        run += 1;
        const tenant = `rolling-${run}`;
        const options = { name: tenant, scope: { tenant }, limitUsd: '0.0000001', period: { rollingMs: minute } };
        const spent: { at: number; amount: bigint }[] = [];
        let at = noon + run * hourMs;
        for (const [i, { afterMs, nano: amount, share }] of steps.entries()) {
          at += afterMs;
          const window = await windowOf(options, at);
          const report = { ...reportOf(`${i}`, '0', { tenant }, 'search', at), amount: BigInt(amount) };
          const expected = spent.filter((each) => window.start <= each.at).reduce((sum, each) => sum + each.amount, 0n);
          const store = i % 2 === 0 ? ledger.store : ledger.other;
          const { admitted } = await store.reserve({ ...report, expiresAt: at + 1 }, [window], at, 0);
          expect(admitted).toBe(expected + BigInt(amount) <= 110n);
          if (!admitted) continue;
          await store.saveUsage({ ...report, amount: (BigInt(amount) * share) / 100n }, [window]);
          spent.push({ at, amount: (BigInt(amount) * share) / 100n });
        }
        for (const { at: from } of spent) {
          const within = spent.filter((each) => from <= each.at && each.at < from + minute);
          expect(within.reduce((sum, { amount }) => sum + amount, 0n)).toBeLessThanOrEqual(110n);
        }
      }),
      runs(usual),
    );
  });
}
