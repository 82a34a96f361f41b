import { EventEmitter } from 'eventemitter3';
import type { BudgetThreshold } from './budget.ts';
import { formatUsd } from './money.ts';
import type { Dimensions } from './scope.ts';
import type { CostSource, Crossing, UsageKind, UsageRow } from './store.ts';
import type { UsageParts } from './usage.ts';

/** A budget has crossed one of its lines. */
export interface BudgetThresholdEvent {
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
  /** When nothing of what is spent now counts any more, ISO 8601: of a calendar period, when the next begins. */
  readonly resetsAt: string;
}

/** A row was written to the ledger. */
export interface RecordedEvent {
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
  /** Who was paid, or the empty string. */
  readonly provider: string;
  /** The model that answered, or the empty string. */
  readonly servedModel: string;
  /** Whose call it was. */
  readonly scope: Dimensions;
  /** What was used; of a correction, how much more, or less, than was written before. */
  readonly usage: UsageParts;
  /** What the call cost, a decimal; of a correction the difference, which may be negative. */
  readonly amountUsd: string;
  /** How well the cost is known. */
  readonly costSource: CostSource;
  /** 0 for the first row of a call, then 1, 2, … for its corrections. */
  readonly correction: number;
  /** Whether the call succeeded. */
  readonly success: boolean;
  /** How long the call took, in milliseconds. */
  readonly durationMs: number | undefined;
  /** Trace the call belongs to. */
  readonly traceId: string | undefined;
}

/** A call was not let through. */
export interface RefusedEvent {
  /** What kind of call. */
  readonly kind: UsageKind;
  /** Name of the model, tool, resource or prompt. */
  readonly name: string;
  /** Tenant, or the empty string. */
  readonly tenant: string;
  /** Name of the budget that refused. */
  readonly limit: string;
  /** Why. */
  readonly code: 'ERR_BUDGET_EXCEEDED' | 'ERR_UNPRICED_MODEL';
}

/** A listener threw. */
export interface ListenerErrorEvent {
  /** What it threw. */
  readonly error: unknown;
}

/** What a tracker tells its listeners. */
export interface CostTrackerEvents {
  /**
   * A settled call took a budget over a threshold. Told at most once for each budget, period and threshold, in the process that
   * settled the call, in ascending order, whichever processes and restarts share the store.
   */
  'budget-threshold': BudgetThresholdEvent;
  /** A row was written. */
  recorded: RecordedEvent;
  /** A call was not let through. */
  refused: RefusedEvent;
  /** A listener threw; the others were still told. */
  'listener-error': ListenerErrorEvent;
}

/** Listeners whose errors change nothing. */
export class Listeners<Events extends { 'listener-error': ListenerErrorEvent } = CostTrackerEvents> {
  readonly #emitter = new EventEmitter();

  add<E extends keyof Events & string>(event: E, listener: (payload: Events[E]) => void): () => void {
    const own = (payload: Events[E]) => listener(payload); // the same function may be added twice
    this.#emitter.on(event, own);
    return () => {
      this.#emitter.off(event, own);
    };
  }

  /** Whether anybody listened. */
  emit<E extends keyof Events & string>(event: E, payload: Events[E]): boolean {
    const listeners = this.#emitter.listeners(event);
    for (const listener of listeners) {
      try {
        listener(payload);
      } catch (error) {
        if (event !== 'listener-error') this.emit('listener-error', { error });
      }
    }
    return listeners.length > 0;
  }
}

/** A row as its listeners see it. */
export function recordedEvent(row: UsageRow): RecordedEvent {
  const { kind, name, provider, servedModel, dimensions, usage, amount, costSource, correction, success, durationMs, traceId } = row;
  const amountUsd = formatUsd(amount);
  return { kind, name, provider, servedModel, scope: dimensions, usage, amountUsd, costSource, correction, success, durationMs, traceId };
}

/** A crossing as its listeners see it. */
export function thresholdEvent({ window, mark, spent }: Crossing): BudgetThresholdEvent {
  return {
    budget: window.budget,
    level: mark.level,
    threshold: mark.threshold,
    spentUsd: formatUsd(spent),
    limitUsd: formatUsd(window.limit),
    periodStart: new Date(window.periodStart).toISOString(),
    resetsAt: new Date(window.resetsAt).toISOString(),
  };
}
