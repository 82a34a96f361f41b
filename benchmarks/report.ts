import { type Kind, type Row, ratios, type Spread, spread } from './interleave.ts';

/** What is promised of a row. */
export interface Target {
  readonly row: string;
  /** Measured by the median ratio to this row; without it in the table's unit. */
  readonly versus?: string;
  /** Which figure counts without `versus`. A difference needs the median: its best round may be the worst of what was taken off. */
  readonly figure?: 'best' | 'median';
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** One table as a single process measured it. */
export interface Measured {
  readonly title: string;
  /** What one number of it is, in a sentence. */
  readonly what: string;
  readonly unit: string;
  /** @defaultValue false */
  readonly higherIsBetter?: boolean;
  /** The row that the others are compared with. */
  readonly baseline: string;
  readonly rows: readonly Row[];
  readonly targets?: readonly Target[];
}

/** One table of several processes. `runs` holds the rounds of each process. */
export interface Table extends Omit<Measured, 'rows'> {
  readonly rows: readonly { readonly name: string; readonly kind: Kind; readonly runs: readonly (readonly number[])[] }[];
}

/** Puts together what the processes of one question measured. */
export function together(runs: readonly (readonly Measured[])[]): Table[] {
  return (runs[0] ?? []).map((table, at) => ({
    ...table,
    rows: table.rows.map(({ name, kind }, row) => ({ name, kind, runs: runs.map((run) => run[at]?.rows[row]?.rounds ?? []) })),
  }));
}

/** A row with its figures. */
export interface Figures {
  readonly name: string;
  readonly kind: Kind;
  readonly value: Spread;
  /** Against the baseline, of each round. */
  readonly ratio: Spread;
  /** The median ratio of each process. */
  readonly ratioOfRuns: readonly number[];
}

/** The figures of every row. */
export function figures(table: Table): Figures[] {
  const base = runsOf(table, table.baseline);
  return table.rows.map(({ name, kind, runs }) => ({
    name,
    kind,
    value: spread(runs.flat()),
    ratio: spread(ratios(runs.flat(), base.flat())),
    ratioOfRuns: runs.map((rounds, run) => spread(ratios(rounds, base[run] ?? [])).median),
  }));
}

/** Whether each target of a table is met, in a sentence. */
export function verdicts(table: Table): string[] {
  return (table.targets ?? []).map((target) => {
    const { row, versus, atMost = Number.POSITIVE_INFINITY, atLeast = Number.NEGATIVE_INFINITY } = target;
    const { median, min, max } = spread(runsOf(table, row).flat());
    const figure = target.figure === 'median' ? median : table.higherIsBetter ? max : min;
    const measured = versus === undefined ? figure : medianRatio(table, row, versus);
    const verdict = measured <= atMost && measured >= atLeast ? 'met' : '**missed**';
    const bound = target.atMost === undefined ? `at least ${shown(atLeast)}` : `at most ${shown(atMost)}`;
    const kind = versus === undefined ? `${table.unit} in the ${target.figure ?? 'best'} round` : `× ${versus}`;
    return `${row}: ${bound} ${kind}; measured ${shown(measured)}, ${verdict}`;
  });
}

/** Where a rival of the same table does better than one of ours, in a sentence. */
export function defeats(table: Table): string[] {
  const ours = table.rows.filter(({ kind }) => kind === 'ours');
  const rivals = table.rows.filter(({ kind }) => kind === 'rival');
  return ours.flatMap((row) =>
    rivals.flatMap((rival) => {
      const ratio = medianRatio(table, row.name, rival.name);
      if (table.higherIsBetter ? ratio >= 1 : ratio <= 1) return [];
      return [`${row.name} loses to ${rival.name}: ${shown(ratio)} × its ${table.unit}`];
    }),
  );
}

/** A table for a page. */
export function markdown(table: Table): string {
  const { title, what, unit, baseline } = table;
  const rows = figures(table).map(({ name, kind, value, ratio, ratioOfRuns }) => [
    kind === 'ours' ? `**${name}**` : name,
    shown(value.min),
    shown(value.median),
    shown(value.max),
    `**${shown(ratio.median)}**`,
    `${shown(ratio.min)} to ${shown(ratio.max)}`,
    ratioOfRuns.map(shown).join(', '),
  ]);
  const best = table.higherIsBetter ? ['lowest', 'median', 'best'] : ['best', 'median', 'worst'];
  const head = ['', ...best.map((word) => `${word} ${unit}`), `× ${baseline}`, 'spread', 'each run'];
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const said = [...verdicts(table).map((line) => `Target: ${line}.`), ...defeats(table).map((line) => `Behind: ${line}.`)];
  const notes = said.length === 0 ? '' : `\n\n${said.map((line) => `- ${line}`).join('\n')}`;
  return `### ${title}\n\n${what}\n\n${lines.join('\n')}${notes}\n`;
}

/** A table for a terminal. */
export function plain(table: Table): string {
  const rows = figures(table).map(({ name, value, ratio, ratioOfRuns }) => [
    name,
    shown(value.min),
    shown(value.median),
    shown(value.max),
    shown(ratio.median),
    `${shown(ratio.min)}–${shown(ratio.max)}`,
    ratioOfRuns.map(shown).join(' '),
  ]);
  const cells = [['', 'min', 'median', 'max', '×', 'spread', 'each run'], ...rows];
  const widths = cells[0]?.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = cells.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  );
  const said = [...verdicts(table).map((line) => `target: ${line}`), ...defeats(table).map((line) => `behind: ${line}`)];
  const head = `${table.title} (${table.unit}; × ${table.baseline})`;
  return [head, ...lines, ...said]
    .map((line) => `  ${line}`)
    .join('\n')
    .replaceAll('**', '');
}

function runsOf(table: Table, name: string): readonly (readonly number[])[] {
  const row = table.rows.find((each) => each.name === name);
  if (row === undefined) throw new RangeError(`'${table.title}' has no row '${name}'`);
  return row.runs;
}

function medianRatio(table: Table, row: string, versus: string): number {
  return spread(ratios(runsOf(table, row).flat(), runsOf(table, versus).flat())).median;
}

/** Three digits that matter. */
function shown(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(3)).toFixed(Math.abs(value) >= 10 ? 1 : 2);
}
