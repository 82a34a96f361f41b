import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { isRefusal } from '../src/index.ts';
import { timeout } from '../src/policies.ts';
import { outliers } from '../src/pool/outlier-rates.ts';
import { CircuitBreakerPool, type CircuitBreakerPoolOptions, isPoolExhaustedError, type PoolMember } from '../src/pool.ts';
import { deferred, outcomeOf } from './calls.ts';

const named = (...names: string[]) => names.map((name) => ({ name }));

function poolOf(members: readonly PoolMember[], options: Partial<CircuitBreakerPoolOptions> = {}) {
  const clock = new ManualClock();
  const pool = new CircuitBreakerPool({ clock, members, name: 'p', ...options });
  const heard: string[] = [];
  pool.on('ejected', ({ member, reason, forMs }) => heard.push(`${member} out: ${reason} ${forMs}`));
  pool.on('returned', ({ member, outForMs }) => heard.push(`${member} back after ${outForMs}`));
  const called: string[] = [];
  const call = (sick: readonly string[] = []) =>
    outcomeOf(
      pool.execute(({ name }) => {
        called.push(name);
        if (sick.includes(name)) throw new Error(`${name} is down`);
        return name;
      }),
    );
  const states = () => Object.fromEntries(pool.members().map(({ member, state }) => [member.name, state]));
  return { clock, pool, heard, called, call, states };
}

const ten = named('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j');
const throttling = { classify: { error: (error: unknown) => (typeof error === 'number' ? { throttledMs: error } : 'failure') } } as const;

describe('ejection', () => {
  it('comes after 5 failures in a row and lasts longer each time, up to the longest', async () => {
    const { clock, call, heard } = poolOf(named('a', 'b'), { order: 'in-order', maxEjectionMs: 80_000 });
    for (let i = 0; i < 4; i += 1) await call(['a']);
    await call();
    for (let i = 0; i < 5; i += 1) await call(['a']);
    for (const ms of [30_000, 60_000, 80_000]) {
      clock.advance(ms - 1);
      expect(await call(['a'])).toBe('b');
      clock.advance(1);
      await call(['a']); // the probe
    }
    expect(heard).toEqual([
      'a out: consecutive-failures 30000',
      'a out: probe-failed 60000',
      'a out: probe-failed 80000',
      'a out: probe-failed 80000',
    ]);
  });

  it('becomes shorter again with each interval in health', async () => {
    const { clock, call, pool, heard } = poolOf(named('a', 'b'), { order: 'in-order' });
    for (let i = 0; i < 5; i += 1) await call(['a']);
    clock.advance(30_000);
    await call(['a']);
    clock.advance(60_000);
    await call();
    expect(heard.at(-1)).toBe('a back after 90000');
    clock.advance(9_999);
    expect(pool.members()[0]?.ejections).toBe(2);
    clock.advance(10_000);
    expect(pool.members()[0]?.ejections).toBe(1);
    clock.advance(3_600_000);
    for (let i = 0; i < 5; i += 1) await call(['a']);
    expect(heard.at(-1)).toBe('a out: consecutive-failures 30000');
  });

  it('has a jitter that chance decides', async () => {
    const { call, heard } = poolOf(named('a', 'b'), { order: 'in-order', maxEjectionJitterMs: 999, random: () => 0.5 });
    for (let i = 0; i < 5; i += 1) await call(['a']);
    expect(heard).toEqual(['a out: consecutive-failures 30500']);
  });

  it('never takes more than the share that it may, but always one', async () => {
    for (const [maxEjectionFraction, most] of [
      [0.1, 1],
      [0.05, 1],
      [0.29, 2],
      [0.3, 3],
      [1, 10],
    ] as const) {
      const { call, states } = poolOf(ten, { maxEjectionFraction, panicThreshold: 0 });
      for (let i = 0; i < 200; i += 1) await call(ten.map(({ name }) => name));
      expect(
        Object.values(states()).filter((state) => state === 'open'),
        `${maxEjectionFraction}`,
      ).toHaveLength(most);
    }
  });

  it('comes by a success rate far below the others', async () => {
    const members = named('a', 'b', 'c', 'd', 'e');
    const { clock, call, pool, heard } = poolOf(members, { consecutiveFailures: 1_000 });
    for (let i = 0; i < 500; i += 1) await call(i % 10 < 5 ? ['a'] : []); // half of a's calls
    clock.advance(9_999);
    pool.metrics();
    expect(heard).toEqual([]);
    clock.advance(1);
    pool.metrics();
    expect(heard).toEqual(['a out: success-rate 30000']); // 0.5 against a mean of 0.9 and a deviation of 0.2
  });

  it('comes by no success rate of too few calls, too few members, or where all are alike', async () => {
    for (const [members, calls, sick] of [
      [5, 499, ['m0']],
      [4, 400, ['m0']],
      [5, 500, ['m0', 'm1', 'm2', 'm3', 'm4']],
    ] as const) {
      const names = Array.from({ length: members }, (_, i) => ({ name: `m${i}` }));
      const { clock, call, pool, heard } = poolOf(names, { consecutiveFailures: 1_000 });
      for (let i = 0; i < calls; i += 1) await call(i % (members * 2) < members ? sick : []);
      clock.advance(10_000);
      pool.metrics();
      expect(heard).toEqual([]);
    }
  });

  it('comes by no rounding: equal rates are equal', () => {
    const settings = { successRate: { stdevFactor: 0, minimumMembers: 1, minimumCalls: 1 }, failureRate: undefined };
    for (let calls = 1; calls <= 60; calls += 1) {
      for (let failures = 0; failures <= calls; failures += 1) {
        for (let members = 1; members <= 7; members += 1) {
          expect(
            outliers(
              Array.from({ length: members }, () => ({ calls, failures })),
              settings,
            ),
          ).toEqual([]);
        }
      }
    }
  });

  it('comes by a failure rate where that is asked for', async () => {
    const options = {
      consecutiveFailures: 1_000,
      successRate: false,
      failureRate: { minimumMembers: 1, minimumCalls: 4, threshold: 0.75 },
    } as const;
    const { clock, call, pool, heard } = poolOf(named('a', 'b'), options);
    for (let i = 0; i < 8; i += 1) await call(i < 6 ? ['a'] : ['b']);
    clock.advance(10_000);
    pool.metrics();
    expect(heard).toEqual(['a out: failure-rate 30000']);
  });
});

describe('a member that was ejected', () => {
  async function due(options: Partial<CircuitBreakerPoolOptions> = {}) {
    const all = poolOf(named('a', 'b'), { order: 'in-order', ...options });
    for (let i = 0; i < 5; i += 1) await all.call(['a']);
    all.clock.advance(30_000);
    all.heard.length = all.called.length = 0;
    return all;
  }

  it('gets one probe, and its share once that has succeeded', async () => {
    const { pool, call, heard, states } = await due();
    const probe = deferred<void>();
    const running = pool.execute(({ name }) => probe.promise.then(() => name));
    expect([await call(), await call()]).toEqual(['b', 'b']);
    expect(states()).toEqual({ a: 'half-open', b: 'closed' });
    probe.resolve();
    expect(await running).toBe('a');
    expect(await call()).toBe('a');
    expect(heard).toEqual(['a back after 30000']);
  });

  it('is out again where the probe hangs', async () => {
    const { pool, clock, call, heard } = await due();
    const probe = pool.tryAcquire();
    clock.advance(29_999);
    expect(await call()).toBe('b');
    expect(heard).toEqual([]);
    clock.advance(1);
    expect(await call()).toBe('b');
    expect(heard).toEqual(['a out: probe-expired 60000']);
    probe?.onSuccess();
    expect(pool.metrics().late).toBe(1);
    expect(await call()).toBe('b');
  });

  it('holds no place among the ejected while nobody asks for it', async () => {
    const { pool, clock, call, states } = poolOf(named('a', 'b'), { order: 'in-order', ...throttling });
    await outcomeOf(pool.execute(() => Promise.reject(20_000)));
    for (let i = 0; i < 5; i += 1) await call(['b']);
    expect(states()).toEqual({ a: 'open', b: 'open' });
    clock.advance(30_000);
    for (let i = 0; i < 5; i += 1) await call(['a']);
    expect(states()).toEqual({ a: 'open', b: 'half-open' });
    expect(await call(['a'])).toBe('b');
  });

  it('is out again in the order of the deadlines, where there is no place for all', () => {
    const members = [{ name: 'a' }, { name: 'b', weight: 9 }];
    const { pool, clock, heard, states } = poolOf(members, { maxEjectionFraction: 0.5, panicThreshold: 0 });
    const permits = Array.from({ length: 50 }, () => pool.tryAcquire());
    const fail = (member: string) =>
      permits.filter((permit) => permit?.member.name === member).forEach((permit) => void permit?.onFailure());
    fail('a');
    clock.advance(30_000);
    pool.metrics();
    fail('b');
    clock.advance(60_000);
    heard.length = 0;
    expect(pool.tryAcquire()?.member.name).toBe('b');
    clock.advance(1);
    expect(pool.tryAcquire()?.member.name).toBe('a');
    clock.advance(30_001);
    expect(states()).toEqual({ a: 'half-open', b: 'open' });
    expect(heard).toEqual(['b out: probe-expired 60000']);
  });

  it('keeps its probe where that one is released or ignored', async () => {
    const { pool, call } = await due({ classify: { error: () => 'ignore' }, consecutiveFailures: 5 });
    pool.tryAcquire()?.release();
    expect(await call()).toBe('a');
  });

  it('is not brought back by results of calls that were admitted before', async () => {
    const { pool, clock, call, states } = poolOf(named('a', 'b'), { order: 'in-order' });
    const before = pool.tryAcquire();
    for (let i = 0; i < 5; i += 1) await call(['a']);
    clock.advance(30_000);
    before?.onSuccess();
    expect([states()['a'], pool.metrics().late]).toEqual(['half-open', 1]);
  });
});

describe('a request to be left alone', () => {
  it('is kept for as long as it asks, whatever share that leaves', async () => {
    const { pool, clock, heard, states } = poolOf(named('a', 'b'), throttling);
    await outcomeOf(pool.execute(() => Promise.reject(5_000)));
    await outcomeOf(pool.execute(() => Promise.reject(3_000)));
    const error = await outcomeOf(pool.execute(() => 1));
    expect(error).toMatchObject({ code: 'ERR_POOL_EXHAUSTED', limit: 'p', retryAfterMs: 3_000 });
    expect([isPoolExhaustedError(error), isRefusal(error), pool.metrics().rejected]).toEqual([true, true, 1]);
    clock.advance(2_999);
    expect(pool.tryAcquire()).toBeUndefined();
    expect(pool.refusal().retryAfterMs).toBe(1);
    clock.advance(1);
    expect(states()).toEqual({ a: 'open', b: 'closed' });
    expect(await pool.execute(({ name }) => name)).toBe('b');
    expect(heard).toEqual(['a out: throttled 5000', 'b out: throttled 3000', 'b back after 3000']);
  });

  it('is never shortened, and kept though it comes late', async () => {
    const { pool, clock, states } = poolOf(named('a', 'b'), { order: 'in-order' });
    const [one, two] = [pool.tryAcquire(), pool.tryAcquire()];
    one?.onThrottled(5_000);
    two?.onThrottled(1_000);
    clock.advance(4_999);
    expect(states()['a']).toBe('open');
    clock.advance(1);
    expect(states()['a']).toBe('closed');
  });

  it('that names no time counts as a failure', async () => {
    const { pool, heard } = poolOf(named('a', 'b'), { order: 'in-order', ...throttling });
    for (let i = 0; i < 5; i += 1) await outcomeOf(pool.execute(() => Promise.reject(0)));
    expect(heard).toEqual(['a out: consecutive-failures 30000']);
  });
});

describe('panic', () => {
  it('sends calls to ejected members too, where fewer than half take any', async () => {
    const { pool, call, called, states } = poolOf(named('a', 'b', 'c', 'd'), { maxEjectionFraction: 0.75 });
    for (let i = 0; i < 40; i += 1) await call(['a', 'b', 'c']);
    expect(states()).toEqual({ a: 'open', b: 'open', c: 'open', d: 'closed' });
    expect(pool.metrics()).toMatchObject({ available: 1, panic: true });
    called.length = 0;
    for (let i = 0; i < 8; i += 1) await call();
    expect(new Set(called).size).toBe(4);
    expect(states()['a']).toBe('open'); // only time and a probe bring it back
  });

  it('does not while half take them, nor at 0', async () => {
    for (const [panicThreshold, sick] of [
      [0.5, ['a', 'b']],
      [0, ['a', 'b', 'c']],
    ] as const) {
      const { call, called } = poolOf(named('a', 'b', 'c', 'd'), { maxEjectionFraction: 0.75, panicThreshold });
      for (let i = 0; i < 40; i += 1) await call(sick);
      called.length = 0;
      for (let i = 0; i < 8; i += 1) await call();
      expect(called.filter((name) => (sick as readonly string[]).includes(name))).toEqual([]);
    }
  });

  it('in order is only where none is well: each is a priority of its own', async () => {
    const { call, called } = poolOf(named('a', 'b', 'c'), { order: 'in-order', maxEjectionFraction: 1 });
    for (let i = 0; i < 10; i += 1) await call(['a', 'b']);
    expect(await call(['a', 'b'])).toBe('c');
    for (let i = 0; i < 5; i += 1) await call(['a', 'b', 'c']);
    called.length = 0;
    await call();
    expect(called).toEqual(['a']);
  });
});

describe('who is called', () => {
  it('in turn, by weight', async () => {
    const { call, called } = poolOf([{ name: 'a', weight: 3 }, { name: 'b' }, { name: 'c', weight: 2 }]);
    for (let i = 0; i < 12; i += 1) await call();
    expect(called.join('')).toBe('acabcaacabca');
  });

  it('the one with the fewest calls under way, and in turn where that is equal', async () => {
    const { pool } = poolOf(named('a', 'b', 'c'), { order: 'least-in-flight' });
    const permits = Array.from({ length: 6 }, () => pool.tryAcquire());
    expect(permits.map((permit) => permit?.member.name).sort()).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
    const freed = permits.filter((permit) => permit?.member.name === 'b');
    for (const permit of freed) permit?.onSuccess();
    expect([pool.tryAcquire()?.member.name, pool.tryAcquire()?.member.name]).toEqual(['b', 'b']);
    for (const permit of freed) permit?.onSuccess(); // a second time does nothing
    expect(pool.metrics().inFlight).toBe(6);
  });

  it('with the object that was given', async () => {
    const members = [{ name: 'a', ask: (question: string) => `${question}!` }];
    const pool = new CircuitBreakerPool({ members });
    expect(await pool.execute(({ ask }) => ask('really'))).toBe('really!');
  });
});

describe('fail-over', () => {
  it('goes on to members not yet tried, and throws the last error as it was thrown', async () => {
    const { call, called } = poolOf(named('a', 'b', 'c'), { order: 'in-order', maxAttempts: 5 });
    expect(await call(['a'])).toBe('b');
    expect(called).toEqual(['a', 'b']);
    expect(await call(['a', 'b', 'c'])).toEqual(new Error('c is down'));
    expect(called.slice(2)).toEqual(['a', 'b', 'c']);
  });

  it('remembers who is sick', async () => {
    const { call, called } = poolOf(named('a', 'b'), { order: 'in-order', maxAttempts: 2 });
    for (let i = 0; i < 8; i += 1) expect(await call(['a'])).toBe('b');
    expect(called.filter((name) => name === 'a')).toHaveLength(5);
  });

  it('never follows an ignored error, nor a success', async () => {
    const { pool } = poolOf(named('a', 'b'), { maxAttempts: 2, classify: { error: () => 'ignore', value: () => 'success' } });
    let calls = 0;
    await outcomeOf(
      pool.execute(() => {
        calls += 1;
        throw new Error('400');
      }),
    );
    await pool.execute(() => (calls += 1));
    expect(calls).toBe(2);
  });

  it('follows a value that is a failure, and returns the last one', async () => {
    const { pool } = poolOf(named('a', 'b'), {
      order: 'in-order',
      maxAttempts: 2,
      classify: { value: (value) => (value === 'a' ? 'failure' : 'success') },
    });
    expect(await pool.execute(({ name }) => name)).toBe('b');
    expect(await pool.execute(() => 'a')).toBe('a');
  });
});

describe('an abort', () => {
  it('rejects at once with its reason, counts as nothing and goes to no other member', async () => {
    const { pool, called } = poolOf(named('a', 'b'), { maxAttempts: 2, consecutiveFailures: 1 });
    const controller = new AbortController();
    const running = pool.execute(
      ({ name }) => {
        called.push(name);
        return new Promise(() => {});
      },
      { signal: controller.signal },
    );
    controller.abort('bye');
    expect(await outcomeOf(running)).toBe('bye');
    await Promise.resolve();
    expect(called).toEqual(['a']);
    expect(pool.members().map(({ state, inFlight, failures }) => [state, inFlight, failures])).toEqual([
      ['closed', 0, 0],
      ['closed', 0, 0],
    ]);
    expect(await outcomeOf(pool.execute(() => 1, { signal: controller.signal }))).toBe('bye');
  });

  it('by a time limit around the pool is the fault of the member', async () => {
    const { pool, clock } = poolOf(named('a', 'b'), { order: 'in-order' });
    const limit = timeout({ totalMs: 1_000, clock });
    const running = outcomeOf(limit.execute(({ signal }) => pool.execute(() => new Promise(() => {}), { signal })));
    await clock.advanceAsync(1_000);
    expect(await running).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(pool.members()[0]).toMatchObject({ failures: 1, inFlight: 0 });
  });
});

describe('a pool', () => {
  it('finds itself whole when a listener calls it', async () => {
    const { pool, call, states } = poolOf(named('a', 'b'), { order: 'in-order', consecutiveFailures: 1 });
    const seen: unknown[] = [];
    pool.on('ejected', () => seen.push(states(), pool.tryAcquire()?.member.name));
    await call(['a']);
    expect(seen).toEqual([{ a: 'open', b: 'closed' }, 'b']);
  });

  it('tells what listeners and classifiers throw, and counts on', async () => {
    const { pool } = poolOf(named('a'), {
      classify: {
        error: () => {
          throw new Error('in the classifier');
        },
      },
    });
    const heard: unknown[] = [];
    pool.on('listener-error', ({ error }) => heard.push((error as Error).message));
    pool.on('failure', () => {
      throw new Error('in the listener');
    });
    await outcomeOf(pool.execute(() => Promise.reject(new Error('x'))));
    expect(heard).toEqual(['in the classifier', 'in the listener']);
    expect(pool.members()[0]).toMatchObject({ failures: 1 });
  });

  it.each([
    [{ members: [] }, 'members must be an array of at least one'],
    [{ members: named('a', 'a') }, "two are named 'a'"],
    [{ members: [{ name: 'a', weight: 0 }] }, "weight of 'a' must be above 0, not 0"],
    [{ members: [{}] }, 'name must be a string'],
    [{ order: 'random' }, 'order must be one of'],
    [{ maxEjectionFraction: 10 }, 'for 10 % write 0.1'],
    [{ panicThreshold: 50 }, 'panicThreshold must be a fraction'],
    [{ maxEjectionMs: 1 }, 'maxEjectionMs must be a whole number from 30000'],
    [{ consecutive: 1 }, "unknown option 'consecutive'"],
    [{ successRate: { minimum: 1 } }, "unknown option 'minimum'"],
    [{ failureRate: { threshold: 85 } }, 'for 85 % write 0.85'],
    [{ classify: { error: 'x' } }, 'classify.error must be a function'],
  ])('refuses %j', (options, message) => {
    expect(() => new CircuitBreakerPool({ members: named('a'), ...(options as object) })).toThrow(message);
  });
});
