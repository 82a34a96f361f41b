import type { BudgetState, BudgetWindow } from './budget.ts';
import type { LedgerTables } from './ledger.ts';
import type { NanoUsd } from './money.ts';
import type { Dimensions } from './scope.ts';
import type { Connection, SqlValue, Statement } from './sqlite-file.ts';
import type { Crossing, Hold, UsageGroup, UsageKey, UsageKind, UsageQuery, UsageRow } from './store.ts';

/** How SQLite gives a row when integers are read as bigint. */
interface HoldRecord extends Record<keyof Dimensions, string> {
  dedupe_key: string;
  at_ms: bigint;
  expires_at_ms: bigint;
  amount_nano: bigint;
}

interface GroupRecord {
  tenant: string;
  kind: UsageKind;
  name: string;
  calls: bigint;
  failures: bigint;
  total: bigint;
}

// Every statement takes the seven dimensions as ?1 to ?7, in this order.
const DIMENSIONS = 'org, tenant, project, user, key, model, tool';
const NAMES = DIMENSIONS.split(', ') as (keyof Dimensions)[];
const EXACTLY = NAMES.map((name, index) => `${name} = ?${index + 1}`).join(' AND ');
/** Rows of a table of calls that a window or query with these dimensions covers. */
const COVERED = NAMES.map((name, index) => `?${index + 1} IN ('', ${name})`).join(' AND ');
/** Counters that cover a call with these dimensions; written with IN so that the tenant is looked up by the primary key. */
const COVERING = NAMES.map((name, index) => `${name} IN ('', ?${index + 1})`).join(' AND ');
const WITHIN = 'at_ms >= ?8 AND at_ms < ?9';

const SQL = {
  hold: 'SELECT * FROM hold WHERE tenant = ? AND dedupe_key = ?',
  insertHold: `INSERT INTO hold (${DIMENSIONS}, dedupe_key, at_ms, amount_nano, expires_at_ms) VALUES (${marks(11)})`,
  deleteHold: 'DELETE FROM hold WHERE tenant = ? AND dedupe_key = ?',
  expiredHolds: 'SELECT * FROM hold WHERE expires_at_ms <= ?',
  insertUsage: `INSERT INTO usage (${DIMENSIONS}, dedupe_key, at_ms, amount_nano, recorded_at_ms, kind, name, success, duration_ms, trace_id, metadata)
    VALUES (${marks(17)}) ON CONFLICT DO NOTHING`,
  hasUsage: 'SELECT 1 FROM usage WHERE tenant = ? AND dedupe_key = ?',
  counter: `SELECT spent_nano AS spent, reserved_nano AS reserved FROM budget_counter WHERE ${EXACTLY} AND start_ms = ?8 AND end_ms = ?9`,
  openCounter: `INSERT INTO budget_counter (${DIMENSIONS}, start_ms, end_ms, spent_nano, reserved_nano) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
      (SELECT coalesce(sum(amount_nano), 0) FROM usage WHERE ${COVERED} AND ${WITHIN}),
      (SELECT coalesce(sum(amount_nano), 0) FROM hold WHERE ${COVERED} AND ${WITHIN}))
    RETURNING spent_nano AS spent, reserved_nano AS reserved`,
  addToCounters: `UPDATE budget_counter SET spent_nano = spent_nano + ?9, reserved_nano = reserved_nano + ?10
    WHERE ${COVERING} AND end_ms > ?8 AND start_ms <= ?8`,
  insertCrossing: 'INSERT INTO threshold_crossing (budget, start_ms, level, spent_nano) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
  total: `SELECT coalesce(sum(amount_nano), 0) AS total FROM usage WHERE ${COVERED} AND ${WITHIN}`,
  groups: `SELECT tenant, kind, name, count(*) AS calls, count(*) - sum(success) AS failures, sum(amount_nano) AS total
    FROM usage WHERE ${COVERED} AND ${WITHIN} GROUP BY tenant, kind, name ORDER BY tenant, kind, name`,
} as const;

/** The ledger's tables over one SQLite connection. Money stays bigint: a sum that overflows 64 bits is an error, never a drift. */
export class SqliteTables implements LedgerTables {
  readonly #statements: Record<keyof typeof SQL, Statement>;

  constructor(connection: Connection) {
    const prepared = Object.entries(SQL).map(([name, sql]) => {
      const statement = connection.prepare(sql);
      statement.setReadBigInts(true);
      return [name, statement] as const;
    });
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, Statement>;
  }

  hold(key: UsageKey): Hold | undefined {
    const record = this.#statements.hold.get(key.tenant, key.id) as HoldRecord | undefined;
    return record && holdOf(record);
  }

  insertHold(hold: Hold): void {
    this.#statements.insertHold.run(...values(hold.dimensions), hold.key.id, hold.at, hold.amount, hold.expiresAt);
  }

  deleteHold(key: UsageKey): void {
    this.#statements.deleteHold.run(key.tenant, key.id);
  }

  expiredHolds(now: number): readonly Hold[] {
    return (this.#statements.expiredHolds.all(now) as HoldRecord[]).map(holdOf);
  }

  insertUsage(row: UsageRow): boolean {
    const { changes } = this.#statements.insertUsage.run(
      ...values(row.dimensions),
      row.key.id,
      row.at,
      row.amount,
      row.recordedAt,
      row.kind,
      row.name,
      row.success ? 1 : 0,
      row.durationMs ?? null,
      row.traceId ?? null,
      row.metadata ?? null,
    );
    return Number(changes) === 1;
  }

  hasUsage(key: UsageKey): boolean {
    return this.#statements.hasUsage.get(key.tenant, key.id) !== undefined;
  }

  counter(window: BudgetWindow): BudgetState | undefined {
    return this.#statements.counter.get(...values(window.dimensions), window.start, window.end) as BudgetState | undefined;
  }

  openCounter(window: BudgetWindow): BudgetState {
    return this.#statements.openCounter.get(...values(window.dimensions), window.start, window.end) as BudgetState;
  }

  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    this.#statements.addToCounters.run(...values(call.dimensions), call.at, spent, reserved);
  }

  insertCrossing({ window, mark, spent }: Crossing): boolean {
    return Number(this.#statements.insertCrossing.run(window.budget, window.start, mark.level, spent).changes) === 1;
  }

  total(query: UsageQuery): NanoUsd {
    const { total } = this.#statements.total.get(...values(query.dimensions), query.from, query.to) as { total: bigint };
    return total;
  }

  groups(query: UsageQuery): readonly UsageGroup[] {
    const records = this.#statements.groups.all(...values(query.dimensions), query.from, query.to) as GroupRecord[];
    return records.map((record) => ({ ...record, calls: Number(record.calls), failures: Number(record.failures) }));
  }
}

function values(dimensions: Dimensions): SqlValue[] {
  return NAMES.map((name) => dimensions[name]);
}

function holdOf(record: HoldRecord): Hold {
  const { org, tenant, project, user, key, model, tool } = record;
  return {
    key: { tenant, id: record.dedupe_key },
    dimensions: { org, tenant, project, user, key, model, tool },
    at: Number(record.at_ms),
    amount: record.amount_nano,
    expiresAt: Number(record.expires_at_ms),
  };
}

function marks(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ');
}
