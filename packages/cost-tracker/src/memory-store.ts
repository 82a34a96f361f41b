import type { BudgetState, BudgetWindow } from './budget.ts';
import { StoreError } from './errors.ts';
import { budgetState, type LedgerTables, release, reserve, saveUsage } from './ledger.ts';
import { MemoryAlerts } from './memory-alerts.ts';
import type { NanoUsd } from './money.ts';
import { covers, type Dimensions } from './scope.ts';
import type { Crossing, Hold, RowCursor, StoredBudgets, UsageGroup, UsageKey, UsageQuery, UsageRow, UsageStore } from './store.ts';
import { inputTokensOf, outputTokensOf } from './usage.ts';
import { MemoryValues } from './value/memory-values.ts';
import type { ValueStore } from './value/value-store.ts';

interface Counter {
  readonly dimensions: Dimensions;
  readonly start: number;
  readonly end: number;
  spent: NanoUsd;
  reserved: NanoUsd;
}

/**
 * Keeps the ledger in this process's memory: every row until the process ends, none after. For tests, and for processes whose
 * spend need not outlive them.
 */
export function memoryStore(): UsageStore & ValueStore {
  const tables = new MemoryTables();
  let closed = false;
  // Async, so that a throw becomes a rejection; the body itself runs at once and unbroken, which makes it a transaction.
  const transact = async <T>(body: (tables: MemoryTables) => T): Promise<T> => {
    if (closed) throw new StoreError('ERR_CLOSED', 'the usage store is closed');
    return body(tables);
  };
  return {
    reserve: (hold, windows, now, version) => transact((open) => reserve(open, hold, windows, now, version)),
    saveUsage: (report, windows) => transact((open) => saveUsage(open, report, windows)),
    release: (key) => transact((open) => release(open, key)),
    budgetState: (window, now) => transact((open) => budgetState(open, window, now)),
    getMonthlyTotal: (query) => transact((open) => sum(open.matching(query))),
    getUsageSummary: (query) => transact((open) => groupsOf(open.matching(query))),
    readRows: (query, after, limit) => transact((open) => page(open.matching(query), after, limit)),
    putBudget: (name, options) => transact((open) => open.putBudget(name, options)),
    readBudgets: () => transact((open) => open.budgets),
    claimAlerts: (sink, now, leaseUntil, limit) => transact((open) => open.alerts.claim(sink, now, leaseUntil, limit)),
    endAlert: (sink, id, againAt) => transact((open) => open.alerts.end(sink, id, againAt)),
    saveValues: (rows) => transact((open) => open.values.save(rows)),
    aggregateValues: (query) => transact((open) => open.values.aggregate(query)),
    pruneValues: (before, limit) => transact((open) => open.values.prune(before, limit)),
    close: async () => {
      closed = true;
    },
  };
}

class MemoryTables implements LedgerTables {
  readonly #rows = new Map<string, UsageRow[]>();
  readonly #holds = new Map<string, Hold>();
  readonly #counters = new Map<string, Counter>();
  #ofWindow = new WeakMap<BudgetWindow, Counter>(); // found without a text to look it up by
  readonly alerts = new MemoryAlerts();
  readonly values = new MemoryValues();
  budgets: StoredBudgets = { version: 0, budgets: [] };
  // No hold expires before it, so that a call need not look at all of them.
  #earliestExpiry = Number.POSITIVE_INFINITY;

  budgetsVersion(): number {
    return this.budgets.version;
  }

  putBudget(name: string, options: string | undefined): StoredBudgets {
    const others = this.budgets.budgets.filter((budget) => budget.name !== name);
    const budgets = options === undefined ? others : [...others, { name, options }].sort((a, b) => order(a.name, b.name));
    this.budgets = { version: this.budgets.version + 1, budgets };
    return this.budgets;
  }

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

  rows(key: UsageKey): readonly UsageRow[] {
    return this.#rows.get(keyText(key)) ?? [];
  }

  insertRow(row: UsageRow): void {
    const text = keyText(row.key);
    const rows = this.#rows.get(text);
    if (rows) rows.push(row);
    else this.#rows.set(text, [row]);
  }

  counter(window: BudgetWindow): BudgetState {
    const { dimensions, start, end, step } = window;
    if (step === undefined) {
      let known = this.#ofWindow.get(window);
      if (known === undefined) {
        known = this.#counter(dimensions, start, end);
        this.#ofWindow.set(window, known);
      }
      return { spent: known.spent, reserved: known.reserved };
    }
    const before = this.#counters.size;
    let [spent, reserved] = [0n, 0n];
    for (let part = start; part < end; part += step) {
      const counter = this.#counter(dimensions, part, part + step);
      spent += counter.spent;
      reserved += counter.reserved;
    }
    if (this.#counters.size > before) this.#dropParts(dimensions, step, start - (end - start));
    return { spent, reserved };
  }

  addToCounters(call: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    for (const counter of this.#counters.values()) {
      if (!contains(counter, call)) continue;
      counter.spent += spent;
      counter.reserved += reserved;
    }
  }

  insertCrossing(crossing: Crossing, now: number): boolean {
    return this.alerts.insert(crossing, now);
  }

  matching({ dimensions, from, to }: UsageQuery): UsageRow[] {
    const span = { dimensions, start: from, end: to };
    return [...this.#rows.values()].flatMap((rows) => rows.filter((row) => contains(span, row)));
  }

  /** A rolling budget opens parts for ever; those that it has left behind can be added up again from the rows. */
  #dropParts(dimensions: Dimensions, step: number, before: number): void {
    for (const [text, counter] of this.#counters) {
      if (counter.end <= before && counter.end - counter.start === step && sameDimensions(counter.dimensions, dimensions)) {
        this.#counters.delete(text);
      }
    }
    this.#ofWindow = new WeakMap();
  }

  #counter(dimensions: Dimensions, start: number, end: number): Counter {
    const { org, tenant, project, user, key, model, tool } = dimensions;
    const text = JSON.stringify([start, end, org, tenant, project, user, key, model, tool]);
    const known = this.#counters.get(text);
    if (known) return known;
    const holds = [...this.#holds.values()].filter((hold) => contains({ dimensions, start, end }, hold));
    const counter = { dimensions, start, end, spent: sum(this.matching({ dimensions, from: start, to: end })), reserved: sum(holds) };
    this.#counters.set(text, counter);
    return counter;
  }
}

type Group = { -readonly [Field in keyof UsageGroup]: UsageGroup[Field] };

/** Adds rows up by everything that a group names. */
function groupsOf(rows: readonly UsageRow[]): readonly UsageGroup[] {
  const groups = new Map<string, Group>();
  for (const row of rows) {
    const { kind, name, provider, dimensions, usage } = row;
    const { tenant, project, model } = dimensions;
    const text = JSON.stringify([tenant, project, kind, name, model, provider]);
    let group = groups.get(text);
    if (group === undefined) {
      const zeros = { calls: 0, failures: 0, unpriced: 0, inputTokens: 0, cacheReadTokens: 0, outputTokens: 0, total: 0n };
      group = { tenant, project, kind, name, model, provider, ...zeros };
      groups.set(text, group);
    }
    group.calls += row.correction === 0 ? 1 : 0;
    group.failures += row.failures;
    group.unpriced += row.unpriced;
    group.inputTokens += inputTokensOf(usage);
    group.cacheReadTokens += (usage.cacheReadTokens ?? 0) + (usage.cacheReadAudioTokens ?? 0);
    group.outputTokens += outputTokensOf(usage);
    group.total += row.amount;
  }
  const fields = ['tenant', 'project', 'kind', 'name', 'model', 'provider'] as const;
  return [...groups.values()].sort((a, b) => fields.reduce((found, field) => found || order(a[field], b[field]), 0));
}

function page(rows: readonly UsageRow[], after: RowCursor | undefined, limit: number): readonly UsageRow[] {
  const sorted = rows.map((row) => ({ row, cursor: cursorOf(row) })).sort((a, b) => inOrder(a.cursor, b.cursor));
  const rest = after === undefined ? sorted : sorted.filter(({ cursor }) => inOrder(cursor, after) > 0);
  return rest.slice(0, limit).map(({ row }) => row);
}

function cursorOf({ at, key, correction }: UsageRow): RowCursor {
  return { at, tenant: key.tenant, id: key.id, correction };
}

function inOrder(a: RowCursor, b: RowCursor): number {
  return a.at - b.at || order(a.tenant, b.tenant) || order(a.id, b.id) || a.correction - b.correction;
}

function contains(
  span: { readonly start: number; readonly end: number; readonly dimensions: Dimensions },
  call: { readonly at: number; readonly dimensions: Dimensions },
): boolean {
  return span.start <= call.at && call.at < span.end && covers(span.dimensions, call.dimensions);
}

function sameDimensions(a: Dimensions, b: Dimensions): boolean {
  return covers(a, b) && covers(b, a);
}

function sum(entries: readonly { readonly amount: NanoUsd }[]): NanoUsd {
  return entries.reduce((total, entry) => total + entry.amount, 0n);
}

function keyText({ tenant, id }: UsageKey): string {
  return JSON.stringify([tenant, id]);
}

// By code unit, as SQLite orders text for everything but characters outside the basic plane.
function order(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
