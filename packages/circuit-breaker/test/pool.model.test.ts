import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CircuitBreakerPool, type PoolPermit } from '../src/pool.ts';
import { type PoolResult, type ReferenceCall, ReferencePool, type ReferencePoolOptions } from './reference-pool.ts';
import { patience, scale, scaledRuns } from './scale.ts';

type Command =
  | { readonly do: 'call'; readonly result: PoolResult }
  | { readonly do: 'acquire' }
  | { readonly do: 'finish'; readonly which: number; readonly result: PoolResult }
  | { readonly do: 'advance'; readonly ms: number };

const least = { minimumMembers: fc.integer({ min: 1, max: 4 }), minimumCalls: fc.integer({ min: 1, max: 3 }) };
const options: fc.Arbitrary<ReferencePoolOptions> = fc
  .record({
    members: fc.integer({ min: 1, max: 6 }),
    consecutiveFailures: fc.integer({ min: 1, max: 4 }),
    baseEjectionMs: fc.integer({ min: 1, max: 60 }),
    longest: fc.constantFrom(1, 1.5, 3, 10),
    maxEjectionFraction: fc.constantFrom(0.1, 0.3, 0.5, 0.75, 1),
    panicThreshold: fc.constantFrom(0, 0.2, 0.5, 1),
    inOrder: fc.boolean(),
    intervalMs: fc.integer({ min: 1, max: 60 }),
    successRate: fc.option(fc.record({ stdevFactor: fc.constantFrom(0, 0.5, 1, 1.9), ...least }), { nil: undefined }),
    failureRate: fc.option(fc.record({ threshold: fc.constantFrom(0.3, 0.5, 0.85, 1), ...least }), { nil: undefined }),
  })
  .map(({ longest, ...rest }) => ({ ...rest, maxEjectionMs: Math.ceil(rest.baseEjectionMs * longest) }));

const result: fc.Arbitrary<PoolResult> = fc.oneof(
  { weight: 6, arbitrary: fc.constant('failure' as const) },
  { weight: 5, arbitrary: fc.constant('success' as const) },
  { weight: 1, arbitrary: fc.constant('ignore' as const) },
  { weight: 1, arbitrary: fc.record({ throttledMs: fc.nat(80) }) },
);
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('call' as const), result }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('acquire' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(1_000), result }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.oneof(fc.nat(30), fc.nat(400)) }) },
);
const commands = fc.array(command, { minLength: 20, maxLength: 120, size: 'max' });

/** Everything that can happen to a member. */
const table = [
  ...['consecutive-failures', 'success-rate', 'failure-rate', 'probe-failed', 'probe-expired', 'too many are ejected'],
  ...['rests', 'rests while ejected', 'returns', 'is ejected for shorter', 'a late result', 'a call in panic'],
];

/** A pool and its reference, driven by the same commands. */
class Pair {
  readonly #clock: ManualClock;
  readonly #pool: CircuitBreakerPool;
  readonly #reference: ReferencePool;
  readonly #settings: ReferencePoolOptions;
  readonly #out: Array<[PoolPermit, ReferenceCall]> = [];
  readonly #away = new Set<string>();

  constructor(settings: ReferencePoolOptions, startAt: number, visit: (row: string) => void) {
    const { members, inOrder, failureRate, successRate = false, ...same } = settings;
    this.#settings = settings;
    this.#clock = new ManualClock({ now: startAt });
    this.#reference = new ReferencePool(settings, startAt, visit);
    this.#pool = new CircuitBreakerPool({
      ...same,
      members: Array.from({ length: members }, (_, at) => ({ name: `${at}` })),
      order: inOrder ? 'in-order' : 'round-robin',
      clock: this.#clock,
      successRate,
      ...(failureRate === undefined ? {} : { failureRate }),
    });
    this.#pool.on('ejected', ({ member }) => this.#away.add(member));
    this.#pool.on('returned', ({ member }) => expect(this.#away.delete(member)).toBe(true));
  }

  run(next: Command): void {
    if (next.do === 'advance') {
      this.#clock.advance(next.ms);
      this.#reference.advance(next.ms);
    } else if (next.do === 'finish') this.#finish(this.#out.splice(next.which % Math.max(1, this.#out.length), 1)[0], next.result);
    else {
      const pair = this.#acquire();
      if (next.do === 'call') this.#finish(pair, next.result);
      else if (pair !== undefined) this.#out.push(pair);
    }
  }

  look(): void {
    const seen = this.#pool
      .members()
      .map(({ state, retryAfterMs, ejections, calls, failures }) => ({ state, retryAfterMs, ejections, calls, failures }));
    expect(seen).toEqual(this.#reference.status());
    expect(this.#pool.metrics().panic).toBe(this.#reference.panics());
    const { maxEjectionFraction, members } = this.#settings;
    expect(this.#reference.ejected()).toBeLessThanOrEqual(Math.max(1, Math.floor(maxEjectionFraction * members + 1e-9)));
    expect([...this.#away].map(Number).sort()).toEqual(seen.flatMap(({ state }, at) => (state === 'closed' ? [] : [at])));
    expect(this.#clock.pendingTimers).toBe(0);
  }

  /** However it was treated: once all is well and time has passed, every member takes calls again; in order, the first and whoever is asked. */
  recover(): void {
    const { members, maxEjectionMs, baseEjectionMs } = this.#settings;
    for (let i = 0; i < members * 3; i += 1) {
      this.run({ do: 'advance', ms: maxEjectionMs + baseEjectionMs + 80 });
      for (let call = 0; call < members; call += 1) this.run({ do: 'call', result: 'success' });
    }
    this.look();
    const states = this.#pool.members().map(({ state }) => state);
    if (this.#settings.inOrder) expect([states[0], states.includes('open')]).toEqual(['closed', false]);
    else expect(states).toEqual(states.map(() => 'closed'));
  }

  #acquire(): [PoolPermit, ReferenceCall] | undefined {
    const eligible = this.#reference.eligible();
    const permit = this.#pool.tryAcquire();
    if (permit === undefined) {
      expect(eligible).toEqual([]);
      this.#refused();
      return undefined;
    }
    const at = Number(permit.member.name);
    if (this.#settings.inOrder) expect(at).toBe(eligible[0]);
    else expect(eligible).toContain(at);
    return [permit, this.#reference.call(at)];
  }

  /** A refusal names the time to the millisecond, as long as no probe is out whose end decides. */
  #refused(): void {
    const { retryAfterMs } = this.#pool.refusal();
    expect(retryAfterMs).toBeGreaterThan(0);
    this.run({ do: 'advance', ms: retryAfterMs - 1 });
    expect(this.#pool.tryAcquire()).toBeUndefined();
    this.run({ do: 'advance', ms: 1 });
  }

  #finish(pair: [PoolPermit, ReferenceCall] | undefined, outcome: PoolResult): void {
    if (pair === undefined) return;
    const [permit, call] = pair;
    if (outcome === 'success') permit.onSuccess();
    else if (outcome === 'failure') permit.onFailure();
    else if (outcome === 'ignore') permit.release();
    else permit.onThrottled(outcome.throttledMs);
    this.#reference.finish(call, outcome);
  }
}

describe('the pool agrees with a naive reference model', () => {
  it('over random interleavings, keeps to its share, and every ejected member comes back', patience, () => {
    const visits = new Map(table.map((row) => [row, 0]));
    const visit = (row: string) => visits.set(row, (visits.get(row) ?? 0) + 1);
    fc.assert(
      fc.property(options, fc.integer({ min: -200, max: 200 }), commands, (settings, startAt, sequence) => {
        const pair = new Pair(settings, startAt, visit);
        for (const next of sequence) {
          pair.run(next);
          pair.look();
        }
        pair.recover();
      }),
      { numRuns: scaledRuns(150) },
    );
    const rarest = [...visits].sort(([, a], [, b]) => a - b);
    if (scale > 1) process.stdout.write(`${rarest.map(([row, times]) => `${String(times).padStart(9)}  ${row}`).join('\n')}\n`);
    expect([...visits.keys()].filter((row) => !table.includes(row))).toEqual([]);
    expect(rarest.filter(([, times]) => times < Math.max(1, scale))).toEqual([]);
  });
});

describe('round robin', () => {
  it('gives every healthy member its share by weight, whoever else comes and goes', patience, () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.nat(300), (given, calls) => {
        const pool = new CircuitBreakerPool({ clock: new ManualClock(), members: given.map((weight, at) => ({ name: `${at}`, weight })) });
        const counts = given.map(() => 0);
        const total = given.reduce((sum, weight) => sum + weight, 0);
        for (let call = 1; call <= calls; call += 1) {
          const permit = pool.tryAcquire();
          const at = Number(permit?.member.name);
          counts[at] = (counts[at] ?? 0) + 1;
          permit?.onSuccess();
          const off = given.map((weight, of) => Math.abs((counts[of] ?? 0) - (call * weight) / total));
          expect(Math.max(...off)).toBeLessThan(given.length);
        }
      }),
      { numRuns: scaledRuns(200) },
    );
  });
});
