import { type Clock, systemClock } from '../clock.ts';
import type { Decision, LimitLevel, Refused } from '../decision.ts';
import { callsAtOnce } from '../rules/concurrency.ts';

/** A way in which servers tell of their limits in headers. */
export type HeaderGeneration = 'draft-11' | 'draft-7' | 'draft-6' | 'legacy';

/** Which headers tell of the limits. */
export interface HeaderOptions {
  /**
   * One generation, or several that have no header in common: all but `draft-11` together with `draft-7`. `false` for none;
   * `Retry-After` is sent all the same.
   * @defaultValue `'draft-11'`
   */
  readonly headers?: HeaderGeneration | readonly HeaderGeneration[] | false;
  /** Where the time of `legacy` comes from. */
  readonly clock?: Pick<Clock, 'wall'>;
}

/** The names of the options in {@link HeaderOptions}. */
export const headerOptions = ['headers', 'clock'] as const;

type Fields = Record<string, string>;

interface Told {
  readonly levels: readonly LimitLevel[];
  /** The limit that generations with room for one tell of. */
  readonly one: LimitLevel;
  readonly clock: Pick<Clock, 'wall'>;
}

const generations: Readonly<Record<HeaderGeneration, (told: Told) => Fields>> = {
  'draft-11': draft11,
  'draft-7': draft7,
  'draft-6': draft6,
  legacy,
};

/**
 * Puts decisions into response headers. A decision that was made without `levels` gives `Retry-After` alone.
 *
 * - `draft-11`: `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers-11, structured fields (RFC 9651) with an item for
 *   each limit. `t` is the seconds until more is left, absent where everything is left and of calls at once, whose end nobody knows; `w`
 *   is absent where the window is no whole number of seconds. Units that the draft does not know stand in `tidegate-unit`.
 * - `draft-7`: `RateLimit: limit=…, remaining=…, reset=…` and `RateLimit-Policy`.
 * - `draft-6`: `RateLimit-Limit`, `RateLimit-Remaining`, `RateLimit-Reset`.
 * - `legacy`: `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`.
 *
 * The last three have room for one limit: the one that refuses, or that has the least left. Their reset is when all of it is left again,
 * because clients take it so: in seconds from now, and for `legacy` in seconds since the Unix epoch, as GitHub, X and express-rate-limit
 * send it.
 *
 * A refusal has `Retry-After` in seconds, rounded up and never before `t` of the limit that refuses; a permanent one has none.
 *
 * @throws RangeError from `limitHeaders` for options that are unknown or do not go together, and from the returned function for a name or
 * a unit that is not printable ASCII.
 */
export function limitHeaders(options: HeaderOptions = {}): (decision: Decision) => Readonly<Record<string, string>> {
  const wanted = generationsOf(options.headers).map((name) => generations[name]);
  const clock = options.clock ?? systemClock;
  return (decision) => {
    const levels = decision.levels ?? [];
    const one = levels.find(({ name }) => name === decision.limit) ?? levels[0];
    const fields: Fields = {};
    if (one !== undefined) for (const fieldsOf of wanted) Object.assign(fields, fieldsOf({ levels, one, clock }));
    const wait = decision.allowed ? undefined : retryAfter(decision, one);
    return wait === undefined ? fields : { ...fields, 'Retry-After': `${wait}` };
  };
}

/** The generations that are asked for, checked. */
export function generationsOf(headers: HeaderOptions['headers'] = 'draft-11'): readonly HeaderGeneration[] {
  if (headers === false) return [];
  const names = typeof headers === 'string' ? [headers] : headers;
  const known = Object.keys(generations);
  if (!Array.isArray(names) || names.some((name) => !known.includes(name))) {
    throw new RangeError(`headers must be false, or of ${known.join(', ')}, not ${JSON.stringify(headers)}`);
  }
  if (names.includes('draft-11') && names.includes('draft-7')) {
    throw new RangeError('headers: draft-11 and draft-7 give the same headers different values; name one of them');
  }
  return names;
}

function draft11({ levels }: Told): Fields {
  return {
    RateLimit: levels.map((level) => item(level.name, { r: left(level), t: untilMore(level) })).join(', '),
    'RateLimit-Policy': levels
      .map((level) => item(level.name, { q: integer(level.quota), ...unitOf(level), w: windowOf(level) }))
      .join(', '),
  };
}

function draft7({ levels, one }: Told): Fields {
  const policies = levels.flatMap((level) => {
    const w = windowOf(level);
    return w === undefined ? [] : [`${integer(level.quota)};w=${w}`];
  });
  return {
    RateLimit: `limit=${integer(one.quota)}, remaining=${left(one)}, reset=${seconds(one.fullInMs)}`,
    ...(policies.length === 0 ? {} : { 'RateLimit-Policy': policies.join(', ') }),
  };
}

function draft6({ one }: Told): Fields {
  return {
    'RateLimit-Limit': `${integer(one.quota)}`,
    'RateLimit-Remaining': `${left(one)}`,
    'RateLimit-Reset': `${seconds(one.fullInMs)}`,
  };
}

function legacy({ one, clock }: Told): Fields {
  return {
    'X-RateLimit-Limit': `${integer(one.quota)}`,
    'X-RateLimit-Remaining': `${left(one)}`,
    'X-RateLimit-Reset': `${seconds(clock.wall() + one.fullInMs)}`,
  };
}

function retryAfter({ permanent, retryAfterMs }: Refused, level: LimitLevel | undefined): number | undefined {
  if (permanent) return undefined;
  return Math.max(1, seconds(retryAfterMs), level === undefined ? 0 : (untilMore(level) ?? 0));
}

function untilMore({ unit, moreInMs }: LimitLevel): number | undefined {
  return unit === callsAtOnce || moreInMs <= 0 ? undefined : seconds(moreInMs);
}

function windowOf({ windowMs }: LimitLevel): number | undefined {
  return windowMs !== undefined && windowMs > 0 && windowMs % 1_000 === 0 ? Math.min(largest, windowMs / 1_000) : undefined;
}

// `requests` is what a policy without a unit counts
function unitOf({ unit }: LimitLevel): Readonly<Record<string, string>> {
  if (unit === 'requests') return {};
  return { [unit === 'content-bytes' || unit === callsAtOnce ? 'qu' : 'tidegate-unit']: quoted(unit) };
}

function item(name: string, parameters: Readonly<Record<string, number | string | undefined>>): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return `${quoted(name)}${given.map(([key, value]) => `;${key}=${value}`).join('')}`;
}

function quoted(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text))
    throw new RangeError(`a header tells only of names and units of printable ASCII, not of ${JSON.stringify(text)}`);
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

// the largest whole number that a structured field can hold
const largest = 999_999_999_999_999;

function integer(value: number): number {
  return Math.min(largest, Math.max(0, Math.floor(value)));
}

function left({ remaining }: LimitLevel): number {
  return integer(remaining);
}

function seconds(ms: number): number {
  return Math.min(largest, Math.max(0, Math.ceil(ms / 1_000)));
}
