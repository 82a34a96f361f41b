import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRateLimitHeaders } from '../src/fetch.ts';
import { runs } from './runs.ts';

const now = Date.UTC(2026, 10, 20, 12);
const parse = (headers: Record<string, string>) => parseRateLimitHeaders(new Headers(headers), { now });

describe('drafts of the IETF', () => {
  test('00 to 03: three headers, with policies in RateLimit-Limit', () => {
    const { quotas } = parse({
      'RateLimit-Limit': '10, 10;w=1, 1000;w=3600;comment="sliding"',
      'RateLimit-Remaining': '4',
      'RateLimit-Reset': '1',
    });
    expect(quotas).toEqual([
      { name: 'default', unit: 'requests', quota: 10, windowMs: 1_000, remaining: 4, resetMs: 1_000, source: 'draft-00-06' },
      { name: '1000;w=3600', unit: 'requests', quota: 1_000, windowMs: 3_600_000, source: 'draft-00-06' },
    ]);
  });

  test('04 to 06: policies in RateLimit-Policy', () => {
    const { quotas } = parse({ 'RateLimit-Policy': '5;w=60', 'RateLimit-Limit': '5', 'RateLimit-Remaining': '0', 'RateLimit-Reset': '42' });
    expect(quotas).toEqual([
      { name: 'default', unit: 'requests', quota: 5, windowMs: 60_000, remaining: 0, resetMs: 42_000, source: 'draft-00-06' },
    ]);
  });

  test('07: one header with keys', () => {
    const { quotas } = parse({ RateLimit: 'limit=100, remaining=50, reset=5', 'RateLimit-Policy': '100;w=60' });
    expect(quotas).toEqual([
      { name: 'default', unit: 'requests', quota: 100, windowMs: 60_000, remaining: 50, resetMs: 5_000, source: 'draft-07' },
    ]);
  });

  test('08 to 11: named limits, in the order of RateLimit, and policies without a level', () => {
    const headers = new Headers([
      ['RateLimit-Policy', '"burst";q=100;w=60,"daily";q=1000;w=86400'],
      ['RateLimit-Policy', '"body";q=65535;qu="content-bytes";w=10;pk=:sdfjLJUOUHA=:'],
      ['RateLimit', '"daily";r=999;t=3600'],
      ['RateLimit', '"burst";r=0;t=30'],
    ]);
    expect(parseRateLimitHeaders(headers, { now }).quotas).toEqual([
      { name: 'daily', unit: 'requests', quota: 1_000, windowMs: 86_400_000, remaining: 999, resetMs: 3_600_000, source: 'draft-08-11' },
      { name: 'burst', unit: 'requests', quota: 100, windowMs: 60_000, remaining: 0, resetMs: 30_000, source: 'draft-08-11' },
      { name: 'body', unit: 'content-bytes', quota: 65_535, windowMs: 10_000, source: 'draft-08-11' },
    ]);
  });

  test("a vendor's own unit, and the names and words that the draft may yet take", () => {
    const renamed = parse({ RateLimit: 'daily;a=7;w=20;c=1', 'RateLimit-Policy': 'daily;q=50;w=60;acme-unit="tokens"' });
    expect(renamed.quotas).toEqual([
      { name: 'daily', unit: 'tokens', quota: 50, windowMs: 60_000, remaining: 7, resetMs: 20_000, source: 'draft-08-11' },
    ]);
    expect(parse({ RateLimit: '"x";r=3;w=20' }).quotas[0]).not.toHaveProperty('resetMs'); // `w` alone says nothing in the drafts that are
  });

  test.each(['"daily";r=1;t=', '"daily;r=0', 'daily r=0', '"";r=1', '"a";r=-1', '"a";r="1"', '"a";t=?1'])(
    'of %j nothing is believed',
    (field) => {
      expect(parse({ RateLimit: field }).quotas).toEqual([]);
    },
  );
});

describe('X-RateLimit and X-Rate-Limit', () => {
  test.each([
    ['seconds from now', '90', 90_000],
    ['seconds from now, up to what cannot be an epoch', '999999', 999_999_000],
    ['seconds since 1970', String(now / 1_000 + 90), 90_000],
    ['seconds since 1970 with a fraction', `${now / 1_000 + 90}.25`, 90_250],
    ['ms since 1970', String(now + 90_000), 90_000],
    ['a moment that has passed', String(now / 1_000 - 90), 0],
    ['an RFC 3339 date', '2026-11-20T12:01:30Z', 90_000],
    ['an HTTP date', 'Fri, 20 Nov 2026 12:01:30 GMT', 90_000],
    ['a duration', '1m30s', 90_000],
    ['more than a year, which nobody means', '99999999', undefined],
    ['garbage', 'soon', undefined],
  ])('the reset as %s', (_, reset, resetMs) => {
    for (const source of ['x-ratelimit', 'x-rate-limit'] as const) {
      const { quotas } = parse({ [`${source}-limit`]: '60', [`${source}-remaining`]: '12', [`${source}-reset`]: reset });
      expect(quotas).toEqual([{ name: 'default', quota: 60, remaining: 12, ...(resetMs !== undefined && { resetMs }), source }]);
    }
  });

  test("a reset that is a moment is compared with the server's Date; within its second with our clock", () => {
    const reset = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now / 1_000 + 90) };
    const at = (ms: number) => new Date(now + ms).toUTCString();
    expect(parse({ ...reset, date: at(-3_600_000) }).quotas[0]?.resetMs).toBe(90_000 + 3_600_000 - 1_000);
    expect(parse({ ...reset, date: at(60_000) }).quotas[0]?.resetMs).toBe(30_000);
    expect(parseRateLimitHeaders(new Headers({ ...reset, date: at(0) }), { now: now + 300 }).quotas[0]?.resetMs).toBe(89_700);
  });
});

describe('OpenAI and Anthropic', () => {
  test.each([
    ['1s', 1_000],
    ['6m0s', 360_000],
    ['250ms', 250],
    ['1h2m3.5s', 3_723_500],
    ['45.837906927s', 45_838],
    ['1d', 86_400_000],
    ['1x', undefined],
    ['s', undefined],
    ['1s1', undefined],
  ])("OpenAI's reset %s", (reset, resetMs) => {
    const { quotas } = parse({
      'x-ratelimit-limit-requests': '60',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-requests': '59',
      'x-ratelimit-remaining-tokens': '149984',
      'x-ratelimit-reset-requests': reset,
    });
    expect(quotas).toEqual([
      { name: 'requests', unit: 'requests', quota: 60, remaining: 59, ...(resetMs !== undefined && { resetMs }), source: 'openai' },
      { name: 'tokens', unit: 'tokens', quota: 150_000, remaining: 149_984, source: 'openai' },
    ]);
  });

  test("Anthropic's four quotas", () => {
    const units = ['requests', 'tokens', 'input-tokens', 'output-tokens'];
    const headers = Object.fromEntries(
      units.flatMap((unit, i) => [
        [`anthropic-ratelimit-${unit}-limit`, `${i + 1}000`],
        [`anthropic-ratelimit-${unit}-remaining`, `${i}`],
        [`anthropic-ratelimit-${unit}-reset`, `2026-11-20T12:00:0${i}Z`],
      ]),
    );
    expect(parse(headers).quotas).toEqual(
      units.map((unit, i) => ({ name: unit, unit, quota: (i + 1) * 1_000, remaining: i, resetMs: i * 1_000, source: 'anthropic' })),
    );
  });
});

test.each<[Record<string, string>, number | undefined]>([
  [{ 'retry-after': '7' }, 7_000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': 'Fri, 20 Nov 2026 12:00:09 GMT' }, 9_000],
  [{ 'retry-after': 'Fri, 20 Nov 2026 11:00:00 GMT' }, 0],
  [{ 'retry-after': '7', 'retry-after-ms': '6500' }, 6_500],
  [{ 'retry-after': '7', 'retry-after-ms': 'x' }, 7_000],
  [{ 'retry-after': String(now / 1_000) }, undefined],
  [{ 'retry-after': '-1' }, undefined],
  [{ 'retry-after': '2, 5' }, undefined],
])('%j asks to come back in %s ms', (headers, retryAfterMs) => {
  expect(parse(headers).retryAfterMs).toBe(retryAfterMs);
});

test('headers as node:http has them are read too, in any case and in several lines', () => {
  const headers = { 'X-RateLimit-Remaining': 3, RATELIMIT: ['"a";r=1', '"b";r=2'], 'retry-after': undefined };
  expect(parseRateLimitHeaders(headers, { now }).quotas).toEqual([
    { name: 'a', unit: 'requests', remaining: 1, source: 'draft-08-11' },
    { name: 'b', unit: 'requests', remaining: 2, source: 'draft-08-11' },
    { name: 'default', remaining: 3, source: 'x-ratelimit' },
  ]);
});

const names = [
  ...[
    'ratelimit',
    'ratelimit-policy',
    'ratelimit-limit',
    'ratelimit-remaining',
    'ratelimit-reset',
    'retry-after',
    'retry-after-ms',
    'date',
  ],
  ...['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset', 'x-ratelimit-reset-tokens', 'anthropic-ratelimit-tokens-reset'],
];

describe('hostile headers', () => {
  const piece = fc.constantFrom(
    '"',
    '\\',
    ';',
    ',',
    '=',
    '(',
    ')',
    ':',
    '%',
    '?',
    '@',
    ' ',
    '\t',
    'r=1',
    '"a";r=0;t=1',
    'limit=1',
    '1',
    '9'.repeat(30),
    's',
    'ms',
    'T',
    'é',
    '\u0000',
  );
  const value = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.string({ unit: 'binary' }),
  );

  test('nothing is thrown, and every number is one that a wait can be made of', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (headers) => {
        const { quotas, retryAfterMs = 0 } = parseRateLimitHeaders(headers, { now });
        expect(quotas.length).toBeLessThanOrEqual(32);
        const numbers = [
          retryAfterMs,
          ...quotas.flatMap(({ quota = 0, windowMs = 0, remaining = 0, resetMs = 0 }) => [quota, windowMs, remaining, resetMs]),
        ];
        for (const number of numbers) expect(Number.isInteger(number) && number >= 0).toBe(true);
      }),
      runs(2_000),
    );
  });

  test.each<[string, string]>([
    ['an open string', '"'],
    ['strings', '"a",'],
    ['backslashes', '"\\\\'],
    ['limits', '"a";r=1;t=1,'],
    ['parameters', ';a=1'],
    ['digits', '1'],
    ['spaces', ' '],
    ['tabs between', '1 \t'],
    ['inner lists', '('],
    ['durations', '1s'],
    ['percent signs', '%"%41'],
  ])('a megabyte of %s takes no longer than it takes to look at it', (_, unit) => {
    const headers = Object.fromEntries(names.map((name) => [name, unit.repeat(1_000_000 / unit.length)]));
    const close = Object.fromEntries(names.map((name) => [name, unit.repeat(8_000 / unit.length)]));
    const startedAt = performance.now();
    parseRateLimitHeaders(headers, { now });
    for (let i = 0; i < 5; i++) parseRateLimitHeaders(close, { now });
    expect(performance.now() - startedAt).toBeLessThan(2_000); // some ms; a regular expression that goes back takes hours
  });

  test('of a thousand limits 32 are kept', () => {
    const field = Array.from({ length: 500 }, (_, i) => `"${i}";r=1`).join(',');
    expect(parse({ RateLimit: field }).quotas).toHaveLength(32);
  });
});
