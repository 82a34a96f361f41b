import { fc } from '@fast-check/vitest';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ValueQuery, ValueStore } from '../../src/value.ts';
import { runs } from '../runs.ts';
import { inOrder, referenceGroups } from './reference.ts';
import { nobody, rowOf } from './value-row.ts';

/** A store without values, and how to end it. */
export interface OpenedValues {
  readonly store: ValueStore;
  close(): Promise<void>;
}

const noon = Date.parse('2026-03-15T12:00:00Z');
const query: ValueQuery = { names: ['planning_time_saved'], dimensions: nobody, edges: [noon, noon + 10], p95: false };

const dimension = fc.constantFrom('', 'a', 'b');
const scope = fc.record({ tenant: dimension, project: dimension, user: dimension, tool: dimension });
const name = fc.constantFrom('planning_time_saved', 'meetings', 'token_efficiency');
// At most nine decimals, so that the reference can read them off, and sizes between which floats lose what they add up.
const value = fc.oneof(
  fc.integer({ min: -1_000_000, max: 1_000_000 }).map((cents) => cents / 100),
  fc.integer({ min: -5, max: 5 }).map((nano) => nano / 1e9),
  fc.integer({ min: -1_000_000_000_000, max: 1_000_000_000_000 }),
  fc.constantFrom(0.1, 0.2, 0.3, 33.333333333, -0.000000001),
);
const row = fc
  .record({ at: fc.integer({ min: noon, max: noon + 30 }), value, name, scope, key: fc.integer({ min: 0, max: 40 }) })
  .map(({ at, key, ...rest }) => rowOf(at, rest.value, { name: rest.name, scope: rest.scope, dedupeKey: `k${key}` }));

/** What every store of values promises. */
export function valueContract(title: string, open: () => Promise<OpenedValues>): void {
  describe(`${title} keeps values`, () => {
    let opened: OpenedValues;
    let store: ValueStore;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    const countOf = async (more: Partial<ValueQuery> = {}) => {
      const groups = await store.aggregateValues({ ...query, edges: [0, noon * 2], ...more });
      return groups.reduce((sum, { count }) => sum + count, 0);
    };

    test('and adds them up by metric and part, exactly at the edges', async () => {
      const rows = [rowOf(noon - 1, 1), rowOf(noon, 2), rowOf(noon + 4, 4), rowOf(noon + 5, 8), rowOf(noon + 9, 16), rowOf(noon + 10, 32)];
      expect(await store.saveValues(rows)).toBe(6);
      expect(inOrder(await store.aggregateValues({ ...query, edges: [noon, noon + 5, noon + 10] }))).toEqual([
        { name: 'planning_time_saved', part: 0, count: 2, sum: 6_000_000_000n, p95: undefined },
        { name: 'planning_time_saved', part: 1, count: 2, sum: 24_000_000_000n, p95: undefined },
      ]);
    });

    test('and of nothing there is no group', async () => {
      await store.saveValues([rowOf(noon, 2, { name: 'other' }), rowOf(noon + 3, 2)]);
      expect(await store.aggregateValues({ ...query, edges: [noon, noon + 1, noon + 3] })).toEqual([]);
      expect(await store.saveValues([])).toBe(0);
    });

    test('once a key, within its tenant, and the first report stays', async () => {
      const first = rowOf(noon, 2, { dedupeKey: 'a', scope: { tenant: 'acme' } });
      expect(await store.saveValues([first, { ...first, value: 3 }])).toBe(1);
      expect(await store.saveValues([{ ...first, value: 4, at: noon + 1 }, rowOf(noon, 8, { dedupeKey: 'b' })])).toBe(1);
      expect(await store.saveValues([rowOf(noon, 16, { dedupeKey: 'a', scope: { tenant: 'beta' } })])).toBe(1);
      expect(await store.aggregateValues(query)).toMatchObject([{ count: 3, sum: 26_000_000_000n }]);
    });

    test('whose sum is exact where floats lose what is small', async () => {
      const values = [1e12, 0.1, -1e12, ...Array.from({ length: 299 }, () => 0.1)];
      await store.saveValues(values.map((each) => rowOf(noon, each)));
      expect(await store.aggregateValues(query)).toMatchObject([{ sum: 30_000_000_000n }]);
    });

    test('and rounds a value to the billionth half away from zero', async () => {
      // Halves of a billionth that floats can hold: 2⁻¹⁰ is 0.0009765625.
      await store.saveValues([rowOf(noon, 2 ** -10), rowOf(noon + 1, -(2 ** -10)), rowOf(noon + 2, 5e-10), rowOf(noon + 3, 4e-10)]);
      const groups = inOrder(await store.aggregateValues({ ...query, edges: [0, 1, 2, 3, 4].map((each) => noon + each) }));
      expect(groups.map(({ sum }) => sum)).toEqual([976_563n, -976_563n, 1n, 0n]);
    });

    test.each([1, 2, 19, 20, 21, 40, 59, 60, 61, 100])('whose 95th percentile is one of %d values', async (size) => {
      await store.saveValues(Array.from({ length: size }, (_, index) => rowOf(noon, ((index * 37) % size) / 4)));
      const rank = Math.ceil((size * 95) / 100);
      expect(await store.aggregateValues({ ...query, p95: true })).toMatchObject([{ count: size, p95: (rank - 1) / 4 }]);
    });

    test('and gives a value back as it came, down to the last bit', async () => {
      const values = [1 / 3, Math.PI, -0.1 - 0.2, 1e12 / 3, 4.9e-7, -0];
      for (const [index, each] of values.entries()) {
        await store.saveValues([rowOf(noon + index, each)]);
        const [group] = await store.aggregateValues({ ...query, edges: [noon + index, noon + index + 1], p95: true });
        expect([each, group?.p95 === each]).toEqual([each, true]);
      }
    });

    test('by every dimension that is named, and all of them at once', async () => {
      const scopeOf = (index: number) => Object.fromEntries(Object.keys(nobody).map((key, at) => [key, (index >> at) & 1 ? 'x' : '']));
      await store.saveValues(Array.from({ length: 128 }, (_, index) => rowOf(noon, 1, { scope: scopeOf(index) })));
      for (const key of Object.keys(nobody)) expect(await countOf({ dimensions: { ...nobody, [key]: 'x' } })).toBe(64);
      expect(await countOf({ dimensions: { ...nobody, ...scopeOf(127) } })).toBe(1);
      expect(await countOf({ dimensions: { ...nobody, tenant: "'; DROP TABLE value_metric; --" } })).toBe(0);
    });

    test('also with text that is hard to write', async () => {
      const project = '{"a,b}\\" \'$1\n한국어 🌊';
      const context = JSON.stringify({ note: `${project}\u0000` });
      expect(await store.saveValues([rowOf(noon, 1, { scope: { project }, context, dedupeKey: project })])).toBe(1);
      expect(await store.saveValues([rowOf(noon, 1, { scope: { project }, context, dedupeKey: project })])).toBe(0);
      expect(await countOf({ dimensions: { ...nobody, project } })).toBe(1);
    });

    test('until they are pruned: the oldest first, no more than asked for, none that is young enough', async () => {
      const ages = [5, 1, 9, 3, 7, 2, 8, 4, 6, 0];
      const rows = ages.map((age) => rowOf(noon - age, 1, { dedupeKey: `age-${age}` }));
      await store.saveValues(rows);
      expect(await store.pruneValues(noon - 4, 3)).toBe(3);
      expect(await countOf({ edges: [0, noon - 6] })).toBe(0);
      expect(await countOf()).toBe(7);
      expect(await store.pruneValues(noon - 4, 3)).toBe(2);
      expect(await store.pruneValues(noon - 4, 3)).toBe(0);
      expect(await countOf()).toBe(5);
      // What is gone is forgotten with its key.
      expect(await store.saveValues(rows)).toBe(5);
    });

    test('of many writers at once, each key one time', async () => {
      const batches = Array.from({ length: 8 }, () => Array.from({ length: 50 }, (_, key) => rowOf(noon, 1, { dedupeKey: `k${key}` })));
      const shuffled = batches.map((batch, index) => [...batch.slice(index * 5), ...batch.slice(0, index * 5)]);
      const written = await Promise.all(shuffled.map((batch) => store.saveValues(batch)));
      expect(written.reduce((sum, each) => sum + each, 0)).toBe(50);
      expect(await countOf()).toBe(50);
    });

    test('just as somebody would who looked at every one', async () => {
      const edges = fc.uniqueArray(fc.integer({ min: noon - 1, max: noon + 32 }), { minLength: 2, maxLength: 6 });
      const asked = fc.record({
        names: fc.subarray(['planning_time_saved', 'meetings', 'token_efficiency'], { minLength: 1 }),
        scope,
        edges,
      });
      const pruned = fc.record({ before: fc.integer({ min: noon, max: noon + 30 }), limit: fc.integer({ min: 1, max: 20 }) });
      const property = fc.asyncProperty(fc.array(row, { maxLength: 60 }), pruned, asked, async (rows, { before, limit }, ask) => {
        await store.pruneValues(noon * 2, 1_000);
        const firsts = new Map([...rows].reverse().map((each) => [`${each.dimensions.tenant} ${each.dedupeKey}`, each]));
        expect(await store.saveValues(rows)).toBe(firsts.size);
        const full = { names: ask.names, dimensions: { ...nobody, ...ask.scope }, edges: [...ask.edges].sort((a, b) => a - b) };
        for (const p95 of [false, true]) {
          const reference = referenceGroups([...firsts.values()], { ...full, p95 });
          expect(inOrder(await store.aggregateValues({ ...full, p95 }))).toEqual(inOrder(reference));
        }
        const old = [...firsts.values()].filter(({ at }) => at < before).length;
        expect(await store.pruneValues(before, limit)).toBe(Math.min(old, limit));
        const left = await countOf({ names: ['planning_time_saved', 'meetings', 'token_efficiency'] });
        expect(left).toBe(firsts.size - Math.min(old, limit));
      });
      await fc.assert(property, runs(40));
    });
  });
}
