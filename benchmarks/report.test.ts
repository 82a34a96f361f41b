import { expect, test } from 'vitest';
import { defeats, figures, type Measured, markdown, together, verdicts } from './report.ts';

const measured = (bare: number[], ours: number[], rival: number[]): Measured => ({
  title: 'Title',
  what: 'What.',
  unit: 'ns',
  baseline: 'bare',
  rows: [
    { name: 'bare', kind: 'limit', rounds: bare },
    { name: 'ours', kind: 'ours', rounds: ours },
    { name: 'rival', kind: 'rival', rounds: rival },
  ],
});
const twoRuns = [[measured([10, 20], [20, 40], [15, 30])], [measured([10, 10], [30, 30], [90, 90])]];

test('the rounds of all processes are counted together, each with the baseline of its own round', () => {
  const [table] = together(twoRuns);
  expect(table && figures(table)[1]).toEqual({
    name: 'ours',
    kind: 'ours',
    value: { median: 30, min: 20, max: 40 },
    ratio: { median: 2.5, min: 2, max: 3 },
    ratioOfRuns: [2, 3],
  });
});

test('a target is judged by ratio, by the best round or by the median one, and a miss is named', () => {
  const [table] = together(twoRuns);
  const judged = (target: object) => verdicts({ ...table, targets: [{ row: 'ours', ...target }] } as never)[0];
  expect(judged({ versus: 'bare', atMost: 2.5 })).toBe('ours: at most 2.50 × bare; measured 2.50, met');
  expect(judged({ versus: 'bare', atMost: 2.4 })).toBe('ours: at most 2.40 × bare; measured 2.50, **missed**');
  expect(judged({ atMost: 20 })).toBe('ours: at most 20.0 ns in the best round; measured 20.0, met');
  expect(judged({ atMost: 20, figure: 'median' })).toBe('ours: at most 20.0 ns in the median round; measured 30.0, **missed**');
  expect(judged({ atLeast: 31 })).toContain('measured 20.0, **missed**');
});

test('where more is better, the best round is the highest', () => {
  const [table] = together(twoRuns.map(([run]) => [{ ...(run as Measured), higherIsBetter: true }]));
  expect(verdicts({ ...table, targets: [{ row: 'ours', atLeast: 40 }] } as never)).toEqual([
    'ours: at least 40.0 ns in the best round; measured 40.0, met',
  ]);
});

test('a rival that does better is named, one that does worse is not', () => {
  expect(defeats(together([[measured([1], [3], [2])]])[0] as never)).toEqual(['ours loses to rival: 1.50 × its ns']);
  expect(defeats(together([[measured([1], [2], [3])]])[0] as never)).toEqual([]);
  const calls = { ...measured([1], [2], [3]), higherIsBetter: true };
  expect(defeats(together([[calls]])[0] as never)).toEqual(['ours loses to rival: 0.67 × its ns']);
});

test('a page tells of targets and defeats beneath the table', () => {
  const text = markdown({ ...together([[measured([1], [3], [2])]])[0], targets: [{ row: 'ours', atMost: 2 }] } as never);
  expect(text).toContain('| **ours** | 3.00 | 3.00 | 3.00 | **3.00** | 3.00 to 3.00 | 3.00 |');
  expect(text).toContain('- Target: ours: at most 2.00 ns in the best round; measured 3.00, **missed**.');
  expect(text).toContain('- Behind: ours loses to rival: 1.50 × its ns.');
});
