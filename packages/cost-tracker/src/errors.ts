import type { BudgetState, BudgetWindow } from './budget.ts';
import { formatUsd, type NanoUsd } from './money.ts';

// Registered symbols, so that the guards recognise errors of another copy of this package in the same process.
const kind = Symbol.for('tidegate.error');
const refusal = Symbol.for('tidegate.refusal');

/** The body of an `application/problem+json` answer (RFC 9457) to a call that a budget refused. */
export interface BudgetProblem {
  /** No page describes the problem: `code` tells it apart. */
  type: 'about:blank';
  /** The status in words. */
  title: 'Forbidden';
  /** HTTP status. */
  status: 403;
  /** Always the same, for programs. */
  code: 'ERR_BUDGET_EXCEEDED';
  /** The error's message. */
  detail: string;
  /** Name of the budget. */
  limit: string;
  /** The budget's limit. */
  limitUsd: string;
  /** Settled spend of the period. */
  spentUsd: string;
  /** Held for calls that have not settled. */
  reservedUsd: string;
  /** What the refused call could have cost. */
  requestedUsd: string;
  /** When the next period begins, ISO 8601. */
  resetsAt: string;
  /** Milliseconds until `resetsAt`; absent when the call is too dear for a whole period. */
  retryAfterMs?: number;
}

/** A call was refused because a budget has no room for it. Nothing was held and nothing was spent. */
export class BudgetExceededError extends Error {
  /** The class's name, also after minification. */
  override readonly name = 'BudgetExceededError';
  /** Always the same, for programs. */
  readonly code = 'ERR_BUDGET_EXCEEDED';
  /** HTTP status for this refusal. */
  readonly status = 403;
  /** Name of the budget that refused. */
  readonly limit: string;
  /** The budget's limit, a decimal. */
  readonly limitUsd: string;
  /** Settled spend of the period, a decimal. */
  readonly spentUsd: string;
  /** Held for calls that have not settled, a decimal. */
  readonly reservedUsd: string;
  /** What the refused call could have cost, a decimal. */
  readonly requestedUsd: string;
  /** When nothing of what is spent now counts any more, ISO 8601: of a calendar period, when the next begins. */
  readonly resetsAt: string;
  /** Milliseconds until `resetsAt`; absent when the call is too dear for a whole period. Room may come sooner, as holds end. */
  readonly retryAfterMs?: number;
  /** @internal */
  readonly [kind] = 'budget-exceeded';
  /** @internal */
  readonly [refusal] = true;

  /** @internal */
  constructor(window: BudgetWindow, state: BudgetState, requested: NanoUsd, now: number) {
    const amounts = {
      limitUsd: formatUsd(window.limit),
      spentUsd: formatUsd(state.spent),
      reservedUsd: formatUsd(state.reserved),
      requestedUsd: formatUsd(requested),
    };
    super(
      `budget '${window.budget}' has no room for ${amounts.requestedUsd} USD: ` +
        `${amounts.spentUsd} spent and ${amounts.reservedUsd} held of ${amounts.limitUsd}`,
    );
    this.limit = window.budget;
    this.limitUsd = amounts.limitUsd;
    this.spentUsd = amounts.spentUsd;
    this.reservedUsd = amounts.reservedUsd;
    this.requestedUsd = amounts.requestedUsd;
    this.resetsAt = new Date(window.resetsAt).toISOString();
    if (requested <= window.ceiling) this.retryAfterMs = Math.max(0, Math.ceil(window.resetsAt - now));
  }

  /** The refusal as a problem document. */
  toProblem(): BudgetProblem {
    return {
      type: 'about:blank',
      title: 'Forbidden',
      status: this.status,
      code: this.code,
      detail: this.message,
      limit: this.limit,
      limitUsd: this.limitUsd,
      spentUsd: this.spentUsd,
      reservedUsd: this.reservedUsd,
      requestedUsd: this.requestedUsd,
      resetsAt: this.resetsAt,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }
}

/** A call was refused because its model has no known price, and a budget that covers it lets no such call through. Nothing was held. */
export class UnpricedModelError extends Error {
  /** The class's name, also after minification. */
  override readonly name = 'UnpricedModelError';
  /** Always the same, for programs. */
  readonly code = 'ERR_UNPRICED_MODEL';
  /** HTTP status for this refusal. */
  readonly status = 403;
  /** The model. */
  readonly model: string;
  /** Name of the budget that refused. */
  readonly limit: string;
  /** @internal */
  readonly [kind] = 'unpriced-model';
  /** @internal */
  readonly [refusal] = true;

  /** @internal */
  constructor(model: string, budget: string) {
    super(
      `model '${model}' has no known price, and budget '${budget}' lets no such call through: give it a price, or set unpriced: 'allow'`,
    );
    this.model = model;
    this.limit = budget;
  }
}

/**
 * Why a store failed: no SQLite driver; the file or the database cannot be opened; it was written by a newer version; a read or write failed;
 * the store is closed.
 */
export type StoreErrorCode = 'ERR_SQLITE_MISSING' | 'ERR_STORE_OPEN' | 'ERR_STORE_VERSION' | 'ERR_STORE_FAILED' | 'ERR_CLOSED';

/**
 * The ledger could not be read or written. What was asked for did not happen; only where the connection to a database was lost in
 * mid-commit, which `message` says, may it have. Asking again under the same key is safe.
 */
export class StoreError extends Error {
  /** The class's name, also after minification. */
  override readonly name = 'StoreError';
  /** Which failure. */
  readonly code: StoreErrorCode;
  /** @internal */
  readonly [kind] = 'store';

  /** @internal */
  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Whether `error` is a {@link BudgetExceededError}, also one of another copy of this package. */
export function isBudgetExceededError(error: unknown): error is BudgetExceededError {
  return kindOf(error) === 'budget-exceeded';
}

/** Whether `error` is an {@link UnpricedModelError}, also one of another copy of this package. */
export function isUnpricedModelError(error: unknown): error is UnpricedModelError {
  return kindOf(error) === 'unpriced-model';
}

/** Whether `error` is a {@link StoreError}, also one of another copy of this package. */
export function isStoreError(error: unknown): error is StoreError {
  return kindOf(error) === 'store';
}

function kindOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? (error as { [kind]?: unknown })[kind] : undefined;
}
