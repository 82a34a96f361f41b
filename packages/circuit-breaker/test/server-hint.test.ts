import { describe, expect, it } from 'vitest';
import { retryAfterOf, shouldRetryOf } from '../src/classifiers.ts';

const now = Date.UTC(2026, 0, 15, 12);
const inSeconds = (seconds: number) => new Date(now + seconds * 1_000);
const of = (headers: Record<string, string>) => retryAfterOf(new Headers(headers), now);

describe('a server that says when to come back', () => {
  it.each([
    ['seconds', { 'retry-after': '7' }, 7_000],
    ['a fraction of a second', { 'retry-after': '0.25' }, 250],
    ['at once', { 'retry-after': '0' }, 0],
    ['an HTTP date', { 'retry-after': inSeconds(90).toUTCString() }, 90_000],
    ['an HTTP date as of RFC 850', { 'retry-after': 'Thursday, 15-Jan-26 12:01:30 GMT' }, 90_000],
    ['an HTTP date as of asctime()', { 'retry-after': 'Thu Jan 15 12:01:30 2026' }, 90_000],
    ['milliseconds', { 'retry-after-ms': '1234.5' }, 1_235],
    ['milliseconds beside seconds', { 'retry-after-ms': '1200', 'retry-after': '2' }, 1_200],
    ['milliseconds that are none beside seconds', { 'retry-after-ms': 'soon', 'retry-after': '2' }, 2_000],
    ['seconds beside a quota', { 'retry-after': '2', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' }, 2_000],
  ])('in %s', (_, headers, expected) => {
    expect(of(headers as Record<string, string>)).toBe(expected);
  });

  it.each([
    ["OpenAI's requests", { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0s' }, 360_000],
    ["OpenAI's tokens", { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '20ms' }, 20],
    ["Groq's fractions", { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '2m59.56s' }, 179_560],
    ["Azure's plain seconds", { 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '3' }, 3_000],
    [
      'both, the later',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '0',
        'x-ratelimit-reset-tokens': '1h2m3s',
      },
      3_723_000,
    ],
    [
      'only the one that is used up',
      {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '1s',
        'x-ratelimit-remaining-tokens': '149984',
        'x-ratelimit-reset-tokens': '6m0s',
      },
      1_000,
    ],
    [
      "Anthropic's",
      { 'anthropic-ratelimit-input-tokens-remaining': '0', 'anthropic-ratelimit-input-tokens-reset': inSeconds(12).toISOString() },
      12_000,
    ],
    ["GitHub's epoch", { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now / 1_000 + 30) }, 30_000],
    ["OpenRouter's epoch in ms", { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(now + 30_000) }, 30_000],
    ['a delta', { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '30' }, 30_000],
    ['the earlier IETF drafts', { 'ratelimit-remaining': '0', 'ratelimit-reset': '30' }, 30_000],
    ['the later IETF drafts', { ratelimit: '"minute";r=0;t=30, "hour";r=0;t=900, "day";r=5;t=4000' }, 900_000],
  ])('by the reset of a quota that is used up: %s', (_, headers, expected) => {
    expect(of(headers as Record<string, string>)).toBe(expected);
  });

  it.each([
    ['a quota that is not used up', { 'x-ratelimit-remaining': '5', 'x-ratelimit-reset': '30' }],
    ["Azure's -1", { 'x-ratelimit-remaining-tokens': '-1', 'x-ratelimit-reset-tokens': '0' }],
    ['a date in the past', { 'retry-after': inSeconds(-1).toUTCString() }],
    ['a negative number', { 'retry-after': '-5' }],
    ['words that Date.parse takes for a date', { 'retry-after': '2, 5' }],
    ['an epoch in place of seconds', { 'retry-after': String(now / 1_000 + 30) }],
    ['infinity', { 'retry-after': 'Infinity', 'retry-after-ms': '1e999' }],
    ['not a number', { 'retry-after': 'NaN' }],
    ['an overlong number', { 'retry-after': '9'.repeat(500) }],
    ['half a duration', { 'x-ratelimit-remaining-requests': '0', 'x-ratelimit-reset-requests': '6m0' }],
    ['nothing', { 'retry-after': '' }],
  ])('is not believed with %s', (_, headers) => {
    expect(of(headers as Record<string, string>)).toBeUndefined();
  });

  it('is measured by its own clock where it tells it', () => {
    const headers = { date: inSeconds(3_600).toUTCString(), 'retry-after': inSeconds(3_605).toUTCString() };
    expect(of(headers)).toBe(5_000);
  });

  it.each([
    ['a plain object in any case', { 'Retry-After': '3' }],
    ['a list of values, as node:http has it', { 'RETRY-AFTER': ['3', '9'] }],
    ['a number', { 'retry-after': 3 }],
    ['an answer', new Response(null, { headers: { 'retry-after': '3' } })],
    ["openai's and anthropic's errors", Object.assign(new Error('429'), { headers: new Headers({ 'retry-after': '3' }) })],
    ["axios's errors", Object.assign(new Error('429'), { response: { headers: { 'retry-after': '3' } } })],
    ["the Vercel AI SDK's errors", Object.assign(new Error('429'), { responseHeaders: { 'retry-after': '3' } })],
    ['errors of this family', Object.assign(new Error('429'), { retryAfterMs: 3_000 })],
  ])('is understood through %s', (_, source) => {
    expect(retryAfterOf(source, now)).toBe(3_000);
  });

  const details = [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '45.837906927s' }];
  const body = { error: { code: 429, message: 'Quota exceeded', status: 'RESOURCE_EXHAUSTED', details } };

  it.each([
    ['a parsed body', body],
    ["@google/genai's errors", Object.assign(new Error(JSON.stringify(body)), { status: 429 })],
    ['errors with the body in their message', new Error(JSON.stringify({ error: { message: JSON.stringify(body), code: 429 } }))],
    ["@google/generative-ai's errors", Object.assign(new Error('429'), { status: 429, errorDetails: details })],
    ["gaxios's errors", Object.assign(new Error('429'), { response: { status: 429, headers: {}, data: body } })],
    ["the Vercel AI SDK's errors", Object.assign(new Error('429'), { statusCode: 429, responseBody: JSON.stringify([body]) })],
  ])("is understood in Gemini's body, which alone tells it, through %s", (_, source) => {
    expect(retryAfterOf(source, now)).toBe(45_838);
  });

  it.each([undefined, null, 'text', 5, {}, { headers: null }, { get: () => ({}) }])('is not invented from %j', (source) => {
    expect(retryAfterOf(source, now)).toBeUndefined();
  });

  it('may say whether a retry is worth it', () => {
    expect(shouldRetryOf({ headers: { 'X-Should-Retry': 'true' } })).toBe(true);
    expect(shouldRetryOf(new Headers({ 'x-should-retry': 'false' }))).toBe(false);
    expect(shouldRetryOf(new Headers({ 'x-should-retry': 'perhaps' }))).toBeUndefined();
  });
});
