import type { Rule } from '../rules/rule.ts';
import type { Change } from '../store.ts';

/** A rule of the calendar. */
interface ByPeriod {
  periodAt(us: number): { readonly start: number; readonly end: number };
}

/** A rule as the script reads it. `now` is what the server's clock is thought to be, in µs. */
export function ruleFields(rule: Rule, { version, carry }: Change, now: number): Record<string, unknown> {
  const [a, b, c, d, e] = rule.settings;
  switch (rule.kind) {
    case 'token-bucket':
      return { kind: 'b', version, carry, most: rule.most, per_us: a, token: b, capacity: c, floor: d, spell: e };
    case 'sliding-window':
      return { kind: 'w', version, carry, part: a, parts: b, most: c };
    case 'concurrency':
      return { kind: 'c', version, carry, most: a, lease: b, again: c };
    case 'calendar-quota':
      return { kind: 'q', version, carry, most: a, unit: b, zone: c, periods: periodsAround(rule as Rule & ByPeriod, now) };
  }
}

/** Where the period before, the present one, the next one and the one after that begin. */
function periodsAround(rule: ByPeriod, now: number): number[] {
  const { start, end } = rule.periodAt(now);
  return [rule.periodAt(start - 1).start, start, end, rule.periodAt(end).end];
}
