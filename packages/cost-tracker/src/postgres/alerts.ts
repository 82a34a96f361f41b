import type { PendingAlert } from '../store.ts';
import { type Database, type Statement, statement } from './database.ts';
import type { Schema } from './schema.ts';
import { restored, storable } from './text.ts';

const dayMs = 86_400_000;

interface AlertRecord {
  id: string;
  budget: string;
  level: PendingAlert['level'];
  threshold: number;
  spent_nano: string;
  limit_nano: string;
  start_ms: number;
  end_ms: number;
  crossed_at_ms: number;
  attempts: number;
}

/** The crossings of thresholds as an outbox. Each statement stands for itself and needs no lock of the ledger. */
export class Alerts {
  readonly #database: Database;
  readonly #claim: Statement;
  readonly #end: Statement;

  constructor(database: Database, schema: Schema) {
    this.#database = database;
    this.#claim = statement(claiming(schema));
    this.#end = statement(
      `UPDATE ${schema.alert_delivery} SET again_at_ms = $3::bigint WHERE sink = $1 AND id = $2 AND again_at_ms IS NOT NULL`,
    );
  }

  async claim(sink: string, now: number, leaseUntil: number, limit: number): Promise<PendingAlert[]> {
    const values = [storable(sink), Math.floor(now), Math.ceil(leaseUntil), limit];
    const [record] = await this.#database.ask<{ answer: string }>(this.#claim, values);
    return (JSON.parse(record?.answer ?? '[]') as AlertRecord[]).map(alertIn);
  }

  async end(sink: string, id: string, againAt: number | undefined): Promise<void> {
    await this.#database.ask(this.#end, [storable(sink), storable(id), againAt === undefined ? null : Math.ceil(againAt)]);
  }
}

/**
 * Of a budget and period the lowest line of which the sink was not told: their names, from the lowest to the highest, are in falling order of
 * the alphabet (warning, critical, blocked). What others are just claiming is skipped. What somebody has claimed after this statement began is found by the insertion, which looks
 * at the newest lease; only what it wrote is answered.
 */
function claiming(schema: Schema): string {
  const order = 'crossed_at_ms, spent_nano, threshold';
  return `WITH due AS (SELECT c.id FROM ${schema.threshold_crossing} AS c
    LEFT JOIN ${schema.alert_delivery} AS d ON d.id = c.id AND d.sink = $1
    WHERE c.end_ms > $2::bigint - ${dayMs} AND (d.id IS NULL OR d.again_at_ms <= $2::bigint) AND NOT EXISTS (
      SELECT 1 FROM ${schema.threshold_crossing} AS lower LEFT JOIN ${schema.alert_delivery} AS told ON told.id = lower.id AND told.sink = $1
      WHERE lower.budget = c.budget AND lower.start_ms = c.start_ms AND lower.level COLLATE "C" > c.level COLLATE "C"
        AND lower.end_ms > $2::bigint - ${dayMs} AND (told.id IS NULL OR told.again_at_ms IS NOT NULL))
    ORDER BY ${order} LIMIT $4::bigint FOR UPDATE OF c SKIP LOCKED),
claimed AS (INSERT INTO ${schema.alert_delivery} AS d (sink, id, again_at_ms, attempts) SELECT $1, id, $3::bigint, 1 FROM due
  ON CONFLICT (sink, id) DO UPDATE SET again_at_ms = excluded.again_at_ms, attempts = d.attempts + 1 WHERE d.again_at_ms <= $2::bigint
  RETURNING d.id, d.attempts - 1 AS attempts),
answer AS (SELECT c.id, c.budget, c.level, c.threshold, c.spent_nano, c.limit_nano::text AS limit_nano, c.start_ms, c.end_ms,
  c.crossed_at_ms, claimed.attempts FROM claimed JOIN ${schema.threshold_crossing} AS c ON c.id = claimed.id)
SELECT coalesce(json_agg(json_build_object('id', id, 'budget', budget, 'level', level, 'threshold', threshold, 'spent_nano', spent_nano::text,
  'limit_nano', limit_nano, 'start_ms', start_ms, 'end_ms', end_ms, 'crossed_at_ms', crossed_at_ms, 'attempts', attempts) ORDER BY ${order}),
  '[]')::text AS answer FROM answer`;
}

function alertIn({ id, budget, level, threshold, attempts, ...record }: AlertRecord): PendingAlert {
  return {
    ...{ id: restored(id), budget: restored(budget), level, threshold },
    spent: BigInt(record.spent_nano),
    limit: BigInt(record.limit_nano),
    start: record.start_ms,
    end: record.end_ms,
    crossedAt: record.crossed_at_ms,
    attempts,
  };
}
