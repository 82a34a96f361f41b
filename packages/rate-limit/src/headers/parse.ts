import { onlyKnown } from '../options.ts';
import { plainNumber, resetIn, retryIn, serverTime, wait } from './moments.ts';
import { type BareItem, type Member, readDictionary, readList } from './structured-field.ts';

/** Which headers a quota was read from; of the IETF's drafts, those that wrote them so. */
export type QuotaSource = 'draft-00-06' | 'draft-07' | 'draft-08-11' | 'x-ratelimit' | 'x-rate-limit' | 'openai' | 'anthropic';

/** What a server says of one of its limits. */
export interface ProviderQuota {
  /** The name of the limit; `default` where it has none. */
  readonly name: string;
  /** What it counts, such as `requests` or `tokens`; absent where that is not said. */
  readonly unit?: string;
  /** The highest that ever fits. */
  readonly quota?: number;
  /** The period that `quota` is of, in ms. */
  readonly windowMs?: number;
  /** How much is left. */
  readonly remaining?: number;
  /** In how many ms there will be more; in drafts 08 to 11 that is some more, elsewhere all of the quota. */
  readonly resetMs?: number;
  /** Where it was read. */
  readonly source: QuotaSource;
}

/** What the headers of an answer say of limits. */
export interface ProviderLimits {
  /** The limits, at most 32. */
  readonly quotas: readonly ProviderQuota[];
  /** In how many ms the server wants to be called again. */
  readonly retryAfterMs?: number;
}

/** Headers of an answer: a `Headers`, or an object with names in any case, as `node:http` has them. */
export type HeaderSource =
  | {
      /** The value of a header, whatever the case of its name. */
      get(name: string): string | null;
    }
  | Readonly<Record<string, string | readonly string[] | number | undefined>>;

type Header = (name: string) => string | undefined;

/** No server has more limits for one call. */
const mostQuotas = 32;
const longestName = 200;

const openAiUnits = ['requests', 'tokens'];
const anthropicUnits = ['requests', 'tokens', 'input-tokens', 'output-tokens'];

/**
 * What the headers of an answer say of limits, in every generation of the IETF's draft (`RateLimit-Limit` and its kin; `RateLimit` and
 * `RateLimit-Policy`), in `X-RateLimit-*` and `X-Rate-Limit-*`, in OpenAI's and Anthropic's headers, and in `Retry-After` and `retry-after-ms`.
 *
 * A reset is a duration (`6m0s`), a date or a number; a number is of ms since the epoch from 10¹¹ on, of seconds since it from 10⁹ on,
 * else of seconds from now. Moments are compared with the answer's `Date`, where it has one. What makes no sense is left out, as are
 * waits beyond 366 days and fields above 8 192 characters; nothing is thrown for it.
 *
 * @param options - `now`: the time in ms since the Unix epoch, by default that of this process.
 */
export function parseRateLimitHeaders(headers: HeaderSource, options: { readonly now?: number } = {}): ProviderLimits {
  onlyKnown('parseRateLimitHeaders', options, ['now']);
  const header = headerOf(headers);
  const now = serverTime(header('date'), options.now ?? Date.now());
  const quotas = [
    ...openAiUnits.map((unit) =>
      triple(header, { names: (part) => `x-ratelimit-${part}-${unit}`, name: unit, unit, source: 'openai' }, now),
    ),
    ...anthropicUnits.map((unit) =>
      triple(header, { names: (part) => `anthropic-ratelimit-${unit}-${part}`, name: unit, unit, source: 'anthropic' }, now),
    ),
    ...structured(header),
    ...early(header, now),
    ...(['x-ratelimit', 'x-rate-limit'] as const).map((source) =>
      triple(header, { names: (part) => `${source}-${part}`, name: 'default', source }, now),
    ),
  ].filter((quota) => quota !== undefined);
  const retryAfterMs = wait(plainNumber(header('retry-after-ms'))) ?? retryIn(header('retry-after'), now);
  return { quotas: quotas.slice(0, mostQuotas), ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

interface Triple {
  readonly names: (part: 'limit' | 'remaining' | 'reset') => string;
  readonly name: string;
  readonly unit?: string;
  readonly source: QuotaSource;
}

/** A quota of three headers. */
function triple(header: Header, { names, name, unit, source }: Triple, now: number): ProviderQuota | undefined {
  const limit = header(names('limit'));
  return quotaOf(name, source, {
    unit,
    quota: whole(plainNumber(limit)) ?? integer(limit === undefined ? undefined : readList(limit)?.[0]?.value),
    windowMs: undefined,
    remaining: whole(plainNumber(header(names('remaining')))),
    resetMs: resetIn(header(names('reset')), now),
  });
}

/** `RateLimit-Limit: 100, 100;w=60` and its kin of drafts 00 to 06; from 04 on the policies stand in `RateLimit-Policy`. */
function early(header: Header, now: number): readonly (ProviderQuota | undefined)[] {
  const source = 'draft-00-06';
  const main = triple(header, { names: (part) => `ratelimit-${part}`, name: 'default', unit: 'requests', source }, now);
  const policies = [...numbered(header('ratelimit-limit')), ...(main === undefined ? [] : numbered(header('ratelimit-policy')))];
  return withPolicies(main, policies, source);
}

/** `RateLimit: "name";r=50;t=30` with `RateLimit-Policy: "name";q=100;w=60` of drafts 08 on, or `limit=100, remaining=50, reset=5` of 07. */
function structured(header: Header): readonly (ProviderQuota | undefined)[] {
  const field = header('ratelimit');
  const policyField = header('ratelimit-policy');
  const policies = named(policyField);
  const levels = named(field);
  if (field !== undefined && levels.length === 0 && policies.length === 0) return seventh(field, numbered(policyField));
  const told = new Set(levels.map(({ name }) => name));
  return [
    ...levels.map(({ name, parameters }) => level(name, parameters, policies.find((policy) => policy.name === name)?.parameters)),
    ...policies.filter(({ name }) => !told.has(name)).map(({ name, parameters }) => level(name, undefined, parameters)),
  ];
}

function seventh(field: string, policies: readonly Policy[]): readonly (ProviderQuota | undefined)[] {
  const members = readDictionary(field);
  const of = (key: string) => integer(members?.get(key)?.value);
  const source = 'draft-07';
  const main = quotaOf('default', source, {
    unit: 'requests',
    quota: of('limit'),
    windowMs: undefined,
    remaining: of('remaining'),
    resetMs: seconds(of('reset')),
  });
  return withPolicies(main, policies, source);
}

type Parameters = ReadonlyMap<string, BareItem>;

/**
 * One limit of drafts 08 to 11. The draft may yet rename `r` to `a` (available) and `t` to `w`; in `RateLimit` neither stands for anything
 * else, so both are read.
 */
function level(name: string, now: Parameters | undefined, policy: Parameters | undefined): ProviderQuota | undefined {
  const remaining = integer(now?.get('r')) ?? integer(now?.get('a'));
  return quotaOf(name, 'draft-08-11', {
    unit: unitOf(policy) ?? unitOf(now) ?? 'requests',
    quota: integer(policy?.get('q')) ?? integer(now?.get('q')),
    windowMs: seconds(integer(policy?.get('w'))),
    remaining,
    resetMs: seconds(integer(now?.get('t')) ?? (now?.has('a') === true ? integer(now.get('w')) : undefined)),
  });
}

/** `qu`, or a parameter of a vendor's own for what has no registered unit, such as `acme-unit="tokens"`. */
function unitOf(parameters: Parameters | undefined): string | undefined {
  for (const [key, value] of parameters ?? []) {
    const word = typeof value === 'object' && 'token' in value ? value.token : value;
    if ((key === 'qu' || /^[a-z0-9]+-unit$/.test(key)) && typeof word === 'string' && isName(word)) return word;
  }
  return undefined;
}

interface Policy {
  readonly quota: number;
  readonly windowMs: number | undefined;
}

/** The quota of all three headers or keys, with the window of its policy, and the other policies. */
function withPolicies(
  main: ProviderQuota | undefined,
  policies: readonly Policy[],
  source: QuotaSource,
): readonly (ProviderQuota | undefined)[] {
  const windows = policies.filter(({ quota, windowMs }) => windowMs !== undefined && quota === main?.quota);
  const windowMs = windows.length === 1 ? windows[0]?.windowMs : undefined;
  const own = main === undefined || windowMs === undefined ? main : { ...main, windowMs };
  const others = policies.filter((policy) => policy.windowMs !== undefined && !windows.includes(policy));
  const named = others.map(({ quota, windowMs = 0 }) =>
    quotaOf(`${quota};w=${windowMs / 1_000}`, source, { unit: 'requests', quota, windowMs, remaining: undefined, resetMs: undefined }),
  );
  return [own, ...named];
}

/** Members that are numbers: `100;w=60`. */
function numbered(field: string | undefined): readonly Policy[] {
  const members = field === undefined ? undefined : readList(field);
  return (members ?? []).flatMap(({ value, parameters }) => {
    const quota = integer(value);
    return quota === undefined ? [] : [{ quota, windowMs: seconds(integer(parameters.get('w'))) }];
  });
}

/** Members that are words: `"daily";r=1`. The draft may yet make them Tokens. */
function named(field: string | undefined): readonly { readonly name: string; readonly parameters: Parameters }[] {
  const members = field === undefined ? undefined : readList(field);
  return (members ?? []).flatMap(({ value, parameters }) => {
    const name = typeof value === 'object' && 'token' in value ? value.token : value;
    return typeof name === 'string' && isName(name) ? [{ name, parameters }] : [];
  });
}

function isName(word: string): boolean {
  return word !== '' && word.length <= longestName;
}

type Told = { readonly [K in 'unit' | 'quota' | 'windowMs' | 'remaining' | 'resetMs']: ProviderQuota[K] | undefined };

/** A quota of what was told; undefined where nothing was. */
function quotaOf(name: string, source: QuotaSource, { unit, quota, windowMs, remaining, resetMs }: Told): ProviderQuota | undefined {
  if (quota === undefined && remaining === undefined && resetMs === undefined) return undefined;
  return {
    name,
    ...(unit !== undefined && { unit }),
    ...(quota !== undefined && { quota }),
    ...(windowMs !== undefined && { windowMs }),
    ...(remaining !== undefined && { remaining }),
    ...(resetMs !== undefined && { resetMs }),
    source,
  };
}

function integer(value: BareItem | readonly Member[] | undefined): number | undefined {
  return typeof value === 'number' && value >= 0 ? whole(value) : undefined;
}

function whole(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.floor(value);
}

function seconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : wait(value * 1_000);
}

/** Looks headers up by their lower-case names. */
function headerOf(source: HeaderSource): Header {
  const { get } = source;
  if (typeof get === 'function') return (name) => text(get.call(source, name));
  const fields = source as Readonly<Record<string, unknown>>;
  const byName = new Map(Object.keys(fields).map((key) => [key.toLowerCase(), key]));
  return (name) => {
    const key = byName.get(name);
    return key === undefined ? undefined : text(fields[key]);
  };
}

function text(value: unknown): string | undefined {
  const line = Array.isArray(value) ? value.join(', ') : value;
  if (typeof line !== 'string' && typeof line !== 'number') return undefined;
  const written = String(line).trim();
  return written === '' ? undefined : written;
}
