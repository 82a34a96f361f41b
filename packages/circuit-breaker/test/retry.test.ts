import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { delayAfter } from '../src/backoff.ts';
import { CircuitBreaker, type Outcome } from '../src/index.ts';
import { bulkhead, pipeline, type Retry, type RetryEvents, type RetryOptions, retry, retryBudget } from '../src/policies.ts';
import { deferred, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

/** Runs a function that always ends the same way, and returns what it ended with and the instants of its attempts. */
async function attemptsOf(options: RetryOptions, end: { readonly error: unknown } | { readonly value: unknown } = { error: down }) {
  const clock = new ManualClock({ now: 0 });
  const at: number[] = [];
  const policy = retry({ clock, random: () => 0, ...options });
  const call = outcomeOf(
    policy.execute(() => {
      at.push(clock.now());
      if ('error' in end) throw end.error;
      return end.value;
    }),
  );
  await clock.advanceAsync(100_000_000);
  return { at, end: await call, pending: clock.pendingTimers, metrics: policy.metrics() };
}

describe('backoff', () => {
  it('linear adds the first wait each time, up to maxDelayMs', async () => {
    const { at } = await attemptsOf({ backoff: 'linear', maxAttempts: 6, initialDelayMs: 100, maxDelayMs: 350 });
    expect(at).toEqual([0, 100, 300, 600, 950, 1_300]);
  });

  it('linear has jitter as the exponential one', async () => {
    const { at } = await attemptsOf({ backoff: 'linear', maxAttempts: 3, initialDelayMs: 100, jitter: 0.5, random: () => 0.5 });
    expect(at).toEqual([0, 75, 225]);
  });

  it('decorrelated takes a wait between the first one and three times the last, up to maxDelayMs', async () => {
    const options = { backoff: 'decorrelated-jitter', maxAttempts: 6, initialDelayMs: 100, maxDelayMs: 1_000 } as const;
    expect((await attemptsOf({ ...options, random: () => 0 })).at).toEqual([0, 100, 200, 300, 400, 500]);
    // 100 + 0.5 × (300 − 100), 100 + 0.5 × (600 − 100), 100 + 0.5 × (1,050 − 100), …
    expect((await attemptsOf({ ...options, random: () => 0.5 })).at).toEqual([0, 200, 550, 1_125, 2_037.5, 3_037.5]);
  });

  it.each(['exponential', 'linear', 'decorrelated-jitter'] as const)('%s is a number from 0 to the cap after any attempt', (kind) => {
    for (const attempt of [1, 2, 50, 1_000]) {
      for (const [initialDelayMs, maxDelayMs] of [
        [0, 30_000],
        [200, 30_000],
        [200, 100],
        [2_147_483_647, 2_147_483_647],
      ] as const) {
        for (const random of [0, 0.5, 0.999]) {
          const backoff = { kind, initialDelayMs, multiplier: 1_000, maxDelayMs, jitter: 1 };
          const delay = delayAfter(attempt, backoff, random, maxDelayMs);
          expect(delay).toBeGreaterThanOrEqual(0);
          expect(delay).toBeLessThanOrEqual(maxDelayMs);
        }
      }
    }
  });

  it.each<[RetryOptions, string]>([
    [{ backoff: 'fibonacci' as 'linear' }, "not 'fibonacci'"],
    [{ backoff: 'toString' as 'linear' }, "not 'toString'"],
    [{ backoff: 'linear', multiplier: 3 }, 'multiplier means nothing'],
    [{ backoff: 'decorrelated-jitter', multiplier: 3 }, 'multiplier means nothing'],
    [{ backoff: 'decorrelated-jitter', jitter: 0.5 }, 'jitter means nothing'],
    [{ budget: {} as never }, 'budget must be made by retryBudget()'],
    [{ classify: { errors: () => 'ignore' } as never }, "'errors'"],
  ])('refuses %j', (options, message) => {
    expect(() => retry(options)).toThrow(RangeError);
    expect(() => retry(options)).toThrow(message);
  });
});

describe('classify', () => {
  const answer = (outcome: Outcome): RetryOptions => ({ classify: { error: () => outcome, value: () => outcome } });

  it.each<[Outcome, number[]]>([
    ['failure', [0, 200, 600]],
    [{ throttledMs: 5_000 }, [0, 5_000, 10_000]],
    [{ throttledMs: 0 }, [0, 200, 600]],
    [{ throttledMs: 30_000 }, [0, 30_000, 60_000]],
    [{ throttledMs: 30_001 }, [0]],
    ['ignore', [0]],
    ['success', [0]],
  ])('tries again by what %j says, of errors and of values, and passes on the last one as it is', async (outcome, at) => {
    expect(await attemptsOf(answer(outcome))).toMatchObject({ at, end: down, pending: 0 });
    const value = { status: 503 };
    const returned = await attemptsOf(answer(outcome), { value });
    expect(returned.at).toEqual(at);
    expect(returned.end).toBe(value);
  });

  it('does not judge what it has no rule for', async () => {
    expect((await attemptsOf({ classify: { value: () => 'failure' } })).at).toEqual([0, 200, 600]);
    expect((await attemptsOf({ classify: { error: () => 'failure' } }, { value: 1 })).at).toEqual([0]);
  });

  it('never waits less than the hint, whatever chance says', async () => {
    for (const random of [0, 0.5, 0.999]) {
      const { at } = await attemptsOf({ ...answer({ throttledMs: 150 }), random: () => random, maxAttempts: 2 });
      expect(at[1]).toBeGreaterThanOrEqual(150);
    }
  });

  it('that throws, or answers nonsense, counts as failure and is reported', async () => {
    for (const rule of [() => 'maybe' as Outcome, () => ({ throttledMs: Number.NaN })]) {
      expect((await attemptsOf({ classify: { error: rule, value: rule } })).at).toEqual([0, 200, 600]);
    }
    const clock = new ManualClock();
    const policy = retry({ clock, maxAttempts: 1, classify: { value: () => expect.fail('no rule') } });
    const errors: unknown[] = [];
    policy.on('listener-error', ({ error }) => errors.push(error));
    expect(await policy.execute(() => 'value')).toBe('value');
    expect(errors).toHaveLength(1);
  });

  it('and retryIf must both say so', async () => {
    const failure = answer('failure');
    expect((await attemptsOf({ ...failure, retryIf: () => false })).at).toEqual([0]);
    expect((await attemptsOf({ ...answer('ignore'), retryIf: () => true })).at).toEqual([0]);
  });

  it('does not try again what a limit of our own refused, unless retryIf says so', async () => {
    const refused = { error: openedBreaker({ clock: new ManualClock(), waitDurationInOpenStateMs: 500 }).refusal() };
    const failure = answer('failure');
    expect((await attemptsOf(failure, refused)).at).toEqual([0]);
    expect((await attemptsOf({ ...failure, retryIf: () => true }, refused)).at).toEqual([0, 500, 1_000]);
  });

  it('lets a response go whose place another one takes', async () => {
    const clock = new ManualClock();
    const cancelled: number[] = [];
    const response = (status: number) => ({ status, body: new ReadableStream({ cancel: () => void cancelled.push(status) }) });
    let attempt = 0;
    const judge = (value: unknown) => ((value as { status: number }).status >= 500 ? 'failure' : 'success');
    const call = retry({ clock, classify: { value: judge } }).execute(() => response(502 - attempt++ * 301));
    await clock.advanceAsync(1_000);
    expect(await call).toMatchObject({ status: 201 });
    expect(cancelled).toEqual([502]);
  });
});

describe('retryIf', () => {
  it('that throws says no, and the error is thrown as it was', async () => {
    const errors: unknown[] = [];
    const policy = retry({ clock: new ManualClock(), retryIf: () => expect.fail('no rule') });
    policy.on('listener-error', ({ error }) => errors.push(error));
    expect(await outcomeOf(policy.execute(() => Promise.reject(down)))).toBe(down);
    expect(errors).toHaveLength(1);
  });
});

describe('what a retry tells', () => {
  /** A retry of three attempts that have failed, its events and its numbers. */
  async function toldBy(policy: Retry, clock: ManualClock, fn: () => unknown = () => Promise.reject(down)) {
    const told: unknown[] = [];
    for (const event of ['retry', 'budget-exhausted'] as const) {
      policy.on(event, (payload: RetryEvents[typeof event]) => told.push([event, payload]));
    }
    const call = outcomeOf(policy.execute(fn));
    await clock.advanceAsync(100_000);
    await call;
    return { told, metrics: policy.metrics() };
  }

  it('is each wait, with the attempt it leads to', async () => {
    const clock = new ManualClock();
    expect(await toldBy(retry({ clock, random: () => 0 }), clock)).toEqual({
      told: [
        ['retry', { attempt: 2, delayMs: 200, error: down }],
        ['retry', { attempt: 3, delayMs: 400, error: down }],
      ],
      metrics: { calls: 1, retries: 2, exhausted: 1, budgetExhausted: 0 },
    });
  });

  it('is a spent budget, with the last error thrown as it was', async () => {
    const clock = new ManualClock();
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1, clock });
    expect(await toldBy(retry({ clock, random: () => 0, budget }), clock)).toEqual({
      told: [
        ['retry', { attempt: 2, delayMs: 200, error: down }],
        ['budget-exhausted', { attempt: 2, error: down }],
      ],
      metrics: { calls: 1, retries: 1, exhausted: 0, budgetExhausted: 1 },
    });
    expect(budget.metrics()).toMatchObject({ withdrawn: 1, refused: 1 });
  });

  it('changes nothing where a listener throws', async () => {
    const clock = new ManualClock();
    const policy = retry({ clock });
    const errors: unknown[] = [];
    policy.on('listener-error', ({ error }) => errors.push(error));
    const off = policy.on('retry', () => {
      throw down;
    });
    expect((await toldBy(policy, clock)).metrics.retries).toBe(2);
    expect(errors).toEqual([down, down]);
    off();
    await toldBy(policy, clock);
    expect(errors).toHaveLength(2);
  });

  it('counts nothing for a call that succeeds, or whose error is not worth another attempt', async () => {
    expect((await attemptsOf({}, { value: 1 })).metrics).toEqual({ calls: 1, retries: 0, exhausted: 0, budgetExhausted: 0 });
    expect((await attemptsOf({ retryIf: () => false })).metrics).toMatchObject({ exhausted: 0 });
  });

  it('may call the whole off', async () => {
    const clock = new ManualClock();
    const caller = new AbortController();
    const policy = retry({ clock });
    policy.on('retry', () => caller.abort('enough'));
    const fn = vi.fn(() => Promise.reject(down));
    expect(await outcomeOf(policy.execute(fn, { signal: caller.signal }))).toBe('enough');
    expect(clock.pendingTimers).toBe(0);
    await clock.advanceAsync(100_000);
    expect(fn).toHaveBeenCalledTimes(1);
  });
});

describe('a budget of a retry', () => {
  it('is paid into once for a call, however many policies share it and however often it is attempted', async () => {
    const clock = new ManualClock();
    const budget = retryBudget({ ratio: 0.5, minPerSecond: 0, clock });
    const nested = pipeline(retry({ clock, budget }), retry({ clock, budget }));
    await nested.execute(() => 1);
    await nested.execute(() => 1);
    expect(budget.metrics().available).toBe(1);
    const call = outcomeOf(nested.execute(() => Promise.reject(down)));
    await clock.advanceAsync(10_000);
    expect(await call).toBe(down);
    expect(budget.metrics()).toMatchObject({ withdrawn: 1, available: 0 });
  });

  it('that is spent ends no attempt in flight', async () => {
    const clock = new ManualClock();
    const budget = retryBudget({ ratio: 0, minPerSecond: 0.1, clock });
    const end = deferred<string>();
    let attempt = 0;
    const call = retry({ clock, budget }).execute(() => {
      attempt += 1;
      return attempt === 1 ? Promise.reject(down) : end.promise;
    });
    await clock.advanceAsync(1_000);
    expect(budget.tryWithdraw()).toBe(false);
    end.resolve('value');
    expect(await call).toBe('value');
  });

  it('is not asked for what is not tried again anyway', async () => {
    const budget = retryBudget({ clock: new ManualClock() });
    await attemptsOf({ budget, maxAttempts: 1 });
    await attemptsOf({ budget, retryIf: () => false });
    await attemptsOf({ budget, maxElapsedMs: 0 });
    expect(budget.metrics()).toMatchObject({ withdrawn: 0, refused: 0 });
  });
});

describe('the rejections of our own policies', () => {
  it('are no failures of an outer breaker (P8)', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const policies = pipeline(retry({ clock }), breaker, bulkhead({ maxConcurrent: 1, clock }));
    const end = deferred<void>();
    const running = policies.execute(() => end.promise);
    for (let i = 0; i < 10; i++) expect(await outcomeOf(policies.execute(() => 1))).toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics().failures).toBe(0);
    end.resolve();
    await running;
  });
});
