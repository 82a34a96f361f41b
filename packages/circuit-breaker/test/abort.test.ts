import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { chaosLatency } from '../src/chaos.ts';
import { Execution, run } from '../src/execution.ts';
import { CircuitBreaker, TimeoutError } from '../src/index.ts';
import { bulkhead, fallback, hedge, type Policy, pipeline, retry, retryBudget, timeout } from '../src/policies.ts';
import { deferred, outcomeOf } from './calls.ts';

const clock = new ManualClock();
const reason = new Error('the caller left');
const runners: Array<[string, () => Policy]> = [
  ['a breaker', () => new CircuitBreaker({ clock })],
  ['a retry', () => retry({ clock })],
  ['a timeout', () => timeout({ totalMs: 1_000, clock })],
  ['a pipeline', () => pipeline(retry({ clock }), new CircuitBreaker({ clock }), timeout({ totalMs: 1_000, clock }))],
  ['a bulkhead', () => bulkhead({ maxConcurrent: 2, maxQueue: 8, clock })],
  ['a fallback', () => fallback({ to: () => 'substitute' })],
  ['a hedge', () => hedge({ delayMs: 100, clock })],
  ['chaos that strikes nobody', () => chaosLatency({ injectionRate: 0, latencyMs: 10, clock })],
  ['a pipeline of all', () => everything()],
  ['an empty pipeline', () => pipeline()],
];

function everything(): Policy {
  const budget = retryBudget({ clock });
  return pipeline(
    fallback({ to: () => 'substitute' }),
    retry({ clock, budget }),
    new CircuitBreaker({ clock }),
    bulkhead({ maxConcurrent: 2, maxQueue: 8, maxWaitMs: 10, clock }),
    hedge({ delayMs: 100, budget, clock }),
    timeout({ totalMs: 1_000, clock }),
    chaosLatency({ injectionRate: 0, latencyMs: 10, clock }),
  );
}

describe.each(runners)('an abort of %s', (_, make) => {
  it('rejects at once with the reason of the caller, also when the function ignores it', async () => {
    const caller = new AbortController();
    const call = make().execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort(reason);
    expect(await outcomeOf(call)).toBe(reason);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });

  it('reaches the function with the same reason', async () => {
    const caller = new AbortController();
    let seen: unknown;
    const call = make().execute(
      ({ signal }) => {
        signal.addEventListener('abort', () => {
          seen = signal.reason;
        });
        return new Promise(() => {});
      },
      { signal: caller.signal },
    );
    await new Promise(setImmediate); // a bulkhead begins a call a few microtasks later
    caller.abort(reason);
    await outcomeOf(call);
    expect(seen).toBe(reason);
  });

  it('that came before never calls the function', async () => {
    const fn = vi.fn(async () => 1);
    expect(await outcomeOf(make().execute(fn, { signal: AbortSignal.abort(reason) }))).toBe(reason);
    expect(fn).not.toHaveBeenCalled();
  });

  it('that comes after the result changes nothing', async () => {
    const caller = new AbortController();
    let context: AbortSignal | undefined;
    const result = await make().execute(
      ({ signal }) => {
        context = signal;
        return 'value';
      },
      { signal: caller.signal },
    );
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    caller.abort(reason);
    expect(result).toBe('value');
    expect(context?.aborted).toBe(false);
  });

  it('leaves nothing on a signal that many calls share', async () => {
    const caller = new AbortController();
    const policy = make();
    const ends = Array.from({ length: 10 }, () => deferred<number>());
    const calls = ends.map((end) => policy.execute(() => end.promise, { signal: caller.signal }));
    ends.forEach((end, i) => {
      end.resolve(i);
    });
    expect(await Promise.all(calls)).toEqual(ends.map((_, i) => i));
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('an execution that goes on', () => {
  /** Counts what waits for its abort. */
  class Watched extends Execution {
    readonly hooks = new Set<unknown>();

    override onAbort(hook: (reason: unknown) => void): void {
      this.hooks.add(hook);
      super.onAbort(hook);
    }

    override offAbort(hook: (reason: unknown) => void): void {
      this.hooks.delete(hook);
      super.offAbort(hook);
    }
  }

  const down = new Error('down');
  const failing = () => Promise.reject(down);

  it.each<[string, (execution: Execution) => Promise<unknown>]>([
    ['the waits of a retry', (execution) => retry({ clock })[run](failing, execution)],
    ['a hedge that failed', (execution) => hedge({ delayMs: 100, clock })[run](failing, execution)],
    ['a latency', (execution) => chaosLatency({ injectionRate: 1, latencyMs: 10, clock })[run](failing, execution)],
    [
      'a wait for a place',
      async (execution) => {
        const places = bulkhead({ maxConcurrent: 1, maxQueue: 1 });
        const release = await places.acquire(new Execution());
        const waiting = places[run](failing, execution);
        await null;
        release();
        return waiting;
      },
    ],
  ])('keeps nothing of %s', async (_, start) => {
    const execution = new Watched();
    const call = outcomeOf(start(execution));
    await clock.advanceAsync(10_000);
    expect(await call).toBe(down);
    expect(execution.hooks.size).toBe(0);
  });
});

describe('the circuit under an abort', () => {
  it('counts nothing for a caller who leaves, neither then nor when the function ends', async () => {
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const told: string[] = [];
    for (const event of ['success', 'failure', 'ignored', 'late'] as const) breaker.on(event, () => told.push(event));
    const caller = new AbortController();
    const end = deferred<number>();
    const call = breaker.execute(() => end.promise, { signal: caller.signal });
    caller.abort(reason);
    expect(await outcomeOf(call)).toBe(reason);
    end.reject(new Error('down'));
    await outcomeOf(end.promise);
    await new Promise(setImmediate);
    expect(told).toEqual(['ignored']);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 0, late: 0 });
  });

  it('counts a failure where a time limit around it ran out', async () => {
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const call = outcomeOf(pipeline(timeout({ totalMs: 50, clock }), breaker).execute(() => new Promise(() => {})));
    await clock.advanceAsync(50);
    expect(await call).toBeInstanceOf(TimeoutError);
    expect(breaker.state).toBe('open');
  });

  it('counts nothing where the caller leaves through a time limit around it', async () => {
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const caller = new AbortController();
    const call = pipeline(timeout({ totalMs: 50, clock }), breaker).execute(() => new Promise(() => {}), { signal: caller.signal });
    caller.abort(reason);
    expect(await outcomeOf(call)).toBe(reason);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', failures: 0 });
  });

  it('counts an attempt once that had ended before the abort', async () => {
    const breaker = new CircuitBreaker({ clock });
    const told: string[] = [];
    for (const event of ['failure', 'ignored', 'late'] as const) breaker.on(event, () => told.push(event));
    const caller = new AbortController();
    const call = outcomeOf(pipeline(retry({ clock }), breaker).execute(() => Promise.reject(new Error('down')), { signal: caller.signal }));
    await clock.advanceAsync(0);
    caller.abort(reason);
    expect(await call).toBe(reason);
    expect(told).toEqual(['failure']);
  });

  it.each(runners.slice(0, -1))('calls nothing of %s that a careless policy begins after the abort', async (_, make) => {
    const caller = new AbortController();
    const gate = deferred<void>();
    const careless: Policy = {
      async execute(fn) {
        await gate.promise;
        return (fn as () => Promise<never>)();
      },
    };
    const fn = vi.fn(async () => 1);
    const call = outcomeOf(pipeline(careless, make()).execute(fn, { signal: caller.signal }));
    caller.abort(reason);
    expect(await call).toBe(reason);
    gate.resolve();
    await clock.advanceAsync(10_000);
    expect(fn).not.toHaveBeenCalled();
    expect(clock.pendingTimers).toBe(0);
  });
});
