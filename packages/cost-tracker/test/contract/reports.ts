import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { UsageGroup, UsageReport, UsageRow } from '../../src/index.ts';
import { covers } from '../../src/scope.ts';
import { runs } from '../runs.ts';
import { always, dayMs, hourMs, type Ledger, noon, reportOf, scoped } from './calls.ts';

const midnight = Date.parse('2026-03-15T00:00:00Z');

/** Instants at the edges of hours and days, just beside them, and anywhere between. */
const instant = fc
  .record({
    day: fc.integer({ min: -2, max: 2 }),
    hour: fc.oneof(fc.constant(0), fc.nat({ max: 23 })),
    ms: fc.oneof(fc.constantFrom(0, 0, 1, -1, 0.5), fc.integer({ min: 0, max: hourMs })),
  })
  .map(({ day, hour, ms }) => midnight + day * dayMs + hour * hourMs + ms);

const scope = fc.record(
  {
    ...{ org: fc.constantFrom('o1', 'o2'), tenant: fc.constantFrom('acme', 'beta'), project: fc.constantFrom('p1', 'p2') },
    ...{ user: fc.constantFrom('mina', 'joon'), key: fc.constantFrom('k1', 'k2'), model: fc.constantFrom('gpt-6', 'opus') },
  },
  { requiredKeys: [] },
);
const name = fc.constantFrom('search', 'fetch', 'plan');

const report = fc.record({
  ...{ scope, name, at: instant.map(Math.floor), kind: fc.constantFrom('tool' as const, 'prompt' as const, 'llm' as const) },
  ...{ id: fc.nat({ max: 12 }), provider: fc.constantFrom('', 'openai'), revision: fc.nat({ max: 2 }), success: fc.boolean() },
  ...{ amount: fc.nat({ max: 1_000 }), costSource: fc.constantFrom('unpriced' as const, 'estimated' as const, 'priced' as const) },
  usage: fc.record({ inputTokens: fc.nat({ max: 9 }), cacheReadTokens: fc.nat({ max: 9 }), outputTokens: fc.nat({ max: 9 }) }),
});

const query = fc.record({
  scope: fc.oneof(
    fc.constant({}),
    scope.chain((some) => fc.option(name, { nil: undefined }).map((tool) => ({ ...some, tool }))),
  ),
  ends: fc.tuple(fc.oneof(instant, fc.constant(0)), fc.oneof(instant, fc.constant(Number.MAX_SAFE_INTEGER))),
});

export function reports(ledger: Ledger, usual: number): void {
  let run = 0;

  test('totals and groups are what the rows add up to, for every scope and every stretch of time', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(report, { maxLength: 40 }), fc.array(query, { minLength: 1, maxLength: 8 }), async (told, queries) => {
        run += 1;
        const org = (given: string | undefined) => `run ${run} ${given ?? ''}`;
        const shift = run * 30 * dayMs; // a time of its own, because some queries have no scope
        const written: UsageRow[] = [];
        for (const [i, { id, scope: whose, name: called, kind, ...each }] of told.entries()) {
          const base = reportOf(`${run}-${id}`, '0', { ...whose, org: org(whose.org) }, kind === 'tool' ? called : '', each.at + shift);
          const full: UsageReport = { ...base, ...each, at: each.at + shift, kind, name: called, amount: BigInt(each.amount) };
          const { row } = await (i % 2 === 0 ? ledger.store : ledger.other).saveUsage(full, []);
          if (row) written.push(row);
        }
        for (const { scope: whose, ends } of queries) {
          const [from, to] = ends.map((end) => (end === 0 || end === always.to ? end : end + shift)).sort((a, b) => a - b) as [
            number,
            number,
          ];
          const dimensions = scoped({ ...whose, ...('org' in whose && whose.org ? { org: org(whose.org) } : {}) });
          const bounds = { from: Math.max(from, midnight + shift - 10 * dayMs), to: Math.min(to, midnight + shift + 10 * dayMs) };
          const matching = written.filter((row) => bounds.from <= row.at && row.at < bounds.to && covers(dimensions, row.dimensions));
          const groups = await ledger.store.getUsageSummary({ dimensions, ...bounds });
          expect(groups).toEqual(groupsOf(matching));
          expect(await ledger.other.getMonthlyTotal({ dimensions, ...bounds })).toBe(matching.reduce((sum, row) => sum + row.amount, 0n));
        }
      }),
      runs(usual),
    );
  });

  test('a query may begin and end within a millisecond', async () => {
    const { store } = ledger;
    const hour = noon - (noon % hourMs);
    for (const at of [hour, hour + 1, hour + hourMs]) await store.saveUsage(reportOf(`${at}`, '1', { tenant: 'acme' }, 'search', at), []);
    const calls = async (from: number, to: number) =>
      (await store.getUsageSummary({ dimensions: scoped({}), from, to })).reduce((sum, group) => sum + group.calls, 0);
    expect(await calls(hour, hour + 0.5)).toBe(1);
    expect(await calls(hour + 0.5, hour + 1)).toBe(0);
    expect(await calls(hour + 0.5, hour + hourMs)).toBe(1);
    expect(await calls(hour + 0.5, hour + hourMs + 0.5)).toBe(2);
    expect(await calls(hour - hourMs - 0.5, hour + 2 * hourMs + 0.5)).toBe(3);
    const page = await store.readRows({ dimensions: scoped({}), from: hour + 0.5, to: hour + hourMs + 0.5 }, undefined, 10);
    expect(page.map(({ at }) => at - hour)).toEqual([1, hourMs]);
  });

  test('a query without end takes in the first row and the last', async () => {
    const { store } = ledger;
    const ends = [0, 8.64e15];
    for (const [i, at] of ends.entries()) await store.saveUsage(reportOf(`${i}`, '1', { tenant: 'acme' }, 'search', at), []);
    const all = { dimensions: scoped({ tenant: 'acme' }), ...always };
    expect((await store.readRows(all, undefined, 10)).map(({ at }) => at)).toEqual(ends);
    // the very last instant of a Date ends no whole span, and there is no row after it
    expect((await store.getUsageSummary({ ...all, to: 8.64e15 })).map(({ calls }) => calls)).toEqual([1]);
  });

  test('sums of tokens go beyond 2^53 without an error', async () => {
    const { store } = ledger;
    const most = Number.MAX_SAFE_INTEGER;
    const usage = { inputTokens: most, cacheReadTokens: most, cacheWriteTokens: most, outputTokens: most, reasoningTokens: most };
    await Promise.all(['a', 'b'].map((id) => store.saveUsage({ ...reportOf(id, '1'), usage }, [])));
    const [group] = await store.getUsageSummary({ dimensions: scoped({ tenant: 'acme' }), from: noon - 1, to: noon + 2 * dayMs });
    expect(group).toMatchObject({ calls: 2, inputTokens: 6 * most, cacheReadTokens: 2 * most, outputTokens: 4 * most });
    const [row] = await store.readRows({ dimensions: scoped({ tenant: 'acme' }), ...always }, undefined, 1);
    expect(row?.usage).toEqual(usage);
  });
}

const fields = ['tenant', 'project', 'kind', 'name', 'model', 'provider'] as const;

/** The rows added up one by one. */
function groupsOf(rows: readonly UsageRow[]): UsageGroup[] {
  const groups = new Map<string, { -readonly [Field in keyof UsageGroup]: UsageGroup[Field] }>();
  for (const { dimensions, kind, name: called, provider, usage, correction, failures, unpriced, amount } of rows) {
    const { tenant, project, model } = dimensions;
    const place = { tenant, project, kind, name: called, model, provider };
    const zeros = { calls: 0, failures: 0, unpriced: 0, inputTokens: 0, cacheReadTokens: 0, outputTokens: 0, total: 0n };
    const group = groups.get(JSON.stringify(place)) ?? { ...place, ...zeros };
    groups.set(JSON.stringify(place), group);
    group.calls += correction === 0 ? 1 : 0;
    group.failures += failures;
    group.unpriced += unpriced;
    group.inputTokens += (usage.inputTokens ?? 0) + (usage.cacheReadTokens ?? 0);
    group.cacheReadTokens += usage.cacheReadTokens ?? 0;
    group.outputTokens += usage.outputTokens ?? 0;
    group.total += amount;
  }
  const text = (group: UsageGroup) => fields.map((field) => group[field]).join('\0');
  return [...groups.values()].sort((a, b) => (text(a) < text(b) ? -1 : 1));
}
