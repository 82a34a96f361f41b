import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BucketRule } from '../src/rules/token-bucket.ts';
import { runs } from './runs.ts';

const secondUs = 1_000_000;
const hourUs = 3_600 * secondUs;
const setting = fc.record({
  amount: fc.integer({ min: 1, max: 1_000 }),
  periodMs: fc.constantFrom(1_000, 60_000, 3_600_000, 30 * 86_400_000),
  burst: fc.integer({ min: 1, max: 20 }),
  debt: fc.integer({ min: 0, max: 30 }),
  reservationMs: fc.constantFrom(50, 1_000, 60_000),
});
type Setting = { amount: number; periodMs: number; burst: number; debt: number; reservationMs: number };
const make = ({ amount, periodMs, burst, debt, reservationMs }: Setting) =>
  new BucketRule({ amount, periodMs }, burst, debt, reservationMs);

const step = fc.record({
  verb: fc.constantFrom('take', 'reserve', 'reserve', 'settle', 'settle', 'release', 'refund'),
  which: fc.nat(5),
  cost: fc.oneof(fc.integer({ min: 1, max: 22 }), fc.constant(20)),
  gap: fc.record({ of: fc.constantFrom('nothing', 'fill', 'spell', 'token'), times: fc.double({ min: 0, max: 2.5, noNaN: true }) }),
});
const steps = fc.array(step, { maxLength: 60, size: 'max' });

/** What was let through, and when it may have been used. */
interface Use {
  readonly from: number;
  readonly to: number;
  readonly cost: number;
}

/** A bucket, what is reserved in it, and when. */
class Subject {
  readonly rule: BucketRule;
  readonly state: Float64Array;
  readonly held: Float64Array;
  readonly open: { readonly cost: number; readonly takenAt: number }[] = [];
  readonly uses: Use[] = [];
  now: number;

  constructor(rule: BucketRule, now: number) {
    this.rule = rule;
    this.now = now;
    this.state = new Float64Array(6);
    this.held = new Float64Array(3);
  }

  pass(us: number): void {
    this.now += us;
    this.rule.advance(this.state, 2, this.now, this.held);
  }

  wait(cost: number): number {
    return this.rule.wait(this.state, 2, this.now, cost);
  }

  waitAfter(us: number, cost: number): number {
    const [state, held] = [this.state.slice(), this.held.slice()];
    this.rule.advance(state, 2, this.now + us, held);
    return this.rule.wait(state, 2, this.now + us, cost);
  }

  take(cost: number, reserve: boolean): void {
    this.rule.take(this.state, 2, this.now, cost);
    if (reserve) {
      this.rule.hold(this.held, this.now, cost);
      this.open.push({ cost, takenAt: this.now });
    } else this.uses.push({ from: this.now, to: this.now, cost });
  }

  /** The end of the spell after the one it was reserved in. */
  expiry(takenAt: number): number {
    const spell = this.rule.reservations.spellUs;
    return (Math.floor(takenAt / spell) + 2) * spell;
  }

  settle(which: number, part: (reserved: number) => number): { over: boolean } {
    const [reservation] = this.open.splice(which % this.open.length, 1);
    if (reservation === undefined) return { over: false };
    const { cost: reserved, takenAt } = reservation;
    const actual = part(reserved);
    this.rule.settle(this.state, 2, this.now, { reserved, actual, takenAt }, this.held);
    const expired = this.now >= this.expiry(takenAt);
    this.uses.push({ from: takenAt, to: expired ? this.expiry(takenAt) : this.now, cost: expired ? reserved : actual });
    return { over: actual > reserved };
  }

  expectWithin(amount: number, periodMs: number, burst: number): void {
    const still = this.open.map(({ cost, takenAt }) => ({ from: takenAt, to: Math.min(this.now, this.expiry(takenAt)), cost }));
    const all = [...this.uses, ...still].filter(({ cost }) => cost > 0);
    const times = all.flatMap(({ from, to }) => [from, to]).sort((a, b) => a - b);
    for (const [i, begin] of times.entries()) {
      for (const end of times.slice(i)) {
        const most = all.filter(({ from, to }) => from <= end && to >= begin).reduce((sum, { cost }) => sum + cost, 0);
        expect(most, `used from ${begin} to ${end}`).toBeLessThanOrEqual(burst + ((end - begin) * amount) / (periodMs * 1_000) + 1e-6);
      }
    }
  }
}

const gapUs = ({ of, times }: { of: string; times: number }, rule: BucketRule) => {
  const unit = { nothing: 0, fill: rule.windowMs * 1_000, spell: rule.reservations.spellUs, token: rule.perToken / rule.perUs }[
    of
  ] as number;
  return Math.round(unit * times);
};
const begins = fc.constantFrom(0, 1, 5e14, 1_767_000_000_000_000);

test('whenever the calls used what they had reserved, no interval saw more than burst + t · rate', () => {
  fc.assert(
    fc.property(setting, begins, steps, (setting, begin, steps) => {
      const subject = new Subject(make(setting), begin);
      for (const { verb, which, cost, gap } of steps) {
        subject.pass(gapUs(gap, subject.rule));
        if (verb === 'settle') subject.settle(which, (reserved) => Math.min(reserved, cost));
        else if (verb === 'release') subject.settle(which, () => 0);
        else if (verb !== 'refund' && subject.wait(cost) === 0) subject.take(cost, verb === 'reserve');
        expect(subject.state[2]).toBeGreaterThanOrEqual(subject.rule.reservations.sum(subject.held));
      }
      subject.expectWithin(setting.amount, setting.periodMs, setting.burst);
      expect([subject.state[0], subject.state[1], subject.state[4], subject.state[5]], 'numbers of other keys').toEqual([0, 0, 0, 0]);
    }),
    runs(1_000),
  );
});

test('a bucket that is reserved whole, left until it would be full again, and released late, mints nothing', () => {
  const rule = make({ amount: 5, periodMs: 1_000, burst: 10, debt: 10, reservationMs: 60_000 });
  const subject = new Subject(rule, 5e14);
  subject.pass(0);
  subject.take(10, true);
  subject.pass(2 * secondUs);
  expect(rule.left(subject.state, 2), 'nothing comes back of what is reserved').toBe(0);
  subject.settle(0, () => 10);
  expect(rule.left(subject.state, 2), 'all of it may have been used just now').toBe(0);
  subject.take(0, false);
  subject.pass(secondUs);
  expect(rule.left(subject.state, 2)).toBe(5);
  subject.pass(secondUs);
  subject.take(10, true);
  subject.pass(2 * secondUs);
  subject.settle(0, () => 0);
  expect(rule.left(subject.state, 2), 'not more than full').toBe(10);
});

test('refused 1 µs before the promised instant and admitted at it, whatever is reserved and expires by then', () => {
  fc.assert(
    fc.property(setting, begins, steps, (setting, begin, steps) => {
      const subject = new Subject(make(setting), begin);
      for (const { verb, which, cost, gap } of steps) {
        subject.pass(gapUs(gap, subject.rule));
        if (verb === 'settle') subject.settle(which, () => cost);
        else if (verb === 'release') subject.settle(which, () => 0);
        const wait = subject.wait(cost);
        expect(wait === Number.POSITIVE_INFINITY).toBe(cost > setting.burst);
        if (wait === 0) subject.take(cost, verb === 'reserve');
        else if (wait < Number.POSITIVE_INFINITY) {
          expect(subject.waitAfter(wait - 1, cost), '1 µs before').toBeGreaterThan(0);
          const reserved = subject.rule.reservations.sum(subject.held);
          const fits = reserved + cost * subject.rule.perToken <= subject.rule.capacity;
          if (fits) expect(subject.waitAfter(wait, cost), 'at the instant').toBe(0);
        }
        const { rule, state, held, now } = subject;
        const full = rule.fullIn(state, 2);
        const then = [state.slice(), held.slice()] as const;
        rule.advance(then[0], 2, now + full, then[1]);
        expect(then[0][2]).toBeLessThanOrEqual(rule.reservations.sum(held));
      }
    }),
    runs(1_000),
  );
});

test('debt is bounded, what is given back never lifts a bucket above full, and neither mints', () => {
  fc.assert(
    fc.property(setting, begins, steps, (setting, begin, steps) => {
      const { rule } = new Subject(make(setting), begin);
      const subject = new Subject(rule, begin);
      for (const { verb, which, cost, gap } of steps) {
        subject.pass(gapUs(gap, rule));
        const [before, left] = [subject.state[2] as number, rule.left(subject.state, 2)];
        if (verb === 'settle' || verb === 'release') {
          const { over } = subject.settle(which, (reserved) => reserved + cost);
          if (over) expect(subject.state[2], 'over-use gives nothing back').toBeGreaterThanOrEqual(before);
        } else if (verb === 'refund') {
          rule.refund(subject.state, 2, subject.now, cost, subject.held);
          expect(rule.left(subject.state, 2)).toBeLessThanOrEqual(left + cost);
        } else if (subject.wait(cost) === 0) subject.take(cost, verb === 'reserve');
        expect(subject.state[2]).toBeGreaterThanOrEqual(rule.reservations.sum(subject.held));
        expect(subject.state[2]).toBeLessThanOrEqual((setting.burst + setting.debt) * rule.perToken);
        expect(rule.left(subject.state, 2)).toBeLessThanOrEqual(setting.burst);
      }
    }),
    runs(1_000),
  );
});

test('a clock that jumps an hour back and forth blocks for the time to full at most, and gives a burst more a jump at most', () => {
  const jump = fc.constantFrom(0, 0, 0, 0, 0, -hourUs, hourUs);
  fc.assert(
    fc.property(setting, fc.array(fc.tuple(step, jump), { maxLength: 60, size: 'max' }), ({ burst, amount, periodMs, ...other }, steps) => {
      const rule = make({ burst, amount, periodMs, ...other });
      const state = new Float64Array(2);
      let [now, truth, admitted, forward] = [5e14, 0, 0, 0];
      for (const [{ cost, gap }, jump] of steps) {
        const passed = gapUs(gap, rule);
        [now, truth] = [now + passed + jump, truth + passed];
        if (jump > 0) forward += 1;
        rule.advance(state, 0, now);
        const wait = rule.wait(state, 0, now, Math.min(cost, burst));
        expect(wait).toBeLessThanOrEqual(Math.ceil(rule.capacity / rule.perUs));
        if (wait > 0) continue;
        rule.take(state, 0, now, Math.min(cost, burst));
        admitted += Math.min(cost, burst);
      }
      expect(admitted).toBeLessThanOrEqual(burst * (1 + forward) + (truth * amount) / (periodMs * 1_000) + 1e-6);
    }),
    runs(1_000),
  );
});

test('a higher rate or burst denies nothing that was allowed, whichever way what was used is carried', () => {
  const mode = fc.constantFrom('used' as const, 'proportional' as const, 'reset' as const);
  fc.assert(
    fc.property(setting, fc.nat(1_000), fc.nat(20), mode, steps, (setting, faster, larger, mode, steps) => {
      const [before, after] = [make(setting), make({ ...setting, amount: setting.amount + faster, burst: setting.burst + larger })];
      const subject = new Subject(before, 5e14);
      for (const { cost, gap } of steps) {
        subject.pass(gapUs(gap, before));
        if (subject.wait(cost) === 0) subject.take(cost, false);
      }
      const { state, now } = subject;
      const carried = after.carry(state.slice(2, 4), before, now, mode);
      after.advance(carried, 0, now);
      expect(after.left(carried, 0)).toBeGreaterThanOrEqual(before.left(state, 2));
      if (mode === 'reset') expect(after.left(carried, 0)).toBe(setting.burst + larger);
      const share = (state[2] as number) / (mode === 'used' ? before.perToken : before.capacity);
      const over = (carried[0] as number) - share * (mode === 'used' ? after.perToken : after.capacity);
      if (mode !== 'reset') expect(over, 'rounded up to the next unit').toSatisfy((units: number) => units >= -0.01 && units < 1.01);
    }),
    runs(1_000),
  );
});

test('the parts of several processes let no more through together than the whole', () => {
  fc.assert(
    fc.property(setting, fc.integer({ min: 1, max: 20 }), (setting, processes) => {
      fc.pre(setting.burst >= processes); // below that each has one
      const [whole, part] = [make(setting), make(setting).part(processes) as BucketRule];
      expect(part.most * processes).toBeLessThanOrEqual(whole.most);
      expect((part.perUs / part.perToken) * processes).toBeLessThanOrEqual((whole.perUs / whole.perToken) * (1 + 1e-12));
      expect(part.settings[4]).toBe(whole.settings[4]);
    }),
    runs(1_000),
  );
});
