import { covers, dimensionColumns, dimensionFields, dimensionRecord, same } from './columns.ts';
import { type Ask, type Statement, statement } from './database.ts';
import { type Changes, type CounterPlace, Image, type StoredCounter } from './image.ts';
import type { Needs } from './needs.ts';
import {
  type CounterRecord,
  carried,
  counterIn,
  type HoldRecord,
  holdFields,
  holdIn,
  holdRecord,
  keyRecord,
  namesIn,
  type UsageRecord,
  usageFields,
  usageIn,
  usageRecord,
} from './records.ts';
import type { Schema } from './schema.ts';
import { restored, storable } from './text.ts';

const counterNames = ['id', ...namesIn(dimensionFields), 'start_ms', 'end_ms', 'spent_nano', 'reserved_nano'];
const sumNames = ['calls', 'failures', 'unpriced', 'input_tokens', 'cache_read_tokens', 'output_tokens', 'total_nano'];
const rollupPlace = ['span_ms', 'start_ms', 'tenant', 'project', 'kind', 'name', 'model', 'provider'];
const rollupFields = `span_ms bigint, start_ms bigint, tenant text, project text, kind text, name text, model text, provider text,
  ${sumNames.map((name) => `${name} bigint`).join(', ')}`;
const crossingFields = `id text, budget text, level text, threshold float8, spent_nano bigint, limit_nano bigint, start_ms bigint,
  end_ms bigint, crossed_at_ms bigint`;

// Counters that nobody looks at any more are deleted as others are opened, which they can be at any time.
const deletedAtOnce = 1_000;
// The clocks of processes differ, and a clock may be set back a little.
const graceMs = 3_600_000;

interface FetchedRecord {
  version: string;
  holds: HoldRecord[];
  rows: UsageRecord[];
  counters: CounterRecord[];
  crossings: string[];
}

/** Fetches what a transaction needs, in one statement, and writes what it has changed, in another. */
export class Tables {
  readonly #fetch: Statement;
  readonly #open: Statement;
  readonly #write: Statement;

  constructor(schema: Schema) {
    this.#fetch = statement(fetching(schema));
    this.#open = statement(opening(schema));
    this.#write = statement(writing(schema));
  }

  /** The ledger as far as the needs go. Right only while the ledger's lock is held. */
  async image(ask: Ask, needs: Needs): Promise<Image> {
    const [record] = await ask<{ image: string }>(this.#fetch, [
      JSON.stringify(needs.keys.map(keyRecord)),
      JSON.stringify(needs.calls.map(({ dimensions, from, to }) => ({ ...dimensionRecord(dimensions), from_ms: from, to_ms: to }))),
      JSON.stringify(needs.places.map(placeRecord)),
      JSON.stringify(needs.crossings.map((id) => ({ id: storable(id) }))),
      needs.now === undefined ? -1 : Math.floor(needs.now),
    ]);
    const fetched = JSON.parse(record?.image ?? '{}') as FetchedRecord;
    const image = new Image({
      budgetsVersion: Number(fetched.version),
      holds: fetched.holds.map(holdIn),
      rows: fetched.rows.map(usageIn),
      counters: fetched.counters.map(counterIn),
      crossings: fetched.crossings.map(restored),
    });
    const missing = image.missing(needs.places);
    if (missing.length > 0) image.open(await this.#opened(ask, missing, needs.now));
    return image;
  }

  /** Writes what was changed. */
  async write(ask: Ask, changes: Changes): Promise<void> {
    if (Object.values(changes).every((list: readonly unknown[]) => list.length === 0)) return;
    await ask(this.#write, [
      JSON.stringify(changes.rows.map(usageRecord)),
      JSON.stringify(changes.rollup.map(rollupRecord)),
      JSON.stringify(changes.deletedHolds.map(keyRecord)),
      JSON.stringify(changes.holds.map(holdRecord)),
      JSON.stringify(changes.counters.map(({ id, spent, reserved }) => ({ id, spent: `${spent}`, reserved: `${reserved}` }))),
      JSON.stringify(changes.crossings.map(crossingRecord)),
    ]);
  }

  async #opened(ask: Ask, places: readonly CounterPlace[], now: number | undefined): Promise<StoredCounter[]> {
    const unused = now === undefined ? -1 : Math.floor(now) - graceMs;
    const [record] = await ask<{ counters: string }>(this.#open, [JSON.stringify(places.map(placeRecord)), unused]);
    return (JSON.parse(record?.counters ?? '[]') as CounterRecord[]).map(counterIn);
  }
}

/** OFFSET 0 keeps each key a look-up by the index, also where a table has grown since its statistics were taken. */
function byKey(table: string): string {
  return `(SELECT * FROM ${table} AS t WHERE t.tenant = key.tenant AND t.dedupe_key = key.dedupe_key OFFSET 0)`;
}

function fetching(schema: Schema): string {
  const [holds, rows, counters] = [namesIn(holdFields), namesIn(usageFields), counterNames];
  const list = (names: readonly string[], from: string, order = '') =>
    `(SELECT coalesce(json_agg(x${order}), '[]') FROM (SELECT ${carried(names, 't')} FROM ${from} AS t) AS x)`;
  return `WITH key AS MATERIALIZED (SELECT * FROM json_to_recordset($1::json) AS k (tenant text, dedupe_key text)),
held AS MATERIALIZED (SELECT h.* FROM key CROSS JOIN LATERAL ${byKey(schema.hold)} AS h
  UNION SELECT * FROM ${schema.hold} WHERE expires_at_ms <= $5::bigint),
known AS MATERIALIZED (SELECT u.* FROM key CROSS JOIN LATERAL ${byKey(schema.usage)} AS u),
call AS MATERIALIZED (SELECT * FROM json_to_recordset($2::json) AS c (${dimensionFields}, from_ms bigint, to_ms bigint)
  UNION ALL SELECT ${dimensionColumns()}, min(at_ms), max(at_ms)
  FROM (SELECT ${dimensionColumns()}, at_ms FROM held UNION ALL SELECT ${dimensionColumns()}, at_ms FROM known) AS found
  GROUP BY ${dimensionColumns()}),
counted AS MATERIALIZED (SELECT c.* FROM call CROSS JOIN LATERAL (SELECT * FROM ${schema.budget_counter} AS c
    WHERE c.end_ms > call.from_ms AND c.start_ms <= call.to_ms AND ${covers('c', 'call')} OFFSET 0) AS c
  UNION SELECT c.* FROM json_to_recordset($3::json) AS place (${dimensionFields}, start_ms bigint, end_ms bigint)
  CROSS JOIN LATERAL (SELECT * FROM ${schema.budget_counter} AS c
    WHERE ${same('c', 'place')} AND c.start_ms = place.start_ms AND c.end_ms = place.end_ms OFFSET 0) AS c)
SELECT json_build_object(
  'version', (SELECT version::text FROM ${schema.budget_version}),
  'holds', ${list(holds, 'held')},
  'rows', ${list(
    rows.filter((name) => !name.endsWith('_tokens')),
    'known',
    ' ORDER BY x.correction',
  )},
  'counters', ${list(counters, 'counted')},
  'crossings', (SELECT coalesce(json_agg(t.id), '[]') FROM ${schema.threshold_crossing} AS t
    JOIN json_to_recordset($4::json) AS wanted (id text) ON t.id = wanted.id)
)::text AS image`;
}

function opening(schema: Schema): string {
  const sum = (table: string) =>
    `(SELECT coalesce(sum(t.amount_nano), 0) FROM ${table} AS t WHERE t.at_ms >= p.start_ms AND t.at_ms < p.end_ms AND ${covers('p', 't')})`;
  return `WITH unused AS (DELETE FROM ${schema.budget_counter} WHERE id IN (SELECT id FROM ${schema.budget_counter}
    WHERE unused_from_ms < $2::bigint ORDER BY unused_from_ms LIMIT ${deletedAtOnce})),
opened AS (INSERT INTO ${schema.budget_counter} AS c (${dimensionColumns()}, start_ms, end_ms, unused_from_ms, spent_nano, reserved_nano)
  SELECT ${dimensionColumns('p')}, p.start_ms, p.end_ms, p.unused_from_ms, ${sum(schema.usage)}, ${sum(schema.hold)}
  FROM json_to_recordset($1::json) AS p (${dimensionFields}, start_ms bigint, end_ms bigint, unused_from_ms bigint)
  RETURNING c.*)
SELECT coalesce(json_agg(x), '[]')::text AS counters FROM (SELECT ${carried(counterNames, 't')} FROM opened AS t) AS x`;
}

function writing(schema: Schema): string {
  const columns = (fields: string) => namesIn(fields).join(', ');
  const insert = (table: string, fields: string, parameter: number, conflict = '') =>
    `INSERT INTO ${table} AS t (${columns(fields)}) SELECT ${columns(fields)} FROM json_to_recordset($${parameter}::json) AS r (${fields})${conflict}`;
  const added = sumNames.map((name) => `${name} = t.${name} + excluded.${name}`).join(', ');
  const replaced = namesIn(holdFields).map((name) => `${name} = excluded.${name}`);
  return `WITH rows AS (${insert(schema.usage, usageFields, 1)}),
rolled AS (${insert(schema.usage_rollup, rollupFields, 2, ` ON CONFLICT (${rollupPlace.join(', ')}) DO UPDATE SET ${added}`)}),
dropped AS (DELETE FROM ${schema.hold} AS h USING json_to_recordset($3::json) AS r (tenant text, dedupe_key text)
  WHERE h.tenant = r.tenant AND h.dedupe_key = r.dedupe_key),
held AS (${insert(schema.hold, holdFields, 4, ` ON CONFLICT (tenant, dedupe_key) DO UPDATE SET ${replaced.join(', ')}`)}),
counted AS (UPDATE ${schema.budget_counter} AS c SET spent_nano = r.spent, reserved_nano = r.reserved
  FROM json_to_recordset($5::json) AS r (id bigint, spent bigint, reserved bigint) WHERE c.id = r.id)
${insert(schema.threshold_crossing, crossingFields, 6)}`;
}

function placeRecord({ dimensions, start, end, unusedFrom }: CounterPlace): Record<string, unknown> {
  return { ...dimensionRecord(dimensions), start_ms: start, end_ms: end, unused_from_ms: unusedFrom };
}

function rollupRecord(sum: Changes['rollup'][number]): Record<string, unknown> {
  const { tenant, project, kind, name, model, provider } = sum;
  return {
    ...{ span_ms: sum.spanMs, start_ms: sum.start, tenant: storable(tenant), project: storable(project), kind, name: storable(name) },
    ...{ model: storable(model), provider: storable(provider), calls: sum.calls, failures: sum.failures, unpriced: sum.unpriced },
    ...{ input_tokens: sum.inputTokens, cache_read_tokens: sum.cacheReadTokens, output_tokens: sum.outputTokens },
    total_nano: String(sum.total),
  };
}

function crossingRecord({ crossing: { window, mark, spent }, id, at }: Changes['crossings'][number]): Record<string, unknown> {
  return {
    ...{ id: storable(id), budget: storable(window.budget), level: mark.level, threshold: mark.threshold },
    ...{ spent_nano: String(spent), limit_nano: String(window.limit) },
    ...{ start_ms: window.periodStart, end_ms: window.resetsAt, crossed_at_ms: at },
  };
}
