import { useMemo } from 'preact/hooks';
import { Badge, type Level } from '../../../../ui/src/badge.tsx';
import { Series } from '../../../../ui/src/series.tsx';
import { Foreign, Table } from '../../../../ui/src/table.tsx';
import { count, decimal, period } from './format.ts';

/** A metric of `GET /api/value-metrics/summary`. */
interface Metric {
  readonly current: number | null;
  readonly target: number;
  readonly unit: string;
  readonly status: 'on_track' | 'below_target' | 'above_target' | 'no_data';
  readonly sample_count: number;
}

/** What `GET /api/value-metrics/summary` answers. */
export interface ValueSummaryWire {
  readonly by_category: Readonly<Record<string, Readonly<Record<string, Metric>>>>;
  readonly overall_health: {
    readonly score: number | null;
    readonly status: 'healthy' | 'warning' | 'critical' | 'no_data';
    readonly on_track_count: number;
    readonly total_count: number;
  };
}

/** What `GET /api/value-metrics/trends/{name}` answers. */
export interface ValueTrendsWire {
  readonly metric: string;
  readonly definition: { readonly description: string; readonly unit: string; readonly target: number };
  readonly trends: readonly { readonly period: string; readonly value: number | null; readonly count: number }[];
}

type Named = Metric & { readonly category: string; readonly name: string };

const words = { on_track: 'on track', below_target: 'below target', above_target: 'above target', no_data: 'no data' };
const levels: Record<Metric['status'], Level> = { on_track: 'ok', below_target: 'critical', above_target: 'critical', no_data: 'none' };
const healths: Record<string, Level> = { healthy: 'ok', warning: 'warning', critical: 'critical', no_data: 'none' };

/** The metric whose trend is shown where none was chosen: the first that has values. */
export function firstMetric({ by_category }: ValueSummaryWire): string | undefined {
  const named = namedOf(by_category);
  return (named.find(({ sample_count }) => sample_count > 0) ?? named[0])?.name;
}

function namedOf(byCategory: ValueSummaryWire['by_category']): Named[] {
  return Object.entries(byCategory).flatMap(([category, metrics]) =>
    Object.entries(metrics).map(([name, metric]) => ({ ...metric, category, name })),
  );
}

/** Value metrics with their targets, and the trend of one. */
export function Value({
  summary,
  trends,
  chosen,
  onChoose,
}: {
  summary: ValueSummaryWire;
  trends: ValueTrendsWire | undefined;
  chosen: string | undefined;
  onChoose: (name: string) => void;
}) {
  const { score, status, on_track_count, total_count } = summary.overall_health;
  return (
    <section class="card" aria-labelledby="value">
      <header>
        <h2 id="value">Value</h2>
        <span>
          <Badge level={healths[status] ?? 'none'}>{status.replace('_', ' ')}</Badge>{' '}
          <span class="muted">{score === null ? '' : `${decimal(Math.round(score))} % on track (${on_track_count} of ${total_count})`}</span>
        </span>
      </header>
      <div class="value">
        <Table<Named>
          caption="Value metrics"
          rows={namedOf(summary.by_category)}
          rowKey={({ name }) => name}
          current={({ name }) => name === chosen}
          columns={[
            {
              title: 'Metric',
              cell: ({ name }) => (
                <button type="button" class="quiet" aria-pressed={name === chosen} onClick={() => onChoose(name)}>
                  <Foreign text={name.replaceAll('_', ' ')} />
                </button>
              ),
            },
            { title: 'Category', cell: ({ category }) => category },
            { title: 'Now', number: true, cell: ({ current, unit }) => (current === null ? '—' : <Amount value={current} unit={unit} />) },
            { title: 'Target', number: true, cell: ({ target, unit }) => <Amount value={target} unit={unit} /> },
            { title: 'Status', cell: (metric) => <Badge level={levels[metric.status]}>{words[metric.status]}</Badge> },
            { title: 'Values', number: true, cell: ({ sample_count }) => count(sample_count) },
          ]}
        />
        {trends && <Trend trends={trends} />}
      </div>
    </section>
  );
}

function Amount({ value, unit }: { value: number; unit: string }) {
  return (
    <>
      {decimal(value)} <Foreign text={unit === 'percent' ? '%' : unit} />
    </>
  );
}

function Trend({ trends: { metric, definition, trends } }: { trends: ValueTrendsWire }) {
  const points = useMemo(() => trends.map(({ period: begin, value }) => ({ label: period(begin), value })), [trends]);
  return (
    <div>
      <h3>
        <Foreign text={metric.replaceAll('_', ' ')} />
      </h3>
      <p class="muted">
        <Foreign text={definition.description} />, target {decimal(definition.target)} <Foreign text={definition.unit} />
      </p>
      <Series
        label={`Trend of ${metric}; the same numbers are in the table below`}
        points={points}
        kind="line"
        target={definition.target}
        format={decimal}
      />
      <details>
        <summary>As a table</summary>
        <Table<ValueTrendsWire["trends"][number]>
          {...{ caption: `Trend of ${metric}`, rows: trends, rowKey: ({ period: begin }) => begin, tall: true }}
          columns={[
            { title: 'Period', cell: ({ period: begin }) => begin },
            { title: 'Value', number: true, cell: ({ value }) => (value === null ? '—' : decimal(value)) },
            { title: 'Values', number: true, cell: (point) => count(point.count) },
          ]}
        />
      </details>
    </div>
  );
}
