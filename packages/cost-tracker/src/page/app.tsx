import { useEffect, useState } from 'preact/hooks';
import { ApiError, download, forgetAnswers } from '../../../../ui/src/api.ts';
import { Banner } from '../../../../ui/src/banner.tsx';
import { type Live, useLive } from '../../../../ui/src/live.ts';
import { SignIn } from '../../../../ui/src/sign-in.tsx';
import { Foreign } from '../../../../ui/src/table.tsx';
import { setToken, token } from '../../../../ui/src/token.ts';
import type { BudgetReports } from '../http/budget-routes.ts';
import type { UsageSeries } from '../http/series.ts';
import type { UsageSummaryReport } from '../http/usage-routes.ts';
import type { ModelTotals, NameTotals, TenantTotals } from '../report.ts';
import { Breakdown, Narrowing } from './breakdown.tsx';
import { Budgets } from './budgets.tsx';
import { FilterBar, type Filters, readFilters, usageQuery, valueQuery, writeFilters } from './filters.tsx';
import { SpendOverTime, Totals } from './spend.tsx';
import { budgetsFor, standingOf } from './standing.ts';
import { type DefinitionsWire, firstMetric, Value, type ValueSummaryWire, type ValueTrendsWire } from './value.tsx';

interface Data {
  readonly budgets: BudgetReports;
  readonly summary: UsageSummaryReport;
  /** Without tenant and project, to choose from. */
  readonly everything: UsageSummaryReport;
  readonly series: UsageSeries;
  /** Where value metrics are not served there is no section of them. */
  readonly value: ValueSummaryWire | undefined;
  readonly definitions: DefinitionsWire | undefined;
}

const everyMs = 5_000;

/** The whole page. */
export function App() {
  const [session, setSession] = useState(0);
  const [filters, setFilters] = useState(readFilters);
  const live = useLive<Data>(pathsOf(filters), everyMs, session);
  const renew = (value: string | undefined) => {
    setToken(value);
    forgetAnswers();
    setSession(session + 1);
  };
  const change = (next: Filters) => {
    writeFilters(next);
    setFilters(next);
  };
  const refused = live.error instanceof ApiError && live.error.status === 401;
  if (refused) return <SignIn refused={token() !== undefined} onToken={renew} />;
  return (
    <>
      <header class="top">
        <h1>Usage</h1>
        <FilterBar filters={filters} everything={live.data?.everything} onChange={change} />
      </header>
      <main>
        {live.error && (
          <p class="banner critical" role="alert">
            <strong>Not up to date</strong> {live.error.message}
          </p>
        )}
        {live.data ? <Shown data={live.data} filters={filters} change={change} session={session} /> : <p class="muted">Loading…</p>}
      </main>
      <Foot live={live} filters={filters} onForget={token() === undefined ? undefined : () => renew(undefined)} />
    </>
  );
}

function pathsOf(filters: Filters): Record<keyof Data, string> {
  const query = usageQuery(filters);
  return {
    budgets: 'usage/budget',
    summary: `usage/summary?${query}`,
    everything: `usage/summary?${usageQuery({ days: filters.days, tenant: '', project: '' })}`,
    series: `usage/series?${query}&granularity=${filters.days === 1 ? 'hour' : 'day'}`,
    value: `?value-metrics/summary?${valueQuery(filters)}`,
    definitions: '?value-metrics/definitions',
  };
}

function Shown({ data, filters, change, session }: { data: Data; filters: Filters; change: (filters: Filters) => void; session: number }) {
  const { summary, series } = data;
  const budgets = budgetsFor(data.budgets.budgets, filters.tenant, filters.project);
  const { level, title, text } = standingOf(budgets);
  const tools = summary.byName.filter(({ kind }) => kind !== 'llm');
  const narrow = (tenant: string) => (filters.tenant === '' ? () => change({ ...filters, tenant }) : undefined);
  return (
    <>
      <Banner level={level} title={<Foreign text={title} />}>
        <Foreign text={text} />
      </Banner>
      <Totals totals={summary} />
      <SpendOverTime series={series} />
      {budgets.length > 0 && <Budgets budgets={budgets} />}
      <Breakdown<ModelTotals>
        {...{ id: 'models', title: 'By model', of: 'Model', tokens: true, rows: summary.byModel }}
        rowKey={({ model, provider }) => JSON.stringify([model, provider])}
        name={({ model, provider }) => (
          <>
            <Foreign text={model} /> <span class="muted small">{provider && <Foreign text={provider} />}</span>
          </>
        )}
      />
      <div class="pair">
        <Breakdown<TenantTotals>
          {...{ id: 'tenants', title: 'By tenant', of: 'Tenant', rows: summary.byTenant, rowKey: ({ tenant }) => tenant }}
          name={({ tenant }) => <Narrowing text={tenant} label="Show this tenant alone" onChoose={narrow(tenant)} />}
        />
        <Breakdown<NameTotals>
          {...{ id: 'tools', title: 'By tool', of: 'Tool', rows: tools, rowKey: ({ kind, name }) => JSON.stringify([kind, name]) }}
          name={({ kind, name }) => (
            <>
              <Foreign text={name} /> {kind !== 'tool' && <span class="muted small">{kind}</span>}
            </>
          )}
        />
      </div>
      {data.value && <ValueAndTrend {...{ value: data.value, definitions: data.definitions, filters, session }} />}
    </>
  );
}

/** Follows the trend of the metric that was chosen. */
function ValueAndTrend({
  value,
  definitions,
  filters,
  session,
}: Pick<Data, 'value' | 'definitions'> & { filters: Filters; session: number }) {
  const [chosen, setChosen] = useState<string>();
  const name = chosen ?? (value && firstMetric(value)) ?? '';
  const path = `?value-metrics/trends/${encodeURIComponent(name)}?${valueQuery(filters)}`;
  const { data } = useLive<{ trends: ValueTrendsWire | undefined }>({ trends: path }, everyMs, session);
  if (value === undefined) return null;
  return (
    <Value {...{ summary: value, definitions: definitions?.definitions ?? [], trends: data?.trends, chosen: name }} onChoose={setChosen} />
  );
}

function Foot({ live, filters, onForget }: { live: Live<Data>; filters: Filters; onForget: (() => void) | undefined }) {
  const [saving, setSaving] = useState('');
  useEffect(() => setSaving(''), [filters]);
  const save = async (format: 'csv' | 'ndjson') => {
    setSaving('Loading the rows…');
    try {
      await download(`usage/rows?${usageQuery(filters)}&format=${format}`, `usage.${format}`, new AbortController().signal);
      setSaving('');
    } catch (error) {
      setSaving(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <footer class="muted">
      <button type="button" onClick={() => save('csv')}>
        Save as CSV
      </button>
      <button type="button" onClick={() => save('ndjson')}>
        Save as NDJSON
      </button>
      {onForget && (
        <button type="button" onClick={onForget}>
          Forget the token
        </button>
      )}
      <span role="status">{saving}</span>
      <span>{live.at !== undefined && `Up to date at ${new Date(live.at).toLocaleTimeString('en-GB')}`}</span>
    </footer>
  );
}
