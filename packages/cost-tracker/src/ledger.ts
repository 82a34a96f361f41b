import { admits, type BudgetState, type BudgetWindow } from './budget.ts';
import type { NanoUsd } from './money.ts';
import type { CostSource, Crossing, Hold, ReserveResult, SaveResult, UsageKey, UsageReport, UsageRow } from './store.ts';
import { countedParts, difference, inputParts, inputTokensOf, outputParts, outputTokensOf, together } from './usage.ts';

/**
 * The tables of a ledger inside one transaction. A counter is no truth of its own but the kept sum of the rows and holds that
 * its window covers, so a budget that is new, renamed or moved to another process starts from what was really spent.
 */
export interface LedgerTables {
  hold(key: UsageKey): Hold | undefined;
  insertHold(hold: Hold): void;
  deleteHold(key: UsageKey): void;
  /** Holds with `expiresAt <= now`. */
  expiredHolds(now: number): readonly Hold[];
  /** The rows of a call, from the first. */
  rows(key: UsageKey): readonly UsageRow[];
  insertRow(row: UsageRow): void;
  counter(window: BudgetWindow): BudgetState;
  /** Adds to every counter that covers the call, whoever opened it. */
  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void;
  /** False when that threshold was crossed in that period before. */
  insertCrossing(crossing: Crossing, now: number): boolean;
  budgetsVersion(): number;
}

/** Decides over all windows first and writes only when every one admits. */
export function reserve(tables: LedgerTables, hold: Hold, windows: readonly BudgetWindow[], now: number, version: number): ReserveResult {
  if (tables.budgetsVersion() !== version) return { admitted: undefined };
  dropExpired(tables, now);
  if (tables.hold(hold.key) || tables.rows(hold.key).length > 0) return { admitted: true };
  for (const window of windows) {
    const state = tables.counter(window);
    if (!admits(window, state, hold.amount)) return { admitted: false, window, state };
  }
  tables.insertHold(hold);
  tables.addToCounters(hold, 0n, hold.amount);
  return { admitted: true };
}

/** Moves a hold to spent, writes a row that never had one, or corrects what was written. */
export function saveUsage(tables: LedgerTables, report: UsageReport, windows: readonly BudgetWindow[]): SaveResult {
  const row = nextRow(tables.rows(report.key), report);
  if (row === undefined) return { row, crossings: [] };
  tables.insertRow(row);
  release(tables, row.key);
  tables.addToCounters(row, row.amount, 0n);
  return { row, crossings: windows.flatMap((window) => newCrossings(tables, window, row.recordedAt)) };
}

/** Gives a hold back to the counters it was taken from. */
export function release(tables: LedgerTables, key: UsageKey): void {
  const hold = tables.hold(key);
  if (!hold) return;
  tables.deleteHold(key);
  tables.addToCounters(hold, 0n, -hold.amount);
}

/** Reads a window after dropping what has expired. */
export function budgetState(tables: LedgerTables, window: BudgetWindow, now: number): BudgetState {
  dropExpired(tables, now);
  return tables.counter(window);
}

/** The row that a report adds to those of its call; none where it tells nothing better. */
export function nextRow(rows: readonly UsageRow[], report: UsageReport): UsageRow | undefined {
  const latest = rows.at(-1);
  const [failures, unpriced] = [report.success ? 0 : 1, report.costSource === 'unpriced' ? 1 : 0];
  if (latest === undefined) return { ...report, correction: 0, failures, unpriced };
  const known = { revision: latest.revision, costSource: latest.costSource, ...sumOf(rows) };
  if (!isBetter({ ...report, failures }, known)) return undefined;
  const [first] = rows as readonly [UsageRow];
  return {
    ...report,
    // the call was made once, by one caller, in one period
    dimensions: first.dimensions,
    at: first.at,
    kind: first.kind,
    name: first.name,
    usage: difference(report.usage, known.usage),
    amount: report.amount - known.amount,
    failures: failures - known.failures,
    unpriced: unpriced - known.unpriced,
    correction: latest.correction + 1,
  };
}

const sources: readonly CostSource[] = ['unpriced', 'estimated', 'partial', 'priced', 'reported'];

type Known = Pick<UsageRow, 'revision' | 'costSource' | 'amount' | 'usage' | 'failures'>;

const parts = [...inputParts, ...outputParts, ...countedParts];

function isBetter(report: Known, known: Known): boolean {
  if (report.revision !== known.revision) return report.revision > known.revision;
  const gain = sources.indexOf(report.costSource) - sources.indexOf(known.costSource);
  if (gain !== 0) return gain > 0;
  if (report.amount !== known.amount) return report.amount > known.amount;
  const more = tokensOf(report) - tokensOf(known);
  if (more !== 0) return more > 0;
  // Nothing says which is right. Whatever it is, it must not be the one that came first.
  const part = parts.find((each) => (report.usage[each] ?? 0) !== (known.usage[each] ?? 0));
  if (part !== undefined) return (report.usage[part] ?? 0) > (known.usage[part] ?? 0);
  return report.failures < known.failures;
}

function tokensOf({ usage }: Known): number {
  return inputTokensOf(usage) + outputTokensOf(usage);
}

function sumOf(rows: readonly UsageRow[]): Pick<UsageRow, 'amount' | 'usage' | 'failures' | 'unpriced'> {
  return rows.reduce(
    (sum, row) => ({
      amount: sum.amount + row.amount,
      usage: together(sum.usage, row.usage),
      failures: sum.failures + row.failures,
      unpriced: sum.unpriced + row.unpriced,
    }),
    { amount: 0n, usage: {}, failures: 0, unpriced: 0 },
  );
}

function dropExpired(tables: LedgerTables, now: number): void {
  for (const hold of tables.expiredHolds(now)) release(tables, hold.key);
}

function newCrossings(tables: LedgerTables, window: BudgetWindow, now: number): Crossing[] {
  const { spent } = tables.counter(window);
  return window.marks
    .filter((mark) => spent >= mark.reachedAt)
    .map((mark) => ({ window, mark, spent }))
    .filter((crossing) => tables.insertCrossing(crossing, now));
}
