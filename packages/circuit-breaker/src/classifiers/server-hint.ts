import { longestTimerMs } from '../options.ts';
import { apiErrors, fieldsOf } from './api-error.ts';

type Header = (name: string) => string | undefined;

/** Quotas by the names of the headers that tell what is left and when it is full again. */
const quotas: ReadonlyArray<readonly [remaining: string, reset: string]> = [
  ...['requests', 'tokens'].map((of) => [`x-ratelimit-remaining-${of}`, `x-ratelimit-reset-${of}`] as const), // OpenAI, Azure, Groq
  ...['requests', 'tokens', 'input-tokens', 'output-tokens'].map(
    (of) => [`anthropic-ratelimit-${of}-remaining`, `anthropic-ratelimit-${of}-reset`] as const,
  ),
  ['x-ratelimit-remaining', 'x-ratelimit-reset'], // GitHub and many more
  ['ratelimit-remaining', 'ratelimit-reset'], // draft-ietf-httpapi-ratelimit-headers-00 to -06
];

const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };

/** No header value that says when to come back is longer. */
const longestValue = 80;

/**
 * In how many ms a server wants to be called again, or undefined where it does not say so.
 *
 * `source` is a `Headers`, a plain object of headers, an answer or an error that carries them (`headers`, `responseHeaders`,
 * `response.headers`, `retryAfterMs`), or a parsed error body. `wallNow` is the time in ms since the Unix epoch; the server's own `Date`
 * goes before it, so that clocks that differ do not matter.
 *
 * The first of these that is there and makes sense: `retryAfterMs`; `retry-after-ms`; `Retry-After` (RFC 9110 §10.2.3, also with a
 * fraction); the latest reset of the quotas that are used up, in the headers of OpenAI, Anthropic, GitHub and the IETF's drafts;
 * `retryDelay` of google.rpc.RetryInfo. A reset is a duration (`6m0s`), an RFC 3339 or HTTP date, or a number: of ms since the epoch
 * from 10¹¹ on, of seconds since it from 10⁹ on, else of seconds from now.
 *
 * What is not a number, lies in the past or beyond 2³¹ − 1 ms (24.8 days) is ignored rather than clamped: it is a mistake, such as
 * an epoch in a `Retry-After`, and would keep a circuit open for weeks.
 */
export function retryAfterOf(source: unknown, wallNow: number): number | undefined {
  const fields = fieldsOf(source);
  if (fields === undefined) return undefined;
  const own = fields['retryAfterMs'];
  return (typeof own === 'number' ? wait(own) : undefined) ?? fromHeaders(headerOf(source), wallNow) ?? fromBody(source);
}

/** What a server says in `x-should-retry` of the answer or error: whether the same request is worth sending again. */
export function shouldRetryOf(source: unknown): boolean | undefined {
  const said = headerOf(source)('x-should-retry')?.toLowerCase();
  return said === 'true' ? true : said === 'false' ? false : undefined;
}

function fromHeaders(header: Header, wallNow: number): number | undefined {
  const now = instant(header('date')) ?? wallNow;
  return wait(plainNumber(header('retry-after-ms'))) ?? retryAfter(header('retry-after'), now) ?? usedUp(header, now);
}

function retryAfter(value: string | undefined, now: number): number | undefined {
  const seconds = plainNumber(value);
  return seconds === undefined ? until(instant(value), now) : wait(seconds * 1_000);
}

/** The latest reset of the quotas of which nothing is left; the reset of another one says nothing about the next call. */
function usedUp(header: Header, now: number): number | undefined {
  const resets = quotas.map(([remaining, reset]) => (plainNumber(header(remaining)) === 0 ? resetIn(header(reset), now) : undefined));
  const waits = [...resets, structured(header('ratelimit'))].filter((ms) => ms !== undefined);
  return waits.length === 0 ? undefined : Math.max(...waits);
}

/** `RateLimit: "minute";r=0;t=30, "day";r=5;t=900` of draft-ietf-httpapi-ratelimit-headers-08 and later. */
function structured(value: string | undefined): number | undefined {
  const waits = (value ?? '')
    .split(',')
    .filter((member) => /;\s*r=0\s*(;|$)/.test(member))
    .map((member) => wait(Number(/;\s*t=(\d{1,10})\s*(;|$)/.exec(member)?.[1]) * 1_000))
    .filter((ms) => ms !== undefined);
  return waits.length === 0 ? undefined : Math.max(...waits);
}

function resetIn(value: string | undefined, now: number): number | undefined {
  const number = plainNumber(value);
  if (number === undefined) return wait(duration(value)) ?? until(instant(value), now);
  if (number >= 1e11) return until(number, now);
  return number >= 1e9 ? until(number * 1_000, now) : wait(number * 1_000);
}

/** Gemini says when to come back in the body alone: `error.details[]` with a google.rpc.RetryInfo. */
function fromBody(source: unknown): number | undefined {
  for (const { details, errorDetails } of apiErrors(source)) {
    for (const list of [details, errorDetails]) {
      if (!Array.isArray(list)) continue;
      const delay = list.map((detail) => fieldsOf(detail)?.['retryDelay']).find((found) => typeof found === 'string');
      const ms = wait(duration(delay));
      if (ms !== undefined) return ms;
    }
  }
  return undefined;
}

/** Looks headers up by their lower-case name, wherever `source` keeps them. */
function headerOf(source: unknown): Header {
  const fields = fieldsOf(source);
  const bags = [source, fields?.['headers'], fields?.['responseHeaders'], fieldsOf(fields?.['response'])?.['headers']].map(bag);
  return (name) => {
    for (const look of bags) {
      const value = look?.(name);
      if (value !== undefined) return value;
    }
    return undefined;
  };
}

function bag(source: unknown): Header | undefined {
  const fields = fieldsOf(source);
  if (fields === undefined) return undefined;
  const { get } = fields;
  if (typeof get === 'function') return (name) => text(get.call(source, name));
  const byName = new Map(Object.keys(fields).map((key) => [key.toLowerCase(), key]));
  return (name) => {
    const key = byName.get(name);
    return key === undefined ? undefined : text(fields[key]);
  };
}

function text(value: unknown): string | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof first !== 'string' && typeof first !== 'number') return undefined;
  const written = String(first).trim();
  return written === '' || written.length > longestValue ? undefined : written;
}

function plainNumber(value: string | undefined): number | undefined {
  return value !== undefined && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

/** A duration as Go and protobuf write it, in ms: `1s`, `6m0s`, `20ms`, `45.837906927s`. */
function duration(value: string | undefined): number | undefined {
  if (value === undefined || value.length > longestValue) return undefined;
  const part = /(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])/y;
  let total = 0;
  while (part.lastIndex < value.length) {
    const found = part.exec(value);
    if (found === null) return undefined;
    total += Number(found[1]) * (unitMs[found[2] as string] as number);
  }
  return value === '' ? undefined : total;
}

// `Date.parse` alone takes nearly anything for a date: "2, 5" is a day in February 2001.
const rfc3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;
const httpDate = /^[A-Z][a-z]{2,8}, \d\d[ -][A-Z][a-z]{2}[ -](\d{4}|\d\d) \d\d:\d\d:\d\d GMT$/;
const asctime = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/;

/** A moment in ms since the Unix epoch, from an RFC 3339 date or one of the three forms of RFC 9110 §5.6.7. */
function instant(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = Date.parse(asctime.test(value) ? `${value} GMT` : rfc3339.test(value) || httpDate.test(value) ? value : '');
  return Number.isNaN(ms) ? undefined : ms;
}

function until(moment: number | undefined, now: number): number | undefined {
  return moment === undefined ? undefined : wait(moment - now);
}

/** `ms` as a wait, never shorter than asked for; undefined where it is none. */
function wait(ms: number | undefined): number | undefined {
  return ms !== undefined && ms >= 0 && ms <= longestTimerMs ? Math.ceil(ms) : undefined;
}
