import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker } from '../src/index.ts';
import { admitted, fail, openedBreaker, succeed } from './calls.ts';

const minute = 60_000;

/** How long a circuit stays open each time its probe fails. */
function waits(breaker: CircuitBreaker, clock: ManualClock, times: number): number[] {
  return Array.from({ length: times }, () => {
    const wait = breaker.retryAfterMs ?? 0;
    clock.advance(wait);
    fail(breaker);
    return wait;
  });
}

describe('the wait of an open circuit', () => {
  it('stays the same unless told otherwise', () => {
    const clock = new ManualClock();
    expect(waits(openedBreaker({ clock }), clock, 4)).toEqual([minute, minute, minute, minute]);
  });

  it('grows each time it opens without having closed, up to a limit', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, waitMultiplierInOpenState: 3, maxWaitDurationInOpenStateMs: 10 * minute });
    expect(waits(breaker, clock, 5)).toEqual([minute, 3 * minute, 9 * minute, 10 * minute, 10 * minute]);
  });

  it('is the first one again after the circuit has closed', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, waitMultiplierInOpenState: 2 });
    waits(breaker, clock, 3);
    clock.advance(breaker.retryAfterMs ?? 0);
    succeed(breaker);
    while (breaker.state === 'closed') fail(breaker);
    expect(breaker.retryAfterMs).toBe(minute);
  });

  it.each([
    [0, 1_000],
    [0.5, 900],
    [0.999, 801],
  ])('is shortened by chance (%d) by up to the jitter', (chance, wait) => {
    const options = { clock: new ManualClock(), waitDurationInOpenStateMs: 1_000, waitJitterInOpenState: 0.2, random: () => chance };
    expect(openedBreaker(options).retryAfterMs).toBe(wait);
  });

  it('is never shorter than the server asks for, and no longer for a shorter hint', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, waitJitterInOpenState: 1, random: () => 1, maxWaitDurationInOpenStateMs: minute });
    const late = admitted(breaker);
    breaker.onThrottled(admitted(breaker), 5 * minute);
    expect(breaker.retryAfterMs).toBe(5 * minute);
    breaker.onThrottled(late, 1_000);
    expect(breaker.retryAfterMs).toBe(5 * minute);
  });

  it('begins anew where a late answer asks a half-open circuit to stay away', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, permittedNumberOfCallsInHalfOpenState: 2 });
    const late = admitted(breaker);
    breaker.onThrottled(admitted(breaker), minute);
    clock.advance(minute);
    const probes = [admitted(breaker), admitted(breaker)];
    breaker.onThrottled(late, 2 * minute);
    for (const probe of probes) breaker.onSuccess(probe);
    expect(breaker.retryAfterMs).toBe(2 * minute);
    expect(breaker.metrics()).toMatchObject({ state: 'open', late: 3 });
  });

  it('is as long as the server asks, and no longer, where that is asked for', () => {
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ clock, openForHintAlone: true });
    const late = admitted(breaker);
    breaker.onThrottled(admitted(breaker), 250);
    expect(breaker.retryAfterMs).toBe(250);
    breaker.onThrottled(late, 100);
    expect(breaker.retryAfterMs).toBe(250);
    clock.advance(250);
    breaker.onThrottled(admitted(breaker), 0);
    expect(breaker.state).toBe('half-open');
    fail(breaker);
    expect(breaker.retryAfterMs).toBe(minute);
  });

  it('does not begin again where it is opened by hand once more, nor count as another opening', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ clock, waitMultiplierInOpenState: 2 });
    breaker.transitionTo('open');
    expect(breaker.retryAfterMs).toBe(minute);
    expect(breaker.metrics().opened).toBe(1);
  });
});

describe('a circuit that closes again', () => {
  it('is told with how long it was away and how often it opened, and counted', () => {
    const clock = new ManualClock();
    const breaker = openedBreaker({ name: 'weather', clock, waitMultiplierInOpenState: 2 });
    const told: unknown[] = [];
    breaker.on('readmitted', (event) => told.push(event));
    waits(breaker, clock, 2);
    clock.advance(breaker.retryAfterMs ?? 0);
    succeed(breaker);
    expect(told).toEqual([{ name: 'weather', afterMs: 7 * minute, openings: 3 }]);
    expect(breaker.metrics()).toMatchObject({ state: 'closed', opened: 3, readmitted: 1 });
  });

  it('by hand is not', () => {
    const breaker = openedBreaker({ clock: new ManualClock() });
    breaker.transitionTo('closed');
    expect(breaker.metrics()).toMatchObject({ opened: 1, readmitted: 0 });
  });
});
