import { beforeEach, expect, test } from 'vitest';
import { alertId } from '../../src/memory-alerts.ts';
import { dayMs, type Ledger, nano, noon, reportOf, windowOf } from './calls.ts';

export function alerts(ledger: Ledger): void {
  const levelsOf = (pending: readonly { level: string }[]) => pending.map(({ level }) => level);
  let id: (level: string) => string;

  beforeEach(async () => {
    const window = await windowOf();
    id = (level) => alertId('acme', window.periodStart, level);
    await ledger.store.saveUsage(reportOf('a', '9'), [window]);
    await ledger.store.saveUsage({ ...reportOf('b', '1'), recordedAt: noon + 2 }, [window]);
  });

  test('a crossing waits for each sink with all that is to be said', async () => {
    const { start, end } = await windowOf();
    const [warning, critical, ...others] = await ledger.other.claimAlerts('mail', noon + 5, noon + 1_000, 10);
    expect(warning).toEqual({
      ...{ id: id('warning'), budget: 'acme', level: 'warning', threshold: 0.9, spent: nano('9'), limit: nano('10') },
      ...{ start, end, crossedAt: noon + 1, attempts: 0 },
    });
    expect(critical).toMatchObject({ id: id('critical'), level: 'critical', spent: nano('10'), crossedAt: noon + 2 });
    expect(others).toEqual([]);
    expect(levelsOf(await ledger.store.claimAlerts('chat', noon + 5, noon + 1_000, 10))).toEqual(['warning', 'critical']);
  });

  test('what one has claimed no other gets before the lease ends, and then as another attempt', async () => {
    const claim = (now: number, until: number) =>
      Promise.all([ledger.store, ledger.other].map((store) => store.claimAlerts('mail', now, until, 10)));
    const [mine, others] = await claim(noon + 5, noon + 1_000);
    expect(levelsOf([...(mine ?? []), ...(others ?? [])]).sort()).toEqual(['critical', 'warning']);
    expect((await claim(noon + 999, noon + 2_000)).flat()).toEqual([]);
    const again = (await claim(noon + 1_000, noon + 2_000)).flat();
    expect(again.map(({ attempts }) => attempts)).toEqual([1, 1]);
    expect((await claim(noon + 2_000, noon + 3_000)).flat().map(({ attempts }) => attempts)).toEqual([2, 2]);
  });

  test('a claim takes no more than it asks for, the oldest first', async () => {
    expect(levelsOf(await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 1))).toEqual(['warning']);
    expect(levelsOf(await ledger.other.claimAlerts('mail', noon + 5, noon + 1_000, 1))).toEqual(['critical']);
    expect(await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 1)).toEqual([]);
  });

  test('what was told is told, and what was not is due when it was put off to', async () => {
    await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 10);
    await ledger.store.endAlert('mail', id('warning'), undefined);
    await ledger.other.endAlert('mail', id('critical'), noon + 100);
    expect(await ledger.store.claimAlerts('mail', noon + 99, noon + 1_000, 10)).toEqual([]);
    const due = await ledger.store.claimAlerts('mail', noon + 100, noon + 2_000, 10);
    expect(due).toMatchObject([{ level: 'critical', attempts: 1 }]);
    await ledger.store.endAlert('mail', id('critical'), undefined);
    expect(await ledger.store.claimAlerts('mail', noon + dayMs, noon + 2 * dayMs, 10)).toEqual([]);
    expect(await ledger.store.claimAlerts('chat', noon + dayMs, noon + 2 * dayMs, 10)).toHaveLength(2);
  });

  test('ending what nobody has claimed, or what there is not, changes nothing', async () => {
    await ledger.store.endAlert('mail', id('warning'), undefined);
    await ledger.store.endAlert('mail', 'no such crossing', undefined);
    expect(await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 10)).toHaveLength(2);
  });

  test('a crossing of a period that ended a day ago is told no more', async () => {
    const { end } = await windowOf();
    expect(await ledger.store.claimAlerts('mail', end + dayMs - 1, end + dayMs, 10)).toHaveLength(2);
    expect(await ledger.store.claimAlerts('chat', end + dayMs, end + 2 * dayMs, 10)).toEqual([]);
  });

  test('each threshold of each budget waits once a period, however many write at once', async () => {
    const [wide, narrow] = [await windowOf({ name: 'wide' }), await windowOf({ name: 'narrow', limitUsd: '5' })];
    const saves = Array.from({ length: 10 }, (_, i) =>
      (i % 2 === 0 ? ledger.store : ledger.other).saveUsage(reportOf(`c${i}`, '0.2'), [wide, narrow]),
    );
    const crossed = (await Promise.all(saves)).flatMap(({ crossings }) =>
      crossings.map(({ window, mark }) => `${window.budget} ${mark.level}`),
    );
    const claimed = await ledger.store.claimAlerts('mail', noon + 5, noon + 1_000, 100);
    const named = claimed.filter(({ budget }) => budget !== 'acme').map(({ budget, level }) => `${budget} ${level}`);
    expect(named.sort()).toEqual(crossed.sort());
    expect(crossed).toEqual(['narrow blocked', 'narrow critical', 'narrow warning', 'wide blocked', 'wide critical', 'wide warning']);
  });
}
