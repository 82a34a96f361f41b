import type { BudgetState, BudgetWindow } from '../budget.ts';
import type { LedgerTables } from '../ledger.ts';
import type { NanoUsd } from '../money.ts';
import { cacheReadTokensOf } from '../rollup-sums.ts';
import type { Dimensions } from '../scope.ts';
import type {
  CostSource,
  Crossing,
  Hold,
  RowCursor,
  StoredBudgets,
  UsageGroup,
  UsageKey,
  UsageKind,
  UsageQuery,
  UsageRow,
} from '../store.ts';
import { inputTokensOf, outputTokensOf } from '../usage.ts';
import { SqliteValues } from '../value/sqlite-values.ts';
import { Alerts } from './alerts.ts';
import { covered, dimensionColumns, dimensionsIn, dimensionValues, marks, prepareAll } from './columns.ts';
import { Counters } from './counters.ts';
import type { Connection } from './file.ts';
import { Rollup } from './rollup.ts';

/** How SQLite gives rows when integers are read as bigint. */
interface HoldRecord extends Record<keyof Dimensions, string> {
  dedupe_key: string;
  at_ms: bigint;
  expires_at_ms: bigint;
  amount_nano: bigint;
}

interface UsageRecord extends Record<keyof Dimensions, string> {
  dedupe_key: string;
  correction: bigint;
  at_ms: bigint;
  recorded_at_ms: bigint;
  kind: UsageKind;
  name: string;
  provider: string;
  served_model: string;
  usage: string;
  amount_nano: bigint;
  cost_source: CostSource;
  revision: bigint;
  failures: bigint;
  unpriced: bigint;
  success: bigint;
  price_version: string | null;
  price_lines: string | null;
  duration_ms: number | null;
  trace_id: string | null;
  metadata: string | null;
}

const usageColumns =
  'dedupe_key, correction, at_ms, recorded_at_ms, kind, name, provider, served_model, usage, input_tokens, cache_read_tokens, output_tokens, ' +
  'amount_nano, cost_source, revision, failures, unpriced, success, price_version, price_lines, duration_ms, trace_id, metadata';

const sql = {
  dataVersion: 'PRAGMA data_version',
  hold: 'SELECT * FROM hold WHERE tenant = ? AND dedupe_key = ?',
  insertHold: `INSERT INTO hold (${dimensionColumns}, dedupe_key, at_ms, amount_nano, expires_at_ms) VALUES (${marks(11)})`,
  deleteHold: 'DELETE FROM hold WHERE tenant = ? AND dedupe_key = ?',
  earliestExpiry: 'SELECT min(expires_at_ms) AS earliest FROM hold',
  expiredHolds: 'SELECT * FROM hold WHERE expires_at_ms <= ?',
  rows: 'SELECT * FROM usage WHERE tenant = ? AND dedupe_key = ? ORDER BY correction',
  insertRow: `INSERT INTO usage (${dimensionColumns}, ${usageColumns}) VALUES (${marks(30)})`,
  page: `SELECT * FROM usage WHERE ${covered} AND at_ms >= ?8 AND at_ms < ?9 AND (at_ms, tenant, dedupe_key, correction) > (?10, ?11, ?12, ?13)
    ORDER BY at_ms, tenant, dedupe_key, correction LIMIT ?14`,
  budgetsVersion: 'SELECT version FROM budget_version',
  budgets: 'SELECT name, options FROM budget_setting ORDER BY name',
  putBudget: 'INSERT INTO budget_setting (name, options) VALUES (?, ?) ON CONFLICT DO UPDATE SET options = excluded.options',
  deleteBudget: 'DELETE FROM budget_setting WHERE name = ?',
  raiseVersion: 'UPDATE budget_version SET version = version + 1',
};

/**
 * The ledger's tables over one SQLite connection. What it knows of them it goes on knowing after a transaction, until another connection
 * has written.
 */
export class SqliteTables implements LedgerTables {
  readonly alerts: Alerts;
  readonly values: SqliteValues;
  readonly #statements: ReturnType<typeof prepareAll<keyof typeof sql>>;
  readonly #counters: Counters;
  readonly #rollup: Rollup;
  #dataVersion: bigint | undefined;
  #version: number | undefined;
  // No hold expires before it, so that a call need not look at all of them.
  #earliestExpiry: number | undefined;

  constructor(connection: Connection) {
    this.#statements = prepareAll(connection, sql);
    this.#counters = new Counters(connection);
    this.#rollup = new Rollup(connection);
    this.alerts = new Alerts(connection);
    this.values = new SqliteValues(connection);
  }

  /** At the beginning of each transaction that writes. */
  begin(): void {
    const { data_version } = this.#statements.dataVersion.get() as { data_version: bigint };
    if (data_version !== this.#dataVersion) this.forget();
    this.#dataVersion = data_version;
    this.#counters.begin();
  }

  /** Before a transaction commits. */
  flush(): void {
    this.#counters.flush();
    this.#rollup.flush();
  }

  /** After a transaction was rolled back. */
  forget(): void {
    this.#counters.forget();
    this.#rollup.forget();
    this.#version = undefined;
    this.#earliestExpiry = undefined;
  }

  budgetsVersion(): number {
    this.#version ??= Number((this.#statements.budgetsVersion.get() as { version: bigint }).version);
    return this.#version;
  }

  budgets(): StoredBudgets {
    const { version } = this.#statements.budgetsVersion.get() as { version: bigint };
    return { version: Number(version), budgets: this.#statements.budgets.all() as { name: string; options: string }[] };
  }

  putBudget(name: string, options: string | undefined): StoredBudgets {
    if (options === undefined) this.#statements.deleteBudget.run(name);
    else this.#statements.putBudget.run(name, options);
    this.#statements.raiseVersion.run();
    this.#version = undefined;
    return this.budgets();
  }

  hold(key: UsageKey): Hold | undefined {
    const record = this.#statements.hold.get(key.tenant, key.id) as HoldRecord | undefined;
    return record && holdOf(record);
  }

  insertHold(hold: Hold): void {
    this.#statements.insertHold.run(...dimensionValues(hold.dimensions), hold.key.id, hold.at, hold.amount, hold.expiresAt);
    if (this.#earliestExpiry !== undefined) this.#earliestExpiry = Math.min(this.#earliestExpiry, hold.expiresAt);
  }

  deleteHold(key: UsageKey): void {
    this.#statements.deleteHold.run(key.tenant, key.id);
  }

  expiredHolds(now: number): readonly Hold[] {
    if (this.#earliestExpiry === undefined) {
      const { earliest } = this.#statements.earliestExpiry.get() as { earliest: bigint | null };
      this.#earliestExpiry = earliest === null ? Number.POSITIVE_INFINITY : Number(earliest);
    }
    if (now < this.#earliestExpiry) return [];
    this.#earliestExpiry = undefined;
    return (this.#statements.expiredHolds.all(now) as HoldRecord[]).map(holdOf);
  }

  rows(key: UsageKey): readonly UsageRow[] {
    return (this.#statements.rows.all(key.tenant, key.id) as UsageRecord[]).map(rowOf);
  }

  insertRow(row: UsageRow): void {
    this.#statements.insertRow.run(
      ...dimensionValues(row.dimensions),
      ...[row.key.id, row.correction, row.at, row.recordedAt, row.kind, row.name, row.provider, row.servedModel],
      ...[JSON.stringify(row.usage), inputTokensOf(row.usage), cacheReadTokensOf(row.usage), outputTokensOf(row.usage)],
      ...[row.amount, row.costSource, row.revision, row.failures, row.unpriced, row.success ? 1 : 0],
      ...[row.priceVersion ?? null, row.priceLines ?? null, row.durationMs ?? null, row.traceId ?? null, row.metadata ?? null],
    );
    this.#rollup.add(row);
  }

  counter(window: BudgetWindow): BudgetState {
    const { spent, reserved } = this.#counters.state(window);
    return { spent, reserved };
  }

  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    this.#counters.add(call, spent, reserved);
  }

  insertCrossing(crossing: Crossing, now: number): boolean {
    return this.alerts.insert(crossing, now);
  }

  total(query: UsageQuery): NanoUsd {
    return this.groups(query).reduce((sum, { total }) => sum + total, 0n);
  }

  groups(query: UsageQuery): readonly UsageGroup[] {
    return this.#rollup.groups(query);
  }

  page({ dimensions, from, to }: UsageQuery, after: RowCursor | undefined, limit: number): readonly UsageRow[] {
    const { at, tenant, id, correction } = after ?? { at: -1, tenant: '', id: '', correction: -1 };
    const records = this.#statements.page.all(...dimensionValues(dimensions), from, to, at, tenant, id, correction, limit);
    return (records as UsageRecord[]).map(rowOf);
  }
}

function holdOf(record: HoldRecord): Hold {
  return {
    key: { tenant: record.tenant, id: record.dedupe_key },
    dimensions: dimensionsIn(record),
    at: Number(record.at_ms),
    amount: record.amount_nano,
    expiresAt: Number(record.expires_at_ms),
  };
}

function rowOf(record: UsageRecord): UsageRow {
  return {
    key: { tenant: record.tenant, id: record.dedupe_key },
    dimensions: dimensionsIn(record),
    at: Number(record.at_ms),
    recordedAt: Number(record.recorded_at_ms),
    kind: record.kind,
    name: record.name,
    provider: record.provider,
    servedModel: record.served_model,
    usage: JSON.parse(record.usage),
    amount: record.amount_nano,
    costSource: record.cost_source,
    revision: Number(record.revision),
    correction: Number(record.correction),
    failures: Number(record.failures),
    unpriced: Number(record.unpriced),
    success: record.success === 1n,
    priceVersion: record.price_version ?? undefined,
    priceLines: record.price_lines ?? undefined,
    durationMs: record.duration_ms ?? undefined,
    traceId: record.trace_id ?? undefined,
    metadata: record.metadata ?? undefined,
  };
}
