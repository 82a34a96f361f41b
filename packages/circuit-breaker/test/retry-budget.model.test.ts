import { ManualClock } from '@tidegate/test-kit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RetryBudgetOptions, retryBudget } from '../src/policies.ts';
import { scaledRuns } from './scale.ts';

/** Remembers everything that ever happened and counts it anew at each question. */
class NaiveBudget {
  readonly calls: number[] = [];
  readonly withdrawals: number[] = [];
  readonly #ratio: number;
  readonly #reserve: number;

  constructor(ratio: number, minPerSecond: number, ttlMs: number) {
    this.#ratio = ratio;
    this.#reserve = (minPerSecond * ttlMs) / 1_000;
  }

  available(tenth: number): number {
    const recent = (events: readonly number[]) => events.filter((at) => at > tenth - 10).length;
    return Math.max(0, Math.floor(this.#ratio * recent(this.calls) + this.#reserve - recent(this.withdrawals) + 1e-9));
  }
}

const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constantFrom('deposit' as const, 'withdraw' as const), times: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 2_500 }) }),
  ),
  { maxLength: 80 },
);
const options = fc.record({
  ratio: fc.constantFrom(0, 0.07, 0.2, 0.29, 1),
  minPerSecond: fc.constantFrom(0, 0.5, 1, 10),
  ttlMs: fc.constantFrom(100, 1_000, 10_000),
  now: fc.constantFrom(-5_000, 0, 12_345),
});

describe('a retry budget', () => {
  it('allows what a count of all that ever happened allows', () => {
    fc.assert(
      fc.property(options, steps, ({ now, ...given }, commands) => {
        const clock = new ManualClock({ now });
        const tenth = () => Math.floor(clock.now() / (given.ttlMs / 10));
        const budget = retryBudget({ ...given, clock });
        const naive = new NaiveBudget(given.ratio, given.minPerSecond, given.ttlMs);
        for (const command of commands) {
          if (command.do === 'advance') clock.advance(command.ms);
          else {
            for (let i = 0; i < command.times; i++) {
              const available = naive.available(tenth());
              expect(budget.metrics().available).toBe(available);
              if (command.do === 'deposit') {
                budget.deposit();
                naive.calls.push(tenth());
              } else {
                expect(budget.tryWithdraw()).toBe(available >= 1);
                if (available >= 1) naive.withdrawals.push(tenth());
              }
            }
          }
        }
      }),
      { numRuns: scaledRuns(300) },
    );
  });

  it('keeps within ratio × calls + the minimum over any stretch of time', () => {
    fc.assert(
      fc.property(options, steps, fc.nat(), fc.nat(), ({ now, ...given }, commands, a, b) => {
        const clock = new ManualClock({ now });
        const tenth = () => Math.floor(clock.now() / (given.ttlMs / 10));
        const budget = retryBudget({ ...given, clock });
        const calls: number[] = [];
        const withdrawals: number[] = [];
        for (const command of commands) {
          if (command.do === 'advance') clock.advance(command.ms);
          else if (command.do === 'deposit') {
            budget.deposit();
            calls.push(tenth());
          }
          // as greedy as can be at every moment
          while (budget.tryWithdraw()) withdrawals.push(tenth());
        }
        const first = Math.floor(now / (given.ttlMs / 10));
        const span = tenth() - first + 1;
        const from = first + (a % span);
        const to = from + (b % (tenth() - from + 1));
        const within = (events: readonly number[], since: number) => events.filter((at) => at >= since && at <= to).length;
        const minimum = (given.minPerSecond * given.ttlMs) / 1_000;
        const envelope = given.ratio * within(calls, from - 9) + minimum * Math.ceil((to - from + 1) / 10);
        expect(within(withdrawals, from)).toBeLessThanOrEqual(envelope + 1e-6);
      }),
      { numRuns: scaledRuns(300) },
    );
  });

  it('allows 20 % and 10 a second by default, the first ten seconds of them at once', () => {
    const clock = new ManualClock();
    const budget = retryBudget({ clock });
    expect(budget.metrics()).toEqual({ available: 100, withdrawn: 0, refused: 0 });
    for (let i = 0; i < 50; i++) budget.deposit();
    expect(budget.metrics().available).toBe(110);
    while (budget.tryWithdraw());
    expect(budget.metrics()).toEqual({ available: 0, withdrawn: 110, refused: 1 });
    clock.advance(10_000);
    expect(budget.metrics().available).toBe(100);
  });

  it('allows the whole of its share, to the last digit', () => {
    const budget = retryBudget({ ratio: 0.29, minPerSecond: 0, clock: new ManualClock() });
    for (let i = 0; i < 100; i++) budget.deposit(); // 0.29 * 100 is 28.999999999999996
    for (let i = 0; i < 29; i++) expect(budget.tryWithdraw()).toBe(true);
    expect(budget.tryWithdraw()).toBe(false);
  });

  it('forgets calls after ttlMs, and stays as it is when the clock steps back', () => {
    let now = 100_000;
    const clock = { ...new ManualClock(), now: () => now } as unknown as ManualClock;
    const budget = retryBudget({ ratio: 1, minPerSecond: 0, ttlMs: 1_000, clock });
    budget.deposit();
    now -= 50_000;
    expect(budget.metrics().available).toBe(1);
    now += 50_000 + 899;
    expect(budget.metrics().available).toBe(1);
    now += 101;
    expect(budget.metrics().available).toBe(0);
  });

  it.each<[RetryBudgetOptions, string]>([
    [{ percent: 20 } as RetryBudgetOptions, "'percent'"],
    [{ ratio: 20 }, 'ratio must be a number from 0 to 1, not 20'],
  ])('refuses %j', (given, message) => {
    expect(() => retryBudget(given)).toThrow(RangeError);
    expect(() => retryBudget(given)).toThrow(message);
  });
});
