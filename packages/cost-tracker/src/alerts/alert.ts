import { createHash } from 'node:crypto';
import type { BudgetThreshold } from '../budget.ts';
import { formatUsd } from '../money.ts';
import type { PendingAlert } from '../store.ts';

/** News of a budget that has crossed one of its lines. */
export interface BudgetAlert {
  /** A UUID: the same at every attempt and for every sink, so that a receiver can drop what it was told before. */
  readonly id: string;
  /** Name of the budget. */
  readonly budget: string;
  /** The line crossed. */
  readonly level: BudgetThreshold;
  /** Its fraction of the limit. */
  readonly threshold: number;
  /** Settled spend of the period after the crossing, a decimal. */
  readonly spentUsd: string;
  /** The budget's limit, a decimal. */
  readonly limitUsd: string;
  /** When the period began, ISO 8601. */
  readonly periodStart: string;
  /** When nothing of what was spent at the crossing counts any more, ISO 8601: of a calendar period, when the next begins. */
  readonly resetsAt: string;
  /** When it was crossed, ISO 8601. */
  readonly crossedAt: string;
}

/** A crossing as it is told. */
export function alertOf(pending: PendingAlert): BudgetAlert {
  return {
    id: uuidOf(pending),
    budget: pending.budget,
    level: pending.level,
    threshold: pending.threshold,
    spentUsd: formatUsd(pending.spent),
    limitUsd: formatUsd(pending.limit),
    periodStart: new Date(pending.start).toISOString(),
    resetsAt: new Date(pending.end).toISOString(),
    crossedAt: new Date(pending.crossedAt).toISOString(),
  };
}

/**
 * The store's own id is no header value, since a budget's name may be any text, and two ledgers with budgets of one name would share it.
 * All that is hashed is written once, with the crossing.
 */
function uuidOf({ id, crossedAt, spent }: PendingAlert): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([id, crossedAt, String(spent)]))
    .digest('hex');
  return `${hash.slice(0, 8)}-${hash.slice(8, 12)}-8${hash.slice(13, 16)}-8${hash.slice(17, 20)}-${hash.slice(20, 32)}`;
}
