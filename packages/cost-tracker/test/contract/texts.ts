import { expect, test } from 'vitest';
import { callDimensions } from '../../src/scope.ts';
import { always, holdOf, type Ledger, nano, noon, reportOf, scoped, windowOf } from './calls.ts';

const texts = [
  ...["it's", '"quoted"', 'back\\slash', '%_*?', '$1', '{}', '[null]', 'NULL', '\\u0000', 'two\nlines', 'a\tb', ' around ', '\u001b[31m'],
  ...['Müller', 'Mu\u0308ller', '미나', '😀', '\u202eabc', '\uffff', 'x'.repeat(5_000)],
];

export function anyText(ledger: Ledger): void {
  test.each(texts.map((text) => [text.slice(0, 12), text] as const))('%j is a name like any other', async (_, text) => {
    const scope = { org: text, tenant: text, project: text, user: text, key: text, model: text };
    const dimensions = callDimensions(scope, text);
    const named = { name: text, provider: text, servedModel: text, priceVersion: text, traceId: text };
    const report = { ...reportOf(text, '9', scope, text), ...named, metadata: JSON.stringify({ [text]: text }) };
    const windows = [await windowOf({ name: text, scope }), await windowOf({ scope: { tenant: 'acme' } })];
    expect(await ledger.store.reserve(holdOf(text, '1', scope, text), windows.slice(0, 1), noon, 0)).toEqual({ admitted: true });
    const { row, crossings } = await ledger.other.saveUsage(report, windows.slice(0, 1));
    expect(crossings.map(({ window }) => window.budget)).toEqual([text]);
    expect(await ledger.store.readRows({ dimensions, ...always }, undefined, 10)).toEqual([row]);
    expect(await ledger.other.getUsageSummary({ dimensions: scoped({ tenant: text, tool: text }), ...always })).toMatchObject([
      { tenant: text, project: text, name: text, model: text, provider: text, calls: 1 },
    ]);
    const states = await Promise.all(windows.map((window) => ledger.store.budgetState(window, noon)));
    expect(states.map(({ spent, reserved }) => [spent, reserved])).toEqual([
      [nano('9'), 0n],
      [0n, 0n],
    ]);
    expect(await ledger.store.claimAlerts(text, noon, noon + 1, 10)).toMatchObject([{ budget: text }]);
    expect(await ledger.store.putBudget(text, JSON.stringify(text))).toMatchObject({
      budgets: [{ name: text, options: JSON.stringify(text) }],
    });
  });

  test('names never run into each other', async () => {
    const pairs = [
      { org: 'a\n', tenant: 'b' },
      { org: 'a', tenant: '\nb' },
      { org: 'a', tenant: 'b' },
      { org: 'a', tenant: 'bc' },
    ];
    for (const [i, scope] of pairs.entries())
      await ledger.store.saveUsage(reportOf(`${i}`, `${i + 1}`, scope), [await windowOf({ scope })]);
    const spent = pairs.map(async (scope) => (await ledger.store.budgetState(await windowOf({ scope }), noon)).spent);
    expect(await Promise.all(spent)).toEqual(['1', '2', '3', '4'].map(nano));
  });
}
