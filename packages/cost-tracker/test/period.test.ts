import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { Calendar } from '../src/period.ts';

type Unit = 'day' | 'week' | 'month';

async function periodAt(unit: Unit, timeZone: string, instant: string) {
  const { start, end } = await new Calendar(unit, timeZone, 'budget').at(Date.parse(instant));
  return { start: new Date(start).toISOString(), end: new Date(end).toISOString(), hours: (end - start) / 3_600_000 };
}

describe('calendar periods', () => {
  test.each<[Unit, string, string, string, string, number]>([
    ['month', 'UTC', '2026-02-28T23:59:59.999Z', '2026-02-01T00:00:00.000Z', '2026-03-01T00:00:00.000Z', 672],
    ['month', 'UTC', '2028-02-29T12:00:00Z', '2028-02-01T00:00:00.000Z', '2028-03-01T00:00:00.000Z', 696],
    ['month', 'Etc/UTC', '2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00.000Z', '2027-01-01T00:00:00.000Z', 744],
    ['day', 'UTC', '2026-12-31T23:59:59.999Z', '2026-12-31T00:00:00.000Z', '2027-01-01T00:00:00.000Z', 24],
    ['month', 'Asia/Seoul', '2026-10-31T14:59:59.999Z', '2026-09-30T15:00:00.000Z', '2026-10-31T15:00:00.000Z', 744],
    ['month', 'Asia/Seoul', '2026-10-31T15:00:00.000Z', '2026-10-31T15:00:00.000Z', '2026-11-30T15:00:00.000Z', 720],
    ['day', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00.000Z', '2026-03-29T22:00:00.000Z', 23],
    ['day', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00:00.000Z', '2026-10-25T23:00:00.000Z', 25],
    ['month', 'America/New_York', '2026-03-15T00:00:00Z', '2026-03-01T05:00:00.000Z', '2026-04-01T04:00:00.000Z', 743],
    ['day', 'Asia/Kathmandu', '2026-05-01T18:14:59.999Z', '2026-04-30T18:15:00.000Z', '2026-05-01T18:15:00.000Z', 24],
    // The clock skips midnight itself, so the day begins at one o'clock.
    ['day', 'America/Sao_Paulo', '2018-11-04T12:00:00Z', '2018-11-04T03:00:00.000Z', '2018-11-05T02:00:00.000Z', 23],
    // 30 December 2011 did not happen here.
    ['month', 'Pacific/Apia', '2011-12-15T12:00:00Z', '2011-12-01T10:00:00.000Z', '2011-12-31T10:00:00.000Z', 720],
  ])('%s in %s at %s', async (unit, zone, instant, start, end, hours) => {
    expect(await periodAt(unit, zone, instant)).toEqual({ start, end, hours });
  });

  const zones = ['UTC', 'Asia/Seoul', 'Europe/Berlin', 'America/Sao_Paulo', 'Pacific/Apia', 'Australia/Lord_Howe', 'Africa/Casablanca'];

  property.prop([
    fc.constantFrom<Unit>('day', 'month'),
    fc.constantFrom(...zones),
    fc.integer({ min: Date.parse('2000-01-01'), max: Date.parse('2040-01-01') }),
  ])(
    'periods contain their instant and touch without gap or overlap, in whatever order they are asked for',
    async (unit, zone, instant) => {
      const calendar = new Calendar(unit, zone, 'budget');
      const period = await calendar.at(instant);
      expect(period.start).toBeLessThanOrEqual(instant);
      expect(instant).toBeLessThan(period.end);
      expect((await calendar.at(period.end)).start).toBe(period.end);
      expect((await calendar.at(period.start - 1)).end).toBe(period.start);
      expect(await calendar.at(instant)).toEqual(period);
    },
  );

  test.each(['Mars/Olympus', '+09:00', '', 'Asia/Seoul ', 9])('%j is no zone', (zone) => {
    expect(() => new Calendar('day', zone as string, 'budgets[0]')).toThrow(
      new RangeError(`budgets[0].timeZone must be an IANA time zone such as 'Asia/Seoul', not ${JSON.stringify(zone)}`),
    );
  });
});
