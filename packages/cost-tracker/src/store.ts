import type { BudgetMark, BudgetState, BudgetWindow } from './budget.ts';
import type { NanoUsd } from './money.ts';
import type { Dimensions } from './scope.ts';

/** What kind of call is paid for. */
export type UsageKind = 'tool' | 'resource' | 'prompt';

/** Identity of one paid call. A store keeps at most one hold and one usage row for it; tenants cannot meet in it. */
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

/** One row of the ledger. Rows are written once and never changed. */
export interface UsageRow {
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
  /** Name of the tool, resource or prompt. */
  readonly name: string;
  /** What the call cost, in nano-USD. */
  readonly amount: NanoUsd;
  /** Whether the call succeeded. */
  readonly success: boolean;
  /** How long the call took, in milliseconds. */
  readonly durationMs: number | undefined;
  /** Trace the call belongs to. */
  readonly traceId: string | undefined;
  /** Whatever the caller wants beside the row, as JSON text. */
  readonly metadata: string | undefined;
}

/** The answer to a reservation. */
export type ReserveResult = Admission | Refusal;

/** Every window had room, and the amount is held. */
export interface Admission {
  /** Tells the two answers apart. */
  readonly admitted: true;
}

/** A window had no room, and nothing is held. */
export interface Refusal {
  /** Tells the two answers apart. */
  readonly admitted: false;
  /** The first window without room. */
  readonly window: BudgetWindow;
  /** What it had spent and held. */
  readonly state: BudgetState;
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

/** The answer to a usage row. */
export interface SaveResult {
  /** False when a row of that key had been written before; nothing has changed then. */
  readonly saved: boolean;
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

/** Rows of one tenant, kind and name, added up. */
export interface UsageGroup {
  /** Tenant, or the empty string. */
  readonly tenant: string;
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the tool, resource or prompt. */
  readonly name: string;
  /** Number of rows. */
  readonly calls: number;
  /** Number of rows whose call failed. */
  readonly failures: number;
  /** Sum in nano-USD. */
  readonly total: NanoUsd;
}

/**
 * Where usage is kept. Every method that changes something is one transaction: all of it or nothing, before or after every
 * other. A promise resolves once the change is as durable as the store promises to be.
 *
 * A window's state is always the sum of the rows and live holds it covers, whoever wrote them and under whatever budgets.
 */
export interface UsageStore {
  /** Holds the amount if it fits into every window. A key that is held or recorded already is admitted and changes nothing. */
  reserve(hold: Hold, windows: readonly BudgetWindow[], now: number): Promise<ReserveResult>;
  /** Writes the row once per key, drops its hold, and reports thresholds that the windows crossed. A late row is written too. */
  saveUsage(row: UsageRow, windows: readonly BudgetWindow[]): Promise<SaveResult>;
  /** Drops a hold; no hold is no error. */
  release(key: UsageKey): Promise<void>;
  /** What the window has spent and holds now. */
  budgetState(window: BudgetWindow, now: number): Promise<BudgetState>;
  /** Sum of the rows, in nano-USD. */
  getMonthlyTotal(query: UsageQuery): Promise<NanoUsd>;
  /** The rows added up by tenant, kind and name, in that order. */
  getUsageSummary(query: UsageQuery): Promise<readonly UsageGroup[]>;
  /** Writes what was accepted and frees everything; later calls fail with `ERR_CLOSED`. */
  close(): Promise<void>;
}
