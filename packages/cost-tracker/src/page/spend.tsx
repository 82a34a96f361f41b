import { useMemo } from 'preact/hooks';
import { Series } from '../../../../ui/src/series.tsx';
import { Table } from '../../../../ui/src/table.tsx';
import type { UsageSeries } from '../http/series.ts';
import type { UsageTotals } from '../report.ts';
import { count, period, short, usd } from './format.ts';

/** What was spent in all. */
export function Totals({ totals }: { totals: UsageTotals }) {
  const { totalUsd, calls, failures, unpriced, inputTokens, cacheReadTokens, outputTokens } = totals;
  const tiles = [
    {
      title: 'Spend',
      value: usd(totalUsd),
      exact: `${totalUsd} USD`,
      more: unpriced > 0 ? `${count(unpriced)} calls without a price` : '',
    },
    { title: 'Calls', value: count(calls), exact: '', more: `${count(failures)} failed` },
    { title: 'Tokens in', value: short(inputTokens), exact: count(inputTokens), more: `${short(cacheReadTokens)} from a cache` },
    { title: 'Tokens out', value: short(outputTokens), exact: count(outputTokens), more: '' },
  ];
  return (
    <dl class="tiles">
      {tiles.map(({ title, value, exact, more }) => (
        <div class="card" key={title}>
          <dt class="muted">{title}</dt>
          <dd title={exact}>{value}</dd>
          <dd class="muted small">{more}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Spend over time, as a chart and as a table. */
export function SpendOverTime({ series }: { series: UsageSeries }) {
  const { points, granularity, timeZone } = series;
  const drawn = useMemo(() => points.map((point) => ({ label: period(point.period), value: Number(point.totalUsd) })), [points]);
  return (
    <section class="card" aria-labelledby="spend">
      <header>
        <h2 id="spend">Spend over time</h2>
        <span class="muted">
          by {granularity}, {timeZone}
        </span>
      </header>
      <Series label={`Spend by ${granularity}; the same numbers are in the table below`} points={drawn} kind="bars" format={usd} />
      <details>
        <summary>As a table</summary>
        <Table<UsageSeries['points'][number]>
          {...{ caption: 'Spend over time', rows: points, rowKey: ({ from }) => from, tall: true }}
          columns={[
            { title: granularity[0]?.toUpperCase() + granularity.slice(1), cell: (point) => point.period.replace('T', ' ') },
            { title: 'Calls', number: true, cell: ({ calls }) => count(calls) },
            { title: 'Spend', number: true, cell: ({ totalUsd }) => usd(totalUsd), exact: ({ totalUsd }) => `${totalUsd} USD` },
          ]}
        />
      </details>
    </section>
  );
}
