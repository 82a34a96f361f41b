import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions } from '../src/index.ts';
import { fail, succeed } from './calls.ts';

function breakerWith(options: CircuitBreakerOptions, clock = new ManualClock({ now: 0 })) {
  const reasons: string[] = [];
  const breaker = new CircuitBreaker({ clock, ...options });
  breaker.on('state-change', ({ reason }) => reasons.push(reason));
  return { breaker, clock, reasons };
}

describe('a count window', () => {
  it('looks at the last calls alone', () => {
    const { breaker } = breakerWith({ slidingWindow: { type: 'count', size: 4 }, minimumNumberOfCalls: 4, failureRateThreshold: 0.75 });
    for (const failed of [true, true, false, false, true, false, true]) failed ? fail(breaker) : succeed(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 4, failures: 2 });
    fail(breaker);
    expect(breaker.state).toBe('open');
  });

  it('opens on a success too, where that brings the minimum', () => {
    const { breaker, reasons } = breakerWith({ slidingWindow: { type: 'count', size: 10 }, minimumNumberOfCalls: 4 });
    fail(breaker);
    fail(breaker);
    succeed(breaker);
    expect(breaker.state).toBe('closed');
    succeed(breaker);
    expect(reasons).toEqual(['failure-rate']);
  });

  it('waits for 10 calls by default, or for all of a smaller window', () => {
    const large = breakerWith({ slidingWindow: { type: 'count', size: 100 } }).breaker;
    for (let i = 0; i < 9; i++) fail(large);
    expect(large.state).toBe('closed');
    fail(large);
    expect(large.state).toBe('open');
    const small = breakerWith({ slidingWindow: { type: 'count', size: 3 } }).breaker;
    for (let i = 0; i < 2; i++) fail(small);
    expect(small.state).toBe('closed');
    fail(small);
    expect(small.state).toBe('open');
  });

  it('is empty after the circuit has closed again', () => {
    const { breaker, clock } = breakerWith({ slidingWindow: { type: 'count', size: 4 } });
    for (let i = 0; i < 4; i++) fail(breaker);
    clock.advance(60_000);
    succeed(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 0, failures: 0 });
  });
});

describe('thresholds are inclusive', () => {
  const percents = Array.from({ length: 100 }, (_, i) => i + 1);

  it.each(['failure', 'slow'])('at every whole percent of 100 calls (%s rate)', (kind) => {
    for (const percent of percents) {
      const rate = percent / 100;
      const { breaker } = breakerWith({
        slidingWindow: { type: 'count', size: 100 },
        minimumNumberOfCalls: 100,
        failureRateThreshold: kind === 'failure' ? rate : 1,
        slowCallRateThreshold: kind === 'slow' ? rate : 1,
        slowCallDurationThresholdMs: 10,
      });
      const bad = () => (kind === 'failure' ? fail(breaker, 0) : succeed(breaker, 10));
      for (let i = 0; i < 100 - percent; i++) succeed(breaker, 0);
      for (let i = 0; i < percent - 1; i++) bad();
      expect(breaker.state, `${percent - 1} of 99`).toBe('closed');
      bad();
      expect(breaker.state, `${percent} of 100`).toBe('open');
    }
  });

  it('for probes as well', () => {
    for (const percent of percents) {
      const { breaker } = breakerWith({
        slidingWindow: { type: 'count', size: 1 },
        failureRateThreshold: percent / 100,
        permittedNumberOfCallsInHalfOpenState: 100,
      });
      breaker.transitionTo('open');
      breaker.transitionTo('half-open');
      for (let i = 0; i < percent - 1; i++) fail(breaker);
      expect(breaker.state, `${percent - 1} of 100`).toBe('half-open');
      fail(breaker);
      expect(breaker.state, `${percent} of 100`).toBe('open');
    }
  });
});

describe('a time window', () => {
  const slidingWindow = { type: 'time', durationMs: 1_000, buckets: 10 } as const;

  it('expires while idle', () => {
    const { breaker, clock } = breakerWith({ slidingWindow });
    for (let i = 0; i < 9; i++) fail(breaker);
    clock.advance(3_600_000);
    expect(breaker.metrics().calls).toBe(0);
    fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 1 });
  });

  it('keeps a call until its bucket is a whole duration old, to the millisecond', () => {
    const { breaker, clock } = breakerWith({ slidingWindow });
    clock.advance(50);
    fail(breaker); // in the bucket 0–99
    clock.advance(50);
    succeed(breaker); // 100–199
    clock.advance(899); // 999: the first bucket's last instant
    expect(breaker.metrics()).toMatchObject({ calls: 2, failures: 1 });
    clock.advance(1);
    expect(breaker.metrics()).toMatchObject({ calls: 1, failures: 0 });
    clock.advance(99);
    expect(breaker.metrics().calls).toBe(1);
    clock.advance(1);
    expect(breaker.metrics().calls).toBe(0);
  });

  it('has 10 buckets by default', () => {
    const { breaker, clock } = breakerWith({ slidingWindow: { type: 'time', durationMs: 1_000 } });
    fail(breaker);
    clock.advance(100);
    fail(breaker);
    clock.advance(900);
    expect(breaker.metrics().calls).toBe(1);
  });

  it('opens by its rate', () => {
    const { breaker, clock, reasons } = breakerWith({ slidingWindow, minimumNumberOfCalls: 4 });
    for (let i = 0; i < 3; i++) {
      fail(breaker);
      clock.advance(250);
    }
    fail(breaker);
    expect(reasons).toEqual(['failure-rate']);
  });
});

describe('the slow-call rate', () => {
  const options = {
    slidingWindow: { type: 'count', size: 4 },
    failureRateThreshold: 1,
    slowCallRateThreshold: 0.5,
    slowCallDurationThresholdMs: 200,
  } as const;

  it('counts successes and failures from the threshold on', () => {
    const { breaker, reasons } = breakerWith(options);
    succeed(breaker, 200);
    succeed(breaker, 199);
    fail(breaker, 200);
    succeed(breaker, 0);
    expect(reasons).toEqual(['slow-call-rate']);
  });

  it('is measured by execute', async () => {
    const { breaker, clock, reasons } = breakerWith(options);
    const durations: number[] = [];
    breaker.on('success', ({ durationMs }) => durations.push(durationMs));
    for (const ms of [0, 250, 199, 200]) await breaker.execute(() => clock.advance(ms));
    expect(durations).toEqual([0, 250, 199, 200]);
    expect(reasons).toEqual(['slow-call-rate']);
  });

  it('is measured by execute under a signal too', async () => {
    const { breaker, clock, reasons } = breakerWith(options);
    const { signal } = new AbortController();
    for (let i = 0; i < 4; i++) await breaker.execute(() => clock.advance(200), { signal });
    expect(reasons).toEqual(['slow-call-rate']);
  });

  it('makes a slow probe a failed one', () => {
    const { breaker, clock } = breakerWith(options);
    breaker.transitionTo('open');
    clock.advance(60_000);
    succeed(breaker, 200);
    expect(breaker.state).toBe('open');
  });
});
