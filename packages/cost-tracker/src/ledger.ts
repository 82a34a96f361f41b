import { admits, type BudgetState, type BudgetWindow } from './budget.ts';
import type { NanoUsd } from './money.ts';
import type { Crossing, Hold, ReserveResult, SaveResult, UsageKey, UsageRow } from './store.ts';

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
  /** False when the key has a row already. */
  insertUsage(row: UsageRow): boolean;
  hasUsage(key: UsageKey): boolean;
  counter(window: BudgetWindow): BudgetState | undefined;
  /** Adds up rows and holds into a new counter. */
  openCounter(window: BudgetWindow): BudgetState;
  /** Adds to every counter that covers the call, whoever opened it. */
  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void;
  /** False when that threshold was crossed in that period before. */
  insertCrossing(crossing: Crossing): boolean;
}

/** Decides over all windows first and writes only when every one admits. */
export function reserve(tables: LedgerTables, hold: Hold, windows: readonly BudgetWindow[], now: number): ReserveResult {
  dropExpired(tables, now);
  if (tables.hold(hold.key) || tables.hasUsage(hold.key)) return { admitted: true };
  for (const window of windows) {
    const state = stateOf(tables, window);
    if (!admits(window, state, hold.amount)) return { admitted: false, window, state };
  }
  tables.insertHold(hold);
  tables.addToCounters(hold, 0n, hold.amount);
  return { admitted: true };
}

/** Moves a hold to spent, or writes a row that never had one. */
export function saveUsage(tables: LedgerTables, row: UsageRow, windows: readonly BudgetWindow[]): SaveResult {
  if (!tables.insertUsage(row)) return { saved: false, crossings: [] };
  release(tables, row.key);
  tables.addToCounters(row, row.amount, 0n);
  return { saved: true, crossings: windows.flatMap((window) => newCrossings(tables, window)) };
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
  return stateOf(tables, window);
}

function dropExpired(tables: LedgerTables, now: number): void {
  for (const hold of tables.expiredHolds(now)) release(tables, hold.key);
}

function stateOf(tables: LedgerTables, window: BudgetWindow): BudgetState {
  return tables.counter(window) ?? tables.openCounter(window);
}

function newCrossings(tables: LedgerTables, window: BudgetWindow): Crossing[] {
  const { spent } = stateOf(tables, window);
  return window.marks
    .filter((mark) => spent >= mark.reachedAt)
    .map((mark) => ({ window, mark, spent }))
    .filter((crossing) => tables.insertCrossing(crossing));
}
