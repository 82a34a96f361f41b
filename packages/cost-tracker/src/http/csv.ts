/** Text that is kept from being a formula, or something written as it is. */
export type Cell = string | Plain | null;

/** A number, a decimal, a time or a word of ours: nothing that a spreadsheet could run. */
export interface Plain {
  readonly plain: string | number | boolean;
}

// What makes a spreadsheet take text for a formula, also in the wide forms that East Asian input methods type; it may stand behind spaces.
const FORMULA = /^\s*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20]|^[\t\r\n]/;

/**
 * One line of CSV (RFC 4180). Text that a spreadsheet would take for a formula gets an apostrophe before it; negative numbers do not.
 */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell !== 'string') return String(cell.plain);
  const safe = FORMULA.test(cell) ? `'${cell}` : cell;
  // Quoted also where a reader that takes other separators would cut it, and where one would cut off spaces.
  return /[",;'\r\n\t]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
