import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions, isCircuitOpenError } from '../src/index.ts';
import { admitted, fail, outcomeOf, succeed } from './calls.ts';

/** A half-open breaker and the reasons of its later changes. */
function halfOpen(options: CircuitBreakerOptions = {}) {
  const clock = new ManualClock();
  const breaker = new CircuitBreaker({ clock, ...options });
  breaker.transitionTo('open');
  clock.advance(options.waitDurationInOpenStateMs ?? 60_000);
  expect(breaker.state).toBe('half-open');
  const reasons: string[] = [];
  breaker.on('state-change', ({ from, to, reason }) => reasons.push(`${from} > ${to}: ${reason}`));
  return { breaker, clock, reasons };
}

describe('a half-open circuit', () => {
  it('admits its probes in all and refuses the rest at once', async () => {
    const { breaker } = halfOpen({ permittedNumberOfCallsInHalfOpenState: 3 });
    const probes = [admitted(breaker), admitted(breaker), admitted(breaker)];
    expect(breaker.tryAcquire()).toBeUndefined();
    const error = await outcomeOf(breaker.execute(async () => 'never'));
    expect(isCircuitOpenError(error)).toBe(true);
    expect(error).toMatchObject({ state: 'half-open' });
    breaker.onSuccess(probes[0] ?? 0);
    expect(breaker.tryAcquire()).toBeUndefined(); // in all, not at a time
    breaker.onSuccess(probes[1] ?? 0);
    expect(breaker.state).toBe('half-open');
    breaker.onSuccess(probes[2] ?? 0);
    expect(breaker.state).toBe('closed');
    expect(breaker.metrics().rejected).toBe(3);
  });

  it('with a consecutive window opens at any failed probe', () => {
    const { breaker, reasons } = halfOpen({ permittedNumberOfCallsInHalfOpenState: 3 });
    succeed(breaker);
    succeed(breaker);
    fail(breaker);
    expect(reasons).toEqual(['half-open > open: probe-failed']);
  });

  it('with a window of rates opens as soon as the failed probes reach the threshold of all', () => {
    const slidingWindow = { type: 'count', size: 10 } as const;
    const { breaker, reasons } = halfOpen({ slidingWindow, permittedNumberOfCallsInHalfOpenState: 4 });
    fail(breaker);
    succeed(breaker);
    expect(breaker.state).toBe('half-open');
    fail(breaker);
    expect(reasons).toEqual(['half-open > open: probe-failed']);
  });

  it('with a window of rates closes over fewer failed probes', () => {
    const slidingWindow = { type: 'count', size: 10 } as const;
    const { breaker, reasons } = halfOpen({ slidingWindow, permittedNumberOfCallsInHalfOpenState: 3 });
    for (const call of [succeed, fail, succeed]) call(breaker);
    expect(reasons).toEqual(['half-open > closed: probes-succeeded']);
  });

  it('lends the place of a released probe again, without counting it', () => {
    const { breaker } = halfOpen();
    for (let i = 0; i < 50; i++) {
      breaker.release(admitted(breaker));
      expect(breaker.state).toBe('half-open');
    }
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  it('lends the place of an ignored probe again', async () => {
    const { breaker } = halfOpen({ classify: { error: () => 'ignore' } });
    await outcomeOf(breaker.execute(() => Promise.reject(new Error('404'))));
    expect(breaker.state).toBe('half-open');
    await breaker.execute(async () => 1);
    expect(breaker.state).toBe('closed');
  });

  it('lends the place of an aborted probe again', async () => {
    const { breaker } = halfOpen();
    const caller = new AbortController();
    const call = breaker.execute(() => new Promise(() => {}), { signal: caller.signal });
    expect(breaker.tryAcquire()).toBeUndefined();
    caller.abort();
    expect(breaker.tryAcquire()).toBeDefined();
    await outcomeOf(call);
  });

  it('counts a probe that hangs as failed at its deadline, and its result as late', () => {
    const { breaker, clock, reasons } = halfOpen({ maxWaitDurationInHalfOpenStateMs: 5_000 });
    const hung = admitted(breaker);
    expect(breaker.retryAfterMs).toBe(5_000);
    clock.advance(4_999);
    expect(breaker.state).toBe('half-open');
    clock.advance(1);
    expect(breaker.state).toBe('open');
    expect(breaker.retryAfterMs).toBe(60_000);
    breaker.onSuccess(hung);
    expect(breaker.metrics()).toMatchObject({ state: 'open', late: 1 });
    expect(reasons).toEqual(['half-open > open: probe-expired']);
  });

  it('waits for a probe as long as it was open, unless told otherwise', () => {
    const { breaker, clock } = halfOpen({ waitDurationInOpenStateMs: 700 });
    admitted(breaker);
    clock.advance(699);
    expect(breaker.state).toBe('half-open');
    clock.advance(1);
    expect(breaker.state).toBe('open');
  });

  it('counts the open time from the deadline of a hung probe, also if nobody looked', () => {
    const { breaker, clock } = halfOpen({ maxWaitDurationInHalfOpenStateMs: 5_000 });
    admitted(breaker);
    clock.advance(65_000);
    expect(breaker.state).toBe('half-open');
    expect(breaker.tryAcquire()).toBeDefined();
  });

  it('says when its oldest probe is due', () => {
    const { breaker, clock } = halfOpen({ permittedNumberOfCallsInHalfOpenState: 2 });
    const first = admitted(breaker);
    expect(breaker.retryAfterMs).toBe(0);
    clock.advance(10_000);
    admitted(breaker);
    clock.advance(10_000);
    expect(breaker.retryAfterMs).toBe(40_000);
    breaker.release(first);
    admitted(breaker);
    expect(breaker.retryAfterMs).toBe(50_000);
  });
});

describe('a permit of a probe', () => {
  it.each(['onSuccess', 'onFailure', 'release'] as const)('given back a second time is late (%s)', (giveBack) => {
    const { breaker } = halfOpen({ permittedNumberOfCallsInHalfOpenState: 3 });
    const first = admitted(breaker);
    breaker.onSuccess(first);
    breaker[giveBack](first);
    expect(breaker.metrics()).toMatchObject({ state: 'half-open', late: 1 });
    succeed(breaker);
    expect(breaker.state).toBe('half-open');
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  it('given back a second time is not taken for the probe that came after it', () => {
    const { breaker } = halfOpen();
    const first = admitted(breaker);
    breaker.release(first);
    const second = admitted(breaker);
    breaker.release(first);
    expect(breaker.tryAcquire()).toBeUndefined(); // the second is still out
    breaker.onFailure(first);
    expect(breaker.metrics()).toMatchObject({ state: 'half-open', late: 2 });
    breaker.onSuccess(second);
    expect(breaker.state).toBe('closed');
  });

  it('of a former half-open time is late', () => {
    const { breaker, clock } = halfOpen({ permittedNumberOfCallsInHalfOpenState: 2 });
    const first = admitted(breaker);
    fail(breaker);
    clock.advance(60_000);
    expect(breaker.state).toBe('half-open');
    breaker.onFailure(first);
    expect(breaker.metrics()).toMatchObject({ state: 'half-open', late: 1 });
  });
});
