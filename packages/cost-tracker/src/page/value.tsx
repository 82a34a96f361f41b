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

/** What `GET /api/value-metrics/definitions` answers. */
export interface DefinitionsWire {
  readonly definitions: readonly {
    readonly name: string;
    readonly direction: 'higher_better' | 'lower_better';
    readonly aggregation: 'sum' | 'avg' | 'count' | 'p95';
  }[];
}

type Definition = DefinitionsWire['definitions'][number];
type Named = Metric & { readonly category: string; readonly name: string };

const bounds: Record<string, string> = { higher_better: '≥', lower_better: '≤' };
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

/** What the section of value metrics is made of. */
export interface ValueProps {
  readonly summary: ValueSummaryWire;
  readonly definitions: DefinitionsWire['definitions'];
  readonly trends: ValueTrendsWire | undefined;
  /** The metric whose trend is shown. */
  readonly chosen: string;
  readonly onChoose: (name: string) => void;
}

/** Value metrics with their targets, and the trend of one. */
export function Value({ summary, definitions, trends, chosen, onChoose }: ValueProps) {
  const { score, status, on_track_count, total_count } = summary.overall_health;
  const definitionOf = (name: string) => definitions.find((definition) => definition.name === name);
  return (
    <section class="card" aria-labelledby="value">
      <header>
        <h2 id="value">Value</h2>
        <span>
          <Badge level={healths[status] ?? 'none'}>{status.replace('_', ' ')}</Badge>{' '}
          <span class="muted">{score !== null && `${decimal(Math.round(score))} % on track (${on_track_count} of ${total_count})`}</span>
        </span>
      </header>
      <div class="value">
        <Table<Named>
          caption="Value metrics"
          rows={namedOf(summary.by_category)}
          rowKey={({ name }) => name}
          current={({ name }) => name === chosen}
          columns={[
            { title: 'Metric', cell: (metric) => <Choosing {...{ metric, onChoose }} chosen={metric.name === chosen} /> },
            { title: 'Status', cell: (metric) => <Badge level={levels[metric.status]}>{words[metric.status]}</Badge> },
            { title: 'Now', number: true, cell: ({ current, unit }) => (current === null ? '—' : <Amount value={current} unit={unit} />) },
            {
              title: 'Target',
              number: true,
              cell: ({ name, target, unit }) => (
                <>
                  {bounds[definitionOf(name)?.direction ?? '']} <Amount value={target} unit={unit} />
                </>
              ),
            },
            { title: 'Values', number: true, cell: ({ sample_count }) => count(sample_count) },
          ]}
        />
        {trends && <Trend trends={trends} definition={definitionOf(trends.metric)} />}
      </div>
    </section>
  );
}

function Choosing({ metric: { name, category }, chosen, onChoose }: Pick<ValueProps, 'onChoose'> & { metric: Named; chosen: boolean }) {
  return (
    <>
      <button type="button" class="quiet" aria-pressed={chosen} title="Show the trend" onClick={() => onChoose(name)}>
        <Foreign text={name.replaceAll('_', ' ')} />
      </button>
      <div class="muted small">{category}</div>
    </>
  );
}

function Amount({ value, unit }: { value: number; unit: string }) {
  return (
    <>
      {decimal(value)} <Foreign text={unit === 'percent' ? '%' : unit} />
    </>
  );
}

function Trend({
  trends: { metric, definition, trends },
  definition: known,
}: {
  trends: ValueTrendsWire;
  definition: Definition | undefined;
}) {
  const points = useMemo(() => trends.map(({ period: begin, value }) => ({ label: period(begin), value })), [trends]);
  // The target of a sum is one of the whole time: a day cannot be compared with it.
  const comparable = known?.aggregation === 'avg' || known?.aggregation === 'p95';
  return (
    <div>
      <h3>
        <Foreign text={metric.replaceAll('_', ' ')} />
      </h3>
      <p class="muted">
        <Foreign text={definition.description} />, by day in <Foreign text={definition.unit} />
      </p>
      <Series
        {...{ label: `Trend of ${metric}; the same numbers are in the table below`, points, kind: 'line', format: decimal }}
        target={comparable ? definition.target : undefined}
      />
      <details>
        <summary>As a table</summary>
        <Table<ValueTrendsWire['trends'][number]>
          {...{ caption: `Trend of ${metric}`, rows: trends, rowKey: ({ period: begin }) => begin, tall: true }}
          columns={[
            { title: 'Day', cell: ({ period: begin }) => begin },
            { title: 'Value', number: true, cell: ({ value }) => (value === null ? '—' : decimal(value)) },
            { title: 'Values', number: true, cell: (point) => count(point.count) },
          ]}
        />
      </details>
    </div>
  );
}
