import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { CircuitBreaker, isCircuitOpenError, isTimeoutError } from '../src/index.ts';
import { fallback, pipeline, retry, timeout } from '../src/policies.ts';
import { CircuitBreakerRegistry } from '../src/registry.ts';
import { admitted, deferred, fail, openedBreaker, outcomeOf, succeed } from './calls.ts';

const down = new Error('down');
const hour = 3_600_000;

describe('P1: a call that began while closed and ends while a probe is out', () => {
  it.each([
    ['success', 'closes opossum'],
    ['failure', 'opens opossum and cockatiel again, and wedges mollitia'],
  ])('changes nothing by its %s (it %s)', async (kind) => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    const end = deferred<number>();
    const call = breaker.execute(() => end.promise);
    while (breaker.state === 'closed') fail(breaker);
    clock.advance(60_000);
    const probe = admitted(breaker);
    kind === 'success' ? end.resolve(1) : end.reject(down);
    await outcomeOf(call);
    expect(breaker.metrics()).toMatchObject({ state: 'half-open', late: 1 });
    breaker.onSuccess(probe);
    expect(breaker.state).toBe('closed');
  });
});

describe('P2: a probe that never settles', () => {
  it('neither blocks the circuit for ever (opossum) nor makes callers wait (cockatiel)', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.advance(60_000);
    void breaker.execute(() => new Promise(() => {}));
    const later = await Promise.all(Array.from({ length: 1_000 }, () => outcomeOf(breaker.execute(async () => 1))));
    expect(later.every(isCircuitOpenError)).toBe(true);
    clock.advance(hour);
    expect(await breaker.execute(async () => 'well')).toBe('well');
    expect(breaker.state).toBe('closed');
  });
});

describe('P3: a probe that ends in an ignored error', () => {
  it('does not close the circuit (opossum and cockatiel close)', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, classify: { error: (error) => (error === down ? 'failure' : 'ignore') } });
    clock.advance(60_000);
    await outcomeOf(breaker.execute(() => Promise.reject(new Error('404'))));
    expect(breaker.state).toBe('half-open');
    await outcomeOf(breaker.execute(() => Promise.reject(down)));
    expect(breaker.state).toBe('open');
  });
});

describe('P4: callers who cancel', () => {
  it('do not open the circuit (cockatiel opens)', async () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock(), slidingWindow: { type: 'consecutive', failures: 3 } });
    for (let i = 0; i < 3; i++) {
      const caller = new AbortController();
      const call = breaker.execute(
        ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          }),
        { signal: caller.signal },
      );
      caller.abort();
      await outcomeOf(call);
    }
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 0 });
  });
});

describe('P5: failures, an idle hour, one failure', () => {
  it('are not added up by a window of 5 s (cockatiel counts 10 and opens)', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'time', durationMs: 5_000 }, minimumNumberOfCalls: 10 });
    for (let i = 0; i < 9; i++) fail(breaker);
    clock.advance(hour);
    fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 1 });
  });
});

describe('P6: one failure after the circuit has closed again', () => {
  it.each([
    { type: 'consecutive', failures: 5 },
    { type: 'count', size: 5 },
    { type: 'time', durationMs: hour, buckets: 1 },
  ] as const)('does not open it at once (opossum keeps the window): $type', (slidingWindow) => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, slidingWindow });
    clock.advance(60_000);
    succeed(breaker);
    fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 1 });
  });
});

describe('P7: a circuit that was isolated when its snapshot was taken', () => {
  it('can be released by anyone (cockatiel stays isolated, and no handle can release it)', async () => {
    const isolated = new CircuitBreaker();
    isolated.transitionTo('forced-open');
    isolated.transitionTo('forced-open');
    const breaker = new CircuitBreaker();
    breaker.restore(JSON.parse(JSON.stringify(isolated.snapshot())));
    expect(breaker.state).toBe('forced-open');
    breaker.transitionTo('closed');
    expect(await breaker.execute(async () => 1)).toBe(1);
  });
});

describe('P8: refusals by limits of our own around a healthy backend', () => {
  it('do not open the circuit (opossum opens)', async () => {
    const inner = new CircuitBreaker();
    inner.transitionTo('forced-open');
    const outer = new CircuitBreaker({ slidingWindow: { type: 'consecutive', failures: 1 } });
    for (let i = 0; i < 10; i++) expect(isCircuitOpenError(await outcomeOf(pipeline(outer, inner).execute(async () => 1)))).toBe(true);
    expect(outer.metrics()).toMatchObject({ state: 'closed', failures: 0, rejected: 0 });
  });

  it('nor those of another package, which carry the registered mark', async () => {
    const breaker = new CircuitBreaker({ slidingWindow: { type: 'consecutive', failures: 1 } });
    const full = Object.assign(new Error('bulkhead full'), { [Symbol.for('tidegate.refusal')]: true });
    expect(await outcomeOf(breaker.execute(() => Promise.reject(full)))).toBe(full);
    expect(breaker.state).toBe('closed');
  });
});

describe('P9: a time limit that runs out for one call', () => {
  it('aborts no other, nor the next (opossum has one signal for all)', async () => {
    const clock = new ManualClock();
    const call = pipeline(new CircuitBreaker({ clock }), timeout({ totalMs: 100, clock }));
    const signals: AbortSignal[] = [];
    const hang = ({ signal }: { signal: AbortSignal }) => {
      signals.push(signal);
      return new Promise<never>(() => {});
    };
    const first = outcomeOf(call.execute(hang));
    await clock.advanceAsync(50);
    const second = outcomeOf(call.execute(hang));
    await clock.advanceAsync(50);
    expect(isTimeoutError(await first)).toBe(true);
    expect(await call.execute(({ signal }) => signal.aborted)).toBe(false);
    expect(signals.map((signal) => signal.aborted)).toEqual([true, false]);
    await clock.advanceAsync(50);
    await second;
  });
});

describe('P10: a wall clock that steps back by an hour while the circuit is open', () => {
  it('keeps it open no longer (cockatiel refuses for an hour more)', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.jumpWall(-hour);
    clock.advance(60_000);
    expect(breaker.state).toBe('half-open');
  });
});

describe('P11: a listener that throws', () => {
  it('makes no successful call reject and opens nothing (opossum and cockatiel do both)', async () => {
    const breaker = new CircuitBreaker({ slidingWindow: { type: 'consecutive', failures: 1 } });
    breaker.on('success', () => {
      throw down;
    });
    expect(await breaker.execute(async () => 'value')).toBe('value');
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 0 });
  });
});

describe('P12: a synchronous function that returns undefined', () => {
  it('is a success (opossum throws a TypeError)', async () => {
    const breaker = new CircuitBreaker();
    const succeeded = vi.fn();
    breaker.on('success', succeeded);
    expect(await breaker.execute(() => undefined)).toBeUndefined();
    expect(succeeded).toHaveBeenCalledTimes(1);
  });
});

describe('P13: calls refused while open', () => {
  it.each([
    { type: 'count', size: 10 },
    { type: 'time', durationMs: hour },
  ] as const)('are not in the rate (opossum divides by them): $type', (slidingWindow) => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow, minimumNumberOfCalls: 2 });
    fail(breaker);
    fail(breaker);
    for (let i = 0; i < 99; i++) expect(breaker.tryAcquire()).toBeUndefined();
    expect(breaker.metrics()).toMatchObject({ state: 'open', calls: 0, rejected: 99 });
    clock.advance(60_000);
    succeed(breaker);
    fail(breaker);
    fail(breaker);
    expect(breaker.state).toBe('open'); // 2 of 2, not 2 of 101
  });
});

describe('P14: a thousand circuits that are made and disposed of', () => {
  it('are gone (in mollitia all 1 000 stay in a global array)', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const registry = new CircuitBreakerRegistry<number>();
    const circuits = Array.from({ length: 1_000 }, (_, key) => new WeakRef(registry.get(key)));
    registry.clear();
    expect(registry.size).toBe(0);
    const left = () => circuits.filter((circuit) => circuit.deref() !== undefined).length;
    for (let round = 0; round < 50 && left() > 0; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      collect();
    }
    expect(left()).toBe(0);
  });
});

describe('P15: a listener that is removed', () => {
  it('hears no more, the first one too (mollitia never removes it)', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    const [first, second] = [vi.fn(), vi.fn()];
    const removeFirst = breaker.on('success', first);
    breaker.on('success', second);
    removeFirst();
    succeed(breaker);
    expect([first.mock.calls.length, second.mock.calls.length]).toEqual([0, 1]);
  });
});

describe('P16: the substitute of a fallback', () => {
  it('is what the call returns (mollitia rejects with it)', async () => {
    const call = fallback({ to: () => 'substitute' }).execute(() => Promise.reject(down));
    await expect(call).resolves.toBe('substitute');
  });
});

describe('P17: the multiplier of a backoff', () => {
  it.each([0, 0.5, 1])('is used with jitter %d too (cockatiel uses 2)', async (jitter) => {
    const clock = new ManualClock({ now: 0 });
    const at: number[] = [];
    const policy = retry({ maxAttempts: 4, initialDelayMs: 1, multiplier: 10, jitter, random: () => 0, clock });
    const call = outcomeOf(
      policy.execute(() => {
        at.push(clock.now());
        throw down;
      }),
    );
    await clock.advanceAsync(1_000);
    await call;
    expect(at).toEqual([0, 1, 11, 111]);
  });
});

describe('P20: callers behind a probe', () => {
  it('are not let loose on the backend together when it succeeds (cockatiel runs all 100 at once)', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.advance(60_000);
    const end = deferred<string>();
    const probe = breaker.execute(() => end.promise);
    const backend = vi.fn(async () => 1);
    const callers = Array.from({ length: 100 }, () => outcomeOf(breaker.execute(backend)));
    const results = await Promise.all(callers); // settled before the probe is
    end.resolve('well');
    expect(await probe).toBe('well');
    expect(results.every(isCircuitOpenError)).toBe(true);
    expect(backend).not.toHaveBeenCalled();
  });
});

describe('an abort during the wait of a retry', () => {
  it('ends it at once and makes no further call (cockatiel sleeps on, then calls once more)', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn(() => Promise.reject(down));
    const call = outcomeOf(pipeline(retry({ clock }), timeout({ totalMs: 10, clock })).execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(0);
    caller.abort('left');
    expect(await call).toBe('left');
    await clock.advanceAsync(hour);
    expect(fn).toHaveBeenCalledTimes(1);
    expect(clock.pendingTimers).toBe(0);
  });
});
