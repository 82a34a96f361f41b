import { createHash } from 'node:crypto';
import { type CalendarUnit, calendarUnits, type Period, periodAt } from './calendar-period.ts';
import { type Carry, type Rule, type Settlement, scaled } from './rule.ts';

const dayMs = 86_400_000;
const nominalMs: Readonly<Record<CalendarUnit, number>> = {
  hour: 3_600_000,
  day: dayMs,
  week: 7 * dayMs,
  month: 30 * dayMs,
  year: 365 * dayMs,
};

/** State: when the period began, in µs since the epoch, and what is used of it. */
export class CalendarQuotaRule implements Rule {
  readonly kind = 'calendar-quota';
  readonly byCalendar = true;
  readonly slots = 2;
  readonly most: number;
  /** The nominal length of a period: a month counts as 30 days, a year as 365. */
  readonly windowMs: number;
  readonly #unit: CalendarUnit;
  readonly #timeZone: string;
  readonly #zoneNumber: number;
  #latest: Period = { start: 0, end: 0 };

  constructor(limit: number, unit: CalendarUnit, timeZone: string) {
    this.most = limit;
    this.windowMs = nominalMs[unit];
    this.#unit = unit;
    this.#timeZone = timeZone;
    this.#zoneNumber = createHash('sha256').update(timeZone.toLowerCase()).digest().readUIntBE(0, 6);
  }

  get settings(): readonly number[] {
    return [this.most, calendarUnits.indexOf(this.#unit), this.#zoneNumber];
  }

  /** The period that an instant belongs to; all in µs since the epoch. */
  periodAt(us: number): Period {
    if (us < this.#latest.start || us >= this.#latest.end) this.#latest = periodAt(this.#unit, this.#timeZone, us);
    return this.#latest;
  }

  advance(state: Float64Array, at: number, now: number): void {
    const began = state[at] as number;
    const { start, end } = this.periodAt(now);
    if (began === start) return;
    if (began < start) state[at + 1] = 0;
    else if (began <= end) return; // the clock was set back into the period before
    state[at] = start;
  }

  wait(state: Float64Array, at: number, now: number, cost: number): number {
    if (cost > this.most) return Number.POSITIVE_INFINITY;
    return (state[at + 1] as number) + cost <= this.most ? 0 : this.#endsIn(state, at, now);
  }

  take(state: Float64Array, at: number, _now: number, cost: number): void {
    state[at + 1] = (state[at + 1] as number) + cost;
  }

  hold(): void {}

  settle(state: Float64Array, at: number, now: number, { reserved, actual, takenAt }: Settlement): void {
    const used = state[at + 1] as number;
    if (actual > reserved) state[at + 1] = Math.max(used, Math.min(used + actual - reserved, 2 * this.most));
    else if (this.periodAt(takenAt).start === state[at]) this.refund(state, at, now, reserved - actual);
  }

  refund(state: Float64Array, at: number, _now: number, cost: number): void {
    state[at + 1] = Math.max(0, (state[at + 1] as number) - cost);
  }

  left(state: Float64Array, at: number): number {
    return Math.max(0, this.most - (state[at + 1] as number));
  }

  moreIn(state: Float64Array, at: number, now: number): number {
    return state[at + 1] === 0 ? 0 : this.#endsIn(state, at, now);
  }

  fullIn(state: Float64Array, at: number, now: number): number {
    return this.moreIn(state, at, now);
  }

  part(processes: number): Rule {
    return new CalendarQuotaRule(Math.max(1, Math.floor(this.most / processes)), this.#unit, this.#timeZone);
  }

  carry(state: Float64Array, from: Rule, now: number, mode: Carry | 'kept'): Float64Array {
    from.advance(state, 0, now);
    const [began = 0, used = 0] = state;
    const share = mode === 'proportional' ? scaled(used, from.most, this.most) : used;
    return Float64Array.of(this.periodAt(Math.max(began, now)).start, mode === 'reset' ? 0 : share);
  }

  #endsIn(state: Float64Array, at: number, now: number): number {
    return this.periodAt(state[at] as number).end - now;
  }
}
