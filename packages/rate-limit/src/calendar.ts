import { commonLimit, commonOptions, type Limit, type LimitOptions } from './limit.ts';
import { onlyKnown, wholeNumber } from './options.ts';
import { largestAmount } from './rate.ts';
import { type CalendarUnit, calendarUnits, checkedZone } from './rules/calendar-period.ts';
import { CalendarQuotaRule } from './rules/calendar-quota.ts';

export type { CalendarUnit } from './rules/calendar-period.ts';

/** How much a calendar quota lets through. */
export interface CalendarQuotaOptions<Subject = unknown> extends LimitOptions<Subject> {
  /** The most in each period, from 1 to 1 000 000 000. */
  readonly limit: number;
  /** The period. A week begins on Monday (ISO 8601). */
  readonly every: CalendarUnit;
  /** The IANA time zone whose calendar it is, such as `'Asia/Seoul'`. */
  readonly timeZone: string;
}

/** A limit that starts again with each period of the calendar. */
export interface CalendarQuota<Subject = unknown> extends Limit<Subject> {
  /** The most in each period. */
  readonly limit: number;
}

/**
 * A quota of the calendar: in each hour, day, week, month or year of a time zone it lets through at most `limit`.
 *
 * A period begins with its first instant in the zone and ends with that of the next: days have 23 or 25 hours where the clock is set,
 * and begin later where midnight is skipped. An hour that the clock shows twice is two hours. A clock that is set back into an earlier
 * period stays in the later one; where that lies more than a period ahead, what was used counts as used in the present one. Where
 * `settle` finds that more was used than reserved, it counts in the present period, up to twice the limit; what was not used is given
 * back only within the period in which it was reserved.
 *
 * @throws `RangeError` where an option is unknown, or not one of what is allowed for it
 * @example
 * calendarQuota({ name: 'month', limit: 100_000, every: 'month', timeZone: 'Asia/Seoul' })
 */
export function calendarQuota<Subject = unknown>(options: CalendarQuotaOptions<Subject>): CalendarQuota<Subject> {
  onlyKnown('calendarQuota', options, [...commonOptions, 'limit', 'every', 'timeZone']);
  const limit = wholeNumber('calendarQuota: limit', options.limit, 1, largestAmount);
  const { every } = options;
  if (!calendarUnits.includes(every))
    throw new RangeError(`calendarQuota: every must be ${calendarUnits.join(', ')}, not '${String(every)}'`);
  const timeZone = checkedZone('calendarQuota: timeZone', options.timeZone);
  return {
    ...commonLimit('calendarQuota', options, 'requests'),
    description: `${limit} each ${every} of the calendar in ${timeZone}`,
    limit,
    rule: new CalendarQuotaRule(limit, every, timeZone),
  };
}
