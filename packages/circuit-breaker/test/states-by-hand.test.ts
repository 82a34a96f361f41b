import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitState } from '../src/index.ts';
import { admitted, fail, openedBreaker, outcomeOf, succeed } from './calls.ts';

const hour = 3_600_000;

describe('forced-open', () => {
  it('refuses until told otherwise and promises no time', async () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ name: 'weather', clock });
    breaker.transitionTo('forced-open');
    clock.advance(hour);
    const error = await outcomeOf(breaker.execute(async () => 1));
    expect(error).toMatchObject({ state: 'forced-open', message: "circuit 'weather' is forced-open until it is closed by hand" });
    expect(error).not.toHaveProperty('retryAfterMs');
    expect(breaker.retryAfterMs).toBeUndefined();
    breaker.transitionTo('closed');
    expect(await breaker.execute(async () => 1)).toBe(1);
  });

  it('is not ended by a hint that arrives late', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    const permit = admitted(breaker);
    breaker.transitionTo('forced-open');
    breaker.onThrottled(permit, 10);
    clock.advance(hour);
    expect(breaker.state).toBe('forced-open');
  });
});

describe('disabled', () => {
  it('admits everything and counts nothing', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    breaker.transitionTo('disabled');
    for (let i = 0; i < 100; i++) fail(breaker);
    breaker.onThrottled(admitted(breaker), hour);
    expect(breaker.metrics()).toMatchObject({ state: 'disabled', calls: 0, failures: 0, slowCalls: 0, rejected: 0, late: 0 });
    expect(breaker.retryAfterMs).toBe(0);
  });
});

describe('metrics-only', () => {
  function dryRun() {
    const breaker = new CircuitBreaker({ clock: new ManualClock(), slidingWindow: { type: 'count', size: 4 } });
    breaker.transitionTo('metrics-only');
    const told: string[] = [];
    breaker.on('threshold-reached', ({ reason }) => told.push(reason));
    return { breaker, told };
  }

  it('counts and tells, but never opens', () => {
    const { breaker, told } = dryRun();
    for (let i = 0; i < 10; i++) fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'metrics-only', calls: 4, failures: 4, rejected: 0 });
    expect(told).toEqual(['failure-rate']);
  });

  it('tells again after a quiet call', () => {
    const { breaker, told } = dryRun();
    for (let i = 0; i < 4; i++) fail(breaker);
    for (let i = 0; i < 4; i++) succeed(breaker);
    for (let i = 0; i < 4; i++) fail(breaker);
    expect(told).toEqual(['failure-rate', 'failure-rate']);
  });

  it('tells that a server asked to be left alone', () => {
    const { breaker, told } = dryRun();
    breaker.onThrottled(admitted(breaker), 1_000);
    breaker.onThrottled(admitted(breaker), 1_000);
    expect(told).toEqual(['throttled']);
    expect(breaker.state).toBe('metrics-only');
  });
});

describe('transitionTo', () => {
  it.each<CircuitState>(['closed', 'half-open', 'forced-open', 'disabled', 'metrics-only'])(
    'refuses %s > half-open and changes nothing',
    (from) => {
      const breaker = new CircuitBreaker({ name: 'weather', clock: new ManualClock() });
      if (from === 'half-open') breaker.transitionTo('open');
      breaker.transitionTo(from);
      const permit = breaker.tryAcquire();
      expect(() => breaker.transitionTo('half-open')).toThrow(
        expect.objectContaining({ code: 'ERR_ILLEGAL_TRANSITION', message: `circuit 'weather' cannot go from ${from} to half-open` }),
      );
      if (permit !== undefined) breaker.onSuccess(permit);
      expect(breaker.metrics().late).toBe(0);
    },
  );

  it('refuses a state that there is not', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    expect(() => breaker.transitionTo('forcedOpen' as CircuitState)).toThrow(RangeError);
    expect(breaker.state).toBe('closed');
  });

  it('opens for the usual time', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock(), waitDurationInOpenStateMs: 123 });
    breaker.transitionTo('open');
    expect(breaker.retryAfterMs).toBe(123);
  });

  it('half-opens early', () => {
    const breaker = openedBreaker({ clock: new ManualClock() });
    breaker.transitionTo('half-open');
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  it('to closed while closed forgets the window and tells nothing', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    const told: unknown[] = [];
    breaker.on('state-change', (event) => told.push(event));
    for (let i = 0; i < 4; i++) fail(breaker);
    breaker.transitionTo('closed');
    for (let i = 0; i < 4; i++) fail(breaker);
    expect(breaker.state).toBe('closed');
    expect(told).toEqual([]);
  });
});
