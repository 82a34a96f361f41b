import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { slidingWindow } from '../src/index.ts';
import { SlidingWindowRule } from '../src/rules/sliding-window.ts';
import { runs } from './runs.ts';

const hourUs = 3_600_000_000;
const setting = fc.record({
  limit: fc.integer({ min: 1, max: 30 }),
  windowMs: fc.oneof(
    fc.integer({ min: 1, max: 50 }),
    fc.integer({ min: 1, max: 60_000 }),
    fc.integer({ min: 25 * 86_400_000, max: 366 * 86_400_000 }),
  ),
  precision: fc.constantFrom(1, 2, 3, 7, 20, 100),
});
/** Steps in parts of the window, so that its edges are met whatever its length. */
const step = fc.record({
  cost: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 32 })),
  share: fc.oneof(
    fc.constant(0),
    fc.constant(1),
    fc.double({ min: 0, max: 0.2, noNaN: true }),
    fc.double({ min: 0, max: 1.3, noNaN: true }),
  ),
  nudgeUs: fc.integer({ min: -1, max: 1 }),
});
const steps = fc.array(step, { maxLength: 50, size: 'max' });
const rule = ({ limit, windowMs, precision }: { limit: number; windowMs: number; precision: number }) =>
  new SlidingWindowRule(limit, windowMs, precision);

test('no window of any place lets more through than the limit, and every wait is exact', () => {
  fc.assert(
    fc.property(setting, fc.integer({ min: 0, max: 2e15 }), steps, (setting, begin, steps) => {
      const [own, windowUs] = [rule(setting), setting.windowMs * 1_000];
      const state = new Float64Array(own.slots);
      const admitted: { at: number; cost: number }[] = [];
      let now = begin;
      for (const { cost, share, nudgeUs } of steps) {
        now += Math.max(0, Math.round(share * windowUs) + nudgeUs);
        own.advance(state, 0, now);
        const wait = own.wait(state, 0, now, cost);
        expect(wait === Number.POSITIVE_INFINITY).toBe(cost > setting.limit);
        expect(own.left(state, 0) >= cost).toBe(wait === 0);
        if (wait === 0) {
          own.take(state, 0, now, cost);
          admitted.push({ at: now, cost });
        } else if (wait < Number.POSITIVE_INFINITY) {
          expect(fitsAt(own, state, now + wait - 1, cost), '1 µs before').toBe(false);
          expect(fitsAt(own, state, now + wait, cost), 'at the instant').toBe(true);
        }
        const fullIn = own.fullIn(state, 0, now);
        expect(fitsAt(own, state, now + fullIn, setting.limit)).toBe(true);
        if (fullIn > 0) expect(fitsAt(own, state, now + fullIn - 1, setting.limit)).toBe(false);
      }
      for (const [i, first] of admitted.entries()) {
        const within = admitted.slice(i).filter(({ at }) => at - first.at <= windowUs);
        expect(within.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(setting.limit);
      }
    }),
    runs(1_000),
  );
});

function fitsAt(own: SlidingWindowRule, state: Float64Array, now: number, cost: number): boolean {
  const then = state.slice();
  own.advance(then, 0, now);
  return own.wait(then, 0, now, cost) === 0;
}

test('of n parts, a caller who always comes back when told gets n / (n + 1) of the limit at least', () => {
  fc.assert(
    fc.property(setting, fc.integer({ min: 0, max: 2e15 }), fc.integer({ min: 2, max: 40 }), (setting, begin, windows) => {
      const own = rule(setting);
      const [windowUs, partUs] = [setting.windowMs * 1_000, Math.ceil((setting.windowMs * 1_000) / setting.precision)];
      const state = new Float64Array(own.slots);
      const end = begin + windows * windowUs;
      let admitted = 0;
      for (let now = begin; now <= end; ) {
        own.advance(state, 0, now);
        const wait = own.wait(state, 0, now, 1);
        if (wait === 0) {
          own.take(state, 0, now, 1);
          admitted += 1;
        } else now += wait;
      }
      // a part is a whole number of µs, so n of them may be longer than the window
      const share = windowUs / (partUs * (setting.precision + 1));
      expect(admitted).toBeGreaterThanOrEqual(Math.floor(windows * share) * setting.limit);
    }),
    runs(1_000),
  );
});

test('a cost of n is n costs of 1', () => {
  fc.assert(
    fc.property(setting, steps, (setting, steps) => {
      const own = rule(setting);
      const [atOnce, oneByOne] = [new Float64Array(own.slots), new Float64Array(own.slots)];
      let now = 0;
      for (const { cost, share } of steps) {
        now += Math.round(share * setting.windowMs * 1_000);
        own.advance(atOnce, 0, now);
        own.advance(oneByOne, 0, now);
        if (own.wait(atOnce, 0, now, cost) > 0) continue;
        own.take(atOnce, 0, now, cost);
        for (let i = 0; i < cost; i += 1) {
          expect(own.wait(oneByOne, 0, now, 1)).toBe(0);
          own.take(oneByOne, 0, now, 1);
        }
        expect(oneByOne).toEqual(atOnce);
      }
    }),
    runs(1_000),
  );
});

test('what is settled or given back never makes room for more than was taken, and over-use is bounded at twice the limit', () => {
  const change = fc.record({ ...{ verb: fc.constantFrom('reserve', 'settle', 'refund') }, actual: fc.nat(40) });
  fc.assert(
    fc.property(setting, fc.array(fc.tuple(step, change), { maxLength: 60, size: 'max' }), (setting, steps) => {
      const own = rule(setting);
      const windowUs = setting.windowMs * 1_000;
      const state = new Float64Array(own.slots + 4);
      const open: { reserved: number; takenAt: number }[] = [];
      const used: { from: number; to: number; cost: number }[] = []; // may have happened at any time in between
      let [now, given] = [5e14, false];
      for (const [{ cost, share }, { verb, actual }] of steps) {
        now += Math.round(share * windowUs);
        own.advance(state, 2, now);
        const reservation = open[0];
        if (verb === 'settle' && reservation !== undefined) {
          open.shift();
          own.settle(state, 2, now, { ...reservation, actual });
          given ||= actual > reservation.reserved;
          used.push({ from: reservation.takenAt, to: reservation.takenAt, cost: Math.min(actual, reservation.reserved) });
        } else if (verb === 'refund' && given) own.refund(state, 2, now, actual);
        else if (own.wait(state, 2, now, cost) === 0) {
          own.take(state, 2, now, cost);
          open.push({ reserved: cost, takenAt: now });
        }
        const counts = [...state.slice(4, -2)];
        expect(Math.min(...counts)).toBeGreaterThanOrEqual(0);
        expect(state[3]).toBe(counts.reduce((sum, count) => sum + count, 0));
        expect(state[3]).toBeLessThanOrEqual(2 * setting.limit);
      }
      if (given) return;
      const all = [...used, ...open.map(({ reserved, takenAt }) => ({ from: takenAt, to: takenAt, cost: reserved }))];
      for (const { from } of all) {
        const within = all.filter((other) => other.to >= from && other.from - from <= windowUs);
        expect(within.reduce((sum, { cost }) => sum + cost, 0)).toBeLessThanOrEqual(setting.limit);
      }
      expect([state[0], state[1], ...state.slice(-2)], 'numbers of other keys').toEqual([0, 0, 0, 0]);
    }),
    runs(1_000),
  );
});

test('a clock that jumps an hour back and forth blocks for two windows at most, and keeps what is counted whole', () => {
  const jump = fc.constantFrom(0, 0, 0, 0, -hourUs, hourUs, -1, 1_000_000);
  fc.assert(
    fc.property(setting, fc.array(fc.tuple(step, jump), { maxLength: 80, size: 'max' }), (setting, steps) => {
      const own = rule(setting);
      const state = new Float64Array(own.slots);
      const longest = 2 * (setting.precision + 1) * Math.ceil((setting.windowMs * 1_000) / setting.precision);
      let now = 5e14;
      for (const [{ cost, share }, jump] of steps) {
        const before = state[1] as number;
        const forward = Math.round(share * setting.windowMs * 1_000) + jump;
        now += forward;
        own.advance(state, 0, now);
        if (forward < 0) expect(state[1], 'a clock set back forgets nothing').toBe(before);
        const wait = own.wait(state, 0, now, Math.min(cost, setting.limit));
        expect(wait).toBeLessThanOrEqual(longest);
        if (wait === 0) own.take(state, 0, now, Math.min(cost, setting.limit));
        expect(state[1]).toBe([...state.slice(2)].reduce((sum, count) => sum + count, 0));
      }
    }),
    runs(1_000),
  );
});

describe('carry', () => {
  const mode = fc.constantFrom('used' as const, 'proportional' as const, 'reset' as const);

  test('to a higher limit denies nothing that was allowed, now or later; resetting forgets all', () => {
    fc.assert(
      fc.property(setting, fc.nat(30), mode, steps, ({ limit, ...shape }, more, mode, steps) => {
        const [before, after] = [rule({ limit, ...shape }), rule({ limit: limit + more, ...shape })];
        const state = new Float64Array(before.slots);
        let now = 5e14;
        for (const { cost, share } of steps) {
          now += Math.round(share * shape.windowMs * 1_000);
          before.advance(state, 0, now);
          if (before.wait(state, 0, now, cost) === 0) before.take(state, 0, now, cost);
        }
        before.advance(state, 0, now);
        const carried = after.carry(state, before, now, mode);
        after.advance(carried, 0, now);
        for (let cost = 1; cost <= limit; cost += 1)
          expect(after.wait(carried, 0, now, cost)).toBeLessThanOrEqual(before.wait(state, 0, now, cost));
        expect(carried[1]).toBe([...carried.slice(2)].reduce((sum, count) => sum + count, 0));
        if (mode === 'used') expect(carried[1]).toBe(state[1]);
        if (mode === 'reset') expect(after.left(carried, 0)).toBe(limit + more);
      }),
      runs(1_000),
    );
  });

  test('to a window of another length counts what was used as used now', () => {
    const [before, after] = [rule({ limit: 10, windowMs: 1_000, precision: 10 }), rule({ limit: 20, windowMs: 60_000, precision: 20 })];
    const state = new Float64Array(before.slots);
    before.advance(state, 0, 5e14);
    before.take(state, 0, 5e14, 4);
    const left = (mode: 'used' | 'proportional' | 'reset') => after.left(after.carry(state, before, 5e14, mode), 0);
    expect([left('used'), left('proportional'), left('reset')]).toEqual([16, 12, 20]);
  });
});

test.each([
  ['limit', { limit: 0 }],
  ['limit', { limit: 1.5 }],
  ['windowMs', { windowMs: 0 }],
  ['windowMs', { windowMs: 367 * 86_400_000 }],
  ['precision', { precision: 1_001 }],
])('a bad %s is refused by name: %j', (option, change) => {
  expect(() => slidingWindow({ limit: 5, windowMs: 1_000, ...change })).toThrow(`slidingWindow: ${option} must be a whole number`);
});
