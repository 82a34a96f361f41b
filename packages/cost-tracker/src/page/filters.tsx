import type { UsageSummaryReport } from '../http/usage-routes.ts';

/** What the page shows. */
export interface Filters {
  readonly days: number;
  /** The empty string means all. */
  readonly tenant: string;
  /** The empty string means all. */
  readonly project: string;
}

const periods = [
  { days: 1, title: 'Today' },
  { days: 7, title: '7 days' },
  { days: 30, title: '30 days' },
  { days: 90, title: '90 days' },
];

/** The filters of the address, so that a view can be shared. */
export function readFilters(): Filters {
  const search = new URLSearchParams(window.location.search);
  const days = Number(search.get('days'));
  return {
    days: periods.some((each) => each.days === days) ? days : 30,
    tenant: search.get('tenant') ?? '',
    project: search.get('project') ?? '',
  };
}

/** Keeps the filters in the address. */
export function writeFilters({ days, tenant, project }: Filters): void {
  const search = new URLSearchParams({ days: String(days), ...(tenant && { tenant }), ...(project && { project }) });
  window.history.replaceState(null, '', `?${search}`);
}

/** A query of the routes of usage. */
export function usageQuery({ days, tenant, project }: Filters): string {
  return String(new URLSearchParams({ days: String(days), ...(tenant && { tenant }), ...(project && { project }) }));
}

/** A query of the routes of value metrics. */
export function valueQuery({ days, tenant, project }: Filters): string {
  return String(
    new URLSearchParams({ period_days: String(days), ...(tenant && { tenant_id: tenant }), ...(project && { project_id: project }) }),
  );
}

/** Chooses period, tenant and project. */
export function FilterBar({
  filters,
  everything,
  onChange,
}: {
  filters: Filters;
  everything: UsageSummaryReport | undefined;
  onChange: (filters: Filters) => void;
}) {
  return (
    <search class="filters">
      <fieldset class="periods">
        <legend class="hidden">Period</legend>
        {periods.map(({ days, title }) => (
          <label key={days}>
            <input type="radio" name="days" checked={filters.days === days} onChange={() => onChange({ ...filters, days })} />
            <span>{title}</span>
          </label>
        ))}
      </fieldset>
      <Choice
        title="Tenant"
        names={everything?.byTenant.map(({ tenant }) => tenant) ?? []}
        value={filters.tenant}
        onChange={(tenant) => onChange({ ...filters, tenant })}
      />
      <Choice
        title="Project"
        names={everything?.byProject.map(({ project }) => project) ?? []}
        value={filters.project}
        onChange={(project) => onChange({ ...filters, project })}
      />
    </search>
  );
}

function Choice({
  title,
  names,
  value,
  onChange,
}: {
  title: string;
  names: readonly string[];
  value: string;
  onChange: (value: string) => void;
}) {
  const known = [...new Set([...names, value])].filter((name) => name !== '');
  return (
    <div class="choice">
      <label class="muted" for={`choose-${title}`}>
        {title}
      </label>
      <select id={`choose-${title}`} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="">All</option>
        {known.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}
