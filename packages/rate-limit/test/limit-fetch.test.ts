import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LimitFetchOptions, limitFetch } from '../src/fetch.ts';
import { concurrency, isRateLimitError, type Limit, per, type RateLimitError, RateLimiter, tokenBucket } from '../src/index.ts';

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});
afterEach(() => expect(clock.pendingTimers, 'timers left behind').toBe(0));

const url = 'http://api.invalid/v1';

/** What a call ended with: the status of its answer or the error, once it ended. */
function watch(call: Promise<Response>) {
  const seen: { status?: number; error?: unknown } = {};
  call.then(
    ({ status }) => {
      seen.status = status;
    },
    (error: unknown) => {
      seen.error = error;
    },
  );
  return seen;
}

const outcomeOf = (call: Promise<unknown>) => call.catch((error: unknown) => error);

/** A provider whose answers are given by hand, in any order. */
function byHand() {
  const sent: {
    readonly input: unknown;
    readonly init: RequestInit | undefined;
    readonly answer: (headers?: Record<string, string>, status?: number) => Promise<void>;
  }[] = [];
  const send: typeof fetch = (input, init) =>
    new Promise((resolve, reject) => {
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason), { once: true });
      const answer = async (headers: Record<string, string> = {}, status = 200) => {
        resolve(new Response('ok', { status, headers }));
        await clock.advanceAsync(0);
      };
      sent.push({ input, init, answer });
    });
  return { sent, send };
}

/** A fetch over a provider by hand, with limits that let everything through unless others are given. */
function limited(
  options: Partial<LimitFetchOptions<unknown>> = {},
  limits: readonly Limit[] = [tokenBucket({ rate: per(1_000, 'second') })],
) {
  const limiter = new RateLimiter<unknown>({ limits, clock, key: (subject) => String(subject) });
  const { sent, send } = byHand();
  const call = limitFetch({ limiter, fetch: send, clock, ...options });
  /** Begins a call and lets it come as far as it comes. */
  const begin = async (where = url, init?: RequestInit) => {
    const seen = watch(call(where, init));
    await clock.advanceAsync(0);
    return seen;
  };
  return { call, begin, sent, limiter };
}

const openai = (remaining: number, reset: string, limit = 100) => ({
  'x-ratelimit-limit-requests': `${limit}`,
  'x-ratelimit-remaining-requests': `${remaining}`,
  'x-ratelimit-reset-requests': reset,
});
const fixed = (remaining: number, seconds: number, limit = 100) => ({
  'x-ratelimit-limit': `${limit}`,
  'x-ratelimit-remaining': `${remaining}`,
  'x-ratelimit-reset': `${seconds}`,
});

describe('what goes in and comes out', () => {
  test('the answer is the very object, and the request is what was given', async () => {
    const response = new Response('body');
    const seen: unknown[] = [];
    const limiter = new RateLimiter();
    const init = { method: 'POST', body: 'x' };
    const send: typeof fetch = async (...args) => {
      seen.push(...args);
      return response;
    };
    const got = await limitFetch({ limiter, fetch: send })(url, init);
    expect(got).toBe(response);
    expect(got.bodyUsed).toBe(false);
    expect(seen).toEqual([url, init]);
    expect(seen[1]).toBe(init);
  });

  test('the global fetch is looked up at the call', async () => {
    const call = limitFetch({ limiter: new RateLimiter() });
    const real = globalThis.fetch;
    try {
      globalThis.fetch = async () => new Response('stub');
      expect(await (await call(url)).text()).toBe('stub');
    } finally {
      globalThis.fetch = real;
    }
  });

  test('wrappers nest, inside and outside', async () => {
    const order: string[] = [];
    const named =
      (name: string, inner: typeof fetch): typeof fetch =>
      async (...args) => {
        order.push(name);
        return inner(...args);
      };
    const { sent, send } = byHand();
    const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(1, 'second') })], clock });
    const inner = limitFetch({ limiter, fetch: named('inside', send), clock, maxWaitMs: 0, refuse: 'response' });
    const call = named('outside', limitFetch({ limiter: new RateLimiter({ clock }), fetch: inner, clock }));
    const first = call(url);
    await clock.advanceAsync(0);
    await sent[0]?.answer();
    expect((await first).status).toBe(200);
    expect(order).toEqual(['outside', 'inside']);
    expect((await call(url)).status).toBe(429); // of the inner one, which the outer one takes for the provider's word
    const held = watch(call(url));
    await clock.advanceAsync(999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
    await sent[1]?.answer();
    expect(held.status).toBe(200);
  });
});

describe('our own limits', () => {
  const two = [
    tokenBucket({ name: 'rpm', rate: per(60, 'minute') }),
    tokenBucket({ name: 'tpm', unit: 'tokens', rate: per(1_000, 'minute') }),
  ];
  const left = async (limiter: RateLimiter<unknown>, unit: string) => {
    const decision = await limiter.peek(undefined, { cost: { tokens: 0 }, levels: true });
    return decision.levels?.find((level) => level.unit === unit)?.remaining;
  };

  test('cost is reserved, and made exact by the headers of the answer', async () => {
    const { begin, sent, limiter } = limited(
      {
        cost: ({ init }) => ({ tokens: String(init?.body).length }),
        settle: ({ headers }) => (headers.has('used') ? { tokens: Number(headers.get('used')) } : undefined),
      },
      two,
    );
    await begin(url, { method: 'POST', body: 'x'.repeat(300) });
    expect([await left(limiter, 'requests'), await left(limiter, 'tokens')]).toEqual([59, 700]);
    await sent[0]?.answer({ used: '120' });
    expect([await left(limiter, 'requests'), await left(limiter, 'tokens')]).toEqual([59, 880]);
    await begin(url, { method: 'POST', body: 'x'.repeat(80) });
    await sent[1]?.answer();
    expect(await left(limiter, 'tokens')).toBe(800);
  });

  test.each([{ tokens: -1 }, { tokens: Number.NaN }, { tokens: 1.5 }, 'garbage', { other: 3 }])(
    'settle that answers %j leaves what was reserved',
    async (bad) => {
      const { begin, sent, limiter } = limited({ cost: () => ({ tokens: 300 }), settle: () => bad as never }, two);
      await begin();
      await sent[0]?.answer();
      expect([await left(limiter, 'requests'), await left(limiter, 'tokens')]).toEqual([59, 700]);
    },
  );

  test('settle that throws leaves what was reserved, and the answer reaches the caller', async () => {
    const settle = () => {
      throw new Error('no');
    };
    const { begin, sent, limiter } = limited({ cost: () => ({ tokens: 300 }), settle }, two);
    const seen = await begin();
    await sent[0]?.answer();
    expect(seen.status).toBe(200);
    expect(await left(limiter, 'tokens')).toBe(700);
  });

  test('a cost that is none is refused before anything is taken or sent', async () => {
    for (const cost of [{ tokens: -1 }, { tokens: Number.NaN }, { token: 1 }, -1]) {
      const { call, sent, limiter } = limited({ cost: () => cost as never }, two);
      expect(await outcomeOf(call(url))).toBeInstanceOf(RangeError);
      expect(sent).toHaveLength(0);
      expect(await left(limiter, 'tokens')).toBe(1_000);
    }
  });

  test('what was sent and never answered counts as used', async () => {
    const limiter = new RateLimiter<unknown>({ limits: two, clock });
    const call = limitFetch({
      limiter,
      clock,
      cost: () => ({ tokens: 300 }),
      fetch: async () => Promise.reject(new TypeError('fetch failed')),
    });
    expect(await outcomeOf(call(url))).toBeInstanceOf(TypeError);
    expect(await left(limiter, 'tokens')).toBe(700);
  });

  test('a place among calls at once is held until the headers are there, or the request failed', async () => {
    const { begin, sent } = limited({}, [concurrency({ limit: 1, leaseMs: 30_000 })]);
    const first = await begin();
    const controller = new AbortController();
    const second = await begin(url, { signal: controller.signal });
    const third = await begin();
    expect(sent).toHaveLength(1);
    await sent[0]?.answer();
    expect(first.status).toBe(200);
    expect(sent).toHaveLength(2);
    controller.abort(new Error('enough'));
    await clock.advanceAsync(0);
    expect(second.error).toMatchObject({ message: 'enough' });
    expect(sent).toHaveLength(3);
    await sent[2]?.answer();
    expect(third.status).toBe(200);
  });

  test('subjects have limits of their own', async () => {
    const { begin, sent } = limited({ subject: ({ url }) => new URL(url).hostname, maxWaitMs: 0 }, [
      tokenBucket({ rate: per(1, 'minute') }),
    ]);
    await begin('http://a.invalid/');
    await begin('http://b.invalid/');
    expect((await begin('http://a.invalid/')).error).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    expect(sent.map(({ input }) => input)).toEqual(['http://a.invalid/', 'http://b.invalid/']);
  });
});

describe('a Retry-After', () => {
  test.each([403, 429, 503, 529])('with status %i holds back what goes to the same provider', async (status) => {
    const { begin, sent } = limited();
    await begin();
    await sent[0]?.answer({ 'retry-after': '7' }, status);
    await begin();
    await begin('http://other.invalid/');
    expect(sent.map(({ input }) => input)).toEqual([url, 'http://other.invalid/']);
    await clock.advanceAsync(6_999);
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(3);
  });

  test.each([200, 404, 500])('with status %i holds nothing back', async (status) => {
    const { begin, sent } = limited();
    await begin();
    await sent[0]?.answer({ 'retry-after': '7' }, status);
    await begin();
    expect(sent).toHaveLength(2);
  });

  test('holds no longer than maxHoldMs', async () => {
    const { begin, sent } = limited({ maxHoldMs: 5_000 });
    await begin();
    await sent[0]?.answer({ 'retry-after': '86400' }, 429);
    await begin();
    await clock.advanceAsync(4_999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
  });

  test('after it our own limits still hold: nothing was taken from them meanwhile', async () => {
    const { begin, sent } = limited({}, [tokenBucket({ rate: per(1, 'second'), burst: 2 })]);
    await begin();
    await sent[0]?.answer({ 'retry-after': '30' }, 429);
    for (let i = 0; i < 10; i++) await begin();
    await clock.advanceAsync(30_000);
    expect(sent).toHaveLength(1 + 2);
    await clock.advanceAsync(8_000);
    expect(sent).toHaveLength(11);
  });

  test('that comes while others wait for our limits holds them back too', async () => {
    const { begin, sent, limiter } = limited({}, [tokenBucket({ rate: per(1, 'second'), burst: 1 })]);
    await begin();
    await begin();
    await begin();
    await clock.advanceAsync(500);
    await sent[0]?.answer({ 'retry-after': '10' }, 503);
    await clock.advanceAsync(9_999);
    expect(sent).toHaveLength(1);
    expect(await limiter.peek(undefined)).toMatchObject({ allowed: true }); // given back
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(1_000);
    expect(sent).toHaveLength(3);
  });
});

describe('what the provider says is left', () => {
  test('counts less what was sent since the request it answers', async () => {
    const { begin, sent } = limited();
    for (let i = 0; i < 3; i++) await begin();
    await sent[0]?.answer(fixed(3, 10));
    for (let i = 0; i < 3; i++) await begin();
    expect(sent).toHaveLength(4); // 3 were left, and 2 were under way
    await sent[1]?.answer(fixed(2, 10));
    await sent[2]?.answer(fixed(1, 10));
    expect(sent).toHaveLength(4);
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(6);
  });

  test('of answers out of order the lowest of one window is believed, less what may have been counted after it', async () => {
    const { begin, sent } = limited();
    for (let i = 0; i < 3; i++) await begin();
    await sent[2]?.answer(fixed(1, 10));
    await sent[0]?.answer(fixed(3, 10));
    await begin();
    await begin();
    expect(sent).toHaveLength(3); // the second may have come last
    await sent[1]?.answer(fixed(2, 10));
    expect(sent).toHaveLength(4);
    await sent[3]?.answer(fixed(0, 10));
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(5);
  });

  test('a late answer of the window before takes nothing from the new one', async () => {
    const { begin, sent } = limited();
    await begin();
    await begin();
    await sent[1]?.answer(fixed(0, 5));
    await begin();
    await clock.advanceAsync(5_000);
    expect(sent).toHaveLength(3);
    await sent[2]?.answer(fixed(99, 60));
    await sent[0]?.answer(fixed(0, 1));
    await begin();
    expect(sent).toHaveLength(4);
  });

  test('a bucket that fills again lets one through as soon as there surely is one', async () => {
    const { begin, sent } = limited();
    await begin();
    await sent[0]?.answer(openai(0, '60s', 60), 429);
    for (let i = 0; i < 3; i++) await begin();
    await clock.advanceAsync(999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(19); // 60 or nearly 59 fill in 60 s: what is left is told in whole numbers
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(2_036);
    expect(sent).toHaveLength(4);
  });

  test('tokens are followed too, as far as cost tells of them', async () => {
    const { begin, sent } = limited({ cost: () => ({ tokens: 400 }) }, [tokenBucket({ unit: 'tokens', rate: per(1_000_000, 'second') })]);
    await begin();
    await sent[0]?.answer({ 'x-ratelimit-limit-tokens': '1000', 'x-ratelimit-remaining-tokens': '500', 'x-ratelimit-reset-tokens': '5s' });
    await begin();
    await begin();
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(3_010); // 100 were left; 300 more take 3 s
    expect(sent).toHaveLength(3);
  });

  test('a request above the whole quota goes when all of it is there, for the provider to refuse', async () => {
    const { begin, sent } = limited({ cost: () => ({ tokens: 5_000 }) }, [tokenBucket({ unit: 'tokens', rate: per(1_000_000, 'second') })]);
    await begin();
    await sent[0]?.answer({ 'x-ratelimit-limit-tokens': '1000', 'x-ratelimit-remaining-tokens': '0', 'x-ratelimit-reset-tokens': '10s' });
    await begin();
    await clock.advanceAsync(9_999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(12);
    expect(sent).toHaveLength(2);
  });

  test('more than our limits let through changes nothing', async () => {
    const { begin, sent } = limited({ maxWaitMs: 0 }, [tokenBucket({ rate: per(1, 'minute') })]);
    await begin();
    await sent[0]?.answer(fixed(1_000_000, 10, 1_000_000));
    expect((await begin()).error).toMatchObject({ code: 'ERR_RATE_LIMITED', retryAfterMs: 60_000 });
  });

  test('is of the provider that `follow` names', async () => {
    const { begin, sent } = limited({ subject: ({ init }) => init?.method, follow: () => 'one key for all' });
    await begin(url, { method: 'GET' });
    await sent[0]?.answer(fixed(0, 10));
    await begin('http://b.invalid/', { method: 'POST' });
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(2);
  });

  test('is of the subject alone by default', async () => {
    const { begin, sent } = limited({ subject: ({ init }) => ({ tenant: init?.method }) });
    await begin(url, { method: 'GET' });
    await sent[0]?.answer(fixed(0, 10));
    await begin(url, { method: 'POST' });
    expect(sent).toHaveLength(2);
  });

  test('is left alone where it is not followed', async () => {
    const { begin, sent } = limited({ follow: false });
    await begin();
    await sent[0]?.answer({ ...fixed(0, 10), 'retry-after': '10' }, 429);
    await begin();
    expect(sent).toHaveLength(2);
  });
});

describe('a provider that lies', () => {
  test('with a reset in a year gets one request each maxHoldMs, and all when it stops', async () => {
    const { begin, sent } = limited({ maxHoldMs: 5_000 });
    await begin();
    await sent[0]?.answer(fixed(0, 31_000_000));
    for (let i = 0; i < 5; i++) await begin();
    await clock.advanceAsync(4_999);
    expect(sent).toHaveLength(1);
    await clock.advanceAsync(1);
    expect(sent).toHaveLength(2);
    await sent[1]?.answer(fixed(0, 31_000_000));
    await clock.advanceAsync(5_000);
    expect(sent).toHaveLength(3);
    await sent[2]?.answer(fixed(50, 10));
    expect(sent).toHaveLength(6);
  });

  test('and answers no trial at all, gets the next one after maxHoldMs', async () => {
    const { begin, sent } = limited({ maxHoldMs: 5_000 });
    await begin();
    await sent[0]?.answer(fixed(0, 31_000_000));
    await begin();
    await begin();
    await clock.advanceAsync(5_000);
    expect(sent).toHaveLength(2);
    await clock.advanceAsync(5_000);
    expect(sent).toHaveLength(3);
  });

  test('and then says no more of it, holds nobody any longer', async () => {
    const { begin, sent } = limited({ maxHoldMs: 5_000 });
    await begin();
    await sent[0]?.answer(fixed(0, 31_000_000));
    for (let i = 0; i < 5; i++) await begin();
    await clock.advanceAsync(5_000);
    await sent[1]?.answer();
    expect(sent).toHaveLength(6);
  });

  test.each<[string, Record<string, string>]>([
    ['no numbers', { 'x-ratelimit-limit': 'many', 'x-ratelimit-remaining': 'none', 'x-ratelimit-reset': 'later' }],
    ['less than none', fixed(-5, 10)],
    ['half a field', { ratelimit: '"a";r=0;t=10,' }],
    ['no remaining', { 'x-ratelimit-limit': '5', 'x-ratelimit-reset': '10' }],
    ['calls at once', { ratelimit: '"a";r=0', 'ratelimit-policy': '"a";q=8;qu="concurrent-requests"' }],
  ])('with %s holds nothing back', async (_, headers) => {
    const { begin, sent } = limited();
    await begin();
    await sent[0]?.answer(headers);
    await begin();
    expect(sent).toHaveLength(2);
  });

  test('with ever new names takes no more than so many of them', async () => {
    const { begin, sent } = limited();
    for (let i = 0; i < 200; i++) {
      await begin();
      await sent.at(-1)?.answer({ ratelimit: `"${i}";r=500;t=1` }, 429);
    }
    expect(sent).toHaveLength(200);
  });
});

describe('a wait that is too long', () => {
  const refused = async (options: Partial<LimitFetchOptions<unknown>>, ms: number) => {
    const { begin, sent, call } = limited({ maxWaitMs: ms, ...options });
    await begin();
    await sent[0]?.answer(fixed(0, 10));
    return { call, sent, begin };
  };

  test('for the provider is refused at once', async () => {
    const { call, sent } = await refused({}, 9_999);
    const error = (await outcomeOf(call(url))) as RateLimitError;
    expect(isRateLimitError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'ERR_RATE_LIMITED', limit: 'x-ratelimit default', retryAfterMs: 10_000 });
    expect(sent).toHaveLength(1);
  });

  test('for the provider is waited for where it is just not', async () => {
    const { begin, sent } = await refused({}, 10_000);
    await begin();
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(2);
  });

  test('and comes to be so while it waits is refused then', async () => {
    const { begin, sent } = limited({ maxWaitMs: 5_000 });
    await begin();
    await begin();
    await sent[0]?.answer(fixed(0, 3));
    const seen = await begin();
    await sent[1]?.answer({ 'retry-after': '20' }, 429);
    expect(seen.error).toMatchObject({ code: 'ERR_RATE_LIMITED', limit: 'retry-after', retryAfterMs: 20_000 });
  });

  test('for provider and limiter together counts once', async () => {
    const { begin, sent } = limited({ maxWaitMs: 10_000 }, [tokenBucket({ rate: per(1, 'second'), burst: 1 })]);
    await begin();
    await sent[0]?.answer({ 'retry-after': '9' }, 429);
    const seen = [await begin(), await begin(), await begin()];
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(3);
    expect(seen[2]?.error).toMatchObject({ code: 'ERR_RATE_LIMITED', limit: 'requests' });
  });

  test('is an answer with status 429 and Retry-After, if so wished', async () => {
    const { call } = await refused({ refuse: 'response' }, 0);
    const response = await call(url);
    expect(response.status).toBe(429);
    expect(Object.fromEntries(response.headers)).toEqual({
      'content-type': 'application/problem+json',
      'retry-after': '10',
      'retry-after-ms': '10000',
    });
    expect(await response.json()).toMatchObject({
      status: 429,
      code: 'ERR_RATE_LIMITED',
      limit: 'x-ratelimit default',
      retryAfterMs: 10_000,
    });
  });

  test('for ever is an answer that says not to try again', async () => {
    const { call } = limited({ refuse: 'response', cost: () => 5 }, [tokenBucket({ rate: per(1, 'second') })]);
    const response = await call(url);
    expect(response.status).toBe(429);
    expect(response.headers.get('x-should-retry')).toBe('false');
    expect(response.headers.has('retry-after')).toBe(false);
  });

  test('because too many wait is refused', async () => {
    const { begin, sent } = limited({ maxWaiting: 2 });
    await begin();
    await sent[0]?.answer(fixed(0, 10));
    await begin();
    await begin();
    expect((await begin()).error).toMatchObject({ code: 'ERR_QUEUE_FULL', retryAfterMs: 10_000 });
    await clock.advanceAsync(10_000);
    expect(sent).toHaveLength(3);
  });

  test('because the limiter was closed is thrown in any case', async () => {
    const { call, limiter } = limited({ refuse: 'response' });
    await limiter.close();
    expect(await outcomeOf(call(url))).toMatchObject({ code: 'ERR_CLOSED' });
  });
});

describe('abort', () => {
  const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

  test('before: nothing is taken or sent', async () => {
    const { call, sent, limiter } = limited({}, [tokenBucket({ rate: per(1, 'second') })]);
    const reason = new Error('enough');
    expect(await outcomeOf(call(url, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(await outcomeOf(call(new Request(url, { signal: AbortSignal.abort(reason) })))).toBe(reason);
    expect(sent).toHaveLength(0);
    expect(await limiter.peek(undefined)).toMatchObject({ allowed: true });
  });

  test('while the provider holds it back: the place in the line, the listener and the timer are free', async () => {
    const { begin, sent, limiter } = limited({}, [tokenBucket({ rate: per(2, 'second') })]);
    await begin();
    await sent[0]?.answer(fixed(0, 10));
    await clock.advanceAsync(1_000);
    const controller = new AbortController();
    const seen = await begin(url, { signal: controller.signal });
    expect(listeners(controller.signal)).toBe(1);
    controller.abort(new Error('enough'));
    await clock.advanceAsync(0);
    expect(seen.error).toMatchObject({ message: 'enough' });
    expect(listeners(controller.signal)).toBe(0);
    expect(clock.pendingTimers).toBe(0);
    expect(await limiter.peek(undefined, { cost: 2 })).toMatchObject({ allowed: true });
  });

  test('of the first in line: the next one takes its turn', async () => {
    const { begin, sent } = limited({}, [tokenBucket({ unit: 'tokens', rate: per(1_000, 'second') })]);
    await begin();
    await sent[0]?.answer(fixed(0, 10));
    const controller = new AbortController();
    await begin(url, { signal: controller.signal });
    const second = await begin();
    controller.abort();
    await clock.advanceAsync(10_000);
    await sent[1]?.answer();
    expect(second.status).toBe(200);
  });

  test('while it waits for our limits: what the provider has left is for others', async () => {
    const { begin, sent } = limited({}, [tokenBucket({ rate: per(1, 'second'), burst: 1 })]);
    await begin();
    await sent[0]?.answer(fixed(1, 60));
    const controller = new AbortController();
    const first = await begin(url, { signal: controller.signal });
    const second = await begin(); // held back by the provider: the only one left is claimed
    controller.abort(new Error('enough'));
    await clock.advanceAsync(1_000);
    expect(first.error).toMatchObject({ message: 'enough' });
    expect(listeners(controller.signal)).toBe(0);
    expect(sent).toHaveLength(2);
    await sent[1]?.answer();
    expect(second.status).toBe(200);
  });
});

test('the numbers of so many providers are remembered, of the others the last used', async () => {
  const { begin, sent } = limited({ maxFollowed: 2 });
  for (const name of ['a', 'b', 'c']) {
    await begin(`http://${name}.invalid/`);
    await sent.at(-1)?.answer(fixed(0, 10));
  }
  await begin('http://c.invalid/');
  await begin('http://a.invalid/'); // forgotten
  expect(sent).toHaveLength(4);
  await clock.advanceAsync(10_000);
});

test.each([
  [{ retries: 2 }, "limitFetch: unknown option 'retries'"],
  [{ limiter: {} }, 'limitFetch: limiter must be a RateLimiter'],
  [{ refuse: 'error' }, "limitFetch: refuse must be throw or response, not 'error'"],
  [{ follow: 'me' }, 'limitFetch: follow must be true, false or a function'],
  [{ cost: 3 }, 'limitFetch: cost must be a function'],
  [{ maxWaitMs: -1 }, 'maxWaitMs must be a number from 0'],
  [{ maxHoldMs: Number.NaN }, 'maxHoldMs must be a whole number from 1'],
  [{ maxWaiting: 1.5 }, 'maxWaiting must be a whole number from 0'],
  [{ maxFollowed: 0 }, 'maxFollowed must be a whole number from 1'],
])('options %j are refused', (options, message) => {
  expect(() => limitFetch({ limiter: new RateLimiter(), ...options } as never)).toThrow(message);
});
