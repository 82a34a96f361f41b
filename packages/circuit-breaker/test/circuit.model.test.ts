import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CircuitBreaker, type CircuitBreakerOptions, type CircuitState, type Permit } from '../src/index.ts';
import { chance, type ReferenceCall, ReferenceCircuit, type ReferenceOptions, type Result, slowMs } from './reference-circuit.ts';
import { patience, scale, scaledRuns } from './scale.ts';

type Command =
  | { readonly do: 'acquire' | 'look' | 'restart' | 'reconfigure' }
  | { readonly do: 'finish'; readonly which: number; readonly result: Result; readonly slow: boolean }
  | { readonly do: 'call' }
  | { readonly do: 'answer' | 'abort'; readonly which: number }
  | { readonly do: 'finish-again'; readonly which: number; readonly result: Result }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'transition'; readonly to: CircuitState };

const states = ['closed', 'open', 'half-open', 'forced-open', 'disabled', 'metrics-only'] as const;
const outcomes = ['success', 'failure', 'ignore', 'throttled'] as const;

const rate = fc.constantFrom(0.07, 0.25, 0.5, 0.55, 0.75, 1);
const options: fc.Arbitrary<ReferenceOptions> = fc
  .record({
    window: fc.oneof(
      fc.record({ type: fc.constant('consecutive' as const), failures: fc.integer({ min: 1, max: 4 }) }),
      fc.record({ type: fc.constant('count' as const), size: fc.integer({ min: 1, max: 6 }) }),
      fc.record({
        type: fc.constant('time' as const),
        durationMs: fc.integer({ min: 10, max: 100 }),
        buckets: fc.integer({ min: 1, max: 5 }),
      }),
    ),
    failureRate: rate,
    slowRate: fc.option(rate, { nil: undefined }),
    minimumCalls: fc.integer({ min: 1, max: 4 }),
    probes: fc.integer({ min: 1, max: 4 }),
    openMs: fc.integer({ min: 1, max: 50 }),
    openMultiplier: fc.constantFrom(1, 1.5, 2),
    openMaxMs: fc.integer({ min: 50, max: 120 }),
    jitter: fc.constantFrom(0, 0.2, 1),
    hintAlone: fc.boolean(),
    slowInFlight: fc.boolean(),
    probeMs: fc.integer({ min: 1, max: 50 }),
  })
  .map(({ window, ...rest }) => {
    if (window.type === 'consecutive') return { ...rest, window, slowRate: undefined, slowInFlight: false };
    const checked = { ...rest, window, slowInFlight: rest.slowInFlight && rest.slowRate !== undefined };
    return window.type === 'count' ? { ...checked, minimumCalls: Math.min(rest.minimumCalls, window.size) } : checked;
  });

const result: fc.Arbitrary<Result> = fc.oneof(
  { weight: 6, arbitrary: fc.constant('failure' as const) },
  { weight: 6, arbitrary: fc.constant('success' as const) },
  { weight: 2, arbitrary: fc.constant('ignore' as const) },
  { weight: 1, arbitrary: fc.record({ throttledMs: fc.nat(100) }) },
);
const which = fc.nat(1_000);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('acquire' as const) }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('finish' as const), which, result, slow: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('answer' as const), which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('call' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('finish-again' as const), which, result }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('transition' as const), to: fc.constantFrom(...states) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('look' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('restart' as const, 'reconfigure' as const) }) },
);
const commands = fc.array(command, { minLength: 20, maxLength: 90, size: 'max' });

/** Every row of the transition table, and every way a result can be taken. */
const table: readonly string[] = [
  ...['consecutive-failures', 'failure-rate', 'slow-call-rate', 'throttled'].flatMap((reason) => [
    `closed > open: ${reason}`,
    `metrics-only tells ${reason}`,
  ]),
  'open > half-open: wait-elapsed',
  ...['probe-failed', 'probe-expired', 'throttled'].map((reason) => `half-open > open: ${reason}`),
  'half-open > closed: probes-succeeded',
  ...states.flatMap((from) =>
    states.map((to) => (to === 'half-open' && from !== 'open' ? `${from} > half-open: illegal` : `${from} > ${to}: by-hand`)),
  ),
  ...['closed', 'half-open', 'disabled', 'metrics-only'].flatMap((state) => [
    `${state}: admits`,
    ...outcomes.map((outcome) => `${state}: ${outcome} counts`),
  ]),
  ...['open', 'half-open', 'forced-open'].map((state) => `${state}: refuses`),
  ...states.flatMap((state) => outcomes.map((outcome) => `${state}: ${outcome} is late`)),
];

function optionsFor(settings: ReferenceOptions, clock: ManualClock): CircuitBreakerOptions {
  const {
    window,
    failureRate,
    slowRate,
    minimumCalls,
    probes,
    openMs,
    openMultiplier,
    openMaxMs,
    jitter,
    hintAlone,
    slowInFlight,
    probeMs,
  } = settings;
  return {
    clock,
    slidingWindow: window,
    ...(window.type === 'consecutive' ? {} : { failureRateThreshold: failureRate, minimumNumberOfCalls: minimumCalls }),
    ...(slowRate === undefined
      ? {}
      : { slowCallRateThreshold: slowRate, slowCallDurationThresholdMs: slowMs, slowCallInFlight: slowInFlight }),
    permittedNumberOfCallsInHalfOpenState: probes,
    waitDurationInOpenStateMs: openMs,
    waitMultiplierInOpenState: openMultiplier,
    maxWaitDurationInOpenStateMs: openMaxMs,
    waitJitterInOpenState: jitter,
    openForHintAlone: hintAlone,
    random: () => chance,
    maxWaitDurationInHalfOpenStateMs: probeMs,
  };
}

/** A breaker and its reference, driven by the same commands. */
class Pair {
  readonly #clock: ManualClock;
  readonly #options: CircuitBreakerOptions;
  readonly #reference: ReferenceCircuit;
  readonly #heard: { changes: string[]; told: string[]; readmissions: Array<readonly [number, number]> } | undefined;
  #breaker: CircuitBreaker;
  #out: Array<[Permit, ReferenceCall]> = [];
  #probesGivenBack: Array<[Permit, ReferenceCall]> = [];
  #calls: Array<[AbortController, ReferenceCall]> = [];

  constructor(settings: ReferenceOptions, startAt: number, listening: boolean, visit: (row: string) => void) {
    this.#clock = new ManualClock({ now: startAt });
    this.#options = optionsFor(settings, this.#clock);
    this.#reference = new ReferenceCircuit(settings, startAt, visit);
    this.#heard = listening ? { changes: [], told: [], readmissions: [] } : undefined;
    this.#breaker = new CircuitBreaker(this.#options);
    this.#listen();
  }

  #listen(): void {
    const heard = this.#heard;
    if (heard === undefined) return;
    this.#breaker.on('state-change', ({ from, to, reason }) => heard.changes.push(`${from} > ${to}: ${reason}`));
    this.#breaker.on('threshold-reached', ({ reason }) => heard.told.push(reason));
    this.#breaker.on('readmitted', ({ openings, afterMs }) => heard.readmissions.push([openings, afterMs]));
  }

  run(next: Command): void {
    if (next.do === 'acquire') this.#acquire();
    if (next.do === 'finish') this.#finishOne(next.which, next.result, next.slow);
    if (next.do === 'answer') this.#answer(next.which);
    if (next.do === 'call') this.#call();
    if (next.do === 'abort') this.#abort(next.which);
    if (next.do === 'finish-again') this.#finishAgain(next.which, next.result);
    if (next.do === 'advance') this.#clock.advance(next.ms);
    if (next.do === 'transition') this.#transition(next.to);
    if (next.do === 'look') this.look();
    if (next.do === 'restart') this.#restart();
    if (next.do === 'reconfigure') this.#reconfigure();
  }

  look(): void {
    const now = this.#clock.now();
    expect(this.#breaker.metrics()).toEqual(this.#reference.metrics(now));
    expect(this.#breaker.retryAfterMs).toBe(this.#reference.retryAfterMs(now));
    if (this.#heard !== undefined) {
      const { changes, told, readmissions } = this.#reference;
      expect(this.#heard).toEqual({ changes, told, readmissions });
    }
    expect(this.#clock.pendingTimers).toBe(0);
  }

  /** The same options change nothing but that somebody has looked at what time has brought. */
  #reconfigure(): void {
    this.#breaker.reconfigure(this.#options);
    this.#reference.settleWait(this.#clock.now());
  }

  /** Another process goes on, without the calls of this one. */
  #restart(): void {
    this.#reference.settle(this.#clock.now());
    const snapshot = JSON.parse(JSON.stringify(this.#breaker.snapshot()));
    this.#breaker = new CircuitBreaker(this.#options);
    this.#breaker.restore(snapshot);
    this.#listen();
    this.#reference.restart(this.#clock.now());
    this.#out = [];
    this.#probesGivenBack = [];
    this.#calls = [];
  }

  #acquire(): void {
    const permit = this.#breaker.tryAcquire();
    const call = this.#reference.acquire(this.#clock.now());
    expect(permit === undefined).toBe(call === undefined);
    if (permit !== undefined && call !== undefined) this.#out.push([permit, call]);
  }

  /** A call through `execute` that never ends by itself. */
  #call(): void {
    const caller = new AbortController();
    let called = false;
    const hang = () => {
      called = true;
      return new Promise<never>(() => {});
    };
    this.#breaker.execute(hang, { signal: caller.signal }).catch(() => {});
    const call = this.#reference.acquire(this.#clock.now());
    expect(called).toBe(call !== undefined);
    if (call !== undefined) this.#calls.push([caller, call]);
  }

  #abort(which: number): void {
    const [pair] = this.#calls.splice(which % Math.max(1, this.#calls.length), 1);
    if (pair === undefined) return;
    const [caller, call] = pair;
    const now = this.#clock.now();
    caller.abort();
    this.#reference.finish(call, 'ignore', now - call.beganAt >= slowMs, now);
  }

  #finishOne(which: number, result: Result, slow: boolean): void {
    const [pair] = this.#out.splice(which % Math.max(1, this.#out.length), 1);
    if (pair === undefined) this.#acquire();
    else this.#finish(pair, result, slow);
    if (pair?.[1].probe) this.#probesGivenBack.push(pair);
  }

  #answer(which: number): void {
    const pair = this.#out[which % Math.max(1, this.#out.length)];
    if (pair === undefined || pair[0] < 0) return;
    pair[0] = this.#breaker.answered(pair[0]);
    this.#reference.answer(pair[1]);
  }

  #finishAgain(which: number, result: Result): void {
    const pair = this.#probesGivenBack[which % Math.max(1, this.#probesGivenBack.length)];
    if (pair !== undefined) this.#finish(pair, result, false);
  }

  #finish([permit, call]: [Permit, ReferenceCall], outcome: Result, slow: boolean): void {
    const durationMs = slow ? slowMs : slowMs - 1;
    if (outcome === 'success') this.#breaker.onSuccess(permit, durationMs);
    else if (outcome === 'failure') this.#breaker.onFailure(permit, undefined, durationMs);
    else if (outcome === 'ignore') this.#breaker.release(permit, undefined, durationMs);
    else this.#breaker.onThrottled(permit, outcome.throttledMs);
    this.#reference.finish(call, outcome, slow, this.#clock.now());
  }

  #transition(to: CircuitState): void {
    const legal = this.#reference.transitionTo(to, this.#clock.now());
    const change = () => this.#breaker.transitionTo(to);
    if (legal) change();
    else expect(change).toThrow(expect.objectContaining({ code: 'ERR_ILLEGAL_TRANSITION' }));
  }
}

describe('the circuit agrees with a naive reference model', () => {
  it('over random interleavings, and they visit every row of its transition table', patience, () => {
    const visits = new Map(table.map((row) => [row, 0]));
    const visit = (row: string) => visits.set(row, (visits.get(row) ?? 0) + 1);
    let made = 0;
    const runs = scaledRuns(1_000);
    fc.assert(
      fc.property(options, fc.integer({ min: -200, max: 200 }), fc.boolean(), commands, (settings, startAt, listening, sequence) => {
        const pair = new Pair(settings, startAt, listening, visit);
        for (const next of sequence) pair.run(next);
        pair.look();
        made += sequence.length;
      }),
      { numRuns: runs },
    );
    const rarest = [...visits].sort(([, a], [, b]) => a - b);
    if (scale > 1) process.stdout.write(`${rarest.map(([row, times]) => `${String(times).padStart(9)}  ${row}`).join('\n')}\n`);
    expect([...visits.keys()].filter((row) => !table.includes(row))).toEqual([]);
    expect(rarest.filter(([, times]) => times < Math.max(1, scale))).toEqual([]);
    expect(made / runs).toBeGreaterThanOrEqual(30);
  });
});
