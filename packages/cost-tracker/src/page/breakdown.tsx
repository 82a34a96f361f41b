import type { ComponentChildren } from 'preact';
import { Badge } from '../../../../ui/src/badge.tsx';
import { type Column, Foreign, Table } from '../../../../ui/src/table.tsx';
import type { UsageTotals } from '../report.ts';
import { count, nano, short, usd } from './format.ts';

/** What a breakdown is made of. */
export interface BreakdownProps<Row extends UsageTotals> {
  readonly id: string;
  readonly title: string;
  readonly rows: readonly Row[];
  readonly rowKey: (row: Row) => string;
  readonly of: string;
  readonly name: (row: Row) => ComponentChildren;
  readonly tokens?: boolean;
}

const mostRows = 50;

/** Calls by something, the dearest first, with a bar of their share in the spend. */
export function Breakdown<Row extends UsageTotals>({ id, title, rows, rowKey, of, name, tokens }: BreakdownProps<Row>) {
  const sorted = [...rows].sort((a, b) => Number(nano(b.totalUsd) - nano(a.totalUsd)));
  const most = Math.max(...sorted.map(({ totalUsd }) => Number(totalUsd)), 0);
  const counted: Column<Row>[] = [
    { title: 'Calls', number: true, cell: ({ calls }) => count(calls) },
    { title: 'Failed', number: true, cell: ({ failures }) => count(failures) },
  ];
  const sent: Column<Row>[] = [
    { title: 'Tokens in', number: true, cell: ({ inputTokens }) => short(inputTokens), exact: ({ inputTokens }) => count(inputTokens) },
    { title: 'Out', number: true, cell: ({ outputTokens }) => short(outputTokens), exact: ({ outputTokens }) => count(outputTokens) },
  ];
  const spend: Column<Row> = {
    ...{ title: 'Spend', number: true, bar: ({ totalUsd }) => (most === 0 ? 0 : Number(totalUsd) / most) },
    cell: ({ totalUsd, unpriced }) => (
      <>
        {unpriced > 0 && <Badge level="warning">{count(unpriced)} unpriced</Badge>} {usd(totalUsd)}
      </>
    ),
    exact: ({ totalUsd }) => `${totalUsd} USD`,
  };
  return (
    <section class="card" aria-labelledby={id}>
      <header>
        <h2 id={id}>{title}</h2>
        {sorted.length > mostRows && (
          <span class="muted">
            the {mostRows} dearest of {count(sorted.length)}
          </span>
        )}
      </header>
      <Table<Row>
        {...{ caption: title, rowKey, tall: true, empty: 'No calls' }}
        rows={sorted.slice(0, mostRows)}
        columns={[{ title: of, cell: name }, spend, ...counted, ...(tokens ? sent : [])]}
      />
    </section>
  );
}

/** A name that narrows the page to it when it is chosen. */
export function Narrowing({ text, label, onChoose }: { text: string; label: string; onChoose: (() => void) | undefined }) {
  if (text === '') return <span class="muted">none</span>;
  if (onChoose === undefined) return <Foreign text={text} />;
  return (
    <button type="button" class="quiet" title={label} onClick={onChoose}>
      <Foreign text={text} />
    </button>
  );
}
