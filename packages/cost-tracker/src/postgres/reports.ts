import type { NanoUsd } from '../money.ts';
import { bounded, partsOf, rolledMs } from '../rollup-sums.ts';
import type { RowCursor, UsageGroup, UsageKind, UsageQuery, UsageRow } from '../store.ts';
import { covers, dimensionFields, dimensionRecord } from './columns.ts';
import { type Database, type Statement, statement } from './database.ts';
import { carried, namesIn, type UsageRecord, usageFields, usageIn } from './records.ts';
import type { Schema } from './schema.ts';
import { restored, storable } from './text.ts';

const groupNames = ['tenant', 'project', 'kind', 'name', 'model', 'provider'];
const counts = ['calls', 'failures', 'unpriced', 'input_tokens', 'cache_read_tokens', 'output_tokens'];

interface GroupRecord {
  tenant: string;
  project: string;
  kind: UsageKind;
  name: string;
  model: string;
  provider: string;
  calls: number;
  failures: number;
  unpriced: number;
  input_tokens: number;
  cache_read_tokens: number;
  output_tokens: number;
  total_nano: string;
}

/** What is read of a ledger without its lock: each answer is of one moment. */
export class Reports {
  readonly #database: Database;
  readonly #byRows: Statement;
  readonly #bySpans: Statement;
  readonly #page: Statement;

  constructor(database: Database, schema: Schema) {
    this.#database = database;
    const group = groupNames.map((name) => `t.${name}`).join(', ');
    const rows = (from: string, to: string) => `SELECT ${group}, CASE correction WHEN 0 THEN 1 ELSE 0 END AS calls, failures, unpriced,
      input_tokens, cache_read_tokens, output_tokens, amount_nano AS total_nano
      FROM ${schema.usage} AS t CROSS JOIN asked WHERE t.at_ms >= ${from} AND t.at_ms < ${to} AND ${covers('asked', 't')}`;
    // a query by tool is one of its calls; other dimensions are in no rollup
    const spans = (spanMs: number, from: string, to: string) => `SELECT ${group}, ${counts.join(', ')}, total_nano
      FROM ${schema.usage_rollup} AS t CROSS JOIN asked WHERE t.span_ms = ${spanMs} AND t.start_ms >= ${from} AND t.start_ms < ${to}
      AND asked.tenant IN ('', t.tenant) AND asked.project IN ('', t.project) AND asked.model IN ('', t.model)
      AND (asked.tool = '' OR (t.kind = 'tool' AND t.name = asked.tool))`;
    this.#byRows = statement(grouped(rows('$2', '$3')));
    // rows to the first whole hour, hours to the first whole day, days, and the same the other way round
    const parts = [
      ...[rows('$2', '$3'), spans(rolledMs.hour, '$3', '$4'), spans(rolledMs.day, '$4', '$5')],
      ...[spans(rolledMs.hour, '$5', '$6'), rows('$6', '$7')],
    ];
    this.#bySpans = statement(grouped(parts.join('\nUNION ALL ')));
    this.#page = statement(paging(schema));
  }

  async groups(query: UsageQuery): Promise<readonly UsageGroup[]> {
    const { dimensions, from, to } = bounded(query);
    // between whole milliseconds there are no rows
    const whole = { dimensions, from: Math.ceil(from), to: Math.ceil(to) };
    const parts = partsOf(whole);
    const instants = parts ? [whole.from, ...parts, whole.to] : [whole.from, whole.to];
    const records = await this.#read<GroupRecord>(parts ? this.#bySpans : this.#byRows, [
      JSON.stringify([dimensionRecord(dimensions)]),
      ...instants,
    ]);
    return records.map(groupIn);
  }

  async total(query: UsageQuery): Promise<NanoUsd> {
    const groups = await this.groups(query);
    return groups.reduce((sum, { total }) => sum + total, 0n);
  }

  async page({ dimensions, from, to }: UsageQuery, after: RowCursor | undefined, limit: number): Promise<readonly UsageRow[]> {
    const { at, tenant, id, correction } = after ?? { at: -1, tenant: '', id: '', correction: -1 };
    const values = [Math.ceil(from), Math.ceil(to), at, storable(tenant), storable(id), correction, limit];
    const records = await this.#read<UsageRecord>(this.#page, [JSON.stringify([dimensionRecord(dimensions)]), ...values]);
    return records.map(usageIn);
  }

  async #read<T>(asked: Statement, values: unknown[]): Promise<T[]> {
    const [record] = await this.#database.ask<{ answer: string }>(asked, values);
    return JSON.parse(record?.answer ?? '[]') as T[];
  }
}

const asked = `asked AS (SELECT * FROM json_to_recordset($1::json) AS a (${dimensionFields}))`;

/** Sums as JSON numbers, which are right up to 2^53; money as text, which always is. */
function grouped(from: string): string {
  const group = groupNames.join(', ');
  const sums = counts.map((name) => `sum(${name}) AS ${name}`).join(', ');
  // typed, because otherwise Postgres takes the parameters of an IN list or a UNION for what it likes
  const typed = from.replace(/\$\d/g, '$&::bigint');
  return `WITH ${asked}, part AS (${typed}),
answer AS (SELECT ${group}, ${sums}, sum(total_nano)::text AS total_nano FROM part GROUP BY ${group})
SELECT coalesce(json_agg(answer ORDER BY ${group}), '[]')::text AS answer FROM answer`;
}

function paging(schema: Schema): string {
  const order = 't.at_ms, t.tenant, t.dedupe_key, t.correction';
  const names = namesIn(usageFields).filter((name) => !name.endsWith('_tokens'));
  return `WITH ${asked}, answer AS (SELECT ${carried(names, 't')} FROM ${schema.usage} AS t CROSS JOIN asked
    WHERE t.at_ms >= greatest($2::bigint, $4::bigint) AND t.at_ms < $3::bigint AND ${covers('asked', 't')}
    AND (${order}) > ($4::bigint, $5::text, $6::text, $7::integer) ORDER BY ${order} LIMIT $8::bigint)
SELECT coalesce(json_agg(answer ORDER BY at_ms, tenant, dedupe_key, correction), '[]')::text AS answer FROM answer`;
}

function groupIn(record: GroupRecord): UsageGroup {
  return {
    ...{ tenant: restored(record.tenant), project: restored(record.project), kind: record.kind, name: restored(record.name) },
    ...{ model: restored(record.model), provider: restored(record.provider) },
    calls: record.calls,
    failures: record.failures,
    unpriced: record.unpriced,
    inputTokens: record.input_tokens,
    cacheReadTokens: record.cache_read_tokens,
    outputTokens: record.output_tokens,
    total: BigInt(record.total_nano),
  };
}
