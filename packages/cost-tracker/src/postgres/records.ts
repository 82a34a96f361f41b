import { cacheReadTokensOf } from '../rollup-sums.ts';
import type { CostSource, Hold, UsageKey, UsageKind, UsageRow } from '../store.ts';
import { inputTokensOf, outputTokensOf } from '../usage.ts';
import { type DimensionRecord, dimensionFields, dimensionRecord, dimensionsIn } from './columns.ts';
import type { StoredCounter } from './image.ts';
import { restored, storable } from './text.ts';

/**
 * Records as they go to the database and come from it: as JSON text in one parameter or one value, so that neither the driver's parsers,
 * which a program may have changed, nor floats have a part in it. Amounts are text in it.
 */

/** A call's hold. */
export interface HoldRecord extends DimensionRecord {
  dedupe_key: string;
  at_ms: number;
  expires_at_ms: number;
  amount_nano: string;
}

/** A row of the ledger. */
export interface UsageRecord extends DimensionRecord {
  dedupe_key: string;
  correction: number;
  at_ms: number;
  recorded_at_ms: number;
  kind: UsageKind;
  name: string;
  provider: string;
  served_model: string;
  usage: string;
  amount_nano: string;
  cost_source: CostSource;
  revision: number;
  failures: number;
  unpriced: number;
  success: boolean;
  price_version: string | null;
  price_lines: string | null;
  duration_ms: number | null;
  trace_id: string | null;
  metadata: string | null;
}

/** A counter. */
export interface CounterRecord extends DimensionRecord {
  id: string;
  start_ms: number;
  end_ms: number;
  spent_nano: string;
  reserved_nano: string;
}

/** The columns of a hold, and of a row beside its dimensions, with the types that `json_to_recordset` takes them as. */
export const holdFields = `${dimensionFields}, dedupe_key text, at_ms bigint, expires_at_ms bigint, amount_nano bigint`;
export const usageFields = `${dimensionFields}, dedupe_key text, correction integer, at_ms bigint, recorded_at_ms bigint, kind text,
  name text, provider text, served_model text, usage text, input_tokens bigint, cache_read_tokens bigint, output_tokens bigint,
  amount_nano bigint, cost_source text, revision bigint, failures integer, unpriced integer, success boolean, price_version text,
  price_lines text, duration_ms float8, trace_id text, metadata text`;

/** The names of such columns. */
export function namesIn(fields: string): string[] {
  return fields.split(',').map((field) => field.trim().split(' ')[0] as string);
}

/** Columns of a table as JSON can carry them. */
export function carried(names: readonly string[], table: string): string {
  return names.map((name) => `${table}.${name}${name.endsWith('_nano') || name === 'id' ? `::text AS ${name}` : ''}`).join(', ');
}

export function keyRecord({ tenant, id }: UsageKey): { tenant: string; dedupe_key: string } {
  return { tenant: storable(tenant), dedupe_key: storable(id) };
}

export function holdRecord({ key, dimensions, at, expiresAt, amount }: Hold): HoldRecord {
  return {
    ...dimensionRecord(dimensions),
    ...keyRecord(key),
    at_ms: at,
    expires_at_ms: expiresAt,
    amount_nano: String(amount),
  };
}

export function holdIn(record: HoldRecord): Hold {
  return {
    key: keyIn(record),
    dimensions: dimensionsIn(record),
    at: record.at_ms,
    amount: BigInt(record.amount_nano),
    expiresAt: record.expires_at_ms,
  };
}

export function usageRecord(row: UsageRow): Record<string, unknown> {
  const { key, dimensions, usage, amount } = row;
  return {
    ...dimensionRecord(dimensions),
    ...keyRecord(key),
    ...{ correction: row.correction, at_ms: row.at, recorded_at_ms: row.recordedAt, kind: row.kind, name: storable(row.name) },
    ...{ provider: storable(row.provider), served_model: storable(row.servedModel), usage: JSON.stringify(usage) },
    ...{ input_tokens: inputTokensOf(usage), cache_read_tokens: cacheReadTokensOf(usage), output_tokens: outputTokensOf(usage) },
    ...{ amount_nano: String(amount), cost_source: row.costSource, revision: row.revision, failures: row.failures },
    ...{ unpriced: row.unpriced, success: row.success, price_version: storableIf(row.priceVersion), duration_ms: row.durationMs },
    ...{ price_lines: storableIf(row.priceLines), trace_id: storableIf(row.traceId), metadata: storableIf(row.metadata) },
  };
}

export function usageIn(record: UsageRecord): UsageRow {
  return {
    key: keyIn(record),
    dimensions: dimensionsIn(record),
    at: record.at_ms,
    recordedAt: record.recorded_at_ms,
    kind: record.kind,
    name: restored(record.name),
    provider: restored(record.provider),
    servedModel: restored(record.served_model),
    usage: JSON.parse(record.usage),
    amount: BigInt(record.amount_nano),
    costSource: record.cost_source,
    revision: record.revision,
    correction: record.correction,
    failures: record.failures,
    unpriced: record.unpriced,
    success: record.success,
    priceVersion: restoredIf(record.price_version),
    priceLines: restoredIf(record.price_lines),
    durationMs: record.duration_ms ?? undefined,
    traceId: restoredIf(record.trace_id),
    metadata: restoredIf(record.metadata),
  };
}

export function counterIn(record: CounterRecord): StoredCounter {
  return {
    id: record.id,
    dimensions: dimensionsIn(record),
    start: record.start_ms,
    end: record.end_ms,
    spent: BigInt(record.spent_nano),
    reserved: BigInt(record.reserved_nano),
  };
}

function keyIn({ tenant, dedupe_key }: { tenant: string; dedupe_key: string }): UsageKey {
  return { tenant: restored(tenant), id: restored(dedupe_key) };
}

function storableIf(text: string | undefined): string | null {
  return text === undefined ? null : storable(text);
}

function restoredIf(text: string | null): string | undefined {
  return text === null ? undefined : restored(text);
}
