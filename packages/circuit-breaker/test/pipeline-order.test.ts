import { describe, expect, it } from 'vitest';
import { chaosFault } from '../src/chaos.ts';
import { CircuitBreaker } from '../src/index.ts';
import { bulkhead, fallback, hedge, type Policy, pipeline, retry, timeout } from '../src/policies.ts';
import { role } from '../src/policy-role.ts';

const policies = {
  fallback: fallback({ to: () => 1 }),
  retry: retry(),
  'circuit-breaker': new CircuitBreaker(),
  bulkhead: bulkhead({ maxConcurrent: 1 }),
  hedge: hedge({ delayMs: 1 }),
  timeout: timeout({ totalMs: 1 }),
  chaos: chaosFault({ injectionRate: 1, fault: () => 1 }),
};
type Name = keyof typeof policies;
const names = Object.keys(policies) as Name[];

/** What may not stand around what. */
const wrong: ReadonlyArray<readonly [outer: Name, inner: Name]> = [
  ['circuit-breaker', 'retry'],
  ['circuit-breaker', 'fallback'],
  ['retry', 'fallback'],
  ['hedge', 'retry'],
  ['hedge', 'fallback'],
  ...names.filter((inner) => inner !== 'chaos').map((inner) => ['chaos', inner] as const),
];

describe('the order of a pipeline', () => {
  it.each(names)('knows a %s by its role', (name) => {
    expect(policies[name][role]).toBe(name);
  });

  it.each(wrong)('%s around %s throws, at once and with others between, and says what to write', (outer, inner) => {
    const foreign: Policy = { execute: async (fn) => fn({ signal: new AbortController().signal }) };
    for (const make of [
      () => pipeline(policies[outer], policies[inner]),
      () => pipeline(foreign, policies[outer], foreign, pipeline(policies[inner])),
    ]) {
      expect(make).toThrow(RangeError);
      expect(make).toThrow(`pipeline: ${inner} stands inside ${outer}; write pipeline(…, ${inner}, …, ${outer}, …): `);
    }
  });

  it('is free otherwise', () => {
    for (const outer of names) {
      for (const inner of names) {
        if (wrong.some(([a, b]) => a === outer && b === inner)) continue;
        expect(() => pipeline(policies[outer], policies[inner])).not.toThrow();
      }
    }
  });

  it('takes all in the usual order', () => {
    expect(() => pipeline(...names.map((name) => policies[name]))).not.toThrow();
  });
});
