import { Temporal } from 'temporal-polyfill';

/** How long a quota runs before it starts again. */
export type CalendarUnit = 'hour' | 'day' | 'week' | 'month' | 'year';

/** The units of calendars. */
export const calendarUnits: readonly CalendarUnit[] = ['hour', 'day', 'week', 'month', 'year'];

/** A calendar period in µs since the Unix epoch: it contains `start` and not `end`. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

const hourMs = 3_600_000;

/** The name of a time zone, checked by the time zones that this process knows. */
export function checkedZone(option: string, timeZone: string): string {
  // Offsets such as +09:00 are accepted by some versions of Node and not by others, and they know no daylight saving.
  try {
    if (typeof timeZone === 'string' && /^[A-Za-z]/.test(timeZone)) {
      new Intl.DateTimeFormat('en', { timeZone });
      return timeZone;
    }
  } catch {
    // one message for everything that is no zone
  }
  throw new RangeError(`${option} must be an IANA time zone such as 'Asia/Seoul', not ${JSON.stringify(timeZone)}`);
}

/** The period that an instant, in µs since the epoch, belongs to. Periods follow each other without a gap. */
export function periodAt(unit: CalendarUnit, timeZone: string, us: number): Period {
  const instant = Temporal.Instant.fromEpochMilliseconds(Math.floor(us / 1_000)).toZonedDateTimeISO(timeZone);
  const { start, end } = unit === 'hour' ? hourOf(instant) : datesOf(unit, instant);
  return { start: start * 1_000, end: end * 1_000 };
}

/** An hour begins where the clock shows a full hour, and where it is set: one that is shown twice is two hours. */
function hourOf(instant: Temporal.ZonedDateTime): Period {
  const offsetMs = instant.offsetNanoseconds / 1_000_000;
  const start = Math.floor((instant.epochMilliseconds + offsetMs) / hourMs) * hourMs - offsetMs;
  return { start: start + setWithin(instant, start, 'start'), end: start + setWithin(instant, start, 'end') };
}

/** Where within the hour that the offset of `instant` gives its period begins or ends, in ms. */
function setWithin(instant: Temporal.ZonedDateTime, start: number, edge: 'start' | 'end'): number {
  const [ms, direction] = edge === 'start' ? ([0, 'previous'] as const) : ([hourMs, 'next'] as const);
  const there = Temporal.Instant.fromEpochMilliseconds(edge === 'start' ? start : start + hourMs - 1).toZonedDateTimeISO(
    instant.timeZoneId,
  );
  if (there.offsetNanoseconds === instant.offsetNanoseconds) return ms;
  // the transition at the very instant is not a previous one
  const from = edge === 'start' ? instant.add({ milliseconds: 1 }) : instant;
  return (from.getTimeZoneTransition(direction)?.epochMilliseconds ?? start + ms) - start;
}

/** From the first instant of the first date to that of the first date after, which are not midnight where the clock skips midnight. */
function datesOf(unit: Exclude<CalendarUnit, 'hour'>, instant: Temporal.ZonedDateTime): Period {
  const zone = instant.timeZoneId;
  let first = firstDate(unit, instant.toPlainDate());
  let next = first.add({ [`${unit}s`]: 1 });
  // a clock set back over midnight shows the day before once more: the next day has begun all the same
  while (instant.epochMilliseconds >= firstInstant(next, zone)) {
    first = next;
    next = first.add({ [`${unit}s`]: 1 });
  }
  return { start: firstInstant(first, zone), end: firstInstant(next, zone) };
}

function firstInstant(date: Temporal.PlainDate, timeZone: string): number {
  return date.toZonedDateTime(timeZone).epochMilliseconds;
}

function firstDate(unit: Exclude<CalendarUnit, 'hour'>, date: Temporal.PlainDate): Temporal.PlainDate {
  if (unit === 'week') return date.subtract({ days: date.dayOfWeek - 1 });
  if (unit === 'month') return date.with({ day: 1 });
  return unit === 'year' ? date.with({ month: 1, day: 1 }) : date;
}
