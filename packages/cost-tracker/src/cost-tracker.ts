import { AsyncLocalStorage } from 'node:async_hooks';
import { type Budget, type BudgetOptions, type BudgetState, type BudgetWindow, levelOf, readBudgets } from './budget.ts';
import {
  type CallOutcome,
  OUTCOME_KEYS,
  type PaidCall,
  RECORD_KEYS,
  RESERVE_KEYS,
  type RecordOptions,
  type ReserveOptions,
  readCall,
  usageRow,
} from './call.ts';
import { BudgetExceededError } from './errors.ts';
import { type CostTrackerEvents, Listeners, thresholdEvent } from './events.ts';
import { type CostHold, endingOnce } from './hold.ts';
import { memoryStore } from './memory-store.ts';
import { formatUsd } from './money.ts';
import { checkKeys, checkMethods, checkNumber, checkText } from './options.ts';
import { Calendar } from './period.ts';
import { type BudgetStatus, budgetStatus, type UsageSummary, usageSummary } from './report.ts';
import { type BudgetScope, type CallScope, type Dimensions, dimensionsOf, mergeScopes } from './scope.ts';
import type { UsageStore } from './store.ts';
import { type PriceOfTool, readToolPrices, type ToolPrice } from './tool-prices.ts';

/** Where a tracker reads the time. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  wall(): number;
}

/** What a tracker is made of. */
export interface CostTrackerOptions {
  /** Where usage is kept; the tracker closes it. @defaultValue `memoryStore()` */
  store?: UsageStore;
  /** Limits on spend; a call must fit into every one that covers it. @defaultValue none */
  budgets?: readonly BudgetOptions[];
  /** Prices by exact tool name; `'*'` is the price of every other tool. @defaultValue every tool is free */
  toolPrices?: Readonly<Record<string, ToolPrice>>;
  /** How long an abandoned hold counts, in milliseconds: 1 to 86 400 000. Longer than the longest call. @defaultValue 300 000 */
  holdTtlMs?: number;
  /** @defaultValue the system's clock, read through the global `Date` */
  clock?: Clock;
}

/** Which rows a summary reads. */
export interface SummaryOptions {
  /** First epoch millisecond. @defaultValue the first row */
  from?: number;
  /** First epoch millisecond after. @defaultValue the last row */
  to?: number;
  /** Only rows that have these dimensions. @defaultValue all */
  scope?: BudgetScope;
}

/** Which rows a monthly total reads. */
export interface MonthlyTotalOptions {
  /** Only rows that have these dimensions. @defaultValue all */
  scope?: BudgetScope;
  /** IANA zone in which the month begins. @defaultValue `'UTC'` */
  timeZone?: string;
}

const OPTION_KEYS = ['store', 'budgets', 'toolPrices', 'holdTtlMs', 'clock'];
const STORE_METHODS = ['reserve', 'saveUsage', 'release', 'budgetState', 'getMonthlyTotal', 'getUsageSummary', 'close'];
const DEFAULT_HOLD_TTL_MS = 300_000;
const DAY_MS = 86_400_000;
const SYSTEM_CLOCK: Clock = { wall: () => Date.now() };

/**
 * Records what calls cost and holds them to budgets, exactly and across processes.
 *
 * However many calls run at once, in however many processes share the store, spend plus holds never passes a budget's `blocked`
 * threshold, as long as no call costs more than it reserved. A call that may cost nothing is never refused.
 *
 * @throws RangeError for an option that is unknown or out of range.
 */
export class CostTracker {
  readonly #store: UsageStore;
  readonly #budgets: ReadonlyMap<string, Budget>;
  readonly #priceOf: PriceOfTool;
  readonly #holdTtlMs: number;
  readonly #clock: Clock;
  readonly #scope = new AsyncLocalStorage<CallScope>();
  readonly #listeners = new Listeners();

  constructor(options: CostTrackerOptions = {}) {
    checkKeys(options, OPTION_KEYS, 'CostTracker options');
    this.#budgets = readBudgets(options.budgets ?? []);
    this.#priceOf = readToolPrices(options.toolPrices ?? {});
    this.#holdTtlMs = checkNumber(options.holdTtlMs ?? DEFAULT_HOLD_TTL_MS, 1, DAY_MS, 'holdTtlMs');
    this.#clock = checkMethods(options.clock ?? SYSTEM_CLOCK, ['wall'], 'clock');
    this.#store = checkMethods(options.store ?? memoryStore(), STORE_METHODS, 'store');
  }

  /** Runs `fn` on somebody's behalf: every call it makes, however deep, has this scope. Scopes nest; the inner value wins. */
  withScope<T>(scope: CallScope, fn: () => T): T {
    return this.#scope.run(mergeScopes(this.#scope.getStore() ?? {}, scope, 'scope'), fn);
  }

  /**
   * Sets aside what a call may cost in every budget that covers it, or in none. The guarantee is as good as the amount: reserve
   * the most the call can cost. The call belongs to the period in which it is reserved, also when it settles in the next.
   *
   * Aborting `signal` rejects with its reason and holds nothing.
   *
   * @throws {@link BudgetExceededError} when a budget has no room. RangeError for a bad value. `StoreError` when the store fails.
   */
  async reserve(options: ReserveOptions, { signal }: { signal?: AbortSignal } = {}): Promise<CostHold> {
    checkKeys(options, RESERVE_KEYS, 'reserve');
    signal?.throwIfAborted();
    const id = checkText(options.idempotencyKey ?? crypto.randomUUID(), 'idempotencyKey');
    const call = readCall(options, id, this.#clock.wall(), this.#scope.getStore() ?? {}, this.#priceOf);
    const windows = await this.#windowsOf(call.dimensions, call.at);
    // What costs nothing needs no room, also not in a budget that is blocked, and no write.
    if (call.amount > 0n) await this.#admit(call, windows);
    const hold = endingOnce(
      async (outcome) => {
        checkKeys(outcome, OUTCOME_KEYS, 'settle');
        await this.#save(call, outcome, windows);
      },
      () => this.#store.release(call.key),
    );
    if (signal?.aborted) {
      await hold.release();
      throw signal.reason;
    }
    return hold;
  }

  /**
   * Writes down a call that has been made, whatever the budgets say: the money is spent.
   *
   * @returns false if the key was recorded before; the first report stays.
   */
  async record(options: RecordOptions): Promise<boolean> {
    checkKeys(options, RECORD_KEYS, 'record');
    const id = checkText(options.dedupeKey, 'dedupeKey');
    const call = readCall(options, id, options.at ?? this.#clock.wall(), this.#scope.getStore() ?? {}, this.#priceOf);
    return this.#save(call, options, await this.#windowsOf(call.dimensions, call.at));
  }

  /** Where a budget stands now. RangeError for a name that no budget has. */
  async status(budget: string): Promise<BudgetStatus> {
    const { window, state } = await this.#stateOf(budget);
    return budgetStatus(window, state);
  }

  /**
   * Does nothing until the budget is blocked.
   *
   * @throws {@link BudgetExceededError} when settled spend has reached the `blocked` threshold.
   */
  async enforce(budget: string): Promise<void> {
    const { window, state, now } = await this.#stateOf(budget);
    if (levelOf(state.spent, window.marks) === 'blocked') throw new BudgetExceededError(window, state, 0n, now);
  }

  /** Adds the ledger up. */
  async summary(options: SummaryOptions = {}): Promise<UsageSummary> {
    checkKeys(options, ['from', 'to', 'scope'], 'summary');
    const { from = 0, to = Number.MAX_SAFE_INTEGER, scope = {} } = options;
    const dimensions = dimensionsOf(scope, 'scope');
    const bounds = {
      from: checkNumber(from, 0, Number.MAX_SAFE_INTEGER, 'from'),
      to: checkNumber(to, from, Number.MAX_SAFE_INTEGER, 'to'),
    };
    return usageSummary(await this.#store.getUsageSummary({ dimensions, ...bounds }));
  }

  /** What the current calendar month has cost so far, as a decimal. */
  async monthlyTotalUsd(options: MonthlyTotalOptions = {}): Promise<string> {
    checkKeys(options, ['scope', 'timeZone'], 'monthlyTotalUsd');
    const dimensions = dimensionsOf(options.scope ?? {}, 'scope');
    const { start, end } = await new Calendar('month', options.timeZone ?? 'UTC', 'monthlyTotalUsd').at(this.#clock.wall());
    return formatUsd(await this.#store.getMonthlyTotal({ dimensions, from: start, to: end }));
  }

  /** Listens; returns the function that stops it. */
  on<E extends keyof CostTrackerEvents>(event: E, listener: (payload: CostTrackerEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /** Writes what was accepted and closes the store. Later calls reject with `ERR_CLOSED`. */
  close(): Promise<void> {
    return this.#store.close();
  }

  /** The same as {@link CostTracker.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #admit(call: PaidCall, windows: readonly BudgetWindow[]): Promise<void> {
    const hold = { ...call, expiresAt: call.at + Math.ceil(this.#holdTtlMs) };
    const result = await this.#store.reserve(hold, windows, call.at);
    if (!result.admitted) throw new BudgetExceededError(result.window, result.state, call.amount, call.at);
  }

  async #save(call: PaidCall, outcome: CallOutcome, windows: readonly BudgetWindow[]): Promise<boolean> {
    const { saved, crossings } = await this.#store.saveUsage(usageRow(call, outcome, Math.floor(this.#clock.wall())), windows);
    for (const crossing of crossings) this.#listeners.emit('budget-threshold', thresholdEvent(crossing));
    return saved;
  }

  async #stateOf(name: string): Promise<{ window: BudgetWindow; state: BudgetState; now: number }> {
    const budget = this.#budgets.get(name);
    if (!budget) throw new RangeError(`no budget is named '${name}'; known are ${[...this.#budgets.keys()].join(', ') || 'none'}`);
    const now = this.#clock.wall();
    const window = await budget.windowAt(now);
    return { window, state: await this.#store.budgetState(window, now), now };
  }

  #windowsOf(call: Dimensions, at: number): Promise<BudgetWindow[]> {
    const covering = [...this.#budgets.values()].filter((budget) => budget.covers(call));
    return Promise.all(covering.map((budget) => budget.windowAt(at)));
  }
}
