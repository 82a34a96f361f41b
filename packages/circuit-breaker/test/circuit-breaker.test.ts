import { ManualClock } from '@tidegate/test-kit';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { CircuitBreaker, type CircuitBreakerEvents, CircuitOpenError, isCircuitOpenError } from '../src/index.ts';
import { fail, openedBreaker, succeed } from './calls.ts';

describe('the defaults', () => {
  it('opens after 5 failures in a row and admits one probe 60 000 ms later', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock });
    for (let i = 0; i < 4; i++) fail(breaker);
    expect(breaker.state).toBe('closed');
    fail(breaker);
    expect(breaker.state).toBe('open');
    clock.advance(59_999);
    expect(breaker.tryAcquire()).toBeUndefined();
    clock.advance(1);
    expect(breaker.tryAcquire()).toBeDefined();
    expect(breaker.state).toBe('half-open');
    expect(breaker.tryAcquire()).toBeUndefined();
  });

  it('closes after a good probe and opens again after a bad one', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.advance(60_000);
    fail(breaker);
    expect(breaker.state).toBe('open');
    expect(breaker.retryAfterMs).toBe(60_000);
    clock.advance(60_000);
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  it('forgets failures at a success', () => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    for (let i = 0; i < 4; i++) fail(breaker);
    succeed(breaker);
    for (let i = 0; i < 4; i++) fail(breaker);
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics()).toMatchObject({ calls: 4, failures: 4 });
  });

  it('is named default', () => {
    expect(new CircuitBreaker().name).toBe('default');
  });
});

describe('a refusal', () => {
  it('never calls the function and says who refused, in which state, and when to come back', async () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ name: 'weather', clock });
    clock.advance(1_000);
    const fn = vi.fn(async () => 1);
    const error = await breaker.execute(fn).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(error).toMatchObject({
      code: 'ERR_CIRCUIT_OPEN',
      limit: 'weather',
      state: 'open',
      retryAfterMs: 59_000,
      message: "circuit 'weather' is open for 59000 ms",
    });
    expect(fn).not.toHaveBeenCalled();
    expect(breaker.metrics()).toMatchObject({ rejected: 1, late: 0 });
  });

  it('is made for users of the permit API too, and leaves the depth of other stacks alone', () => {
    const breaker = openedBreaker({ name: 'weather', clock: new ManualClock() });
    const before = Error.stackTraceLimit;
    expect(before).toBeGreaterThan(0);
    expect(breaker.tryAcquire()).toBeUndefined();
    expect(isCircuitOpenError(breaker.refusal())).toBe(true);
    expect(Error.stackTraceLimit).toBe(before);
  });

  it.each([1, 7, 60_000, 86_400_000])('is repeated 1 ms before its retryAfterMs and not at it (%i ms)', (waitDurationInOpenStateMs) => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, waitDurationInOpenStateMs });
    clock.advance(Math.floor(waitDurationInOpenStateMs / 3));
    const wait = breaker.retryAfterMs ?? Number.NaN;
    clock.advance(wait - 1);
    expect(breaker.tryAcquire()).toBeUndefined();
    clock.advance(1);
    expect(breaker.retryAfterMs).toBe(0);
    expect(breaker.tryAcquire()).toBeDefined();
  });

  it('answers by one reading of the clock, so that no time it names is past', () => {
    let now = 1_000;
    let step = 0;
    const clock = Object.assign(new ManualClock(), {
      now: () => {
        now += step;
        return now;
      },
    });
    const breaker = openedBreaker({ clock, waitDurationInOpenStateMs: 10 });
    step = 7; // a second reading would be past the end of the wait
    expect(breaker.retryAfterMs).toBe(3);
  });
});

describe('time', () => {
  it('does not follow steps of the wall clock', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock });
    clock.jumpWall(-3_600_000);
    clock.advance(59_999);
    expect(breaker.state).toBe('open');
    clock.jumpWall(7_200_000);
    expect(breaker.state).toBe('open');
    clock.advance(1);
    expect(breaker.state).toBe('half-open');
  });

  it.each([-1_000_000, -30, 0, 0.5])('may start anywhere (%d)', (now) => {
    const clock = new ManualClock({ now });
    const breaker = openedBreaker({ clock, waitDurationInOpenStateMs: 20, maxWaitDurationInHalfOpenStateMs: 5 });
    clock.advance(20);
    const probe = breaker.tryAcquire();
    expect(probe).toBeDefined();
    expect(breaker.tryAcquire()).toBeUndefined();
    clock.advance(5);
    expect(breaker.state).toBe('open');
    clock.advance(20);
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  afterEach(() => {
    vi.useRealTimers();
  });

  it('is the global one by default, so that any test runner can move it', () => {
    vi.useFakeTimers();
    const breaker = openedBreaker({});
    vi.advanceTimersByTime(59_999);
    expect(breaker.state).toBe('open');
    vi.advanceTimersByTime(1);
    expect(breaker.state).toBe('half-open');
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('what can be seen', () => {
  it('counts in the metrics', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({
      clock,
      slidingWindow: { type: 'count', size: 10 },
      slowCallRateThreshold: 1,
      slowCallDurationThresholdMs: 100,
    });
    succeed(breaker, 100);
    succeed(breaker, 99);
    fail(breaker, 1_000);
    expect(breaker.metrics()).toEqual({
      state: 'closed',
      calls: 3,
      failures: 1,
      slowCalls: 2,
      slowCallsInFlight: 0,
      rejected: 0,
      late: 0,
      opened: 0,
      readmitted: 0,
    });
  });

  it('travels as JSON: remaining durations, and the wall time of the moment', () => {
    const clock = new ManualClock({ wall: 5_000 });
    const breaker = openedBreaker({ name: 'weather', clock });
    clock.advance(15_000);
    breaker.tryAcquire();
    const snapshot = breaker.snapshot();
    expect(snapshot).toEqual({
      version: 1,
      name: 'weather',
      takenAt: 20_000,
      state: 'open',
      calls: 0,
      failures: 0,
      slowCalls: 0,
      slowCallsInFlight: 0,
      rejected: 1,
      late: 0,
      opened: 1,
      readmitted: 0,
      openForMs: 45_000,
      openings: 1,
      openSinceMs: 15_000,
      window: { type: 'consecutive', failures: 0 },
    });
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot);
    clock.advance(45_000);
    expect(breaker.snapshot()).toMatchObject({ state: 'half-open', openForMs: 0, openSinceMs: 60_000 });
  });

  it('is told as it happens, each with its reason', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ name: 'weather', clock, slidingWindow: { type: 'consecutive', failures: 1 } });
    const told: unknown[] = [];
    const names = ['state-change', 'readmitted', 'success', 'failure', 'ignored', 'rejected', 'late'] as const satisfies Array<
      keyof CircuitBreakerEvents
    >;
    for (const name of names) breaker.on(name, (event) => told.push([name, event]));
    const error = new Error('down');
    const late = breaker.tryAcquire() ?? 0;
    breaker.onFailure(breaker.tryAcquire() ?? 0, error, 12);
    breaker.tryAcquire();
    breaker.onSuccess(late);
    clock.advance(60_000);
    breaker.release(breaker.tryAcquire() ?? 0);
    succeed(breaker, 3);
    const name = 'weather';
    expect(told).toEqual([
      ['state-change', { name, from: 'closed', to: 'open', reason: 'consecutive-failures' }],
      ['failure', { name, durationMs: 12, error }],
      ['rejected', { name, state: 'open', retryAfterMs: 60_000 }],
      ['late', { name, outcome: 'success', durationMs: 0 }],
      ['state-change', { name, from: 'open', to: 'half-open', reason: 'wait-elapsed' }],
      ['ignored', { name, durationMs: 0, error: undefined }],
      ['state-change', { name, from: 'half-open', to: 'closed', reason: 'probes-succeeded' }],
      ['readmitted', { name, afterMs: 60_000, openings: 1 }],
      ['success', { name, durationMs: 3 }],
    ]);
  });
});
