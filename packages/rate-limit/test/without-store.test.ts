import { ManualClock } from '@tidegate/test-kit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type OnStoreError, per, RateLimiter, type RateLimiterOptions, type Reservation, tokenBucket } from '../src/index.ts';
import { sharedStore } from '../src/stores.ts';
import { FaultyStore } from './faulty-store.ts';

let clock: ManualClock;
let store: FaultyStore;
let limiter: RateLimiter<string>;

beforeEach(() => {
  clock = new ManualClock();
  store = new FaultyStore(clock);
});
afterEach(async () => {
  await limiter.close();
  expect(clock.pendingTimers, 'timers left behind').toBe(0);
});

const make = (onStoreError: OnStoreError, options: Partial<RateLimiterOptions<string>> = {}) => {
  const limits = [tokenBucket({ name: 'hour', rate: per(8, 'hour'), onStoreError })];
  limiter = new RateLimiter<string>({ key: (subject) => subject, limits, store, clock, ...options });
  return limiter;
};

describe.each(['fails', 'hangs'] as const)('a store that %s', (mode) => {
  beforeEach(() => {
    store.mode = mode;
  });

  /** Decided within the time that a decision may take. */
  const consume = async (key = 'a') => {
    const decided = limiter.consume(key);
    await clock.advanceAsync(50);
    return decided;
  };

  test('is refused for where the limit is closed, and says so', async () => {
    make('closed');
    expect(await consume()).toMatchObject({
      allowed: false,
      code: 'ERR_STORE_UNAVAILABLE',
      degraded: 'closed',
      limit: 'hour',
      permanent: false,
      remaining: 0,
      message: "limit 'hour' is closed, because the store that shares it does not answer",
    });
  });

  test('lets everything through where the limit is open', async () => {
    make('open');
    for (let i = 0; i < 20; i += 1) expect(await consume()).toMatchObject({ allowed: true, degraded: 'open' });
  });

  test('lets each process have its part where the limit is local', async () => {
    make('local', { instances: 4 });
    const decided = [];
    for (let i = 0; i < 4; i += 1) decided.push(await consume());
    expect(decided.map(({ allowed }) => allowed)).toEqual([true, true, false, false]);
    expect(decided[3]).toMatchObject({ degraded: 'local', code: 'ERR_RATE_LIMITED', limit: 'hour' });
    expect(await consume('b')).toMatchObject({ allowed: true, degraded: 'local' });
    // a process of four gets back a quarter of the rate: 2 an hour
    await clock.advanceAsync(1_800_000);
    expect(await consume()).toMatchObject({ allowed: true, degraded: 'local' });
    expect(await consume()).toMatchObject({ allowed: false });
  });

  test('is closed where any limit is', async () => {
    const limits = [
      tokenBucket({ name: 'open', onStoreError: 'open' }),
      tokenBucket({ name: 'closed' }),
      tokenBucket({ name: 'local', onStoreError: 'local' }),
    ];
    make('open', { limits });
    expect(await consume()).toMatchObject({ allowed: false, degraded: 'closed', limit: 'closed' });
  });

  test('is left alone after three failures, but for one ask each 500 ms, and used again when it answers', async () => {
    make('open');
    const told: string[] = [];
    limiter.on('store-failed', () => told.push('failed'));
    limiter.on('store-recovered', () => told.push('recovered'));
    for (let i = 0; i < 3; i += 1) await consume();
    expect(store.asked).toHaveLength(3);
    const since = clock.now();
    for (let i = 0; i < 10; i += 1) expect(await limiter.consume('a'), 'at once').toMatchObject({ degraded: 'open' });
    expect(store.asked).toHaveLength(3);
    await clock.advanceAsync(500 - (clock.now() - since));
    await Promise.all([consume(), limiter.consume('a'), limiter.consume('a')]);
    expect(store.asked, 'one of three asked').toHaveLength(4);
    expect(told).toEqual(['failed', 'failed', 'failed', 'failed']);
    store.mode = 'well';
    expect(await limiter.consume('a')).toMatchObject({ degraded: 'open' });
    await clock.advanceAsync(500);
    const back = await limiter.consume('a');
    expect(back).toMatchObject({ allowed: true, remaining: 7 });
    expect(back).not.toHaveProperty('degraded');
    expect(told.at(-1)).toBe('recovered');
  });

  test('throws where something is to be given back or forgotten', async () => {
    make('open');
    for (const verb of ['refund', 'reset'] as const) {
      const refused = expect(limiter[verb]('a')).rejects.toMatchObject({ name: 'RateLimitError', code: 'ERR_STORE_UNAVAILABLE' });
      await clock.advanceAsync(50);
      await refused;
    }
  });

  test('that fails when a reservation is settled is told of by false, and the reservation stays used', async () => {
    store.mode = 'well';
    make('closed');
    const reservation = await limiter.reserve('a', { cost: 8 });
    store.mode = mode;
    const settled = reservation.settle(1);
    await clock.advanceAsync(50);
    expect(await settled).toBe(false);
    expect(await reservation.release(), 'the first call counts').toBe(false);
    store.mode = 'well';
    expect(await limiter.consume('a')).toMatchObject({ allowed: false, code: 'ERR_RATE_LIMITED' });
  });

  test('reserves and settles by itself where the limit is local', async () => {
    make('local', { instances: 2 });
    const taking = limiter.reserve('a', { cost: 4 });
    await clock.advanceAsync(50);
    const reservation = await taking;
    expect(reservation).toMatchObject({ allowed: true, degraded: 'local', remaining: 0 });
    expect(await consume()).toMatchObject({ allowed: false });
    expect(await reservation.settle(1)).toBe(true);
    for (const allowed of [true, true, true, false]) expect(await consume()).toMatchObject({ allowed });
  });
});

test('no decision takes longer than decisionTimeoutMs, however late the store answers', async () => {
  store.mode = { late: 10_000 };
  make('closed', { decisionTimeoutMs: 20 });
  let decided = false;
  const waiting = limiter.consume('a').then(() => {
    decided = true;
  });
  await clock.advanceAsync(19);
  expect(decided).toBe(false);
  await clock.advanceAsync(1);
  expect(decided).toBe(true);
  await waiting;
  await clock.advanceAsync(10_000);
});

test('a reservation that the store makes too late is given back', async () => {
  store.mode = { late: 80 };
  make('closed');
  const refused = limiter.tryReserve('a', { cost: 8 });
  await clock.advanceAsync(50);
  expect(await refused).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
  await clock.advanceAsync(30); // now it is taken
  store.mode = 'well';
  await clock.advanceAsync(80); // and now given back
  expect(store.asked.map((command) => command.do)).toEqual(['take', 'settle']);
  expect(await limiter.consume('a')).toMatchObject({ allowed: true, remaining: 7 });
});

test('a caller that waits goes on waiting while the store is away, within its patience', async () => {
  make('closed');
  store.mode = 'fails';
  const patient = limiter.acquire('a', { maxWaitMs: 2_000 });
  const given = limiter.reserve('b', { maxWaitMs: 2_000 });
  const impatient = expect(limiter.reserve('c')).rejects.toMatchObject({ code: 'ERR_STORE_UNAVAILABLE' });
  await clock.advanceAsync(300);
  await impatient;
  store.mode = 'well';
  await clock.advanceAsync(1_000);
  await patient;
  expect(((await given) as Reservation).allowed).toBe(true);
});

test.each([
  ['decisionTimeoutMs', 0],
  ['decisionTimeoutMs', 60_001],
  ['instances', 0],
  ['instances', 1.5],
])('%s %s is refused by name', (option, value) => {
  make('open');
  expect(() => new RateLimiter({ store, [option]: value })).toThrow(`${option} must be a whole number`);
});

test.each<[string, unknown]>([
  ['nothing', undefined],
  ['null', null],
  ['an empty object', {}],
  ['a reply about too few limits', { done: true, granted: 0, now: 1, limits: [] }],
  [
    'numbers that are none',
    { done: true, granted: 0, now: 1, limits: [{ waitUs: Number.NaN, left: Number.NaN, moreInUs: 0, fullInUs: 0 }] },
  ],
])('a store that answers %s has not answered', async (_what, reply) => {
  const told: unknown[] = [];
  limiter = new RateLimiter<string>({ clock, store: sharedStore({ run: () => reply as never, close: async () => {} }) });
  limiter.on('store-failed', ({ error }) => told.push(error));
  expect(await limiter.consume('a')).toMatchObject({ allowed: false, code: 'ERR_STORE_UNAVAILABLE' });
  expect(told).toEqual([expect.objectContaining({ message: expect.stringContaining('the store answered') })]);
});
