import { longestMs } from '../rate.ts';

/** No number, duration or date in a header is longer. */
const longestValue = 80;

const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

// `Date.parse` alone takes nearly anything for a date: "2, 5" is a day in February 2001.
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/;
const httpDate = /^[A-Z][a-z]{2,8}, \d\d[ -][A-Z][a-z]{2}[ -](\d{4}|\d\d) \d\d:\d\d:\d\d GMT$/;
const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/;

/** A number from 0 in decimal digits. */
export function plainNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d{1,16}(\.\d{1,9})?$/.test(value) ? Number(value) : undefined;
}

/** A duration as Go and protobuf write it, in ms: `1s`, `6m0s`, `250ms`, `1h2m3.5s`. */
export function duration(value: string | undefined): number | undefined {
  if (value === undefined || value === '' || value.length > longestValue) return undefined;
  const part = /(\d{1,16}(?:\.\d{1,12})?)(ms|us|µs|ns|[dhms])/y;
  let total = 0;
  while (part.lastIndex < value.length) {
    const found = part.exec(value);
    if (found === null) return undefined;
    total += Number(found[1]) * (unitMs[found[2] as string] as number);
  }
  return total;
}

/** A moment in ms since the Unix epoch, from an RFC 3339 date or one of the three forms of RFC 9110 §5.6.7. */
export function instant(value: string | undefined): number | undefined {
  if (value === undefined || value.length > longestValue) return undefined;
  const ms = Date.parse(asctime.test(value) ? `${value} GMT` : rfc3339.test(value) || httpDate.test(value) ? value : '');
  return Number.isNaN(ms) ? undefined : ms;
}

/**
 * What the clock of the server says: `wall`, where that is within the second that its `Date` names, else the end of that second which is nearer.
 * So clocks that differ do not matter, and ones that agree lose nothing to the whole seconds of `Date`.
 */
export function serverTime(date: string | undefined, wall: number): number {
  const said = instant(date);
  return said === undefined ? wall : Math.min(Math.max(wall, said), said + 1_000);
}

/**
 * In how many ms a quota is reset, said as a duration, a date or a number: of ms since the epoch from 10¹¹ on, of seconds since it from 10⁹ on,
 * else of seconds from now. 10⁹ seconds from now are 31 years, and 10¹¹ seconds since the epoch are the year 5138.
 */
export function resetIn(value: string | undefined, now: number): number | undefined {
  const number = plainNumber(value);
  if (number === undefined) return wait(duration(value)) ?? until(instant(value), now);
  if (number >= 1e11) return until(number, now);
  return number >= 1e9 ? until(number * 1_000, now) : wait(number * 1_000);
}

/** In how many ms to come back, of a `Retry-After`: seconds, also with a fraction, or a date. */
export function retryIn(value: string | undefined, now: number): number | undefined {
  const seconds = plainNumber(value);
  return seconds === undefined ? until(instant(value), now) : wait(seconds * 1_000);
}

/** Rounded up, so that a wait is never shorter than asked for; undefined above 366 days, which nobody means. */
export function wait(ms: number | undefined): number | undefined {
  return ms !== undefined && ms <= longestMs ? Math.ceil(ms) : undefined;
}

function until(moment: number | undefined, now: number): number | undefined {
  return moment === undefined ? undefined : wait(Math.max(0, moment - now));
}
