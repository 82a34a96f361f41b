import type { NanoUsd } from '../money.ts';
import { bounded, partsOf, rolledMs } from '../rollup-sums.ts';
import type { RowCursor, UsageGroup, UsageKind, UsageQuery, UsageRow } from '../store.ts';
import { conditions } from './columns.ts';
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
  readonly #schema: Schema;
  readonly #statements = new Map<string, Statement>();

  constructor(database: Database, schema: Schema) {
    this.#database = database;
    this.#schema = schema;
  }

  async groups(query: UsageQuery): Promise<readonly UsageGroup[]> {
    const { dimensions, from, to } = bounded(query);
    // between whole milliseconds there are no rows
    const whole = { dimensions, from: Math.ceil(from), to: Math.ceil(to) };
    const parts = partsOf(whole) ?? [];
    const instants = [whole.from, ...parts, whole.to];
    const named = conditions(dimensions, 't', instants.length + 1);
    const rolled = conditions({ ...dimensions, tool: '' }, 't', instants.length + 1);
    const text = parts.length === 0 ? byRows(this.#schema, named.sql) : bySpans(this.#schema, named.sql, rolled.sql + ofTool(named.sql));
    return (await this.#read<GroupRecord>(text, [...instants, ...named.values])).map(groupIn);
  }

  async total(query: UsageQuery): Promise<NanoUsd> {
    const groups = await this.groups(query);
    return groups.reduce((sum, { total }) => sum + total, 0n);
  }

  async page({ dimensions, from, to }: UsageQuery, after: RowCursor | undefined, limit: number): Promise<readonly UsageRow[]> {
    const { at, tenant, id, correction } = after ?? { at: -1, tenant: '', id: '', correction: -1 };
    const values = [Math.ceil(from), Math.ceil(to), at, storable(tenant), storable(id), correction, limit];
    const named = conditions(dimensions, 't', values.length + 1);
    return (await this.#read<UsageRecord>(paging(this.#schema, named.sql), [...values, ...named.values])).map(usageIn);
  }

  async #read<T>(text: string, values: unknown[]): Promise<T[]> {
    let asked = this.#statements.get(text);
    if (asked === undefined) {
      asked = statement(text);
      this.#statements.set(text, asked);
    }
    const [record] = await this.#database.ask<{ answer: string }>(asked, values);
    return JSON.parse(record?.answer ?? '[]') as T[];
  }
}

const group = groupNames.map((name) => `t.${name}`).join(', ');

function rows(schema: Schema, from: string, to: string, named: string): string {
  return `SELECT ${group}, CASE t.correction WHEN 0 THEN 1 ELSE 0 END AS calls, t.failures, t.unpriced, t.input_tokens, t.cache_read_tokens,
  t.output_tokens, t.amount_nano AS total_nano FROM ${schema.usage} AS t WHERE t.at_ms >= ${from}::bigint AND t.at_ms < ${to}::bigint${named}`;
}

function spans(schema: Schema, spanMs: number, from: string, to: string, named: string): string {
  return `SELECT ${group}, ${counts.map((name) => `t.${name}`).join(', ')}, t.total_nano FROM ${schema.usage_rollup} AS t
  WHERE t.span_ms = ${spanMs} AND t.start_ms >= ${from}::bigint AND t.start_ms < ${to}::bigint${named}`;
}

function byRows(schema: Schema, named: string): string {
  return grouped(rows(schema, '$1', '$2', named));
}

/** Rows to the first whole hour, hours to the first whole day, days, and the same the other way round. */
function bySpans(schema: Schema, named: string, rolled: string): string {
  const { hour, day } = rolledMs;
  const parts = [
    ...[rows(schema, '$1', '$2', named), spans(schema, hour, '$2', '$3', rolled), spans(schema, day, '$3', '$4', rolled)],
    ...[spans(schema, hour, '$4', '$5', rolled), rows(schema, '$5', '$6', named)],
  ];
  return grouped(parts.join('\nUNION ALL '));
}

/** A rollup has no tools, but a query by tool is one of its calls: the last of the conditions, for which it says another. */
function ofTool(named: string): string {
  const parameter = / AND t\."tool" = (\$\d+)$/.exec(named)?.[1];
  return parameter === undefined ? '' : ` AND t.kind = 'tool' AND t.name = ${parameter}`;
}

/** Sums as JSON numbers, which are right up to 2^53; money as text, which always is. */
function grouped(from: string): string {
  const names = groupNames.join(', ');
  const sums = counts.map((name) => `sum(${name}) AS ${name}`).join(', ');
  return `WITH part AS (${from}),
answer AS (SELECT ${names}, ${sums}, sum(total_nano)::text AS total_nano FROM part GROUP BY ${names})
SELECT coalesce(json_agg(answer ORDER BY ${names}), '[]')::text AS answer FROM answer`;
}

function paging(schema: Schema, named: string): string {
  const order = 't.at_ms, t.tenant, t.dedupe_key, t.correction';
  const columns = namesIn(usageFields).filter((name) => !name.endsWith('_tokens'));
  return `WITH answer AS (SELECT ${carried(columns, 't')} FROM ${schema.usage} AS t
    WHERE t.at_ms >= greatest($1::bigint, $3::bigint) AND t.at_ms < $2::bigint${named}
    AND (${order}) > ($3::bigint, $4::text, $5::text, $6::integer) ORDER BY ${order} LIMIT $7::bigint)
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
