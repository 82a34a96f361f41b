import { getEventListeners } from 'node:events';
import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { Execution, type ExecutionContext, run } from '../src/execution.ts';
import { CircuitBreaker, isRefusal } from '../src/index.ts';
import {
  bulkhead,
  fallback,
  HedgeLostError,
  type HedgeOptions,
  hedge,
  type Policy,
  pipeline,
  retry,
  retryBudget,
  timeout,
} from '../src/policies.ts';
import { deferred, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

/** A hedged function whose attempts a test ends one by one. */
function hedged(options: Partial<HedgeOptions> = {}) {
  const clock = new ManualClock({ now: 0 });
  const policy = hedge({ delayMs: 100, clock, ...options });
  const attempts: Array<ReturnType<typeof deferred<unknown>> & { readonly context: ExecutionContext; readonly at: number }> = [];
  const fn = (context: ExecutionContext) => {
    const end = deferred<unknown>();
    attempts.push({ ...end, context, at: clock.now() });
    return end.promise;
  };
  const attempt = (which: number) => attempts[which] ?? expect.fail(`no attempt ${which}`);
  return { clock, policy, attempts, fn, attempt, at: () => attempts.map(({ at }) => at) };
}

describe('hedge', () => {
  it('starts no hedge where the first attempt answers in time, and leaves no timer', async () => {
    const { clock, policy, fn, attempt, at } = hedged();
    const call = policy.execute(fn);
    await clock.advanceAsync(99);
    attempt(0).resolve('first');
    expect(await call).toBe('first');
    await clock.advanceAsync(1_000);
    expect(at()).toEqual([0]);
    expect(clock.pendingTimers).toBe(0);
    expect(policy.metrics()).toEqual({ calls: 1, hedges: 0, won: 0, budgetExhausted: 0 });
  });

  it('starts one after each delay up to maxHedges, tells each which it is, and takes the first success', async () => {
    const { clock, policy, attempts, fn, attempt, at } = hedged({ maxHedges: 2 });
    const call = policy.execute(fn);
    await clock.advanceAsync(1_000);
    expect(at()).toEqual([0, 100, 200]);
    expect(attempts.map(({ context }) => context.hedge)).toEqual([0, 1, 2]);
    attempt(1).resolve('second');
    expect(await call).toBe('second');
    expect(clock.pendingTimers).toBe(0);
    expect(policy.metrics()).toEqual({ calls: 1, hedges: 2, won: 1, budgetExhausted: 0 });
  });

  it('aborts the losers with a reason that counts as nothing, and not the winner', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const call = policy.execute(fn);
    await clock.advanceAsync(100);
    const signals = [attempt(0).context.signal, attempt(1).context.signal];
    attempt(1).resolve('second');
    await call;
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(signals[0]?.reason).toBeInstanceOf(HedgeLostError);
    expect(signals[0]?.reason).toMatchObject({ code: 'ERR_HEDGE_LOST', message: 'hedge 1 answered first' });
    expect(isRefusal(signals[0]?.reason)).toBe(true);
  });

  it('counts losers as nothing in a breaker of each endpoint', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const breakers = [0, 1].map(() => new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } }));
    const perEndpoint = (context: ExecutionContext) =>
      (breakers[context.hedge] ?? expect.fail('no such endpoint')).execute(() => fn(context), { signal: context.signal });
    const call = policy.execute(perEndpoint);
    await clock.advanceAsync(100);
    attempt(1).resolve('second');
    expect(await call).toBe('second');
    attempt(0).reject(down);
    await clock.advanceAsync(0);
    expect(breakers.map(({ state }) => state)).toEqual(['closed', 'closed']);
  });

  it('starts the next one at once where an attempt fails early', async () => {
    const { clock, policy, fn, attempt, at } = hedged({ maxHedges: 2 });
    const call = policy.execute(fn);
    await clock.advanceAsync(30);
    attempt(0).reject(down);
    await clock.advanceAsync(0);
    expect(at()).toEqual([0, 30]);
    await clock.advanceAsync(100);
    expect(at()).toEqual([0, 30, 130]);
    expect(clock.pendingTimers).toBe(0); // none is left to start
    attempt(2).resolve('third');
    expect(await call).toBe('third');
    expect(clock.pendingTimers).toBe(0);
  });

  it('keeps no timer for a hedge that a failure started instead', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const call = policy.execute(fn);
    await clock.advanceAsync(30);
    attempt(0).reject(down);
    await clock.advanceAsync(0);
    expect(clock.pendingTimers).toBe(0);
    attempt(1).resolve('second');
    expect(await call).toBe('second');
  });

  it('waits for those in flight where one fails and none is left to start', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const call = policy.execute(fn);
    await clock.advanceAsync(100);
    attempt(1).reject(down);
    await clock.advanceAsync(1_000);
    attempt(0).resolve('first');
    expect(await call).toBe('first');
    expect(policy.metrics().won).toBe(0);
  });

  it('throws the last error where all fail, also what is thrown at once', async () => {
    const clock = new ManualClock();
    let attempt = 0;
    const call = hedge({ delayMs: 100, maxHedges: 2, clock }).execute(() => {
      attempt += 1;
      throw new Error(`down ${attempt}`);
    });
    expect(await outcomeOf(call)).toEqual(new Error('down 3'));
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([
    ['after', 1],
    ['before', 0],
  ])('does not hide a failure behind a refusal of our own that came %s it', async (_, refusing) => {
    const refusal = openedBreaker({ clock: new ManualClock() }).refusal();
    const call = hedge({ delayMs: 100, clock: new ManualClock() }).execute(({ hedge: which }) => {
      throw which === refusing ? refusal : down;
    });
    expect(await outcomeOf(call)).toBe(down);
  });

  it('throws the last refusal where there is nothing else', async () => {
    const breakers = [0, 1].map(() => openedBreaker({ clock: new ManualClock() }).refusal());
    const call = hedge({ delayMs: 100, clock: new ManualClock() }).execute(({ hedge: which }) => Promise.reject(breakers[which]));
    expect(await outcomeOf(call)).toBe(breakers[1]);
  });

  it('aborts all attempts with the caller, and starts no more', async () => {
    const { clock, policy, attempts, fn } = hedged({ maxHedges: 3 });
    const caller = new AbortController();
    const call = outcomeOf(policy.execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(100);
    const signals = attempts.map(({ context }) => context.signal);
    caller.abort('left');
    expect(await call).toBe('left');
    expect(signals.map(({ reason }) => reason)).toEqual(['left', 'left']);
    await clock.advanceAsync(10_000);
    expect(attempts).toHaveLength(2);
    expect(clock.pendingTimers).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
  });

  it('starts no more where the function itself calls the whole off', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn(() => {
      caller.abort('left');
      throw down;
    });
    expect(await outcomeOf(hedge({ delayMs: 100, clock }).execute(fn, { signal: caller.signal }))).toBe('left');
    await clock.advanceAsync(1_000);
    expect(fn).toHaveBeenCalledTimes(1);
    expect(clock.pendingTimers).toBe(0);
  });

  it('makes no signal unless one is read', async () => {
    const made = vi.spyOn(globalThis, 'AbortController');
    try {
      await hedge({ delayMs: 100 }).execute(() => 1);
      expect(made).not.toHaveBeenCalled();
    } finally {
      made.mockRestore();
    }
  });

  it('waits while a person is asked, and hedges with what was left of the delay', async () => {
    const { clock, policy, attempt, fn, at } = hedged();
    const call = policy.execute(fn);
    await clock.advanceAsync(60);
    const resume = attempt(0).context.suspendTimeouts();
    await clock.advanceAsync(10_000);
    expect(at()).toEqual([0]);
    resume();
    await clock.advanceAsync(39);
    expect(at()).toEqual([0]);
    await clock.advanceAsync(1);
    expect(at()).toEqual([0, 10_100]);
    attempt(1).resolve('second');
    expect(await call).toBe('second');
  });

  it('waits while any of its attempts asks a person', async () => {
    const { clock, policy, attempt, fn, at } = hedged({ maxHedges: 3 });
    const call = policy.execute(fn);
    await clock.advanceAsync(100);
    const resume = attempt(0).context.suspendTimeouts();
    attempt(1).reject(down); // starts the next at once, whose delay stands still too
    await clock.advanceAsync(10_000);
    expect(at()).toEqual([0, 100, 100]);
    resume();
    await clock.advanceAsync(100);
    expect(at()).toEqual([0, 100, 100, 10_200]);
    attempt(0).resolve('first');
    expect(await call).toBe('first');
  });
});

describe('which hedge an attempt is', () => {
  it('is known through every layer inside, a foreign one too', async () => {
    const clock = new ManualClock();
    const foreign: Policy = {
      execute: async (fn, options) => {
        const own = new AbortController();
        options?.signal?.addEventListener('abort', () => own.abort(options.signal?.reason));
        return fn({ signal: own.signal });
      },
    };
    const seen: number[] = [];
    const layers = pipeline(
      hedge({ delayMs: 10, clock }),
      new CircuitBreaker({ clock }),
      timeout({ totalMs: 1_000, clock }),
      foreign,
      timeout({ totalMs: 1_000, clock }),
    );
    const call = layers.execute((context) => {
      seen.push(context.hedge);
      return context.hedge === 1 ? 'second' : new Promise(() => {});
    });
    await clock.advanceAsync(10);
    expect(await call).toBe('second');
    expect(seen).toEqual([0, 1]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('is 0 where nothing is hedged', async () => {
    const plain = pipeline(retry(), bulkhead({ maxConcurrent: 1 }), timeout({ totalMs: 1_000 }));
    expect(await plain.execute((context) => context.hedge)).toBe(0);
    expect(await new CircuitBreaker().execute((context) => context.hedge)).toBe(0);
  });
});

describe('what a winner opened', () => {
  it('is still reached by an abort of the execution around it', async () => {
    const clock = new ManualClock();
    const parent = new Execution();
    let opened: AbortSignal | undefined;
    const policy = hedge({ delayMs: 100, clock });
    const open = policy[run](({ signal, hedge: which }) => {
      if (which === 0) return new Promise<string>(() => {});
      opened = signal;
      return 'stream';
    }, parent);
    await clock.advanceAsync(100);
    expect(await open).toBe('stream');
    expect(opened?.aborted).toBe(false);
    parent.abort('left');
    expect(opened?.reason).toBe('left');
  });

  it.each<[string, (closed: string[]) => unknown]>([
    ['an iterator', (closed) => ({ next: () => {}, return: () => closed.push('closed') })],
    ['a web stream', (closed) => new ReadableStream({ cancel: () => void closed.push('closed') })],
    ['a response', (closed) => new Response(new ReadableStream({ cancel: () => void closed.push('closed') }))],
  ])('is kept, and %s is closed that a loser opens all the same', async (_, open) => {
    const { clock, policy, fn, attempt } = hedged();
    const won: string[] = [];
    const lost: string[] = [];
    const call = policy.execute(fn);
    await clock.advanceAsync(100);
    const value = open(won);
    attempt(1).resolve(value);
    expect(await call).toBe(value);
    attempt(0).resolve(open(lost));
    await clock.advanceAsync(0);
    expect(won).toEqual([]);
    expect(lost).toEqual(['closed']);
  });

  it('is not closed where a loser returns the very same', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const closed: string[] = [];
    const shared = { next: () => {}, return: () => closed.push('closed') };
    const call = policy.execute(fn);
    await clock.advanceAsync(100);
    attempt(1).resolve(shared);
    await call;
    attempt(0).resolve(shared);
    await clock.advanceAsync(0);
    expect(closed).toEqual([]);
  });

  it('is closed where it comes after an abort of the caller, and errors of closing concern nobody', async () => {
    const { clock, policy, fn, attempt } = hedged();
    const caller = new AbortController();
    const call = outcomeOf(policy.execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(0);
    caller.abort('left');
    expect(await call).toBe('left');
    const close = vi.fn(() => Promise.reject(down));
    attempt(0).resolve({ next: () => {}, return: close });
    await clock.advanceAsync(0);
    expect(close).toHaveBeenCalledTimes(1);
  });
});

describe('a budget of hedges', () => {
  it('that is spent starts none and ends none in flight', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1, clock: new ManualClock() });
    const { clock, policy, fn, attempt, at } = hedged({ maxHedges: 3, budget });
    const call = policy.execute(fn);
    await clock.advanceAsync(10_000);
    expect(at()).toEqual([0, 100]);
    expect(attempt(0).context.signal.aborted).toBe(false);
    expect(attempt(1).context.signal.aborted).toBe(false);
    attempt(0).reject(down);
    await clock.advanceAsync(0);
    expect(attempt(1).context.signal.aborted).toBe(false);
    attempt(1).resolve('second');
    expect(await call).toBe('second');
    expect(policy.metrics()).toEqual({ calls: 1, hedges: 1, won: 1, budgetExhausted: 2 });
  });

  it('that is spent from the start passes the error of the only attempt on', async () => {
    const budget = retryBudget({ ratio: 0, minPerSecond: 0 });
    expect(await outcomeOf(hedge({ delayMs: 100, budget }).execute(() => Promise.reject(down)))).toBe(down);
  });

  it('is shared with the retry around it, and paid into once a call', async () => {
    const clock = new ManualClock();
    const budget = retryBudget({ ratio: 1, minPerSecond: 0, clock });
    const again = retry({ clock, budget, random: () => 0 });
    const policies = pipeline(again, timeout({ totalMs: 1_000, clock }), hedge({ delayMs: 10, maxHedges: 5, budget, clock }));
    const fn = vi.fn(() => Promise.reject(down));
    const call = outcomeOf(policies.execute(fn));
    await clock.advanceAsync(10_000);
    expect(await call).toBe(down);
    expect(fn).toHaveBeenCalledTimes(2); // one call pays for one further attempt, whoever takes it
  });
});

describe('a delay that follows what calls take', () => {
  const options = { quantile: 0.9, minSamples: 10, initialDelayMs: 500 };

  /** One call whose first attempt takes `ms`, and when it was hedged. */
  async function call(of: ReturnType<typeof hedged>, ms: number): Promise<number | undefined> {
    const { clock, policy } = of;
    const startedAt = clock.now();
    let hedgedAt: number | undefined;
    const running = policy.execute(({ hedge: which }) => {
      if (which > 0) {
        hedgedAt = clock.now() - startedAt;
        return 'hedge';
      }
      return new Promise((resolve) => clock.setTimeout(() => resolve('first'), ms));
    });
    await clock.advanceAsync(1_000);
    await running;
    return hedgedAt;
  }

  it('is the initial one until enough is known, then at most 10 % above the quantile', async () => {
    const of = hedged({ delayMs: options });
    for (let i = 0; i < 9; i++) expect(await call(of, 40)).toBeUndefined();
    expect(await call(of, 600)).toBe(500);
    const learnt = await call(of, 600);
    expect(learnt).toBeGreaterThanOrEqual(40);
    expect(learnt).toBeLessThanOrEqual(44);
  });

  it('grows with what it overtakes, so that a service that becomes slower is not hedged at every call for ever', async () => {
    const of = hedged({ delayMs: { ...options, initialDelayMs: 20 } });
    for (let i = 0; i < 100; i++) await call(of, 10);
    const hedges: boolean[] = [];
    for (let i = 0; i < 300; i++) hedges.push((await call(of, 200)) !== undefined);
    expect(hedges.slice(0, 10)).not.toContain(false);
    expect(hedges.slice(-150)).not.toContain(true);
  });

  it('starts a hedge at the share of the calls that the quantile leaves', async () => {
    const of = hedged({ delayMs: options });
    let hedges = 0;
    for (let i = 0; i < 400; i++) {
      const late = await call(of, 1 + ((i * 37) % 100)); // every duration from 1 to 100 ms as often as any other
      if (i >= 100 && late !== undefined) hedges += 1;
    }
    expect(hedges).toBeGreaterThan(0);
    expect(hedges).toBeLessThanOrEqual(300 * 0.1);
  });

  it('learns nothing from what failed, or waited for a person', async () => {
    const of = hedged({ delayMs: { ...options, minSamples: 1 }, maxHedges: 1 });
    const { clock, policy } = of;
    const failed = outcomeOf(policy.execute(() => Promise.reject(down)));
    await failed;
    const asked = policy.execute(async ({ suspendTimeouts }) => {
      suspendTimeouts()();
      return 'asked';
    });
    await asked;
    expect(await call(of, 600)).toBe(500);
    expect(clock.pendingTimers).toBeLessThanOrEqual(1); // of the function that was overtaken
  });
});

describe('hedges in their usual place', () => {
  it('take one place of a bulkhead and one count of a breaker for a call', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'count', size: 10 } });
    const places = bulkhead({ maxConcurrent: 1, clock });
    const all = pipeline(fallback({ to: () => 'substitute' }), retry({ clock }), breaker, places, hedge({ delayMs: 10, clock }));
    const call = all.execute(({ hedge: which }) => (which === 1 ? 'second' : new Promise(() => {})));
    await clock.advanceAsync(10);
    expect(await call).toBe('second');
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 0 });
    expect(places.metrics()).toEqual({ running: 0, queued: 0, rejected: 0 });
  });
});
