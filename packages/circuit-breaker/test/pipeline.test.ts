import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { CircuitBreaker, isCircuitOpenError, isTimeoutError } from '../src/index.ts';
import { type Policy, pipeline, retry, timeout } from '../src/policies.ts';
import { deferred, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

/** A policy of another library, of the shape that the pipeline asks for. */
function foreign(log: string[], name: string): Policy {
  return {
    async execute(fn, options) {
      log.push(`${name} in`);
      const controller = new AbortController();
      options?.signal?.addEventListener('abort', () => controller.abort(options.signal?.reason));
      try {
        return await fn({ signal: controller.signal });
      } finally {
        log.push(`${name} out`);
      }
    },
  };
}

describe('a pipeline', () => {
  it('runs the first policy outermost', async () => {
    const log: string[] = [];
    const value = await pipeline(foreign(log, 'a'), foreign(log, 'b')).execute(() => {
      log.push('call');
      return 'value';
    });
    expect(value).toBe('value');
    expect(log).toEqual(['a in', 'b in', 'call', 'b out', 'a out']);
  });

  it('of nothing runs the function, and a throw is a rejection', async () => {
    expect(await pipeline().execute(() => 1)).toBe(1);
    const call = pipeline().execute(() => {
      throw down;
    });
    await expect(call).rejects.toBe(down);
  });

  it('retries through the breaker, each attempt with a time limit of its own', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    const fn = vi.fn(() => new Promise(() => {}));
    const call = outcomeOf(
      pipeline(retry({ maxAttempts: 2, random: () => 0, clock }), breaker, timeout({ totalMs: 2_000, clock })).execute(fn),
    );
    await clock.advanceAsync(4_199);
    expect(breaker.metrics().failures).toBe(1);
    await clock.advanceAsync(1);
    expect(isTimeoutError(await call)).toBe(true);
    expect(fn).toHaveBeenCalledTimes(2);
    expect(breaker.metrics().failures).toBe(2);
    expect(clock.pendingTimers).toBe(0);
  });

  it('does not retry a refusal of its breaker', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    const error = await outcomeOf(pipeline(retry({ clock }), breaker).execute(async () => 1));
    expect(isCircuitOpenError(error)).toBe(true);
    expect(breaker.metrics().rejected).toBe(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('makes a signal only when one is read, and shows the same one to whoever reads it twice', async () => {
    const clock = new ManualClock();
    const made = vi.spyOn(globalThis, 'AbortController');
    const call = pipeline(retry({ clock }), new CircuitBreaker({ clock }), timeout({ totalMs: 10, clock }));
    try {
      await call.execute(() => 1);
      expect(made).not.toHaveBeenCalled();
      await call.execute((context) => expect(context.signal).toBe(context.signal));
      expect(made).toHaveBeenCalledTimes(1);
    } finally {
      made.mockRestore();
    }
  });

  it('shares one signal between the policies that set no limit', async () => {
    const seen = new Set<AbortSignal>();
    const clock = new ManualClock();
    const call = pipeline(retry({ clock, initialDelayMs: 0 }), new CircuitBreaker({ clock })).execute(({ signal }) => {
      seen.add(signal);
      throw down;
    });
    const ended = outcomeOf(call);
    await clock.advanceAsync(10);
    await ended;
    expect(seen.size).toBe(1);
  });

  it('can be a policy of another one', async () => {
    const clock = new ManualClock();
    const fn = vi.fn(() => Promise.reject(down));
    const inner = pipeline(new CircuitBreaker({ clock }), timeout({ totalMs: 10, clock }));
    const call = outcomeOf(pipeline(retry({ clock, maxAttempts: 2 }), inner).execute(fn));
    await clock.advanceAsync(1_000);
    expect(await call).toBe(down);
    expect(fn).toHaveBeenCalledTimes(2);
  });
});

describe('the order of a pipeline', () => {
  const breaker = new CircuitBreaker();

  it.each([
    ['at once', () => pipeline(breaker, retry())],
    ['behind another policy', () => pipeline(timeout({ totalMs: 1 }), breaker, timeout({ totalMs: 1 }), retry())],
    ['hidden in a pipeline', () => pipeline(breaker, pipeline(retry()))],
    ['hidden with its breaker', () => pipeline(pipeline(pipeline(breaker)), retry())],
  ])('throws where a retry stands inside a breaker, %s', (_, make) => {
    expect(make).toThrow(RangeError);
    expect(make).toThrow('retry stands inside circuit-breaker');
  });

  it('is free otherwise', () => {
    expect(() => pipeline(timeout({ totalMs: 1 }), retry(), retry(), breaker, breaker, timeout({ totalMs: 1 }))).not.toThrow();
  });
});

describe('a foreign policy in a pipeline', () => {
  it('hands an abort inwards to every layer', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const signals: AbortSignal[] = [];
    const call = pipeline(retry({ clock }), foreign([], 'x'), timeout({ totalMs: 10, clock }), foreign([], 'y')).execute(
      ({ signal }) => {
        signals.push(signal);
        return new Promise(() => {});
      },
      { signal: caller.signal },
    );
    caller.abort(down);
    expect(await outcomeOf(call)).toBe(down);
    expect(signals.map((signal) => signal.reason)).toEqual([down]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('that hands no signal inwards does not cut the layers inside it off', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const careless: Policy = { execute: async (fn) => (fn as () => Promise<never>)() };
    const fn = vi.fn(() => Promise.reject(down));
    const call = outcomeOf(pipeline(careless, retry({ clock })).execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(0);
    expect(fn).toHaveBeenCalledTimes(1);
    caller.abort('left');
    expect(await call).toBe('left');
    expect(clock.pendingTimers).toBe(0);
    await clock.advanceAsync(10_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('leaves no listener on a signal of its own that outlives the call', async () => {
    const shutdown = new AbortController();
    const careless: Policy = { execute: async (fn) => fn({ signal: shutdown.signal }) };
    const call = pipeline(careless, timeout({ totalMs: 1_000 }));
    for (let i = 0; i < 3; i++) await call.execute(() => i);
    expect(getEventListeners(shutdown.signal, 'abort')).toHaveLength(0);
    const end = deferred<void>();
    const running = call.execute(() => end.promise);
    shutdown.abort(down);
    expect(await outcomeOf(running)).toBe(down);
  });

  it('that throws at once rejects, and leaves nothing on the signal of the caller', async () => {
    const caller = new AbortController();
    const broken: Policy = {
      execute: () => {
        throw down;
      },
    };
    await expect(pipeline(broken).execute(() => 1)).rejects.toBe(down);
    await expect(pipeline(broken).execute(() => 1, { signal: caller.signal })).rejects.toBe(down);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('reports an error of the function untouched', async () => {
    await expect(pipeline(foreign([], 'x'), retry({ maxAttempts: 1 })).execute(() => Promise.reject(down))).rejects.toBe(down);
  });
});
