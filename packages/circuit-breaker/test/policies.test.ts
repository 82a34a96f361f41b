import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { delayAfter } from '../src/backoff.ts';
import { CircuitBreaker, isTimeoutError, TimeoutError } from '../src/index.ts';
import { type RetryOptions, retry, timeout } from '../src/policies.ts';
import { deferred, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

/** Runs a function that always fails, and returns its error with the instants of its attempts. */
async function attemptsOf(options: RetryOptions, error: unknown = down, clock = new ManualClock({ now: 0 })) {
  const at: number[] = [];
  const call = outcomeOf(
    retry({ clock, random: () => 0, ...options }).execute(() => {
      at.push(clock.now());
      throw error;
    }),
  );
  await clock.advanceAsync(10_000_000);
  return { at, error: await call, pending: clock.pendingTimers };
}

describe('retry', () => {
  it('makes 3 attempts by default, waits up to 200 and 400 ms, and throws the last error as it was thrown', async () => {
    expect(await attemptsOf({})).toEqual({ at: [0, 200, 600], error: down, pending: 0 });
  });

  it('returns the first value', async () => {
    const clock = new ManualClock();
    let attempt = 0;
    const call = retry({ clock }).execute(() => {
      attempt += 1;
      if (attempt < 3) throw down;
      return attempt;
    });
    await clock.advanceAsync(1_000);
    expect(await call).toBe(3);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each([1, 2, 7])('makes maxAttempts attempts in all (%i)', async (maxAttempts) => {
    expect((await attemptsOf({ maxAttempts })).at).toHaveLength(maxAttempts);
  });

  it('multiplies its waits up to maxDelayMs', async () => {
    const { at } = await attemptsOf({ maxAttempts: 6, initialDelayMs: 100, multiplier: 3, maxDelayMs: 1_000 });
    expect(at).toEqual([0, 100, 400, 1_300, 2_300, 3_300]);
  });

  it('lets chance decide the share that jitter says', async () => {
    const first = async (jitter: number, random: number) => (await attemptsOf({ jitter, random: () => random, maxAttempts: 2 })).at[1];
    expect(await first(1, 0)).toBe(200);
    expect(await first(1, 0.75)).toBe(50);
    expect(await first(0.5, 0.5)).toBe(150);
    expect(await first(0, 0.999)).toBe(200);
  });

  it('waits a number of ms from 0 to maxDelayMs, after any number of attempts', () => {
    for (const attempt of [1, 2, 50, 1_000]) {
      for (const initialDelayMs of [0, 1, 200]) {
        const delay = delayAfter(attempt, { initialDelayMs, multiplier: 1_000, maxDelayMs: 30_000, jitter: 1 }, 0.5);
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(30_000);
      }
    }
  });

  it('waits at least as long as an error asks', async () => {
    expect((await attemptsOf({ maxAttempts: 2 }, { retryAfterMs: 5_000 })).at).toEqual([0, 5_000]);
    expect((await attemptsOf({ maxAttempts: 2 }, { retryAfterMs: 30_000 })).at).toEqual([0, 30_000]);
    expect((await attemptsOf({ maxAttempts: 2 }, { retryAfterMs: 5 })).at).toEqual([0, 200]);
  });

  it.each([30_001, Number.POSITIVE_INFINITY])(
    'gives up at once where an error asks for more than maxDelayMs (%d)',
    async (retryAfterMs) => {
      expect((await attemptsOf({}, { retryAfterMs })).at).toEqual([0]);
    },
  );

  it.each([Number.NaN, -5, '5', null, undefined])('does not take %s for a request to wait', async (retryAfterMs) => {
    expect((await attemptsOf({ maxAttempts: 2 }, { retryAfterMs })).at).toEqual([0, 200]);
  });

  it.each([0, 5, -1_000])('begins no wait that would pass maxElapsedMs (clock starts at %i)', async (now) => {
    const within = (maxElapsedMs: number) => attemptsOf({ maxElapsedMs, maxAttempts: 9 }, down, new ManualClock({ now }));
    expect((await within(600)).at).toEqual([now, now + 200, now + 600]);
    expect((await within(599)).at).toEqual([now, now + 200]);
    expect((await within(0)).at).toEqual([now]);
  });

  it('asks retryIf', async () => {
    const retryIf = vi.fn(() => false);
    expect((await attemptsOf({ retryIf })).at).toEqual([0]);
    expect(retryIf).toHaveBeenCalledWith(down);
  });

  it('does not make a call again that a limit of our own refused', async () => {
    const breaker = openedBreaker({ clock: new ManualClock() });
    expect((await attemptsOf({}, breaker.refusal())).at).toEqual([0]);
  });

  it('ends at once when it is aborted during a wait, and calls nothing more', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn(() => Promise.reject(down));
    const call = outcomeOf(retry({ clock }).execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(0);
    expect(clock.pendingTimers).toBe(1);
    caller.abort('left');
    expect(await call).toBe('left');
    expect(clock.pendingTimers).toBe(0);
    await clock.advanceAsync(100_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('calls nothing more when it is aborted just as a wait ends', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn(() => Promise.reject(down));
    const call = outcomeOf(retry({ clock, random: () => 0 }).execute(fn, { signal: caller.signal }));
    await clock.advanceAsync(0);
    clock.advance(200);
    caller.abort('left');
    expect(await call).toBe('left');
    await clock.advanceAsync(100_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });

  it('does not wait after an abort that the function noticed first', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const fn = vi.fn(({ signal }: { signal: AbortSignal }) => {
      signal.throwIfAborted();
      caller.abort('left');
      throw down;
    });
    expect(await outcomeOf(retry({ clock }).execute(fn, { signal: caller.signal }))).toBe('left');
    await clock.advanceAsync(100_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });
});

describe('timeout', () => {
  it('rejects when the time is up and aborts the signal with the same error', async () => {
    const clock = new ManualClock();
    let signal: AbortSignal | undefined;
    const call = outcomeOf(
      timeout({ totalMs: 2_000, clock }).execute((context) => {
        signal = context.signal;
        return new Promise(() => {});
      }),
    );
    await clock.advanceAsync(1_999);
    expect(signal?.aborted).toBe(false);
    await clock.advanceAsync(1);
    const error = await call;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(isTimeoutError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', timeoutMs: 2_000, message: 'no result within 2000 ms' });
    expect(signal?.reason).toBe(error);
  });

  it('shows the abort also to a function that reads its signal only afterwards', async () => {
    const clock = new ManualClock();
    const end = deferred<void>();
    let seen: unknown;
    const call = outcomeOf(
      timeout({ totalMs: 10, clock }).execute(async (context) => {
        await end.promise;
        seen = context.signal.reason;
      }),
    );
    await clock.advanceAsync(10);
    const error = await call;
    end.resolve();
    await new Promise(setImmediate);
    expect(seen).toBe(error);
  });

  it.each(['value', 'error', 'thrown at once'])('lets a %s through and clears its timer', async (kind) => {
    const clock = new ManualClock();
    const result = await outcomeOf(
      timeout({ totalMs: 10, clock }).execute(() => {
        if (kind === 'thrown at once') throw down;
        return kind === 'value' ? Promise.resolve('value') : Promise.reject(down);
      }),
    );
    expect(result).toBe(kind === 'value' ? 'value' : down);
    expect(clock.pendingTimers).toBe(0);
  });

  it.each(['resolve', 'reject'] as const)('ignores what comes late (%s)', async (how) => {
    const clock = new ManualClock();
    const end = deferred<unknown>();
    const call = outcomeOf(timeout({ totalMs: 10, clock }).execute(() => end.promise));
    await clock.advanceAsync(10);
    end[how](down);
    expect(await call).toBeInstanceOf(TimeoutError);
  });

  it('inside a breaker counts as a failure', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const limit = timeout({ totalMs: 10, clock });
    const call = outcomeOf(breaker.execute(() => limit.execute(() => new Promise(() => {}))));
    await clock.advanceAsync(10);
    await call;
    expect(breaker.state).toBe('open');
  });
});
