import { ManualClock, until } from '@tidegate/test-kit';
import { parseList } from 'structured-headers';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { concurrency, per, RateLimiter, tokenBucket } from '../../src/index.ts';
import { memoryStore, sharedStore } from '../../src/stores.ts';
import { type Asked, adapters, type Started } from './servers.ts';

let clock: ManualClock;
let started: Started;
let open: () => void;
let begun: string[];

const ten = () => tokenBucket<string>({ name: 'ten', rate: per(10, 'minute') });
const make = (...limits: NonNullable<ConstructorParameters<typeof RateLimiter<string>>[0]>['limits'] & object) =>
  new RateLimiter<string>({ key: (user) => user, limits, clock });

/** What is left of the first limit. */
const left = async (limiter: RateLimiter<string>, user = 'mina') => (await limiter.peek(user, { levels: true })).levels?.[0]?.remaining;

const ask = (path = '/', init: RequestInit = {}) =>
  fetch(`${started.url}${path}`, { ...init, headers: { 'x-user': 'mina', ...init.headers } });

async function serveWith(start: (typeof adapters)[string], asked: Asked): Promise<void> {
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  started = await start(asked, { gate, begun: (path) => begun.push(path) });
}

afterEach(async () => {
  open();
  await started.close();
});

beforeEach(() => {
  clock = new ManualClock();
  begun = [];
});

describe.each(Object.entries(adapters))('%s', (_, start) => {
  const serve = (asked: Asked) => serveWith(start, asked);

  test('lets through with headers, and refuses with headers and problem details', async () => {
    await serve({ limiter: make(tokenBucket({ name: 'two', rate: per(2, 'minute') })) });
    const [first, second, third] = [await ask(), await ask(), await ask()] as const;
    expect([first.status, second.status, third.status]).toEqual([200, 200, 429]);
    expect(await first.text()).toBe('hello');
    expect(begun).toHaveLength(2);
    expect(parseList(first.headers.get('ratelimit') ?? '')).toEqual([
      [
        'two',
        new Map([
          ['r', 1],
          ['t', 30],
        ]),
      ],
    ]);
    expect(parseList(third.headers.get('ratelimit') ?? '')).toEqual([
      [
        'two',
        new Map([
          ['r', 0],
          ['t', 30],
        ]),
      ],
    ]);
    expect(parseList(third.headers.get('ratelimit-policy') ?? '')).toEqual([
      [
        'two',
        new Map([
          ['q', 2],
          ['w', 60],
        ]),
      ],
    ]);
    expect(first.headers.get('retry-after')).toBeNull();
    expect(third.headers.get('retry-after')).toBe('30');
    expect(third.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await third.json()).toMatchObject({ status: 429, code: 'ERR_RATE_LIMITED', limit: 'two', retryAfterMs: 30_000 });
    expect((await ask('/', { headers: { 'x-user': 'june' } })).status).toBe(200);
  });

  test('charges the cost, and refuses for good what never fits', async () => {
    const limiter = make(ten());
    await serve({ limiter, cost: (path) => Number(path.slice(1)) });
    expect((await ask('/7')).status).toBe(200);
    expect(await left(limiter)).toBe(3);
    const never = await ask('/11');
    expect([never.status, never.headers.get('retry-after')]).toEqual([413, null]);
    expect((await ask('/4')).status).toBe(429);
    expect((await ask('/3')).status).toBe(200);
  });

  test('skips what it is told to skip', async () => {
    const limiter = make(ten());
    await serve({ limiter, skip: (path) => path === '/health' });
    const response = await ask('/health');
    expect([response.status, response.headers.get('ratelimit'), await left(limiter)]).toEqual([200, null, 10]);
  });

  test('sends the generations it is asked for, and the wait even where there are none', async () => {
    await serve({ limiter: make(tokenBucket({ rate: per(1, 'minute') })), headers: false });
    const [first, second] = [await ask(), await ask()];
    expect([...first.headers.keys()].filter((name) => name.includes('ratelimit'))).toEqual([]);
    expect([second.status, second.headers.get('retry-after'), second.headers.get('ratelimit')]).toEqual([429, '60', null]);
  });

  test('answers as onRefused says', async () => {
    await serve({
      limiter: make(tokenBucket({ name: 'one', rate: per(1, 'minute') })),
      onRefused: ({ limit }) => ({ status: 420, headers: { 'x-calm': 'yes' }, body: { error: limit } }),
    });
    await ask();
    const response = await ask();
    expect([response.status, response.headers.get('x-calm'), response.headers.get('retry-after')]).toEqual([420, 'yes', '60']);
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    expect(await response.json()).toEqual({ error: 'one' });
  });

  test('answers 503 where the store fails', async () => {
    const store = sharedStore({ run: () => Promise.reject(new Error('down')), close: async () => {} });
    await serve({ limiter: new RateLimiter<string>({ key: (user) => user, limits: [ten()], store }) });
    const response = await ask();
    expect(response.status).toBe(503);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await response.json()).toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
    expect(begun).toEqual([]);
  });

  test.each([
    ['a key that is none', { subject: () => 7 as never }, 'handled: key must return a string, not number'],
    ['a cost that is none', { cost: () => -1 }, 'handled: cost must be a whole number from 1 to 1000000000, not -1'],
  ])('hands %s to the error handling', async (_name, wrong: Partial<Asked>, message) => {
    await serve({ limiter: make(ten()), ...wrong });
    const response = await ask();
    expect([response.status, await response.text(), begun]).toEqual([500, message, []]);
  });

  describe('settle', () => {
    test('makes an estimate exact when the response has ended', async () => {
      const limiter = make(ten());
      await serve({ limiter, cost: () => 6, settle: () => 2 });
      const response = await ask('/stream');
      expect(parseList(response.headers.get('ratelimit') ?? '')[0]?.[1].get('r')).toBe(4);
      expect(await left(limiter)).toBe(4);
      open();
      expect(await response.text()).toBe('firstlast');
      await until(async () => (await left(limiter)) === 8, { what: 'the settlement' });
    });

    test('that does not know leaves it as it was reserved', async () => {
      const limiter = make(ten());
      const settle = vi.fn(() => undefined);
      await serve({ limiter, cost: () => 6, settle });
      await (await ask()).text();
      await until(() => settle.mock.calls.length === 1, { what: 'the settlement' });
      expect(await left(limiter)).toBe(4);
    });

    test('that throws is a warning, and leaves it as it was reserved', async () => {
      const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const limiter = make(ten(), concurrency({ limit: 1 }));
      await serve({
        limiter,
        settle: () => {
          throw new Error('no usage');
        },
      });
      await (await ask()).text();
      await until(() => warning.mock.calls.length === 1, { what: 'the warning' });
      expect(String(warning.mock.calls[0]?.[0])).toContain('no usage');
      expect((await ask()).status).toBe(200);
      expect(await left(limiter)).toBe(8);
      warning.mockRestore();
    });

    test('is called once where the client goes away', async () => {
      const limiter = make(ten(), concurrency({ limit: 1 }));
      const settle = vi.fn(() => 1);
      await serve({ limiter, cost: () => 6, settle });
      const leaving = new AbortController();
      const response = await ask('/stream', { signal: leaving.signal });
      await response.body?.getReader().read();
      leaving.abort();
      await until(async () => (await left(limiter)) === 9, { what: 'the settlement' });
      open();
      expect((await ask()).status).toBe(200);
      await until(() => settle.mock.calls.length >= 2, { what: 'the second settlement' });
      expect(settle).toHaveBeenCalledTimes(2);
    });
  });

  describe('a place among calls at once', () => {
    test('is held until the response has ended', async () => {
      await serve({ limiter: make(ten(), concurrency({ name: 'inflight', limit: 1 })) });
      const slow = ask('/slow');
      await until(() => begun.length === 1, { what: 'the first request' });
      const refused = await ask();
      expect([refused.status, await refused.json()]).toMatchObject([429, { limit: 'inflight' }]);
      open();
      await (await slow).text();
      await until(async () => (await ask()).status === 200, { what: 'the place' });
    });

    test('is given back where the route throws, and what was charged stays charged', async () => {
      const limiter = make(ten(), concurrency({ limit: 1 }));
      await serve({ limiter });
      expect((await ask('/throws')).status).toBe(500);
      await until(async () => (await ask()).status === 200, { what: 'the place' });
      expect(await left(limiter)).toBe(8);
    });
  });
});

const toldOfConnections = Object.entries(adapters).filter(([name]) => !name.startsWith('a web-standard'));

describe.each(toldOfConnections)('%s', (_, start) => {
  test('does not serve a client that left before the decision', async () => {
    let answer: () => void = () => {};
    const kept = memoryStore({ clock });
    let asked = 0;
    const store = sharedStore({
      run: async (command, change) => {
        asked += 1;
        if (asked === 1) {
          await new Promise<void>((resolve) => {
            answer = resolve;
          });
        }
        return kept.run(command, change);
      },
      close: () => kept.close(),
    });
    const limits = [ten(), concurrency<string>({ limit: 1 })];
    const limiter = new RateLimiter<string>({ key: (user) => user, limits, store, decisionTimeoutMs: 60_000 });
    await serveWith(start, { limiter });
    const leaving = new AbortController();
    const gone = ask('/', { signal: leaving.signal }).catch(() => 'gone');
    await until(() => asked === 1, { what: 'the question to the store' });
    leaving.abort();
    expect(await gone).toBe('gone');
    await started.idle();
    answer();
    await until(async () => (await ask()).status === 200, { what: 'the place' });
    expect(begun).toHaveLength(1);
    expect(await left(limiter)).toBe(9);
  });
});
