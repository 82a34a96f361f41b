import { checkKeys, checkNumber, checkOneOf } from './options.ts';

/** How long a budget runs before it starts again: a calendar period (weeks from Monday), or always the last so many milliseconds. */
export type BudgetPeriod = 'day' | 'week' | 'month' | RollingPeriod;

/** A period that has no beginning: what was spent counts until it is so old. */
export interface RollingPeriod {
  /** Milliseconds, 60 000 to 31 622 400 000 (366 days). What is spent counts for so long, and for up to a sixtieth of it longer. */
  readonly rollingMs: number;
}

/** A calendar period in epoch milliseconds: it contains `start` and not `end`. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

/** A stretch of time that a budget looks at. */
export interface Span extends Period {
  /** Length of the parts that are counted apart, where the stretch moves on part by part. */
  readonly step?: number;
  /** First epoch millisecond of the period that a threshold is crossed once in. */
  readonly periodStart: number;
  /** When nothing of what is spent by now counts any more. */
  readonly resetsAt: number;
}

/** Says which stretch of time counts at an instant. Nothing is reset and no job runs. */
export interface Spans {
  at(instant: number): Span | Promise<Span>;
}

const CALENDAR_UNITS = ['day', 'week', 'month'] as const;
const PARTS = 60;
const MINUTE_MS = 60_000;
const LONGEST_MS = 366 * 86_400_000;
const DAY_MS = 86_400_000;
// the first Monday of the epoch
const FIRST_MONDAY = 4 * DAY_MS;

/** The spans of a period in a time zone. */
export function spansOf(period: BudgetPeriod, timeZone: string, name: string): Spans {
  if (typeof period !== 'object' || period === null) {
    if (CALENDAR_UNITS.includes(period)) return new Calendar(period, timeZone, name);
    throw new RangeError(
      `${name}.period must be ${CALENDAR_UNITS.join(', ')} or { rollingMs }, not ${JSON.stringify(period) ?? 'undefined'}`,
    );
  }
  checkKeys(period, ['rollingMs'], `${name}.period`);
  canonicalZone(timeZone, `${name}.timeZone`);
  const ms = checkNumber(period.rollingMs, MINUTE_MS, LONGEST_MS, `${name}.period.rollingMs`);
  return rolling(ms);
}

/** The oldest part counts until all of it is too old, so that no stretch of the length ever sees more than the limit. */
function rolling(ms: number): Spans {
  const step = Math.ceil(ms / PARTS);
  return {
    at(instant) {
      const end = (Math.floor(instant / step) + 1) * step;
      return { start: end - (PARTS + 1) * step, end, step, periodStart: Math.floor(instant / ms) * ms, resetsAt: end + PARTS * step };
    },
  };
}

/**
 * Says which calendar period an instant belongs to: a function of the instant and the zone, days of 23 and 25 hours included.
 */
export class Calendar implements Spans {
  readonly #unit: (typeof CALENDAR_UNITS)[number];
  readonly #timeZone: string;
  readonly #utc: boolean;
  #latest: Span | undefined;

  constructor(unit: (typeof CALENDAR_UNITS)[number], timeZone: string, name: string) {
    this.#unit = checkOneOf(unit, CALENDAR_UNITS, `${name}.period`);
    this.#utc = canonicalZone(timeZone, `${name}.timeZone`) === 'UTC';
    this.#timeZone = timeZone;
  }

  at(instant: number): Span | Promise<Span> {
    const latest = this.#latest;
    if (latest && latest.start <= instant && instant < latest.end) return latest;
    if (this.#utc) return this.#keep(utcPeriod(this.#unit, instant));
    return zonedPeriod(this.#unit, this.#timeZone, instant).then((period) => this.#keep(period));
  }

  #keep({ start, end }: Period): Span {
    this.#latest = { start, end, periodStart: start, resetsAt: end };
    return this.#latest;
  }
}

/** The canonical name of an IANA zone. */
export function canonicalZone(timeZone: string, name: string): string {
  // Offsets such as +09:00 are accepted by some versions of Node and not by others, and they know no daylight saving.
  const named = typeof timeZone === 'string' && /^[A-Za-z]/.test(timeZone);
  try {
    if (named) return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;
  } catch {
    // Falls through to the one message for everything that is no zone.
  }
  throw new RangeError(`${name} must be an IANA time zone such as 'Asia/Seoul', not ${JSON.stringify(timeZone)}`);
}

function utcPeriod(unit: (typeof CALENDAR_UNITS)[number], instant: number): Period {
  const at = new Date(instant);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  if (unit === 'month') return { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) };
  const midnight = Date.UTC(year, month, day);
  if (unit === 'day') return { start: midnight, end: midnight + DAY_MS };
  const start = midnight - ((((midnight - FIRST_MONDAY) % (7 * DAY_MS)) + 7 * DAY_MS) % (7 * DAY_MS));
  return { start, end: start + 7 * DAY_MS };
}

async function zonedPeriod(unit: (typeof CALENDAR_UNITS)[number], timeZone: string, instant: number): Promise<Period> {
  const { Temporal } = await import('temporal-polyfill');
  const date = Temporal.Instant.fromEpochMilliseconds(Math.floor(instant)).toZonedDateTimeISO(timeZone).toPlainDate();
  const first = { day: date, week: date.subtract({ days: date.dayOfWeek - 1 }), month: date.with({ day: 1 }) }[unit];
  const next = first.add({ [`${unit}s`]: 1 });
  // A plain date becomes the first instant of its day, which is not midnight where the clock skips midnight.
  return { start: first.toZonedDateTime(timeZone).epochMilliseconds, end: next.toZonedDateTime(timeZone).epochMilliseconds };
}
