import { alertId } from '../memory-alerts.ts';
import type { Crossing, PendingAlert } from '../store.ts';
import { prepareAll } from './columns.ts';
import type { Connection } from './file.ts';

const dayMs = 86_400_000;

// The names of the levels, from the lowest to the highest, are in falling order of the alphabet: warning, critical, blocked.
const sql = {
  insert: `INSERT INTO threshold_crossing (id, budget, level, threshold, spent_nano, limit_nano, start_ms, end_ms, crossed_at_ms)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
  due: `SELECT crossing.*, coalesce(delivery.attempts, 0) AS attempts FROM threshold_crossing AS crossing
    LEFT JOIN alert_delivery AS delivery ON delivery.id = crossing.id AND delivery.sink = ?1
    WHERE crossing.end_ms > ?2 - ${dayMs} AND (delivery.id IS NULL OR delivery.again_at_ms <= ?2) AND NOT EXISTS (
      SELECT 1 FROM threshold_crossing AS lower LEFT JOIN alert_delivery AS told ON told.id = lower.id AND told.sink = ?1
      WHERE lower.budget = crossing.budget AND lower.start_ms = crossing.start_ms AND lower.level > crossing.level
        AND lower.end_ms > ?2 - ${dayMs} AND (told.id IS NULL OR told.again_at_ms IS NOT NULL))
    ORDER BY crossing.crossed_at_ms, crossing.spent_nano, crossing.threshold LIMIT ?3`,
  lease: `INSERT INTO alert_delivery (sink, id, again_at_ms, attempts) VALUES (?1, ?2, ?3, 1)
    ON CONFLICT DO UPDATE SET again_at_ms = ?3, attempts = attempts + 1`,
  end: 'UPDATE alert_delivery SET again_at_ms = ?3 WHERE sink = ?1 AND id = ?2 AND again_at_ms IS NOT NULL',
};

interface AlertRecord {
  id: string;
  budget: string;
  level: PendingAlert['level'];
  threshold: number;
  spent_nano: bigint;
  limit_nano: bigint;
  start_ms: bigint;
  end_ms: bigint;
  crossed_at_ms: bigint;
  attempts: bigint;
}

/** The crossings of thresholds, and who was told of them. */
export class Alerts {
  readonly #statements: ReturnType<typeof prepareAll<keyof typeof sql>>;

  constructor(connection: Connection) {
    this.#statements = prepareAll(connection, sql);
  }

  /** False where that threshold was crossed in that period before. */
  insert({ window, mark, spent }: Crossing, now: number): boolean {
    const id = alertId(window.budget, window.periodStart, mark.level);
    const amounts = [mark.threshold, spent, window.limit, window.periodStart, window.resetsAt, now];
    return Number(this.#statements.insert.run(id, window.budget, mark.level, ...amounts).changes) === 1;
  }

  claim(sink: string, now: number, leaseUntil: number, limit: number): PendingAlert[] {
    const due = this.#statements.due.all(sink, now, limit) as AlertRecord[];
    for (const { id } of due) this.#statements.lease.run(sink, id, leaseUntil);
    return due.map(alertOf);
  }

  end(sink: string, id: string, againAt: number | undefined): void {
    this.#statements.end.run(sink, id, againAt ?? null);
  }
}

function alertOf({ id, budget, level, threshold, attempts, ...record }: AlertRecord): PendingAlert {
  return {
    ...{ id, budget, level, threshold },
    spent: record.spent_nano,
    limit: record.limit_nano,
    start: Number(record.start_ms),
    end: Number(record.end_ms),
    crossedAt: Number(record.crossed_at_ms),
    attempts: Number(attempts),
  };
}
