import type { BudgetState, BudgetWindow } from './budget.ts';
import { StoreError } from './errors.ts';
import { budgetState, type LedgerTables, release, reserve, saveUsage } from './ledger.ts';
import type { NanoUsd } from './money.ts';
import { covers, type Dimensions } from './scope.ts';
import type { Crossing, Hold, UsageGroup, UsageKey, UsageQuery, UsageRow, UsageStore } from './store.ts';

interface Counter {
  readonly window: BudgetWindow;
  spent: NanoUsd;
  reserved: NanoUsd;
}

/**
 * Keeps the ledger in this process's memory: every row until the process ends, none after. For tests, and for processes whose
 * spend need not outlive them.
 */
export function memoryStore(): UsageStore {
  const tables = new MemoryTables();
  let closed = false;
  // Async, so that a throw becomes a rejection; the body itself runs at once and unbroken, which makes it a transaction.
  const transact = async <T>(body: (tables: MemoryTables) => T): Promise<T> => {
    if (closed) throw new StoreError('ERR_CLOSED', 'the usage store is closed');
    return body(tables);
  };
  return {
    reserve: (hold, windows, now) => transact((open) => reserve(open, hold, windows, now)),
    saveUsage: (row, windows) => transact((open) => saveUsage(open, row, windows)),
    release: (key) => transact((open) => release(open, key)),
    budgetState: (window, now) => transact((open) => budgetState(open, window, now)),
    getMonthlyTotal: (query) => transact((open) => open.total(query)),
    getUsageSummary: (query) => transact((open) => open.groups(query)),
    close: async () => {
      closed = true;
    },
  };
}

class MemoryTables implements LedgerTables {
  readonly #usage = new Map<string, UsageRow>();
  readonly #holds = new Map<string, Hold>();
  readonly #counters = new Map<string, Counter>();
  readonly #crossings = new Set<string>();
  // No hold expires before it, so that a call need not look at all of them.
  #earliestExpiry = Number.POSITIVE_INFINITY;

  hold(key: UsageKey): Hold | undefined {
    return this.#holds.get(keyText(key));
  }

  insertHold(hold: Hold): void {
    this.#holds.set(keyText(hold.key), hold);
    this.#earliestExpiry = Math.min(this.#earliestExpiry, hold.expiresAt);
  }

  deleteHold(key: UsageKey): void {
    this.#holds.delete(keyText(key));
  }

  expiredHolds(now: number): readonly Hold[] {
    if (now < this.#earliestExpiry) return [];
    const holds = [...this.#holds.values()];
    const live = holds.filter((hold) => hold.expiresAt > now);
    this.#earliestExpiry = live.reduce((earliest, hold) => Math.min(earliest, hold.expiresAt), Number.POSITIVE_INFINITY);
    return holds.filter((hold) => hold.expiresAt <= now);
  }

  insertUsage(row: UsageRow): boolean {
    if (this.hasUsage(row.key)) return false;
    this.#usage.set(keyText(row.key), row);
    return true;
  }

  hasUsage(key: UsageKey): boolean {
    return this.#usage.has(keyText(key));
  }

  counter(window: BudgetWindow): BudgetState | undefined {
    const counter = this.#counters.get(windowText(window));
    return counter && { spent: counter.spent, reserved: counter.reserved };
  }

  openCounter(window: BudgetWindow): BudgetState {
    const rows = this.#rows({ dimensions: window.dimensions, from: window.start, to: window.end });
    const holds = [...this.#holds.values()].filter((hold) => contains(window, hold));
    const state = { spent: sum(rows), reserved: sum(holds) };
    this.#counters.set(windowText(window), { window, ...state });
    return state;
  }

  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    for (const counter of this.#counters.values()) {
      if (!contains(counter.window, call)) continue;
      counter.spent += spent;
      counter.reserved += reserved;
    }
  }

  insertCrossing({ window, mark }: Crossing): boolean {
    const text = JSON.stringify([window.budget, window.start, mark.level]);
    if (this.#crossings.has(text)) return false;
    this.#crossings.add(text);
    return true;
  }

  total(query: UsageQuery): NanoUsd {
    return sum(this.#rows(query));
  }

  groups(query: UsageQuery): readonly UsageGroup[] {
    const byText = new Map<string, UsageGroup>();
    for (const { dimensions, kind, name, success, amount } of this.#rows(query)) {
      const text = JSON.stringify([dimensions.tenant, kind, name]);
      const group = byText.get(text) ?? { tenant: dimensions.tenant, kind, name, calls: 0, failures: 0, total: 0n };
      const failures = group.failures + (success ? 0 : 1);
      byText.set(text, { ...group, calls: group.calls + 1, failures, total: group.total + amount });
    }
    return [...byText.values()].sort(byTenantKindName);
  }

  #rows({ dimensions, from, to }: UsageQuery): UsageRow[] {
    return [...this.#usage.values()].filter((row) => contains({ dimensions, start: from, end: to }, row));
  }
}

function contains(window: Pick<BudgetWindow, 'dimensions' | 'start' | 'end'>, call: { at: number; dimensions: Dimensions }): boolean {
  return window.start <= call.at && call.at < window.end && covers(window.dimensions, call.dimensions);
}

function sum(entries: readonly { amount: NanoUsd }[]): NanoUsd {
  return entries.reduce((total, entry) => total + entry.amount, 0n);
}

function keyText({ tenant, id }: UsageKey): string {
  return JSON.stringify([tenant, id]);
}

function windowText({ dimensions, start, end }: BudgetWindow): string {
  return JSON.stringify([dimensions, start, end]);
}

// By code unit, as SQLite orders text for everything but characters outside the basic plane.
function byTenantKindName(a: UsageGroup, b: UsageGroup): number {
  return order(a.tenant, b.tenant) || order(a.kind, b.kind) || order(a.name, b.name);
}

function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
