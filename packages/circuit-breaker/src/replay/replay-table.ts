import type { ReplayReport } from './replay-run.ts';
import type { PolicyReport } from './replayed-policy.ts';

const width = 100;
const columnMost = 28;
const gap = 2;

type Row = readonly [label: string, cell: (policy: PolicyReport) => string];

const rows: readonly Row[] = [
  ['calls admitted', ({ admitted }) => whole(admitted)],
  ['calls refused', ({ rejected }) => whole(rejected)],
  ['  good calls refused', ({ goodCallsRefused }) => whole(goodCallsRefused)],
  ['  failures avoided', ({ failuresAvoided }) => whole(failuresAvoided)],
  ['failures let through', ({ failuresLetThrough }) => whole(failuresLetThrough)],
  ['times opened', ({ opened }) => whole(opened)],
  ['time open, ms', ({ openMs }) => whole(openMs)],
  ['time open, % of the trace', ({ openShare }) => (openShare * 100).toFixed(1)],
  ['first failure to opening, ms', ({ firstOpeningAfterMs: ms }) => (ms === null ? '-' : whole(ms))],
  ['probes', ({ probes }) => whole(probes)],
];
const unknown: readonly Row[] = [
  ['unknown outcome, admitted', ({ unknownAdmitted }) => whole(unknownAdmitted)],
  ['unknown outcome, refused', ({ unknownRejected }) => whole(unknownRejected)],
];

/** A replay as text of at most 100 columns: a column for each policy, in as many blocks as that takes. */
export function replayTable({ trace, policies }: ReplayReport): string {
  const shown = trace.rejected > 0 ? [...rows, ...unknown] : rows;
  const labelWidth = Math.max(...shown.map(([label]) => label.length));
  const columns = policies.map((policy) => columnOf(policy, shown));
  const blocks: string[] = [];
  for (let at = 0; at < columns.length; ) {
    const block: string[][] = [];
    let used = labelWidth;
    for (let next = columns[at]; next !== undefined && (block.length === 0 || used + gap + widthOf(next) <= width); next = columns[at]) {
      block.push(next);
      used += gap + widthOf(next);
      at += 1;
    }
    const labels = ['', ...shown.map(([label]) => label)];
    blocks.push(labels.map((label, row) => lineOf(label.padEnd(labelWidth), block, row)).join('\n'));
  }
  return `${heading(trace)}\n\n${blocks.join('\n\n')}\n`;
}

function columnOf(policy: PolicyReport, shown: readonly Row[]): string[] {
  return [shortened(policy.label), ...shown.map(([, cell]) => cell(policy))];
}

function lineOf(label: string, block: readonly string[][], row: number): string {
  return block.reduce((line, column) => line + ' '.repeat(gap) + (column[row] ?? '').padStart(widthOf(column)), label).trimEnd();
}

function widthOf(column: readonly string[]): number {
  return Math.max(...column.map((cell) => cell.length));
}

/** The end of a path tells more than its beginning. */
function shortened(label: string): string {
  const clean = label.replace(/\p{Cc}/gu, ' ');
  return clean.length > columnMost ? `…${clean.slice(1 - columnMost)}` : clean;
}

function heading({ calls, failures, rejected, dropped, otherNames, fromMs, toMs }: ReplayReport['trace']): string {
  const lines = [`${whole(calls)} calls in ${whole(toMs - fromMs)} ms, ${whole(failures)} failures`];
  if (calls > 0) lines[0] += `, from ${new Date(fromMs).toISOString()}`;
  if (rejected > 0) lines.push(`${whole(rejected)} were refused when they were recorded: their outcome is unknown and counts as nothing`);
  if (dropped > 0) lines.push(`${whole(dropped)} more were not recorded`);
  if (otherNames > 0) lines.push(`${whole(otherNames)} of other names were left out`);
  return lines.join('\n');
}

function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ' ');
}
