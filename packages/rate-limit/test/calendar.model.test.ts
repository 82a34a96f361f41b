import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { expect, test } from 'vitest';
import { type CalendarUnit, periodAt } from '../src/rules/calendar-period.ts';
import { CalendarQuotaRule } from '../src/rules/calendar-quota.ts';
import { runs } from './runs.ts';

const zones = [
  'UTC',
  'Asia/Seoul',
  'America/New_York',
  'Europe/Berlin',
  'Australia/Lord_Howe', // set by half an hour
  'America/Sao_Paulo', // skipped midnights until 2018
  'America/Havana', // skips midnight, and shows 0:00 twice
  'America/St_Johns', // set back at 0:01 to the day before until 2011
  'Asia/Kathmandu', // +05:45
  'Pacific/Apia', // had no 30 December 2011
];
const units: CalendarUnit[] = ['hour', 'day', 'week', 'month', 'year'];
const zone = fc.constantFrom(...zones);
const unit = fc.constantFrom(...units);

/** Near a change of the clock, the end of a month, a leap day, or anywhere. */
const instant = (timeZone: string) =>
  fc
    .record({
      year: fc.integer({ min: 2000, max: 2030 }),
      at: fc.constantFrom('transition', 'month', 'leap day', 'anywhere'),
      month: fc.integer({ min: 1, max: 12 }),
      awayMs: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -8e6, max: 8e6 }), fc.integer({ min: -1e9, max: 1e9 })),
      us: fc.integer({ min: 0, max: 999 }),
    })
    .map(({ year, at, month, awayMs, us }) => {
      const begun = Temporal.ZonedDateTime.from({ timeZone, year, month, day: 1 });
      const leapDay = Temporal.ZonedDateTime.from({ timeZone, year: year - (year % 4), month: 2, day: 29 });
      const near = at === 'transition' ? (begun.getTimeZoneTransition('next') ?? begun) : at === 'leap day' ? leapDay : begun;
      return (near.epochMilliseconds + awayMs) * 1_000 + us;
    });
const cases = fc.tuple(zone, unit).chain(([timeZone, unit]) => fc.tuple(fc.constant(timeZone), fc.constant(unit), instant(timeZone)));

const local = (timeZone: string, us: number) => Temporal.Instant.fromEpochMilliseconds(Math.floor(us / 1_000)).toZonedDateTimeISO(timeZone);

/** What somebody reads off the wall: the same text, the same period. */
function nameOf(unit: CalendarUnit, timeZone: string, us: number): string {
  const at = local(timeZone, us);
  if (unit === 'hour') return `${at.toPlainDate()} ${at.hour} ${at.offset}`;
  if (unit === 'day') return `${at.toPlainDate()}`;
  if (unit === 'week') return `${at.yearOfWeek} ${at.weekOfYear}`;
  return unit === 'month' ? `${at.year}-${at.month}` : `${at.year}`;
}

/** Whether the next period had begun before, and the clock was then set back over its beginning. */
function shownOnceMore(unit: CalendarUnit, timeZone: string, us: number, start: number): boolean {
  const name = nameOf(unit, timeZone, start);
  return unit !== 'hour' && nameOf(unit, timeZone, us) !== name && nameOf(unit, timeZone, us + 3_600_000_000) === name;
}

test('a period holds the instant, and its instants and no others bear its name, in zones that set their clocks in every way', () => {
  fc.assert(
    fc.property(cases, ([timeZone, unit, us]) => {
      const { start, end } = periodAt(unit, timeZone, us);
      expect(start).toBeLessThanOrEqual(us);
      expect(end).toBeGreaterThan(us);
      const name = nameOf(unit, timeZone, start);
      if (!shownOnceMore(unit, timeZone, us, start)) expect(nameOf(unit, timeZone, us)).toBe(name);
      expect(nameOf(unit, timeZone, start - 1), 'before').not.toBe(name);
      expect(nameOf(unit, timeZone, end), 'after').not.toBe(name);
      expect(periodAt(unit, timeZone, start), 'its first instant').toEqual({ start, end });
      expect(periodAt(unit, timeZone, end - 1), 'its last instant').toEqual({ start, end });
      expect(periodAt(unit, timeZone, end).start, 'the next follows').toBe(end);
    }),
    runs(1_000),
  );
});

test.each([
  ['a day of 23 hours', 'day', 'America/New_York', '2026-03-08T12:00-04:00', 23],
  ['a day of 25 hours', 'day', 'America/New_York', '2026-11-01T12:00-05:00', 25],
  ['a day of 24.5 hours', 'day', 'Australia/Lord_Howe', '2026-04-05T12:00+10:30', 24.5],
  ['a day that begins at 1:00', 'day', 'America/Sao_Paulo', '2018-11-04T12:00-02:00', 23],
  ['the day before one that does not exist', 'day', 'Pacific/Apia', '2011-12-29T12:00-10:00', 24],
  ['a week from Monday, of 7 days and an hour', 'week', 'Europe/Berlin', '2026-10-25T12:00+01:00', 169],
  ['a February of a leap year', 'month', 'Asia/Seoul', '2028-02-29T23:59+09:00', 29 * 24],
  ['a February of no leap year', 'month', 'Asia/Seoul', '2027-02-28T23:59+09:00', 28 * 24],
  ['a leap year', 'year', 'UTC', '2028-12-31T23:59Z', 366 * 24],
  ['the first of two hours of one name', 'hour', 'Europe/Berlin', '2026-10-25T02:30+02:00', 1],
  ['the second of two hours of one name', 'hour', 'Europe/Berlin', '2026-10-25T02:30+01:00', 1],
  ['what is shown once more of an hour', 'hour', 'Australia/Lord_Howe', '2026-04-05T01:45+10:30', 0.5],
  ['an hour of a zone with a quarter', 'hour', 'Asia/Kathmandu', '2026-04-05T01:45+05:45', 1],
] as const)('%s', (_name, unit, timeZone, at, hours) => {
  const { start, end } = periodAt(unit, timeZone, Temporal.Instant.from(at).epochMilliseconds * 1_000);
  expect((end - start) / 3_600_000_000).toBe(hours);
});

const step = fc.record({
  cost: fc.integer({ min: 1, max: 12 }),
  gapUs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 7_200_000_000 }), fc.integer({ min: 0, max: 20 * 86_400_000_000 })),
  verb: fc.constantFrom('take', 'take', 'take', 'reserve', 'settle', 'refund'),
  actual: fc.integer({ min: 0, max: 12 }),
});

test('never more than the limit in a period, refused 1 µs before the promised instant, admitted at it, given back only in its period', () => {
  fc.assert(
    fc.property(
      cases,
      fc.integer({ min: 1, max: 10 }),
      fc.array(step, { maxLength: 60, size: 'max' }),
      ([timeZone, unit, begin], most, steps) => {
        const rule = new CalendarQuotaRule(most, unit, timeZone);
        const state = new Float64Array(4);
        const used = new Map<number, number>(); // by the start of each period
        const open: { cost: number; takenAt: number }[] = [];
        let now = begin;
        for (const { cost, gapUs, verb, actual } of steps) {
          now += gapUs;
          const { start, end } = periodAt(unit, timeZone, now);
          const own = used.get(start) ?? 0;
          rule.advance(state, 2, now);
          expect(rule.left(state, 2)).toBe(Math.max(0, most - own));
          expect(rule.moreIn(state, 2, now)).toBe(own === 0 ? 0 : end - now);
          expect(rule.fullIn(state, 2, now)).toBe(own === 0 ? 0 : end - now);
          const reserved = open[0];
          if (verb === 'settle' && reserved !== undefined) {
            open.shift();
            rule.settle(state, 2, now, { reserved: reserved.cost, actual, takenAt: reserved.takenAt });
            const over = actual - reserved.cost;
            const same = periodAt(unit, timeZone, reserved.takenAt).start === start;
            if (over > 0) used.set(start, Math.max(own, Math.min(2 * most, own + over)));
            else if (same) used.set(start, Math.max(0, own + over));
          } else if (verb === 'refund') {
            rule.refund(state, 2, now, cost);
            used.set(start, Math.max(0, own - cost));
          } else {
            const wait = rule.wait(state, 2, now, cost);
            expect(wait).toBe(cost > most ? Number.POSITIVE_INFINITY : own + cost <= most ? 0 : end - now);
            if (wait === 0) {
              rule.take(state, 2, now, cost);
              used.set(start, own + cost);
              if (verb === 'reserve') open.push({ cost, takenAt: now });
            }
          }
        }
        expect([state[0], state[1]], 'numbers of another key').toEqual([0, 0]);
      },
    ),
    runs(1_000),
  );
});

test('on a clock that is set back and forth nobody gets more than the limit by any of the periods it has shown in order', () => {
  const jump = fc.constantFrom(-400, -40, -3, -1, -0.1, 0, 0, 0, 0.1, 1, 3, 40);
  fc.assert(
    fc.property(unit, fc.array(jump, { maxLength: 60, size: 'max' }), (unit, jumps) => {
      const rule = new CalendarQuotaRule(3, unit, 'Asia/Seoul');
      const state = new Float64Array(2);
      let now = Date.UTC(2026, 5, 15) * 1_000;
      for (const days of jumps) {
        now += days * 86_400_000_000;
        const before = state[1] as number;
        const began = state[0] as number;
        rule.advance(state, 0, now);
        const present = rule.periodAt(now);
        // set back into the period before: the later one goes on; further back: what is used counts in the present one
        expect(state[0]).toBe(began === present.end ? began : present.start);
        expect(state[1]).toBe(began < present.start ? 0 : before);
        const wait = rule.wait(state, 0, now, 1);
        if (wait === 0) rule.take(state, 0, now, 1);
        else expect(wait, 'blocked longer than two periods').toBeLessThanOrEqual(rule.periodAt(state[0] as number).end - present.start);
        expect(state[1]).toBeLessThanOrEqual(3);
      }
    }),
    runs(1_000),
  );
});

test('raising the limit denies nothing that was allowed before, whichever way what was used is carried', () => {
  const mode = fc.constantFrom('used' as const, 'proportional' as const, 'reset' as const);
  fc.assert(
    fc.property(cases, fc.integer({ min: 1, max: 50 }), fc.nat(50), fc.nat(50), mode, ([timeZone, unit, now], most, more, used, mode) => {
      fc.pre(used <= most);
      const [before, after] = [new CalendarQuotaRule(most, unit, timeZone), new CalendarQuotaRule(most + more, unit, timeZone)];
      const state = Float64Array.of(before.periodAt(now).start, used);
      const carried = after.carry(state, before, now, mode);
      after.advance(carried, 0, now);
      expect(after.left(carried, 0)).toBeGreaterThanOrEqual(before.left(state, 0));
      expect(carried[1]).toBe(mode === 'used' ? used : mode === 'reset' ? 0 : -Math.floor(-(used * (most + more)) / most));
    }),
    runs(1_000),
  );
});
