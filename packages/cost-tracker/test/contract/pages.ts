import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RowCursor, UsageRow } from '../../src/index.ts';
import { runs } from '../runs.ts';
import { always, type Ledger, noon, reportOf, scoped } from './calls.ts';

export const cursorOf = ({ at, key, correction }: UsageRow): RowCursor => ({ at, tenant: key.tenant, id: key.id, correction });

export function pages(ledger: Ledger, usual: number): void {
  test('rows come back as they were written', async () => {
    const { store } = ledger;
    const full = {
      ...reportOf('a', '1.000000001', { org: 'o', tenant: 'acme', project: 'p', user: 'u', key: 'k', model: 'm' }),
      ...{ provider: 'openai', servedModel: 'gpt-6-2026', usage: { inputTokens: 5, webSearches: 2 }, costSource: 'reported' as const },
      ...{ revision: 3, priceVersion: '0.1.8', priceLines: '[{"a": 1}]', success: false, durationMs: 12.75, traceId: 't' },
      metadata: '{"note":"kept  as it \\u0000 is", "note":1}',
    };
    await store.saveUsage(full, []);
    const query = { dimensions: scoped({ tenant: 'acme' }), ...always };
    expect(await ledger.other.readRows(query, undefined, 10)).toEqual([{ ...full, correction: 0, failures: 1, unpriced: 0 }]);
  });

  test('a page ends after so many rows, within a call too, and the next goes on after it', async () => {
    const { store } = ledger;
    for (const [id, at] of [
      ['b', 1],
      ['a', 1],
      ['c', 0],
    ] as const) {
      const report = reportOf(id, '1', { tenant: 'acme' }, 'search', noon + at);
      for (const revision of [0, 1]) await store.saveUsage({ ...report, revision }, []);
    }
    const query = { dimensions: scoped({ tenant: 'acme' }), ...always };
    const seen: string[] = [];
    let after: RowCursor | undefined;
    for (let page = await store.readRows(query, after, 3); page.length > 0; page = await store.readRows(query, after, 3)) {
      seen.push(page.map(({ key, correction }) => `${key.id}${correction}`).join(' '));
      after = cursorOf(page.at(-1) as UsageRow);
    }
    expect(seen).toEqual(['c0 c1 a0', 'a1 b0 b1']);
    // a row that comes meanwhile is on a later page if its place is after the cursor
    await store.saveUsage(reportOf('d', '1', { tenant: 'acme' }, 'search', noon + 1), []);
    expect((await store.readRows(query, after, 3)).map(({ key }) => key.id)).toEqual(['d']);
  });

  const row = fc.record({
    tenant: fc.constantFrom('acme', 'beta', 'Zeta', 'ñandú', ''),
    id: fc.nat({ max: 5 }),
    at: fc.nat({ max: 4 }),
    revision: fc.nat({ max: 2 }),
  });
  let run = 0;

  test('pages of any length are together all rows of the scope and time, each once and in order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 30 }), fc.integer({ min: 1, max: 7 }), fc.nat({ max: 5 }), async (told, limit, cut) => {
        run += 1;
        const project = `run ${run}`;
        const written: UsageRow[] = [];
        for (const { tenant, id, at, revision } of told) {
          const report = reportOf(`${run}-${id}`, '1', { ...(tenant && { tenant }), project }, 'search', noon + at);
          const result = await ledger.store.saveUsage({ ...report, revision }, []);
          if (result.row) written.push(result.row);
        }
        const query = { dimensions: scoped({ project }), from: noon + cut - 2, to: noon + cut };
        const read: UsageRow[] = [];
        let after: RowCursor | undefined;
        for (;;) {
          const page = await ledger.other.readRows(query, after, limit);
          expect(page.length).toBeLessThanOrEqual(limit);
          read.push(...page);
          if (page.length < limit) break;
          after = cursorOf(page.at(-1) as UsageRow);
        }
        const wanted = written.filter(({ at }) => query.from <= at && at < query.to);
        expect(read).toEqual(wanted.sort((a, b) => order(cursorOf(a), cursorOf(b))));
      }),
      runs(usual),
    );
  });
}

function order(a: RowCursor, b: RowCursor): number {
  const text = (x: string, y: string) => (x === y ? 0 : x < y ? -1 : 1);
  return a.at - b.at || text(a.tenant, b.tenant) || text(a.id, b.id) || a.correction - b.correction;
}
