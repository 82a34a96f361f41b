import type { ComponentChildren } from 'preact';

/** A column: what stands in it, and how. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** Aligns at the end. */
  readonly number?: boolean;
  /** Draws a bar behind the cell, as long as this share of it: 0 to 1. */
  readonly bar?: (row: Row) => number;
  /** Colour of the bar. */
  readonly barKind?: (row: Row) => string;
  /** What is shown in full where the cell is rounded. */
  readonly exact?: (row: Row) => string;
}

/** What a table is made of; the first column says what each row is of. */
export interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  /** Stands in place of the rows where there are none. */
  readonly empty?: string;
  readonly current?: (row: Row) => boolean;
  readonly tall?: boolean;
}

export function Table<Row>({ caption, columns, rows, rowKey, empty = 'Nothing yet', current, tall }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms; a section would be a landmark beside the one that it stands in
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
    <div class={`scroll${tall ? ' tall' : ''}`} role="group" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ title, number }) => (
              <th key={title} scope="col" class={number ? 'number' : undefined}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} aria-current={current?.(row) ? 'true' : undefined}>
              {columns.map((column, index) => (
                <Cell key={column.title} column={column} row={row} head={index === 0} />
              ))}
            </tr>
          ))}
          {rows.length === 0 && (
            <tr>
              <td class="muted" colSpan={columns.length}>
                {empty}
              </td>
            </tr>
          )}
        </tbody>
      </table>
    </div>
  );
}

function Cell<Row>({ column: { cell, number, bar, barKind, exact }, row, head }: { column: Column<Row>; row: Row; head: boolean }) {
  if (head) return <th scope="row">{cell(row)}</th>;
  const classes = [number && 'number', bar && 'barred'].filter(Boolean).join(' ');
  return (
    <td class={classes || undefined} title={exact?.(row)}>
      {bar && (
        <span class={`bar ${barKind?.(row) ?? ''}`} style={{ width: `calc(${Math.min(1, Math.max(0, bar(row)))} * (100% - 12px))` }} />
      )}
      {bar ? <span>{cell(row)}</span> : cell(row)}
    </td>
  );
}

/** Text that somebody else chose: only ever text, and with a direction of its own. */
export function Foreign({ text }: { text: string }) {
  return <bdi class="foreign">{text}</bdi>;
}
