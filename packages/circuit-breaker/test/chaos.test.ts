import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { seededChance } from '../src/chaos/seeded-chance.ts';
import { type Chaos, chaosBehavior, chaosFault, chaosLatency, chaosOutcome } from '../src/chaos.ts';
import { CircuitBreaker, isTimeoutError } from '../src/index.ts';
import { pipeline, retry, timeout } from '../src/policies.ts';
import { outcomeOf } from './calls.ts';

const down = new Error('down');

/** Which of so many calls were struck. */
async function struck(policy: Chaos, calls: number): Promise<number[]> {
  const which: number[] = [];
  for (let i = 0; i < calls; i++) if ((await outcomeOf(policy.execute(() => 'value'))) === down) which.push(i);
  return which;
}

const faults = (options: object = {}) => chaosFault({ injectionRate: 0.2, fault: () => down, seed: 7, ...options });

describe('which calls chaos strikes', () => {
  it('is the same for the same seed, and another for another', async () => {
    const first = await struck(faults(), 200);
    expect(await struck(faults(), 200)).toEqual(first);
    expect(await struck(faults({ seed: 8 }), 200)).not.toEqual(first);
  });

  it('is the share that the rate says', async () => {
    const { length } = await struck(faults(), 5_000);
    expect(length).toBeGreaterThan(900);
    expect(length).toBeLessThan(1_100);
  });

  it('is none at 0 and all at 1, also without a seed', async () => {
    expect(await struck(faults({ injectionRate: 0, seed: undefined }), 100)).toEqual([]);
    expect(await struck(faults({ injectionRate: 1, seed: undefined }), 100)).toHaveLength(100);
  });

  it('is not moved by calls during which it is switched off', async () => {
    const all = await struck(faults(), 100);
    let calls = 0;
    const policy = faults({ enabled: () => calls >= 50 });
    const which: number[] = [];
    for (; calls < 100; calls++) if ((await outcomeOf(policy.execute(() => 1))) === down) which.push(calls);
    expect(which).toEqual(all.filter((call) => call >= 50));
    expect(policy.metrics()).toEqual({ kind: 'fault', calls: 100, injections: which.length });
  });

  it('follows mulberry32 as published', () => {
    // of the reference in C with the state 1: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c
    const chance = seededChance(1);
    expect([chance(), chance(), chance()]).toEqual([0.6270739405881613, 0.002735721180215478, 0.5274470399599522]);
  });
});

describe('what chaos does', () => {
  it('throws in place of the call, and an outer breaker takes it for a failure', async () => {
    const fn = vi.fn();
    const breaker = new CircuitBreaker();
    const call = pipeline(breaker, faults({ injectionRate: 1 })).execute(fn);
    expect(await outcomeOf(call)).toBe(down);
    expect(fn).not.toHaveBeenCalled();
    expect(breaker.metrics().failures).toBe(1);
  });

  it('makes a new fault for each call', async () => {
    const policy = chaosFault({ injectionRate: 1, fault: () => new Error('injected') });
    const [a, b] = [await outcomeOf(policy.execute(() => 1)), await outcomeOf(policy.execute(() => 1))];
    expect(a).toEqual(new Error('injected'));
    expect(a).not.toBe(b);
  });

  it('returns something else in place of the call', async () => {
    const fn = vi.fn();
    const policy = chaosOutcome({ injectionRate: 1, outcome: async () => ({ status: 503 }) });
    expect(await policy.execute(fn)).toEqual({ status: 503 });
    expect(fn).not.toHaveBeenCalled();
    expect(policy.metrics()).toEqual({ kind: 'outcome', calls: 1, injections: 1 });
  });

  it('does something before the call, whose error stands in its place', async () => {
    const log: string[] = [];
    const before = chaosBehavior({
      injectionRate: 1,
      behavior: async ({ hedge }) => {
        await null;
        log.push(`behavior of ${hedge}`);
      },
    });
    await before.execute(() => log.push('call'));
    expect(log).toEqual(['behavior of 0', 'call']);
    const fn = vi.fn();
    const failing = chaosBehavior({ injectionRate: 1, behavior: () => Promise.reject(down) });
    expect(await outcomeOf(failing.execute(fn))).toBe(down);
    expect(fn).not.toHaveBeenCalled();
    expect(failing.metrics().kind).toBe('behavior');
  });

  it('makes no call after a behavior during which it was called off', async () => {
    const caller = new AbortController();
    const fn = vi.fn();
    const policy = chaosBehavior({ injectionRate: 1, behavior: () => caller.abort('left') });
    expect(await outcomeOf(policy.execute(fn, { signal: caller.signal }))).toBe('left');
    await new Promise(setImmediate);
    expect(fn).not.toHaveBeenCalled();
  });

  it('holds the call back for a fixed time', async () => {
    const clock = new ManualClock();
    const fn = vi.fn(() => 'value');
    const policy = chaosLatency({ injectionRate: 1, latencyMs: 50, clock });
    const call = policy.execute(fn);
    await clock.advanceAsync(49);
    expect(fn).not.toHaveBeenCalled();
    await clock.advanceAsync(1);
    expect(await call).toBe('value');
    expect(policy.metrics()).toEqual({ kind: 'latency', calls: 1, injections: 1 });
  });

  it.each([1, 0.3])('holds it back for any time between two bounds (rate %d)', async (injectionRate) => {
    const clock = new ManualClock();
    const policy = chaosLatency({ injectionRate, latencyMs: [100, 200], seed: 3, clock });
    const waits: number[] = [];
    for (let i = 0; i < 300; i++) {
      const startedAt = clock.now();
      const call = policy.execute(() => clock.now() - startedAt);
      await clock.advanceAsync(200);
      const waited = await call;
      if (waited > 0) waits.push(waited);
    }
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(100);
    expect(Math.min(...waits)).toBeLessThan(110);
    expect(Math.max(...waits)).toBeLessThan(200);
    expect(Math.max(...waits)).toBeGreaterThan(190);
    expect(waits.length).toBe(policy.metrics().injections);
  });

  it('ends its wait at an abort, and calls nothing then', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn();
    const call = outcomeOf(chaosLatency({ injectionRate: 1, latencyMs: 50, clock }).execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(10);
    caller.abort('left');
    expect(await call).toBe('left');
    expect(clock.pendingTimers).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    await clock.advanceAsync(1_000);
    expect(fn).not.toHaveBeenCalled();
  });

  it('calls nothing where it is called off just as its wait ends', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn();
    const call = outcomeOf(chaosLatency({ injectionRate: 1, latencyMs: 50, clock }).execute(fn, { signal: caller.signal }));
    clock.advance(50);
    caller.abort('left');
    expect(await call).toBe('left');
    await clock.advanceAsync(1_000);
    expect(fn).not.toHaveBeenCalled();
  });

  it('lets a time limit around it run out', async () => {
    const clock = new ManualClock();
    const policies = pipeline(
      retry({ clock, maxAttempts: 2 }),
      timeout({ totalMs: 10, clock }),
      chaosLatency({ injectionRate: 1, latencyMs: 50, clock }),
    );
    const call = outcomeOf(policies.execute(() => 'value'));
    await clock.advanceAsync(10_000);
    expect(isTimeoutError(await call)).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });
});
