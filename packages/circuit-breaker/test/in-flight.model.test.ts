import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Permit } from '../src/circuit.ts';
import { InFlight } from '../src/in-flight.ts';

const slowMs = 1_600;
const partMs = slowMs / 16;

/** The same by a list: a call is slow once its part of time and the 16 after it have passed. */
class ListOfCalls {
  #beganAt: number;
  #first: Permit;
  #calls: { permit: Permit; part: number }[] = [];

  constructor(first: Permit, now: number) {
    this.#first = first;
    this.#beganAt = now;
  }

  begin(now: number): Permit {
    const part = Math.floor((now - this.#beganAt) / partMs);
    const permit = (this.#first + part) as Permit;
    this.#calls.push({ permit, part });
    return permit;
  }

  end(permit: Permit): void {
    const at = this.#calls.findIndex((call) => call.permit === permit);
    if (at >= 0) this.#calls.splice(at, 1);
  }

  slow(now: number): number {
    const part = Math.floor((now - this.#beganAt) / partMs);
    return this.#calls.filter((call) => part > call.part + 16).length;
  }
}

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('begin' as const), calls: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(200) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      ms: fc.oneof(fc.integer({ min: 0, max: 2 * partMs }), fc.constantFrom(partMs, slowMs, slowMs + partMs, 5 * slowMs, 31 * partMs)),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: 'look' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'clear' as const }) },
);

describe('calls in flight', () => {
  it('are slow exactly when a list of them says so', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 10, maxLength: 120 }), fc.nat(10_000), fc.nat(1_000), (steps, start, first) => {
        let now = start;
        let highest = first;
        const counts = new InFlight(slowMs, first as Permit, now);
        let list = new ListOfCalls(first as Permit, now);
        let open: Permit[] = [];
        for (const next of steps) {
          if (next.kind === 'wait') now += next.ms;
          else if (next.kind === 'begin') {
            for (let i = 0; i < next.calls; i++) {
              const permit = counts.begin(now);
              expect(permit).toBe(list.begin(now));
              expect(counts.lastPermit).toBe(permit);
              highest = permit;
              open.push(permit);
            }
          } else if (next.kind === 'end') {
            const [permit] = open.splice(next.which % Math.max(1, open.length), 1);
            if (permit === undefined) continue;
            counts.end(permit);
            list.end(permit);
          } else if (next.kind === 'look') {
            expect(counts.slow(now)).toBe(list.slow(now));
            expect(counts.hangs(now)).toBe(list.slow(now) > 0);
          } else {
            highest = counts.lastPermit + 1;
            counts.clear(highest as Permit, now);
            list = new ListOfCalls(highest as Permit, now);
            for (const late of open.splice(0)) counts.end(late); // of before: they count as nothing
            open = [];
          }
        }
        now += 10 * slowMs;
        expect(counts.slow(now)).toBe(open.length);
      }),
    );
  });

  it('that come back twice, or were never begun, take nothing from the others', () => {
    const counts = new InFlight(slowMs, 10 as Permit, 0);
    const permit = counts.begin(0);
    counts.end(permit);
    counts.end(permit);
    counts.end(9 as Permit); // before the first
    counts.end(11 as Permit); // a part that has not come yet
    counts.begin(partMs);
    expect(counts.slow(slowMs + 2 * partMs)).toBe(1);
    counts.end(10 as Permit); // long ago, and not open any more: the slow one is given up instead, never less than none
    counts.end(10 as Permit);
    expect(counts.slow(slowMs + 2 * partMs)).toBe(0);
    expect(counts.hangs(slowMs + 2 * partMs)).toBe(false);
  });

  it('are looked at anew from the first instant of a part', () => {
    const counts = new InFlight(slowMs, 0 as Permit, 0);
    expect(counts.slowMs).toBe(slowMs);
    counts.begin(partMs - 1);
    expect(counts.hangs(slowMs + partMs - 1)).toBe(false);
    expect(counts.hangs(slowMs + partMs)).toBe(true);
    counts.clear(5 as Permit, slowMs + partMs);
    expect(counts.hangs(10 * slowMs)).toBe(false);
  });
});
