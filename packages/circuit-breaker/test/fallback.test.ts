import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { isTimeoutError } from '../src/index.ts';
import { type FallbackContext, fallback, hedge, pipeline, timeout } from '../src/policies.ts';
import { deferred, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');
const failing = () => Promise.reject(down);

describe('fallback', () => {
  it('returns what the call returns, and asks for no substitute then', async () => {
    const to = vi.fn();
    const policy = fallback({ to });
    expect(await policy.execute(() => undefined)).toBeUndefined();
    expect(to).not.toHaveBeenCalled();
    expect(policy.metrics()).toEqual({ fallbacks: 0, failed: 0 });
  });

  it.each([
    ['a value', () => 'substitute'],
    ['a promise', async () => 'substitute'],
  ])('gives %s in place of an error, also of one that is thrown at once', async (_, to) => {
    const policy = fallback({ to });
    expect(await policy.execute(failing)).toBe('substitute');
    const thrown = policy.execute(() => {
      throw down;
    });
    expect(await thrown).toBe('substitute');
    expect(policy.metrics()).toEqual({ fallbacks: 2, failed: 0 });
  });

  it('shows the error, the signal and the clocks', async () => {
    const caller = new AbortController();
    let seen: FallbackContext | undefined;
    const call = fallback({
      to: (context) => {
        seen = context;
        return new Promise(() => {});
      },
    }).execute(failing, { signal: caller.signal });
    await new Promise(setImmediate);
    expect(seen).toMatchObject({ error: down, hedge: 0 });
    expect(seen?.signal.aborted).toBe(false);
    expect(seen?.suspendTimeouts).toBeTypeOf('function');
    caller.abort('left');
    expect(await outcomeOf(call)).toBe('left');
    expect(seen?.signal.reason).toBe('left');
  });

  it('stops the clocks around it while a person is asked for a substitute', async () => {
    const clock = new ManualClock();
    const answer = deferred<string>();
    const ask = async ({ suspendTimeouts }: FallbackContext) => {
      const resume = suspendTimeouts();
      const given = await answer.promise;
      resume();
      return given;
    };
    const call = pipeline(timeout({ totalMs: 10, clock }), fallback({ to: ask })).execute(failing);
    await clock.advanceAsync(1_000);
    answer.resolve('by hand');
    expect(await call).toBe('by hand');
  });

  it('makes no signal unless one is read', async () => {
    const made = vi.spyOn(globalThis, 'AbortController');
    try {
      await fallback({ to: ({ error }) => error }).execute(failing);
      expect(made).not.toHaveBeenCalled();
    } finally {
      made.mockRestore();
    }
  });

  it('takes the place of a refusal', async () => {
    const breaker = openedBreaker({ clock: new ManualClock() });
    expect(await pipeline(fallback({ to: () => 'substitute' }), breaker).execute(() => 1)).toBe('substitute');
  });

  it('gives none for an abort by the caller, whatever the function throws then', async () => {
    const to = vi.fn();
    const caller = new AbortController();
    const call = fallback({ to }).execute(
      () => {
        caller.abort('left');
        throw down;
      },
      { signal: caller.signal },
    );
    expect(await outcomeOf(call)).toBe('left');
    await new Promise(setImmediate);
    expect(to).not.toHaveBeenCalled();
  });

  it('gives one for a time limit inside of it, and none for one around it', async () => {
    const clock = new ManualClock();
    const limit = timeout({ totalMs: 10, clock });
    const substitute = fallback({ to: () => 'substitute' });
    const never = () => new Promise(() => {});
    const inside = pipeline(substitute, limit).execute(never);
    const around = outcomeOf(pipeline(limit, substitute).execute(never));
    await clock.advanceAsync(10);
    expect(await inside).toBe('substitute');
    expect(isTimeoutError(await around)).toBe(true);
  });

  it('gives one only for the errors that fallbackIf chooses', async () => {
    const policy = fallback({ to: () => 'substitute', fallbackIf: (error) => error === down });
    expect(await policy.execute(failing)).toBe('substitute');
    expect(await outcomeOf(policy.execute(() => Promise.reject('other')))).toBe('other');
  });

  it('takes a fallbackIf that throws for a no', async () => {
    const policy = fallback({ to: () => 'substitute', fallbackIf: () => expect.fail('no rule') });
    expect(await outcomeOf(policy.execute(failing))).toBe(down);
  });

  it('throws what the substitute throws, as it is', async () => {
    const worse = new Error('worse');
    const policy = fallback({ to: () => Promise.reject(worse) });
    const error = await outcomeOf(policy.execute(failing));
    expect(error).toBe(worse);
    expect(error).not.toHaveProperty('cause');
    expect(policy.metrics()).toEqual({ fallbacks: 0, failed: 1 });
  });

  it('can be the fallback of another one, the outer for what the inner cannot give', async () => {
    const inner = fallback({ to: () => Promise.reject(down) });
    expect(await pipeline(fallback({ to: () => 'last' }), inner, hedge({ delayMs: 1 })).execute(failing)).toBe('last');
  });
});
