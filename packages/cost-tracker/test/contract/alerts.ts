import { beforeEach, expect, test } from 'vitest';
import { alertId } from '../../src/memory-alerts.ts';
import { type Ledger, nano, noon, reportOf, windowOf } from './calls.ts';

export function alerts(ledger: Ledger): void {
  const levelsOf = (pending: readonly { level: string }[]) => pending.map(({ level }) => level);
  let id: (level: string) => string;

  beforeEach(async () => {
    const window = await windowOf();
    id = (level) => alertId('acme', window.periodStart, level);
    await ledger.store.saveUsage(reportOf('a', '9'), [window]);
    await ledger.store.saveUsage({ ...reportOf('b', '1'), recordedAt: noon + 2 }, [window]);
  });

  test('a crossing waits for each sink with all that is to be said, the next until it was told', async () => {
    const { start, end } = await windowOf();
    const [warning, ...others] = await ledger.other.claimAlerts('mail', noon + 5, noon + 1_000, 10);
    expect(warning).toEqual({
      ...{ id: id('warning'), budget: 'acme', level: 'warning', threshold: 0.9, spent: nano('9'), limit: nano('10') },
      ...{ start, end, crossedAt: noon + 1, attempts: 0 },
    });
    expect(others).toEqual([]);
    expect(await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 10)).toEqual([]);
    expect(levelsOf(await ledger.store.claimAlerts('chat', noon + 5, noon + 1_000, 10))).toEqual(['warning']);
    await ledger.store.endAlert('mail', id('warning'), undefined);
    const [critical] = await ledger.store.claimAlerts('mail', noon + 6, noon + 1_000, 10);
    expect(critical).toMatchObject({ id: id('critical'), level: 'critical', spent: nano('10'), crossedAt: noon + 2 });
  });

  test('what one has claimed no other gets before the lease ends, and then as another attempt', async () => {
    const claim = (now: number, until: number) =>
      Promise.all([ledger.store, ledger.other].map((store) => store.claimAlerts('mail', now, until, 10)));
    expect(levelsOf((await claim(noon + 5, noon + 1_000)).flat())).toEqual(['warning']);
    expect((await claim(noon + 999, noon + 2_000)).flat()).toEqual([]);
    expect((await claim(noon + 1_000, noon + 2_000)).flat().map(({ attempts }) => attempts)).toEqual([1]);
    expect((await claim(noon + 2_000, noon + 3_000)).flat().map(({ attempts }) => attempts)).toEqual([2]);
  });

  test('each threshold of each budget waits once a period, however many write at once', async () => {
    const claimAll = () => ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 100);
    const [wide, narrow] = [await windowOf({ name: 'wide' }), await windowOf({ name: 'narrow', limitUsd: '5' })];
    const saves = Array.from({ length: 10 }, (_, i) =>
      (i % 2 === 0 ? ledger.store : ledger.other).saveUsage(reportOf(`c${i}`, '0.2'), [wide, narrow]),
    );
    const crossed = (await Promise.all(saves)).flatMap(({ crossings }) =>
      crossings.map(({ window, mark }) => `${window.budget} ${mark.level}`),
    );
    const named: string[] = [];
    for (let claimed = await claimAll(); claimed.length > 0; claimed = await claimAll()) {
      for (const { id, budget, level } of claimed) {
        if (budget !== 'acme') named.push(`${budget} ${level}`);
        await ledger.store.endAlert('mail', id, undefined);
      }
    }
    expect(named.sort()).toEqual(crossed.sort());
    expect(crossed).toEqual(['narrow blocked', 'narrow critical', 'narrow warning', 'wide blocked', 'wide critical', 'wide warning']);
  });
}
