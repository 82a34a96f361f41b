import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions } from '../src/index.ts';
import { admitted, outcomeOf, succeed } from './calls.ts';

const slow = 1_600; // a part of it is 100 ms

function watching(clock: ManualClock, options: CircuitBreakerOptions = {}): CircuitBreaker {
  return new CircuitBreaker({
    clock,
    slidingWindow: { type: 'count', size: 10 },
    minimumNumberOfCalls: 4,
    slowCallRateThreshold: 0.5,
    slowCallDurationThresholdMs: slow,
    slowCallInFlight: true,
    ...options,
  });
}

const hang = () => new Promise<never>(() => {});

describe('calls that hang', () => {
  it('open the circuit before any of them ends (resilience4j #1597)', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    for (let i = 0; i < 4; i++) void breaker.execute(hang);
    clock.advance(slow - 1);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 0 });
    clock.advance(1 + slow / 16); // one part late at most
    expect(breaker.tryAcquire()).toBeUndefined();
    expect(breaker.metrics()).toMatchObject({ state: 'open', opened: 1 });
  });

  it.each([[{ type: 'count', size: 10 }], [{ type: 'time', durationMs: 60_000 }]] as const)(
    'are weighed with the calls in the window: %o',
    (slidingWindow) => {
      const clock = new ManualClock();
      const breaker = watching(clock, { slidingWindow });
      for (let i = 0; i < 3; i++) succeed(breaker);
      for (let i = 0; i < 2; i++) void breaker.execute(hang);
      clock.advance(2 * slow);
      expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 2 });
      void breaker.execute(hang);
      clock.advance(2 * slow);
      expect(breaker.state).toBe('open');
    },
  );

  it('are too few below the minimum number of calls', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    for (let i = 0; i < 3; i++) void breaker.execute(hang);
    clock.advance(10 * slow);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 3 });
  });

  it('count once: while they hang, or when they have ended', async () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    const permits = [admitted(breaker), admitted(breaker)];
    clock.advance(2 * slow);
    expect(breaker.metrics()).toMatchObject({ calls: 0, slowCalls: 0, slowCallsInFlight: 2 });
    for (const permit of permits) breaker.onSuccess(permit, 2 * slow);
    expect(breaker.metrics()).toMatchObject({ calls: 2, slowCalls: 2, slowCallsInFlight: 0 });
  });

  it('count as slow when their callers give them up', async () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    const caller = new AbortController();
    const calls = [1, 2, 3].map(() => outcomeOf(breaker.execute(hang, { signal: caller.signal })));
    clock.advance(slow);
    caller.abort('left');
    await Promise.all(calls);
    expect(breaker.metrics()).toMatchObject({ calls: 3, failures: 0, slowCalls: 3, slowCallsInFlight: 0 });
  });

  it('that were given up in time count as nothing, nor do slow ones where they are not watched', async () => {
    for (const slowCallInFlight of [true, false]) {
      const clock = new ManualClock();
      const breaker = watching(clock, { slowCallInFlight });
      const caller = new AbortController();
      const call = outcomeOf(breaker.execute(hang, { signal: caller.signal }));
      clock.advance(slowCallInFlight ? slow - 1 : 2 * slow);
      caller.abort('left');
      await call;
      expect(breaker.metrics()).toMatchObject({ calls: 0, slowCalls: 0, slowCallsInFlight: 0 });
    }
  });

  it('of an earlier state are forgotten', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    const late = admitted(breaker);
    breaker.transitionTo('open');
    breaker.transitionTo('closed');
    clock.advance(10 * slow);
    expect(breaker.metrics()).toMatchObject({ slowCallsInFlight: 0 });
    breaker.onSuccess(late, 10 * slow);
    expect(breaker.metrics()).toMatchObject({ calls: 0, late: 1, slowCallsInFlight: 0 });
  });

  it('are told of once by a circuit that only watches', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    breaker.transitionTo('metrics-only');
    const told: string[] = [];
    breaker.on('threshold-reached', ({ reason }) => told.push(reason));
    for (let i = 0; i < 4; i++) void breaker.execute(hang);
    clock.advance(2 * slow);
    for (let i = 0; i < 3; i++) expect(breaker.state).toBe('metrics-only');
    expect(told).toEqual(['slow-call-rate']);
  });

  it('after an idle year are none', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    for (let i = 0; i < 40; i++) {
      succeed(breaker);
      clock.advance(slow / 3);
    }
    clock.advance(365 * 86_400_000);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 0 });
  });
});

describe('a call that has begun to answer', () => {
  it('hangs no longer; the permit it got instead is given back', () => {
    const clock = new ManualClock();
    const breaker = watching(clock);
    const permits = [1, 2, 3, 4].map(() => breaker.answered(admitted(breaker)));
    clock.advance(10 * slow);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', slowCallsInFlight: 0 });
    for (const permit of permits) breaker.onSuccess(permit, 1);
    expect(breaker.metrics()).toMatchObject({ calls: 4, slowCalls: 0, slowCallsInFlight: 0 });
  });
});
