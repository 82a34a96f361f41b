import type { BudgetMark, BudgetState, BudgetWindow } from './budget.ts';
import type { NanoUsd } from './money.ts';
import type { Dimensions } from './scope.ts';
import type { UsageParts } from './usage.ts';

/** What kind of call is paid for. */
export type UsageKind = 'llm' | 'tool' | 'resource' | 'prompt';

/**
 * How well the cost of a call is known, from the least: nothing has a price; it was estimated, because the provider said nothing; part of
 * it was seen; it was priced by all that was used; the provider named it. What is known better takes the place of what is known worse.
 */
export type CostSource = 'unpriced' | 'estimated' | 'partial' | 'priced' | 'reported';

/** Identity of one paid call. A store keeps at most one hold for it, and one usage row with its corrections; tenants cannot meet in it. */
export interface UsageKey {
  /** Tenant, or the empty string. */
  readonly tenant: string;
  /** The caller's idempotency or dedupe key, or a random one. */
  readonly id: string;
}

/** What a call may cost, set aside until it settles, is released or expires. */
export interface Hold {
  /** Identity of the call. */
  readonly key: UsageKey;
  /** Whose call it is. */
  readonly dimensions: Dimensions;
  /** Epoch milliseconds of the admission; it decides which period pays. */
  readonly at: number;
  /** Amount in nano-USD. */
  readonly amount: NanoUsd;
  /** Epoch milliseconds from which the hold counts no more. */
  readonly expiresAt: number;
}

/** What is known of a paid call. */
export interface UsageReport {
  /** Identity of the call. */
  readonly key: UsageKey;
  /** Whose call it was. */
  readonly dimensions: Dimensions;
  /** Epoch milliseconds of the admission; it decides which period pays. */
  readonly at: number;
  /** Epoch milliseconds of the writing. */
  readonly recordedAt: number;
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
  /** Who was paid, or the empty string. */
  readonly provider: string;
  /** The model that answered, or the empty string. */
  readonly servedModel: string;
  /** What was used. */
  readonly usage: UsageParts;
  /** What the call cost, in nano-USD. */
  readonly amount: NanoUsd;
  /** How well that is known. */
  readonly costSource: CostSource;
  /** A later version of the same report has a higher number. */
  readonly revision: number;
  /** Which prices were used. */
  readonly priceVersion: string | undefined;
  /** How the amount comes about, as JSON text. */
  readonly priceLines: string | undefined;
  /** Whether the call succeeded. */
  readonly success: boolean;
  /** How long the call took, in milliseconds. */
  readonly durationMs: number | undefined;
  /** Trace the call belongs to. */
  readonly traceId: string | undefined;
  /** Whatever the caller wants beside the row, as JSON text. */
  readonly metadata: string | undefined;
}

/**
 * One row of the ledger. Rows are written once and never changed: what is known better later is a row of its own, with the difference.
 * `amount`, `usage`, `failures` and `unpriced` of all rows of a key add up to what is known of the call.
 */
export interface UsageRow extends UsageReport {
  /** 0 for the first row of a call, then 1, 2, … for its corrections. */
  readonly correction: number;
  /** 1 where the row tells of a failed call, −1 where it takes that back. */
  readonly failures: number;
  /** 1 where the row tells of a call without a price, −1 where it takes that back. */
  readonly unpriced: number;
}

/** The answer to a reservation. */
export type ReserveResult = Admission | Refusal | Outdated;

/** Every window had room, and the amount is held. */
export interface Admission {
  /** Tells the answers apart. */
  readonly admitted: true;
}

/** A window had no room, and nothing is held. */
export interface Refusal {
  /** Tells the answers apart. */
  readonly admitted: false;
  /** The first window without room. */
  readonly window: BudgetWindow;
  /** What it had spent and held. */
  readonly state: BudgetState;
}

/** The budgets have been changed since the windows were made; nothing is held. */
export interface Outdated {
  /** Tells the answers apart. */
  readonly admitted: undefined;
}

/** A threshold that a row was the first to cross. */
export interface Crossing {
  /** The budget and period. */
  readonly window: BudgetWindow;
  /** The line crossed. */
  readonly mark: BudgetMark;
  /** Spend in nano-USD after the row. */
  readonly spent: NanoUsd;
}

/** The answer to a usage report. */
export interface SaveResult {
  /** The row that was written; none when as much was known before, and nothing has changed then. */
  readonly row: UsageRow | undefined;
  /** Thresholds crossed for the first time in their period, per budget from the lowest to the highest. */
  readonly crossings: readonly Crossing[];
}

/** Which rows to read: those with `from <= at < to` that have every dimension named. */
export interface UsageQuery {
  /** The empty string means any. */
  readonly dimensions: Dimensions;
  /** First epoch millisecond. */
  readonly from: number;
  /** First epoch millisecond after. */
  readonly to: number;
}

/** Rows of one tenant, project, kind, name, model and provider, added up. */
export interface UsageGroup {
  /** Tenant, or the empty string. */
  readonly tenant: string;
  /** Project, or the empty string. */
  readonly project: string;
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
  /** Model, or the empty string. */
  readonly model: string;
  /** Who was paid, or the empty string. */
  readonly provider: string;
  /** Number of calls. */
  readonly calls: number;
  /** How many of them failed. */
  readonly failures: number;
  /** How many of them have no price: their cost is not known, and not in `total`. */
  readonly unpriced: number;
  /** Tokens sent. */
  readonly inputTokens: number;
  /** Tokens that were read from a cache, of those sent. */
  readonly cacheReadTokens: number;
  /** Tokens that came back. */
  readonly outputTokens: number;
  /** Sum in nano-USD. */
  readonly total: NanoUsd;
}

/** Where a page of rows ends; the next one begins after it. */
export interface RowCursor {
  /** Epoch milliseconds of the row. */
  readonly at: number;
  /** Its tenant. */
  readonly tenant: string;
  /** Its key within the tenant. */
  readonly id: string;
  /** Its number among the rows of its call. */
  readonly correction: number;
}

/** A crossing that somebody has to be told of. */
export interface PendingAlert {
  /** The same at every attempt. */
  readonly id: string;
  /** Name of the budget. */
  readonly budget: string;
  /** The line crossed. */
  readonly level: BudgetMark['level'];
  /** Its fraction of the limit. */
  readonly threshold: number;
  /** Spend in nano-USD after the crossing. */
  readonly spent: NanoUsd;
  /** The limit in nano-USD. */
  readonly limit: NanoUsd;
  /** First epoch millisecond of the period. */
  readonly start: number;
  /** First epoch millisecond after the period. */
  readonly end: number;
  /** Epoch milliseconds of the crossing. */
  readonly crossedAt: number;
  /** How often it was tried before. */
  readonly attempts: number;
}

/** A budget as it was last set by {@link UsageStore.putBudget}. */
export interface StoredBudget {
  /** Name of the budget. */
  readonly name: string;
  /** Its options as JSON text. */
  readonly options: string;
}

/** All budgets that were set, and a number that grows with every change. */
export interface StoredBudgets {
  /** 0 before anything was set. */
  readonly version: number;
  /** In the order of names. */
  readonly budgets: readonly StoredBudget[];
}

/**
 * Where usage is kept. Every method that changes something is one transaction: all of it or nothing, before or after every
 * other. A promise resolves once the change is as durable as the store promises to be.
 *
 * A window's state is always the sum of the rows and live holds it covers, whoever wrote them and under whatever budgets.
 */
export interface UsageStore {
  /**
   * Holds the amount if it fits into every window. A key that is held or recorded already is admitted and changes nothing. Where the
   * version of the budgets is not the one given, nothing is decided.
   */
  reserve(hold: Hold, windows: readonly BudgetWindow[], now: number, budgetsVersion: number): Promise<ReserveResult>;
  /**
   * Writes what is known of a call, drops its hold, and reports thresholds that the windows crossed. Of a call that has a row already
   * the difference is written if the report is of a later revision or, within one, of a better source, or of the same and larger;
   * so that any order of the same reports comes to the same sums. A late row is written too.
   */
  saveUsage(report: UsageReport, windows: readonly BudgetWindow[]): Promise<SaveResult>;
  /** Drops a hold; no hold is no error. */
  release(key: UsageKey): Promise<void>;
  /** What the window has spent and holds now. */
  budgetState(window: BudgetWindow, now: number): Promise<BudgetState>;
  /** Sum of the rows, in nano-USD. */
  getMonthlyTotal(query: UsageQuery): Promise<NanoUsd>;
  /** The rows added up by everything that a {@link UsageGroup} names, in that order. */
  getUsageSummary(query: UsageQuery): Promise<readonly UsageGroup[]>;
  /** Up to `limit` rows after `after`, in the order of the fields of {@link RowCursor}. */
  readRows(query: UsageQuery, after: RowCursor | undefined, limit: number): Promise<readonly UsageRow[]>;
  /** Sets a budget, or takes back what was set with `undefined`; from then on {@link UsageStore.reserve} knows another version. */
  putBudget(name: string, options: string | undefined): Promise<StoredBudgets>;
  /** The budgets that were set. */
  readBudgets(): Promise<StoredBudgets>;
  /**
   * Up to `limit` crossings of periods that had not ended a day before `now`, which `sink` was not told of; nobody else gets them for
   * the same sink before `leaseUntil`. What was crossed first comes first. Of one budget and period only the lowest level that `sink`
   * was not told of, and none while that one is somebody's or waits, so that nobody is told of them out of order.
   */
  claimAlerts(sink: string, now: number, leaseUntil: number, limit: number): Promise<readonly PendingAlert[]>;
  /** Ends an attempt to tell `sink`: for good, or until `againAt`. What was ended for good stays so. */
  endAlert(sink: string, id: string, againAt: number | undefined): Promise<void>;
  /** Writes what was accepted and frees everything; later calls fail with `ERR_CLOSED`. */
  close(): Promise<void>;
}
