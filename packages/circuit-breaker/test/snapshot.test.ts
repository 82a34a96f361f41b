import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions, type CircuitBreakerSnapshot, type CircuitState } from '../src/index.ts';
import { admitted, fail, openedBreaker, outcomeOf, succeed } from './calls.ts';

const minute = 60_000;

/** What another process makes of it, `laterMs` later by the wall clock; its own clock begins anywhere. */
function restored(snapshot: CircuitBreakerSnapshot, laterMs: number, options: CircuitBreakerOptions = {}) {
  const clock = new ManualClock({ now: 17, wall: snapshot.takenAt + laterMs });
  const breaker = new CircuitBreaker({ ...options, clock });
  breaker.restore(JSON.parse(JSON.stringify(snapshot)));
  return { breaker, clock };
}

describe('a breaker in another process', () => {
  it('goes on refusing for what is left of the wait', () => {
    const clock = new ManualClock();
    const first = openedBreaker({ clock });
    clock.advance(20_000);
    const { breaker, clock: later } = restored(first.snapshot(), 10_000);
    expect(breaker.retryAfterMs).toBe(30_000);
    later.advance(29_999);
    expect(breaker.state).toBe('open');
    later.advance(1);
    expect(breaker.state).toBe('half-open');
  });

  it('goes on with the growth of its waits, and tells of the whole time when it is well', () => {
    const clock = new ManualClock();
    const options = { waitMultiplierInOpenState: 2 };
    const first = openedBreaker({ clock, ...options });
    clock.advance(minute);
    fail(first);
    const { breaker, clock: later } = restored(first.snapshot(), 0, options);
    const told: unknown[] = [];
    breaker.on('readmitted', (event) => told.push(event));
    later.advance(2 * minute);
    succeed(breaker);
    expect(told).toEqual([{ name: 'default', afterMs: 3 * minute, openings: 2 }]);
  });

  it.each([
    { type: 'consecutive', failures: 3 },
    { type: 'count', size: 4 },
    { type: 'time', durationMs: 1_000 },
  ] as const)('goes on with the calls in its window: $type', (slidingWindow) => {
    const options = slidingWindow.type === 'consecutive' ? { slidingWindow } : { slidingWindow, minimumNumberOfCalls: 3 };
    const first = new CircuitBreaker({ clock: new ManualClock(), ...options });
    fail(first);
    fail(first);
    const { breaker } = restored(first.snapshot(), 0, options);
    expect(breaker.metrics()).toMatchObject({ calls: 2, failures: 2 });
    fail(breaker);
    expect(breaker.state).toBe('open');
  });

  it('has no calls in a time window that were made too long ago meanwhile', () => {
    const options = { slidingWindow: { type: 'time', durationMs: 1_000 } } as const;
    const first = new CircuitBreaker({ clock: new ManualClock(), ...options });
    fail(first);
    expect(restored(first.snapshot(), 800, options).breaker.metrics()).toMatchObject({ calls: 1 });
    expect(restored(first.snapshot(), 1_000, options).breaker.metrics()).toMatchObject({ calls: 0 });
  });

  it('goes on with calls of a part that begins a little later by its arithmetic than by the clock', () => {
    const options = { slidingWindow: { type: 'time', durationMs: 14, buckets: 3 } } as const;
    const first = new CircuitBreaker({ clock: new ManualClock({ now: 238 }), ...options }); // 51 parts of 14 / 3 ms are a little more
    fail(first);
    expect(restored(first.snapshot(), 0, options).breaker.metrics()).toMatchObject({ calls: 1 });
  });

  it('keeps the latest calls where its window is smaller, and none where it is another', () => {
    const first = new CircuitBreaker({ clock: new ManualClock(), slidingWindow: { type: 'count', size: 10 } });
    for (let i = 0; i < 5; i++) fail(first);
    for (let i = 0; i < 3; i++) succeed(first);
    const { breaker } = restored(first.snapshot(), 0, { slidingWindow: { type: 'count', size: 4 } });
    expect(breaker.metrics()).toMatchObject({ calls: 4, failures: 1 });
    expect(restored(first.snapshot(), 0).breaker.metrics()).toMatchObject({ calls: 0 });
  });

  it('keeps the totals', () => {
    const clock = new ManualClock();
    const first = openedBreaker({ clock });
    const late = admitted(new CircuitBreaker());
    first.tryAcquire();
    first.onSuccess(late);
    clock.advance(minute);
    succeed(first);
    const { breaker } = restored(first.snapshot(), 0);
    expect(breaker.metrics()).toEqual(first.metrics());
    expect(breaker.metrics()).toMatchObject({ rejected: 1, late: 1, opened: 1, readmitted: 1 });
  });

  it.each(['closed', 'forced-open', 'disabled', 'metrics-only'] as const)('stays %s, and anyone can change that', async (state) => {
    const first = new CircuitBreaker();
    first.transitionTo(state);
    const { breaker } = restored(first.snapshot(), minute);
    expect(breaker.state).toBe(state);
    breaker.transitionTo('closed');
    expect(await breaker.execute(async () => 1)).toBe(1);
  });

  it('probes anew: the probes of the first one are not its own', () => {
    const clock = new ManualClock();
    const first = openedBreaker({ clock });
    clock.advance(minute);
    admitted(first);
    const { breaker } = restored(first.snapshot(), 0);
    expect(breaker.state).toBe('half-open');
    succeed(breaker);
    expect(breaker.state).toBe('closed');
  });

  it('takes a wall clock that went back for one that stood still', () => {
    const clock = new ManualClock();
    const { breaker } = restored(openedBreaker({ clock }).snapshot(), -3_600_000);
    expect(breaker.retryAfterMs).toBe(minute);
  });

  it('counts calls that were in flight before it went on as late', async () => {
    const breaker = new CircuitBreaker();
    const permit = admitted(breaker);
    breaker.restore(breaker.snapshot());
    breaker.onFailure(permit);
    expect(breaker.metrics()).toMatchObject({ failures: 0, late: 1 });
  });
});

describe('a snapshot', () => {
  const good = (): CircuitBreakerSnapshot => openedBreaker({ clock: new ManualClock() }).snapshot();
  const bucket = { ageMs: 1, calls: 1, failures: 0, slowCalls: 0 };

  it.each<[string, unknown, string]>([
    ['null', null, 'snapshot must be an object, not null'],
    ['an array', [], 'snapshot must be an object'],
    ['another version', { ...good(), version: 2 }, 'snapshot.version must be one of 1, not 2'],
    ['no version', { ...good(), version: undefined }, 'snapshot.version must be one of 1, not undefined'],
    ['a name that is none', { ...good(), name: 7 }, 'snapshot.name must be a string, not 7'],
    ['an unknown state', { ...good(), state: 'ajar' }, 'snapshot.state must be one of closed, open, half-open'],
    ['a negative count', { ...good(), rejected: -1 }, 'snapshot.rejected must be a whole number'],
    ['a fraction of a call', { ...good(), late: 0.5 }, 'snapshot.late must be a whole number'],
    ['NaN', { ...good(), openForMs: Number.NaN }, 'snapshot.openForMs must be a number'],
    ['a time that is null, as JSON makes of Infinity', { ...good(), openSinceMs: null }, 'snapshot.openSinceMs must be a number'],
    ['more failures than calls', { ...good(), calls: 1, failures: 2 }, 'snapshot.failures must be a whole number from 0 to 1, not 2'],
    ['no window', { ...good(), window: undefined }, 'snapshot.window must be an object, not undefined'],
    [
      'an unknown window',
      { ...good(), window: { type: 'bay' } },
      "snapshot.window.type must be 'consecutive', 'count' or 'time', not 'bay'",
    ],
    [
      'a wrong call',
      { ...good(), window: { type: 'count', calls: '0124' } },
      'snapshot.window.calls must be a string of the digits 0 to 3',
    ],
    ['no buckets', { ...good(), window: { type: 'time' } }, 'snapshot.window.buckets must be an array, not undefined'],
    [
      'a wrong bucket',
      { ...good(), window: { type: 'time', buckets: [bucket, { ...bucket, failures: 2 }] } },
      'snapshot.window.buckets[1].failures must be a whole number from 0 to 1, not 2',
    ],
  ])('with %s is refused, and changes nothing', (_, snapshot, message) => {
    const breaker = new CircuitBreaker({ clock: new ManualClock() });
    fail(breaker);
    const before = breaker.snapshot();
    expect(() => breaker.restore(snapshot as CircuitBreakerSnapshot)).toThrow(message);
    expect(breaker.snapshot()).toEqual(before);
  });
});

describe('other options', () => {
  const clock = () => new ManualClock();

  it('keep the state, the totals and the calls in the window', () => {
    const breaker = new CircuitBreaker({ clock: clock(), slidingWindow: { type: 'count', size: 10 }, minimumNumberOfCalls: 10 });
    for (let i = 0; i < 4; i++) fail(breaker);
    breaker.reconfigure({ slidingWindow: { type: 'count', size: 20 }, minimumNumberOfCalls: 5 });
    expect(breaker.metrics()).toMatchObject({ state: 'closed', calls: 4, failures: 4 });
    fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'open', opened: 1 });
  });

  it('count calls that are in flight', async () => {
    const breaker = new CircuitBreaker({ clock: clock() });
    const permit = admitted(breaker);
    breaker.reconfigure({ slidingWindow: { type: 'consecutive', failures: 1 } });
    breaker.onFailure(permit);
    expect(breaker.metrics()).toMatchObject({ state: 'open', late: 0 });
  });

  it.each([
    [{ slowCallInFlight: true }, 3],
    [{ slowCallInFlight: true, slowCallDurationThresholdMs: 500 }, 0],
    [{ slowCallInFlight: false }, 0],
  ])('%o go on watching what hangs where the limit is the same', (change, hanging) => {
    const time = clock();
    const options = {
      clock: time,
      slidingWindow: { type: 'count', size: 10 },
      slowCallRateThreshold: 1,
      slowCallDurationThresholdMs: 100,
      slowCallInFlight: true,
    } as const;
    const breaker = new CircuitBreaker(options);
    const permits = [1, 2, 3].map(() => admitted(breaker));
    breaker.reconfigure({ ...options, ...change });
    time.advance(1_000);
    expect(breaker.metrics().slowCallsInFlight).toBe(hanging);
    for (const permit of permits) breaker.onSuccess(permit, 1_000);
    expect(breaker.metrics()).toMatchObject({ calls: 3, slowCalls: 3, late: 0, slowCallsInFlight: 0 });
  });

  it('leave a wait that has begun, and hold for the next', () => {
    const time = clock();
    const breaker = openedBreaker({ clock: time });
    breaker.reconfigure({ waitDurationInOpenStateMs: 5_000 });
    expect(breaker.retryAfterMs).toBe(minute);
    time.advance(minute);
    fail(breaker);
    expect(breaker.retryAfterMs).toBe(5_000);
  });

  it('close a half-open circuit that has had probes enough by them', () => {
    const time = clock();
    const breaker = openedBreaker({ clock: time, permittedNumberOfCallsInHalfOpenState: 3 });
    time.advance(minute);
    succeed(breaker);
    breaker.reconfigure({ permittedNumberOfCallsInHalfOpenState: 1 });
    expect(breaker.metrics()).toMatchObject({ state: 'closed', readmitted: 1 });
  });

  it('empty a window of another type', () => {
    const breaker = new CircuitBreaker({ clock: clock() });
    fail(breaker);
    breaker.reconfigure({ slidingWindow: { type: 'count', size: 10 } });
    expect(breaker.metrics()).toMatchObject({ calls: 0 });
  });

  it('judge by their own classifier, and keep name and clock', async () => {
    const breaker = new CircuitBreaker({ name: 'weather', clock: clock() });
    breaker.reconfigure({ name: 'other', classify: { error: () => 'ignore' } });
    await outcomeOf(breaker.execute(() => Promise.reject(new Error('404'))));
    expect(breaker.snapshot()).toMatchObject({ name: 'weather', failures: 0 });
  });

  it('that are wrong are refused and change nothing', () => {
    const breaker = new CircuitBreaker({ clock: clock() });
    fail(breaker);
    expect(() => breaker.reconfigure({ slidingWindow: { type: 'consecutive', failures: 0 } })).toThrow('slidingWindow.failures');
    expect(() => breaker.reconfigure({ waitDurationInOpenStateMs: -1 })).toThrow('waitDurationInOpenStateMs');
    for (let i = 0; i < 3; i++) fail(breaker);
    const state: CircuitState = breaker.state;
    expect(state).toBe('closed');
    fail(breaker);
    expect(breaker.metrics()).toMatchObject({ state: 'open' });
  });
});
