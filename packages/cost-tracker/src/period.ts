import { checkOneOf } from './options.ts';

/** How long a budget runs before it starts again. */
export type BudgetPeriod = 'day' | 'month';

/** A calendar period in epoch milliseconds: it contains `start` and not `end`. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

/**
 * Says which calendar period an instant belongs to. Nothing is reset and no job runs: the period is a function of the
 * instant and the zone, days of 23 and 25 hours included.
 */
export class Calendar {
  readonly #unit: BudgetPeriod;
  readonly #timeZone: string;
  readonly #utc: boolean;
  #latest: Period | undefined;

  constructor(unit: BudgetPeriod, timeZone: string, name: string) {
    this.#unit = checkOneOf(unit, ['day', 'month'], `${name}.period`);
    this.#utc = canonicalZone(timeZone, `${name}.timeZone`) === 'UTC';
    this.#timeZone = timeZone;
  }

  async at(instant: number): Promise<Period> {
    const latest = this.#latest;
    if (latest && latest.start <= instant && instant < latest.end) return latest;
    this.#latest = this.#utc ? utcPeriod(this.#unit, instant) : await zonedPeriod(this.#unit, this.#timeZone, instant);
    return this.#latest;
  }
}

function canonicalZone(timeZone: string, name: string): string {
  // Offsets such as +09:00 are accepted by some versions of Node and not by others, and they know no daylight saving.
  const named = typeof timeZone === 'string' && /^[A-Za-z]/.test(timeZone);
  try {
    if (named) return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone;
  } catch {
    // Falls through to the one message for everything that is no zone.
  }
  throw new RangeError(`${name} must be an IANA time zone such as 'Asia/Seoul', not ${JSON.stringify(timeZone)}`);
}

function utcPeriod(unit: BudgetPeriod, instant: number): Period {
  const at = new Date(instant);
  const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  return unit === 'day'
    ? { start: Date.UTC(year, month, day), end: Date.UTC(year, month, day + 1) }
    : { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) };
}

async function zonedPeriod(unit: BudgetPeriod, timeZone: string, instant: number): Promise<Period> {
  const { Temporal } = await import('temporal-polyfill');
  const date = Temporal.Instant.fromEpochMilliseconds(Math.floor(instant)).toZonedDateTimeISO(timeZone).toPlainDate();
  const first = unit === 'day' ? date : date.with({ day: 1 });
  const next = first.add(unit === 'day' ? { days: 1 } : { months: 1 });
  // A plain date becomes the first instant of its day, which is not midnight where the clock skips midnight.
  return { start: first.toZonedDateTime(timeZone).epochMilliseconds, end: next.toZonedDateTime(timeZone).epochMilliseconds };
}
