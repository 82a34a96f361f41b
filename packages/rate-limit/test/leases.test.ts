import { ManualClock } from '@tidegate/test-kit';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Command, per, RateLimiter, type Store, slidingWindow, type TokenBucket, tokenBucket } from '../src/index.ts';
import { leased, memoryStore } from '../src/stores.ts';
import { FaultyStore } from './faulty-store.ts';
import { limiterOn } from './redis-connections.ts';

const slow = (burst: number, rate = per(1, 'day')) => tokenBucket<string>({ name: 'bucket', rate, burst, reservationMs: 2_000 });
const change = { version: 0, carry: 'used' } as const;

let clock: ManualClock;
let store: FaultyStore;

beforeEach(() => {
  clock = new ManualClock();
  store = new FaultyStore(clock);
});

const asked = (verb: Command['do']) => store.asked.filter((command) => command.do === verb);
const settled = () => clock.advanceAsync(0);

/** A process that takes in advance. */
function process(limits: readonly TokenBucket<string>[] = [slow(400)], over: Store = store, targetMs = 100) {
  const shared = leased(over, { clock, targetMs });
  onTestFinished(() => shared.close());
  return { shared, limiter: limiterOn(shared, limits, { clock }) };
}

/** What the store itself says is left. */
async function left(limits: readonly TokenBucket<string>[] = [slow(400)], key = 'a'): Promise<number> {
  const limiter = new RateLimiter<string>({ key: (name) => name, limits, store, clock });
  const { remaining } = await limiter.peek(key);
  await limiter.close();
  return remaining;
}

async function consume(limiter: RateLimiter<string>, times: number): Promise<number> {
  let allowed = 0;
  for (let i = 0; i < times; i += 1) if ((await limiter.consume('a')).allowed) allowed += 1;
  await settled();
  return allowed;
}

test('a key that is used often is decided without the store, and what is left is told truly', async () => {
  const { limiter } = process();
  await consume(limiter, 20);
  const before = asked('take').length;
  expect(await limiter.consume('a')).toMatchObject({ allowed: true, remaining: 379 });
  expect(await consume(limiter, 5)).toBe(5);
  expect(asked('take')).toHaveLength(before);
  expect(asked('lease').length).toBeGreaterThan(0);
});

test("a key that is seldom used, questions, reservations and other kinds of limits are the store's to decide", async () => {
  const { limiter } = process();
  for (let i = 0; i < 40; i += 1) {
    await limiter.consume('a');
    await clock.advanceAsync(100);
  }
  const window = process([slidingWindow({ limit: 100, windowMs: 60_000 }) as never]);
  await consume(window.limiter, 50);
  const busy = process();
  for (let i = 0; i < 20; i += 1) {
    await busy.limiter.peek('b');
    await busy.limiter.consume('b', { levels: true });
    await busy.limiter.tryReserve('b');
  }
  expect(asked('lease')).toEqual([]);
});

test('what one process takes in advance leaves others their share, and is returned when it is idle', async () => {
  const [one, other] = [process([slow(100)]), process([slow(100)])];
  await consume(one.limiter, 20);
  const held = 80 - (await left([slow(100)]));
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThanOrEqual(25);
  expect(await consume(other.limiter, 40)).toBe(40);
  await clock.advanceAsync(1_000);
  expect(await left([slow(100)])).toBe(40);
  await clock.advanceAsync(5_000); // the limiters have stopped watching for answers too
  expect(clock.pendingTimers, 'nothing held, nothing to do').toBe(0);
});

test('a lease is not spent after its end, however long the event loop stood still', async () => {
  const shared = leased(store, { clock: lateClock() });
  const limiter = limiterOn(shared, [slow(400)], { clock });
  await consume(limiter, 20);
  const before = asked('take').length;
  await limiter.consume('a');
  expect(asked('take')).toHaveLength(before);
  late = 2_000; // no timer has fired
  expect((await limiter.consume('a')).allowed).toBe(true);
  expect(asked('take')).toHaveLength(before + 1);
  await shared.close();
});

let late = 0;
/** Its time passes without its timers. */
const lateClock = () => {
  late = 0;
  return {
    now: () => clock.now() + late,
    wall: () => clock.wall() + late,
    setTimeout: (fn: () => void, ms: number) => clock.setTimeout(fn, ms),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
  };
};

test('the time that the store took to answer is taken off a lease', async () => {
  const { limiter } = process([slow(400)], store, 10_000);
  for (let i = 0; i < 8; i += 1) {
    if (i === 7) store.mode = { late: 1_500 };
    void limiter.consume('a');
  }
  await clock.advanceAsync(1_500);
  expect(asked('lease')).toHaveLength(1);
  store.mode = 'well';
  const before = asked('take').length;
  await clock.advanceAsync(499);
  await limiter.consume('a');
  expect(asked('take'), 'held').toHaveLength(before);
  clock.advance(1);
  await limiter.consume('a');
  expect(asked('take'), 'ended 2 s after it was asked for').toHaveLength(before + 1);
});

test('reset forgets what is held, and the whole burst is there again, once', async () => {
  const { limiter } = process([slow(100)]);
  await consume(limiter, 20);
  await limiter.reset('a');
  const before = asked('take').length;
  await limiter.consume('a');
  expect(asked('take')).toHaveLength(before + 1);
  expect(1 + (await consume(limiter, 300))).toBeLessThanOrEqual(100);
});

test('limits that are changed return what is held under the old ones', async () => {
  const { limiter } = process([slow(100)]);
  await consume(limiter, 20);
  expect(await left([slow(100)])).toBeLessThan(80);
  limiter.reconfigure([slow(200)]);
  await limiter.consume('a');
  await settled();
  const returned = asked('lease').at(-1);
  expect(returned?.demands[0]?.cost).toBe(0);
  expect(returned?.demands[0]?.rule).toMatchObject({ most: 100 });
  expect(20 + 1 + (await consume(limiter, 400))).toBeLessThanOrEqual(200);
});

test('a store that fails to lease is asked exactly for a second, and no call notices', async () => {
  const failing: Store = {
    run: (command, version) => {
      const reply = store.run(command, version);
      return command.do === 'lease' ? reply.then(() => Promise.reject(new Error('no leases'))) : reply;
    },
    close: async () => {},
  };
  const { limiter } = process([slow(400)], failing);
  expect(await consume(limiter, 100)).toBe(100);
  expect(asked('lease')).toHaveLength(1);
  expect(asked('take')).toHaveLength(100);
  await clock.advanceAsync(1_000);
  await consume(limiter, 20);
  expect(asked('lease')).toHaveLength(2);
});

test('a cost that never fits takes nothing in advance', async () => {
  const { limiter } = process([slow(40)]);
  for (let i = 0; i < 20; i += 1) expect(await limiter.consume('a', { cost: 41 })).toMatchObject({ allowed: false, permanent: true });
  expect(asked('lease')).toEqual([]);
});

describe('close gives back everything that is held', () => {
  test('of all keys', async () => {
    const { limiter, shared } = process();
    for (const key of ['a', 'b', 'c']) for (let i = 0; i < 20; i += 1) await limiter.consume(key);
    await settled();
    expect(await left()).toBeLessThan(380);
    await shared.close();
    expect(
      asked('lease')
        .slice(-3)
        .map(({ demands }) => demands[0]?.cost),
    ).toEqual([0, 0, 0]);
  });

  test('also what is still being asked for', async () => {
    const memory = memoryStore({ clock });
    const kept: Store = {
      run: async (command, version) => {
        await new Promise<void>((resolve) => clock.setTimeout(resolve, 20));
        return memory.run(command, version);
      },
      close: async () => {},
    };
    const { limiter, shared } = process([slow(400)], kept);
    const decisions = Array.from({ length: 30 }, () => limiter.consume('a'));
    const closed = shared.close();
    await clock.advanceAsync(100);
    await closed;
    await Promise.all(decisions);
    const { limits } = await memory.run(
      {
        do: 'take',
        demands: [{ limit: 'limiter|bucket|token-bucket', key: 'a', rule: slow(400).rule, cost: 0 }],
        charge: false,
        levels: false,
      },
      change,
    );
    expect(limits[0]?.left).toBe(370);
  });
});

test.each([
  [{ targetMs: 0 }, 'targetMs must be'],
  [{ targetMs: Number.NaN }, 'targetMs must be'],
  [{ target: 5 }, 'target'],
])('options %j are refused by name', (options, message) => {
  expect(() => leased(store, options as never)).toThrow(message);
});
