import { ManualClock } from '@tidegate/test-kit';
import { beforeEach, describe, expect, test } from 'vitest';
import { concurrency, per, RateLimiter, type RateLimiterOptions, type SharedStore, slidingWindow, tokenBucket } from '../src/index.ts';
import { memoryStore } from '../src/stores.ts';

interface Call {
  readonly org: string;
  readonly user: string;
}

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});

const kinds: [string, () => SharedStore | undefined][] = [
  ['in the memory of the limiter', () => undefined],
  ['in a store', () => memoryStore({ clock })],
];

describe.each(kinds)('%s', (_name, storeOf) => {
  const make = (limits: RateLimiterOptions<Call>['limits']) => {
    const store = storeOf();
    return new RateLimiter<Call>({ key: ({ org, user }) => `${org}:${user}`, clock, ...(limits && { limits }), ...(store && { store }) });
  };
  const mina = { org: 'acme', user: 'mina' };
  const tokens = { name: 'tokens', unit: 'tokens', rate: per(1_000, 'hour') };

  test('what was reserved and not used is given back, what was used beyond it is charged', async () => {
    const limiter = make([tokenBucket({ ...tokens, debt: 100 })]);
    const [less, more] = [await limiter.reserve(mina, { cost: { tokens: 600 } }), await limiter.reserve(mina, { cost: { tokens: 300 } })];
    expect(await limiter.tryReserve(mina, { cost: { tokens: 101 } })).toMatchObject({ allowed: false, remaining: 100, limit: 'tokens' });
    expect(await less.settle({ tokens: 200 })).toBe(true);
    expect(await limiter.peek(mina, { cost: { tokens: 1 } })).toMatchObject({ remaining: 500 });
    expect(await more.settle({ tokens: 5_000 })).toBe(true);
    expect(await limiter.peek(mina, { cost: { tokens: 1 } })).toMatchObject({ allowed: false, retryAfterMs: 101 * 3_600 });
  });

  test('a reservation is settled once, whatever comes after', async () => {
    const limiter = make([tokenBucket(tokens)]);
    const reservation = await limiter.reserve(mina, { cost: 600 });
    await reservation.settle(500);
    await reservation.release();
    await reservation[Symbol.asyncDispose]();
    expect(await limiter.peek(mina)).toMatchObject({ remaining: 500 });
    await limiter.refund(mina, { cost: 10_000 });
    expect(await limiter.peek(mina)).toMatchObject({ remaining: 1_000 });
  });

  test('limits of several keys and units are charged together or not at all', async () => {
    const limiter = make([
      tokenBucket({ name: 'user', rate: per(3, 'hour') }),
      slidingWindow({ name: 'org', limit: 4, windowMs: 3_600_000, key: ({ org }) => org }),
      tokenBucket({ ...tokens, key: ({ org }) => org }),
    ]);
    const cost = { tokens: 100 };
    const allowed = async (call: Call) => (await limiter.consume(call, { cost })).allowed;
    for (const admitted of [true, true, true, false]) expect(await allowed(mina)).toBe(admitted);
    const jun = { org: 'acme', user: 'jun' };
    expect([await allowed(jun), await allowed(jun), await allowed({ org: 'other', user: 'jun' })]).toEqual([true, false, true]);
    const { levels } = await limiter.peek(jun, { cost, levels: true });
    expect(levels?.map(({ name, unit, remaining }) => [name, unit, remaining])).toEqual([
      ['user', 'requests', 2],
      ['org', 'requests', 0],
      ['tokens', 'tokens', 600],
    ]);
    await expect(limiter.consume(mina)).rejects.toThrow(/cost/);
    await expect(limiter.consume(mina, { cost: { token: 5 } })).rejects.toThrow('cost.token is of no limit');
  });

  test('so many run at once, and the next comes as one ends', async () => {
    const limiter = make([concurrency({ limit: 2 })]);
    const [one] = [await limiter.reserve(mina), await limiter.reserve(mina)];
    await expect(limiter.reserve(mina)).rejects.toMatchObject({ code: 'ERR_RATE_LIMITED', limit: 'concurrent-requests' });
    const next = limiter.reserve(mina, { maxWaitMs: 60_000 });
    await clock.advanceAsync(0);
    await one?.release();
    expect((await next).allowed).toBe(true);
    await limiter.close();
  });

  test('changed limits go on from what was used, as told', async () => {
    const limiter = make([tokenBucket({ ...tokens, rate: per(10, 'day') })]);
    const changed: number[] = [];
    limiter.on('reconfigured', ({ version }) => changed.push(version));
    const change = async (burst: number, carry: 'used' | 'proportional' | 'reset') => {
      limiter.reconfigure([tokenBucket({ ...tokens, rate: per(10, 'day'), burst })], { carry });
      return (await limiter.consume(mina, { cost: 1 })) as { remaining: number };
    };
    await limiter.consume(mina, { cost: 4 });
    expect(await change(20, 'used')).toMatchObject({ remaining: 15 });
    expect(await change(40, 'proportional')).toMatchObject({ remaining: 29 });
    expect(await change(40, 'reset')).toMatchObject({ remaining: 39 });
    expect(changed).toEqual([1, 2, 3]);
  });
});

test('where keys have to share a place, what one of them gives back lets no other through', async () => {
  const limits = [tokenBucket({ rate: per(10, 'day') })];
  const limiter = new RateLimiter<string>({ key: (subject) => subject, clock, limits, maxKeys: 1 });
  limiter.consumeSync('in use');
  const open = [];
  for (let i = 0; i < 300; i += 1) {
    const taken = await limiter.tryReserve(`key ${i}`, { cost: 10 });
    if (taken.allowed) open.push(taken);
  }
  clock.advance(86_400_000 * 0.9); // 'in use' is so still
  limiter.consumeSync('in use');
  const victims = [];
  for (let i = 0; i < 300; i += 1) if (limiter.consumeSync(`victim ${i}`, { cost: 9 }).allowed) victims.push(`victim ${i}`);
  for (const taken of open) await taken.release();
  for (let i = 0; i < 300; i += 1) await limiter.refund(`key ${i}`, { cost: 10 });
  for (const victim of victims) expect(limiter.consumeSync(victim, { cost: 2 }), victim).toMatchObject({ allowed: false });
});
