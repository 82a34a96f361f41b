import { EventEmitter } from 'eventemitter3';
import type { BudgetThreshold } from './budget.ts';
import { formatUsd } from './money.ts';
import type { Crossing } from './store.ts';

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
  /** When the next period begins, ISO 8601. */
  readonly resetsAt: string;
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

/** A crossing as its listeners see it. */
export function thresholdEvent({ window, mark, spent }: Crossing): BudgetThresholdEvent {
  return {
    budget: window.budget,
    level: mark.level,
    threshold: mark.threshold,
    spentUsd: formatUsd(spent),
    limitUsd: formatUsd(window.limit),
    periodStart: new Date(window.start).toISOString(),
    resetsAt: new Date(window.end).toISOString(),
  };
}
