import type { Held } from './rule.ts';

/**
 * What is reserved, summed by spells of time: what was reserved in a spell expires with the end of the next one, so that a
 * reservation lasts one spell at least and two at most, and three numbers hold any number of them.
 */
export class Reservations {
  /** The length of a spell in µs. */
  readonly spellUs: number;

  constructor(spellUs: number) {
    this.spellUs = spellUs;
  }

  /** All that is reserved, in units. */
  sum(held: Held | undefined): number {
    return held === undefined ? 0 : (held[1] as number) + (held[2] as number);
  }

  /** Reserves in the spell that runs; the end of spells is to be passed before. */
  add(held: Held, units: number, now: number): void {
    if (this.sum(held) === 0) held[0] = Math.floor(now / this.spellUs);
    held[1] = (held[1] as number) + units;
  }

  /** Ends a reservation; false where it has expired. */
  remove(held: Held, units: number, takenAt: number): boolean {
    const age = (held[0] as number) - Math.floor(takenAt / this.spellUs);
    if ((age !== 0 && age !== 1) || (held[1 + age] as number) < units) return false;
    held[1 + age] = (held[1 + age] as number) - units;
    return true;
  }

  /** When the spell that runs in `held` ends. */
  endOfSpell(held: Held): number {
    return ((held[0] as number) + 1) * this.spellUs;
  }

  /** When the spell that runs in `held` ended, if it has by `now`. */
  nextEnd(held: Held, now: number): number | undefined {
    const current = Math.floor(now / this.spellUs);
    if (current < (held[0] as number) - 1) held[0] = current; // the clock was set back
    return current > (held[0] as number) ? this.endOfSpell(held) : undefined;
  }

  /** Goes to the next spell; from one in which nothing is reserved at once to that of `now`. */
  pass(held: Held, now: number): void {
    held[2] = held[1] as number;
    held[1] = 0;
    held[0] = held[2] === 0 ? Math.floor(now / this.spellUs) : (held[0] as number) + 1;
  }
}
