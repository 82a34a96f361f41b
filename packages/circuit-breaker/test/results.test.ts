import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it, vi } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions, type Outcome } from '../src/index.ts';
import { admitted, deferred, fail, openedBreaker, outcomeOf } from './calls.ts';

const down = new Error('down');

describe('a result that comes late', () => {
  it.each(['onSuccess', 'onFailure', 'release'] as const)('counts for nothing in any later state (%s)', (giveBack) => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const [inOpen, inHalfOpen, inClosed] = [admitted(breaker), admitted(breaker), admitted(breaker)];
    fail(breaker);
    breaker[giveBack](inOpen);
    expect(breaker.retryAfterMs).toBe(60_000);
    clock.advance(60_000);
    const probe = admitted(breaker);
    breaker[giveBack](inHalfOpen);
    expect(breaker.state).toBe('half-open');
    expect(breaker.tryAcquire()).toBeUndefined(); // the probe is still out
    breaker.onSuccess(probe);
    breaker[giveBack](inClosed);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 0, late: 3 });
  });

  it('counts for nothing through execute either', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const slow = deferred<number>();
    const call = breaker.execute(() => slow.promise);
    fail(breaker);
    clock.advance(60_000);
    const probe = admitted(breaker);
    slow.reject(down);
    expect(await outcomeOf(call)).toBe(down); // told to its caller all the same
    expect(breaker.metrics()).toMatchObject({ state: 'half-open', late: 1 });
    breaker.onSuccess(probe);
    expect(breaker.state).toBe('closed');
  });
});

describe('a throttled call', () => {
  it('opens at once for as long as the server asks', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    breaker.onThrottled(admitted(breaker), 90_000);
    expect(breaker.retryAfterMs).toBe(90_000);
  });

  it('never shortens the usual time', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    breaker.onThrottled(admitted(breaker), 10);
    expect(breaker.retryAfterMs).toBe(60_000);
  });

  it('extends an open circuit when its longer hint comes late; a shorter one does nothing', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    const [longer, shorter, zero] = [admitted(breaker), admitted(breaker), admitted(breaker)];
    breaker.transitionTo('open');
    clock.advance(10_000);
    breaker.onThrottled(longer, 120_000);
    expect(breaker.retryAfterMs).toBe(120_000);
    breaker.onThrottled(shorter, 110_000);
    breaker.onThrottled(zero, 0);
    expect(breaker.retryAfterMs).toBe(120_000);
    clock.advance(119_999);
    expect(breaker.state).toBe('open');
    clock.advance(1);
    expect(breaker.state).toBe('half-open');
    expect(breaker.metrics().late).toBe(3);
  });

  it.each([
    ['consecutive', { slidingWindow: { type: 'consecutive', failures: 1 } }],
    ['count', { slidingWindow: { type: 'count', size: 10 } }],
  ] as Array<[string, CircuitBreakerOptions]>)('opens a half-open circuit at once, whatever other probes say (%s)', (_, options) => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, permittedNumberOfCallsInHalfOpenState: 4, ...options });
    breaker.transitionTo('open');
    clock.advance(60_000);
    breaker.onThrottled(admitted(breaker), 600_000);
    expect(breaker.state).toBe('open');
    expect(breaker.retryAfterMs).toBe(600_000);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, '5' as unknown as number])('refuses a hint of %s', (hint) => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    const permit = admitted(breaker);
    expect(() => breaker.onThrottled(permit, hint)).toThrow(RangeError);
  });

  it('can be recognised by a classifier', async () => {
    const breaker = new CircuitBreaker({
      clock: new ManualClock(),
      classify: { error: (error) => ({ throttledMs: (error as { retryAfterMs: number }).retryAfterMs }) },
    });
    await outcomeOf(breaker.execute(() => Promise.reject(Object.assign(new Error('429'), { retryAfterMs: 70_000 }))));
    expect(breaker.retryAfterMs).toBe(70_000);
  });
});

describe('what passes through', () => {
  it('is the value of a function that is synchronous or asynchronous', async () => {
    const breaker = new CircuitBreaker();
    expect(await breaker.execute(() => 1)).toBe(1);
    expect(await breaker.execute(async () => 2)).toBe(2);
    expect(await breaker.execute(() => undefined)).toBeUndefined();
  });

  it.each([down, undefined, null, 'text', 0])('is what was thrown, untouched (%s)', async (thrown) => {
    const breaker = new CircuitBreaker({ slidingWindow: { type: 'count', size: 2 } });
    await expect(breaker.execute(() => Promise.reject(thrown))).rejects.toBe(thrown);
    await expect(
      breaker.execute(() => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    expect(breaker.state).toBe('open');
  });
});

describe('a classifier', () => {
  const oneFailure = { clock: new ManualClock(), slidingWindow: { type: 'consecutive', failures: 1 } } as const;

  it('can make a value a failure and an error a success', async () => {
    const breaker = new CircuitBreaker({
      ...oneFailure,
      classify: { value: (value) => (value === 'bad' ? 'failure' : 'success'), error: () => 'success' },
    });
    await outcomeOf(breaker.execute(() => Promise.reject(down)));
    await breaker.execute(() => 'good');
    expect(breaker.state).toBe('closed');
    expect(await breaker.execute(() => 'bad')).toBe('bad');
    expect(breaker.state).toBe('open');
  });

  it.each(['error', 'value'] as const)('of an %s that throws counts as a failure and is reported once', async (of) => {
    const boom = new Error('classifier');
    const rule = () => {
      throw boom;
    };
    const breaker = new CircuitBreaker({ ...oneFailure, classify: { [of]: rule } });
    const reported: unknown[] = [];
    breaker.on('listener-error', ({ error }) => reported.push(error));
    const result = await outcomeOf(breaker.execute(() => (of === 'error' ? Promise.reject(down) : 'value')));
    expect(result).toBe(of === 'error' ? down : 'value');
    expect(breaker.state).toBe('open');
    expect(reported).toEqual([boom]);
  });

  it.each([
    undefined,
    null,
    'sucess',
    42,
    Promise.resolve('success'),
    {},
    { throttledMs: Number.NaN },
    { throttledMs: Number.POSITIVE_INFINITY },
    { throttledMs: -1 },
    { throttledMs: '5' },
  ])('that answers no outcome counts as a failure and is reported: %s', async (answer) => {
    const breaker = new CircuitBreaker({ ...oneFailure, classify: { value: () => answer as Outcome } });
    const reported: unknown[] = [];
    breaker.on('listener-error', ({ error }) => reported.push(error));
    expect(await breaker.execute(() => 'value')).toBe('value');
    expect(breaker.retryAfterMs).toBe(60_000);
    expect(reported).toEqual([expect.any(RangeError)]);
  });

  it('that throws harms nobody when no one listens', async () => {
    const breaker = new CircuitBreaker({
      ...oneFailure,
      classify: {
        value: () => {
          throw down;
        },
      },
    });
    expect(await breaker.execute(() => 'value')).toBe('value');
  });
});

describe('a listener', () => {
  it('that throws changes no outcome, stops no other listener and is reported', async () => {
    const breaker = new CircuitBreaker({ name: 'weather' });
    const boom = new Error('listener');
    const second = vi.fn();
    const reported = vi.fn();
    breaker.on('success', () => {
      throw boom;
    });
    breaker.on('success', second);
    breaker.on('listener-error', () => {
      throw new Error('and this one too');
    });
    breaker.on('listener-error', reported);
    expect(await breaker.execute(async () => 1)).toBe(1);
    expect(second).toHaveBeenCalledTimes(1);
    expect(reported.mock.calls).toEqual([[{ name: 'weather', error: boom }]]);
    expect(breaker.metrics().failures).toBe(0);
  });

  it('is removed by the function that adding it returned, and only that one', async () => {
    const breaker = new CircuitBreaker();
    const listener = vi.fn();
    const removeFirst = breaker.on('success', listener);
    breaker.on('success', listener);
    await breaker.execute(async () => 1);
    expect(listener).toHaveBeenCalledTimes(2);
    removeFirst();
    removeFirst();
    await breaker.execute(async () => 1);
    expect(listener).toHaveBeenCalledTimes(3);
  });

  it('may change the state while it is told of a change', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    breaker.on('state-change', ({ to }) => {
      if (to === 'half-open') breaker.transitionTo('forced-open');
    });
    clock.advance(60_000);
    expect(breaker.tryAcquire()).toBeUndefined();
    expect(breaker.state).toBe('forced-open');
  });
});
