import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { describe, expect, test } from 'vitest';
import { limitFetch } from '../src/fetch.ts';
import { per, RateLimiter, tokenBucket } from '../src/index.ts';
import { type Answer, serve } from './http-answers.ts';

interface Metered {
  readonly answer: Answer;
  /** Answers by status. */
  readonly count: Record<200 | 429, number>;
}

const completion = { id: 'c', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }] };

type Tell = (bucket: { level: number; perSecond: number; burst: number }) => Record<string, string>;

const asOpenAi: Tell = ({ level, perSecond, burst }) => ({
  'x-ratelimit-limit-requests': `${burst}`,
  'x-ratelimit-remaining-requests': `${Math.floor(level)}`,
  'x-ratelimit-reset-requests': `${Math.round(((burst - level) * 1_000) / perSecond)}ms`,
});

const asDraft11: Tell = ({ level, perSecond, burst }) => ({
  'ratelimit-policy': `"bucket";q=${burst};w=${Math.ceil(burst / perSecond)}`,
  ratelimit: `"bucket";r=${Math.floor(level)};t=1`,
});

/** A provider with a bucket of its own. */
function bucketProvider(perSecond: number, burst: number, latencyMs = 5, tell = asOpenAi): Metered {
  let level = burst;
  let at = performance.now();
  const count = { 200: 0, 429: 0 };
  return {
    count,
    answer: async (response) => {
      const now = performance.now();
      level = Math.min(burst, level + ((now - at) * perSecond) / 1_000);
      at = now;
      const status = level >= 1 ? 200 : 429;
      if (status === 200) level -= 1;
      count[status] += 1;
      const headers = {
        'content-type': 'application/json',
        ...tell({ level, perSecond, burst }),
        ...(status === 429 && { 'retry-after-ms': String(Math.ceil(((1 - level) * 1_000) / perSecond)) }),
      };
      if (status === 200) await sleep(latencyMs);
      response.writeHead(status, headers).end(JSON.stringify(status === 200 ? completion : { error: { message: 'slow down' } }));
    },
  };
}

/** A provider that counts in fixed windows and tells of them as draft 06 does, or by names of its own. */
function windowProvider(limit: number, windowMs: number, names: 'ratelimit' | 'x-ratelimit'): Metered {
  let used = 0;
  let endsAt = 0;
  const count = { 200: 0, 429: 0 };
  return {
    count,
    answer: (response) => {
      const now = Date.now();
      if (now >= endsAt) {
        used = 0;
        endsAt = now + windowMs;
      }
      const status = used < limit ? 200 : 429;
      if (status === 200) used += 1;
      count[status] += 1;
      const reset = names === 'ratelimit' ? Math.ceil((endsAt - now) / 1_000) : endsAt;
      const headers = { [`${names}-limit`]: `${limit}`, [`${names}-remaining`]: `${limit - used}`, [`${names}-reset`]: `${reset}` };
      response.writeHead(status, headers).end();
    },
  };
}

/** Calls as fast as they are answered, from so many clients at once. */
async function load(call: () => Promise<unknown>, clients: number, forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  const client = async () => {
    while (performance.now() < until) await call();
  };
  await Promise.all(Array.from({ length: clients }, client));
}

/** Limits that are no limits here: only the provider's count. */
const generous = () => new RateLimiter({ limits: [tokenBucket({ rate: per(100_000, 'second') })] });
const drained = (send: typeof fetch, url: string) => async () => void (await (await send(url)).arrayBuffer());

describe('a provider with a bucket of 20 and 50 a second, and 16 clients', () => {
  const seconds = 3;
  const most = 20 + 50 * seconds;

  test('followed, refuses almost none and lets as many through as it would let anyone', async () => {
    const provider = bucketProvider(50, 20);
    const { url } = await serve(provider.answer);
    await load(drained(limitFetch({ limiter: generous() }), url), 16, seconds * 1_000);
    expect(provider.count[429]).toBeLessThanOrEqual(most * 0.02);
    expect(provider.count[200]).toBeGreaterThanOrEqual(most * 0.9);
  });

  test('followed by draft 11, refuses almost none; whole seconds cost some of what it would let through', async () => {
    const provider = bucketProvider(50, 20, 5, asDraft11);
    const { url } = await serve(provider.answer);
    await load(drained(limitFetch({ limiter: generous() }), url), 16, seconds * 1_000);
    expect(provider.count[429]).toBeLessThanOrEqual(most * 0.02);
    expect(provider.count[200]).toBeGreaterThanOrEqual(most * 0.4);
  });

  test('not followed, refuses more than it lets through', async () => {
    const provider = bucketProvider(50, 20);
    const { url } = await serve(provider.answer);
    await load(drained(limitFetch({ limiter: generous(), follow: false }), url), 16, 1_000);
    expect(provider.count[429]).toBeGreaterThan(provider.count[200]);
  });

  test('followed, never gets more than our own limits let through', async () => {
    const provider = bucketProvider(1_000, 1_000);
    const { url } = await serve(provider.answer);
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(40, 'second'), burst: 5 })] });
    const startedAt = performance.now();
    await load(drained(limitFetch({ limiter }), url), 16, 1_000);
    const most = 5 + (40 * (performance.now() - startedAt)) / 1_000;
    expect(provider.count[200]).toBeLessThanOrEqual(most);
    expect(provider.count[200]).toBeGreaterThanOrEqual(most * 0.8);
  });

  test('the openai client through it sees no 429, with answers that take long', async () => {
    const provider = bucketProvider(50, 20, 400);
    const { url } = await serve(provider.answer);
    const openai = new OpenAI({ apiKey: 'key', baseURL: url, fetch: limitFetch({ limiter: generous() }), maxRetries: 0 });
    const call = async () => {
      const { choices } = await openai.chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hello' }] });
      expect(choices[0]?.message.content).toBe('hello');
    };
    await load(call, 18, 2_000);
    expect(provider.count[429]).toBe(0);
    expect(provider.count[200]).toBeGreaterThanOrEqual(18 * 4);
  });
});

test.each(['ratelimit', 'x-ratelimit'] as const)(
  'a provider that counts 40 in windows of a second and says so in %s headers',
  async (names) => {
    const provider = windowProvider(40, 1_000, names);
    const { url } = await serve(provider.answer);
    await load(drained(limitFetch({ limiter: generous() }), url), 8, 3_000);
    expect(provider.count[429]).toBeLessThanOrEqual(8);
    expect(provider.count[200]).toBeGreaterThanOrEqual(names === 'ratelimit' ? 80 : 100); // whole seconds, rounded up, cost up to one of them
  },
);

test('the openai client tries again by itself when it is given a refusal as an answer', async () => {
  const provider = bucketProvider(1_000, 1_000);
  const { url, requests } = await serve(provider.answer);
  const limiter = new RateLimiter({ limits: [tokenBucket({ name: 'own', rate: per(5, 'second'), burst: 1 })] });
  const client = (maxRetries: number) =>
    new OpenAI({ apiKey: 'key', baseURL: url, fetch: limitFetch({ limiter, maxWaitMs: 10, refuse: 'response' }), maxRetries });
  const ask = (maxRetries: number) =>
    client(maxRetries).chat.completions.create({ model: 'm', messages: [{ role: 'user', content: 'hello' }] });
  await ask(0);
  await expect(ask(0)).rejects.toMatchObject({ status: 429, error: undefined, message: expect.stringContaining('429') });
  expect((await ask(3)).choices).toHaveLength(1);
  expect(requests()).toBe(2);
});
