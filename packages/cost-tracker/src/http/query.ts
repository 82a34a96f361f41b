import { Calendar } from '../period.ts';
import type { BudgetScope, Dimension } from '../scope.ts';
import type { Reader } from './principal.ts';
import { badParameter, Refused } from './problem.ts';

/** Rows `from <= at < to`, and the zone that days are counted in. */
export interface Span {
  readonly from: number | undefined;
  readonly to: number | undefined;
  readonly timeZone: string;
}

/** Parameters that narrow what is added up. */
export const scopeParameters: readonly Dimension[] = ['tenant', 'project', 'org', 'user', 'key', 'model', 'tool'];

/** Parameters of a stretch of time. */
export const spanParameters = ['from', 'to', 'days', 'timeZone'] as const;

export const mostDays = 366;

const DAY_MS = 86_400_000;
// RFC 3339. A space is what a `+` becomes that was not percent-encoded.
const INSTANT = /^(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+ -]\d\d:\d\d)$/;

/** The parameters of a request: each known to its route and given once. */
export class Query {
  readonly #search: URLSearchParams;

  constructor(search: URLSearchParams, known: readonly string[]) {
    for (const name of search.keys()) {
      if (!known.includes(name)) throw badParameter(name, `the parameter is unknown; known are ${known.join(', ') || 'none'}`);
      if (search.getAll(name).length > 1) throw badParameter(name, 'the parameter is given more than once');
    }
    this.#search = search;
  }

  text(name: string): string | undefined {
    const value = this.#search.get(name) ?? undefined;
    if (value === '') throw badParameter(name, 'the parameter must not be empty');
    return value;
  }

  oneOf<const Word extends string>(name: string, words: readonly Word[], otherwise: Word): Word {
    const value = this.text(name) ?? otherwise;
    const found = words.find((word) => word === value);
    if (found === undefined) throw badParameter(name, `must be one of ${words.join(', ')}`);
    return found;
  }

  whole(name: string, min: number, max: number): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
    if (!(number >= min && number <= max)) throw badParameter(name, `must be a whole number from ${min} to ${max}`);
    return number;
  }

  /** Epoch milliseconds. */
  instant(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const date = INSTANT.exec(value)?.[1];
    const at = date === undefined ? Number.NaN : Date.parse(value.replace(' ', '+'));
    // The day is compared, because Date takes 30 February for 2 March.
    if (at >= 0 && new Date(`${date}T00:00:00Z`).toISOString().startsWith(`${date}`)) return at;
    throw badParameter(name, "must be a time from 1970 on with its offset, such as '2026-03-15T00:00:00Z'");
  }
}

/**
 * What a reader asks about, within what he may see.
 *
 * @throws Refused (403) for a tenant that is not his.
 */
export function scopeOf(query: Query, reader: Reader): BudgetScope {
  const named = scopeParameters.map((name) => [name, query.text(name)] as const).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(named), ...tenantOf(query.text('tenant'), reader) };
}

/** The tenant that is asked about, where it may be seen. */
export function tenantOf(asked: string | undefined, reader: Reader, parameter = 'tenant'): { readonly tenant?: string } {
  if (reader.tenant === undefined) return asked === undefined ? {} : { tenant: asked };
  if (asked === undefined || asked === reader.tenant) return { tenant: reader.tenant };
  throw new Refused(403, 'ERR_FORBIDDEN', `the credentials are for tenant '${reader.tenant}' alone`, { parameter });
}

/** The time that is asked about: `from` and `to`, or so many days up to the end of today. */
export async function spanOf(query: Query, now: number, zone: string): Promise<Span> {
  const timeZone = query.text('timeZone') ?? zone;
  const calendar = calendarOf('day', timeZone);
  const [from, to, days] = [query.instant('from'), query.instant('to'), query.whole('days', 1, mostDays)];
  if (days === undefined) {
    if (from !== undefined && to !== undefined && to < from) throw badParameter('to', 'must not be before from');
    return { from, to, timeZone };
  }
  if (from !== undefined || to !== undefined) throw badParameter('days', 'cannot be given with from or to');
  const today = await calendar.at(now);
  // Noon of a day is noon of the same day however the clocks were changed since.
  const first = await calendar.at(today.start + DAY_MS / 2 - (days - 1) * DAY_MS);
  return { from: first.start, to: today.end, timeZone };
}

/** The calendar periods of a zone; 400 where there is no such zone. */
export function calendarOf(unit: 'day' | 'week' | 'month', timeZone: string): Calendar {
  try {
    return new Calendar(unit, timeZone, 'query');
  } catch {
    throw badParameter('timeZone', "must be an IANA time zone such as 'Asia/Seoul'");
  }
}
