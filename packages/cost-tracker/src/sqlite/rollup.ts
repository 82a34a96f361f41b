import type { UsageGroup, UsageKind, UsageQuery, UsageRow } from '../store.ts';
import { inputTokensOf, outputTokensOf } from '../usage.ts';
import { covered, dimensionValues, prepareAll } from './columns.ts';
import type { Connection, SqlValue } from './file.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
// as large as the instants of rows can be, and a whole number of days
const lastMs = 8.64e15;

const group = 'tenant, project, kind, name, model, provider';
const counted = 'calls, failures, unpriced, input_tokens, cache_read_tokens, output_tokens, total_nano';
const sums = counted.split(', ').map((column) => `sum(${column}) AS ${column}`);
const keptSums = counted.split(', ').map((column) => `${column} = ${column} + excluded.${column}`);

const rows = (from: string, to: string) => `SELECT ${group}, correction = 0 AS calls, failures, unpriced, input_tokens, cache_read_tokens,
  output_tokens, amount_nano AS total_nano FROM usage WHERE ${covered} AND at_ms >= ${from} AND at_ms < ${to}`;
// a query by tool is one of its calls; other dimensions are in no rollup
const spans = (spanMs: number, from: string, to: string) => `SELECT ${group}, ${counted} FROM usage_rollup
  WHERE span_ms = ${spanMs} AND start_ms >= ${from} AND start_ms < ${to}
  AND ?2 IN ('', tenant) AND ?3 IN ('', project) AND ?6 IN ('', model) AND (?7 = '' OR (kind = 'tool' AND name = ?7))`;
const grouped = (from: string) => `SELECT ${group}, ${sums.join(', ')} FROM (${from}) GROUP BY ${group} ORDER BY ${group}`;

const sql = {
  add: `INSERT INTO usage_rollup (span_ms, start_ms, ${group}, ${counted}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET ${keptSums.join(', ')}`,
  byRows: grouped(rows('?8', '?9')),
  // rows to the first whole hour, hours to the first whole day, days, and the same the other way round
  bySpans: grouped(
    [rows('?8', '?9'), spans(hourMs, '?9', '?10'), spans(dayMs, '?10', '?11'), spans(hourMs, '?11', '?12'), rows('?12', '?13')].join(
      ' UNION ALL ',
    ),
  ),
};

interface GroupRecord {
  tenant: string;
  project: string;
  kind: UsageKind;
  name: string;
  model: string;
  provider: string;
  calls: bigint;
  failures: bigint;
  unpriced: bigint;
  input_tokens: bigint;
  cache_read_tokens: bigint;
  output_tokens: bigint;
  total_nano: bigint;
}

type Sums = [calls: number, failures: number, unpriced: number, input: number, cacheRead: number, output: number, total: bigint];

/** What the rows of each hour and each day (UTC) add up to, so that a long report reads few rows. */
export class Rollup {
  readonly #statements: ReturnType<typeof prepareAll<keyof typeof sql>>;
  readonly #added = new Map<string, { readonly place: readonly SqlValue[]; readonly sums: Sums }>();

  constructor(connection: Connection) {
    this.#statements = prepareAll(connection, sql);
  }

  /** Notes a row; {@link Rollup.flush} writes it. */
  add(row: UsageRow): void {
    this.#add(row, hourMs);
    this.#add(row, dayMs);
  }

  flush(): void {
    for (const { place, sums } of this.#added.values()) this.#statements.add.run(...place, ...sums);
    this.#added.clear();
  }

  forget(): void {
    this.#added.clear();
  }

  groups(query: UsageQuery): UsageGroup[] {
    const { org, user, key } = query.dimensions;
    const [from, to] = [Math.max(0, query.from), Math.min(query.to, lastMs)];
    const [hours, days] = [wholeSpans(from, to, hourMs), wholeSpans(from, to, dayMs)];
    const values = dimensionValues(query.dimensions);
    const records =
      org !== '' || user !== '' || key !== '' || hours === undefined
        ? this.#statements.byRows.all(...values, from, to)
        : this.#statements.bySpans.all(...values, from, hours.start, (days ?? hours).start, (days ?? atEnd(hours)).end, hours.end, to);
    return (records as GroupRecord[]).map(groupOf);
  }

  #add({ at, dimensions, kind, name, provider, correction, failures, unpriced, usage, amount }: UsageRow, spanMs: number): void {
    const place = [spanMs, Math.floor(at / spanMs) * spanMs, dimensions.tenant, dimensions.project, kind, name, dimensions.model, provider];
    const text = JSON.stringify(place);
    let added = this.#added.get(text);
    if (added === undefined) {
      added = { place, sums: [0, 0, 0, 0, 0, 0, 0n] };
      this.#added.set(text, added);
    }
    const { sums } = added;
    sums[0] += correction === 0 ? 1 : 0;
    sums[1] += failures;
    sums[2] += unpriced;
    sums[3] += inputTokensOf(usage);
    sums[4] += (usage.cacheReadTokens ?? 0) + (usage.cacheReadAudioTokens ?? 0);
    sums[5] += outputTokensOf(usage);
    sums[6] += amount;
  }
}

/** The whole spans within a stretch of time; none where it holds none. */
function wholeSpans(from: number, to: number, spanMs: number): { readonly start: number; readonly end: number } | undefined {
  const [start, end] = [Math.ceil(from / spanMs) * spanMs, Math.floor(to / spanMs) * spanMs];
  return start < end ? { start, end } : undefined;
}

/** A stretch without whole days: its hours are all before them. */
function atEnd({ start }: { readonly start: number }): { readonly end: number } {
  return { end: start };
}

function groupOf(record: GroupRecord): UsageGroup {
  const { tenant, project, kind, name, model, provider } = record;
  return {
    ...{ tenant, project, kind, name, model, provider },
    calls: Number(record.calls),
    failures: Number(record.failures),
    unpriced: Number(record.unpriced),
    inputTokens: Number(record.input_tokens),
    cacheReadTokens: Number(record.cache_read_tokens),
    outputTokens: Number(record.output_tokens),
    total: record.total_nano,
  };
}
