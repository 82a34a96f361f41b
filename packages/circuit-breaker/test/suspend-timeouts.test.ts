import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, isTimeoutError } from '../src/index.ts';
import { type Policy, pipeline, retry, timeout } from '../src/policies.ts';
import { deferred, outcomeOf } from './calls.ts';

describe('suspendTimeouts', () => {
  it('stops the clocks of every limit around the function, and starts them with what was left', async () => {
    const clock = new ManualClock();
    const asked = deferred<void>();
    const answered = deferred<string>();
    const policies = pipeline(
      timeout({ totalMs: 100, clock }),
      retry({ maxAttempts: 1, clock }),
      new CircuitBreaker({ clock }),
      timeout({ totalMs: 60, clock }),
    );
    const call = outcomeOf(
      policies.execute(async ({ suspendTimeouts }) => {
        const resume = suspendTimeouts();
        asked.resolve();
        const answer = await answered.promise;
        resume();
        resume(); // a second call changes nothing
        return answer;
      }),
    );
    await asked.promise;
    await clock.advanceAsync(1_000_000);
    answered.resolve('yes');
    expect(await call).toBe('yes');
    expect(clock.pendingTimers).toBe(0);
  });

  it('counts the time before and after, not the time between', async () => {
    const clock = new ManualClock();
    let resume = () => {};
    const call = outcomeOf(
      timeout({ totalMs: 100, clock }).execute(async (context) => {
        await new Promise<void>((resolve) => clock.setTimeout(resolve, 70));
        resume = context.suspendTimeouts();
        return new Promise(() => {});
      }),
    );
    await clock.advanceAsync(70);
    await clock.advanceAsync(500);
    resume();
    await clock.advanceAsync(29);
    expect(clock.pendingTimers).toBe(1);
    await clock.advanceAsync(1);
    expect(isTimeoutError(await call)).toBe(true);
  });

  it('needs every suspension ended before a clock runs again', async () => {
    const clock = new ManualClock();
    const resumes: (() => void)[] = [];
    const call = outcomeOf(
      timeout({ totalMs: 10, clock }).execute((context) => {
        resumes.push(context.suspendTimeouts(), context.suspendTimeouts());
        return new Promise(() => {});
      }),
    );
    resumes[0]?.();
    await clock.advanceAsync(1_000);
    expect(clock.pendingTimers).toBe(0);
    resumes[1]?.();
    await clock.advanceAsync(10);
    expect(isTimeoutError(await call)).toBe(true);
  });

  it('starts nothing once the limit has run out', async () => {
    const clock = new ManualClock();
    let suspend = () => () => {};
    const call = outcomeOf(
      timeout({ totalMs: 10, clock }).execute((context) => {
        suspend = () => context.suspendTimeouts();
        return new Promise(() => {});
      }),
    );
    await clock.advanceAsync(10);
    await call;
    suspend()();
    expect(clock.pendingTimers).toBe(0);
  });

  it('reaches through the policy of another library', async () => {
    const clock = new ManualClock();
    const foreign: Policy = { execute: async (fn) => fn({ signal: new AbortController().signal }) };
    const call = outcomeOf(
      pipeline(timeout({ totalMs: 10, clock }), foreign, timeout({ totalMs: 10, clock })).execute(async ({ suspendTimeouts }) => {
        const resume = suspendTimeouts();
        await new Promise<void>((resolve) => clock.setTimeout(resolve, 1_000));
        resume();
        return 'done';
      }),
    );
    await clock.advanceAsync(1_000);
    expect(await call).toBe('done');
  });
});
