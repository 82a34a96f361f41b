import { AsyncLocalStorage } from 'node:async_hooks';
import { type Budget, type BudgetOptions, type BudgetState, type BudgetWindow, levelOf } from './budget.ts';
import { Budgets, windowsAt } from './budgets.ts';
import {
  type CallOutcome,
  checkCall,
  OUTCOME_KEYS,
  type PaidCall,
  RECORD_KEYS,
  RESERVE_KEYS,
  type RecordOptions,
  type ReserveOptions,
  readCall,
} from './call.ts';
import { BudgetExceededError, UnpricedModelError } from './errors.ts';
import { type CostTrackerEvents, Listeners, recordedEvent, thresholdEvent } from './events.ts';
import { type CostHold, endingOnce } from './hold.ts';
import { memoryStore } from './memory-store.ts';
import { formatUsd, type NanoUsd } from './money.ts';
import { checkKeys, checkMethods, checkNumber, checkText } from './options.ts';
import { Calendar } from './period.ts';
import type { PriceBook } from './price-book.ts';
import { Pricing } from './pricing.ts';
import { type BudgetStatus, StatusBoard, type UsageSummary, usageSummary } from './report.ts';
import { type Admitted, ReservationSize } from './reservation-size.ts';
import { type BudgetScope, type CallScope, dimensionsOf, mergeScopes } from './scope.ts';
import type { RowCursor, UsageRow, UsageStore } from './store.ts';
import { readToolPrices, type ToolPrice } from './tool-prices.ts';

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
  /** What models cost. @defaultValue the bundled price book, imported at the first call of a model that needs it */
  prices?: PriceBook;
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

/** Which rows a page holds. */
export interface RowsOptions extends SummaryOptions {
  /** Where the page before ended. @defaultValue the beginning */
  after?: RowCursor;
  /** Rows of a page, 1 to 10 000. @defaultValue `1_000` */
  limit?: number;
}

/** Which rows a monthly total reads. */
export interface MonthlyTotalOptions {
  /** Only rows that have these dimensions. @defaultValue all */
  scope?: BudgetScope;
  /** IANA zone in which the month begins. @defaultValue `'UTC'` */
  timeZone?: string;
}

const OPTION_KEYS = ['store', 'budgets', 'prices', 'toolPrices', 'holdTtlMs', 'clock'];
const STORE_METHODS = [
  ...['reserve', 'saveUsage', 'release', 'budgetState', 'getMonthlyTotal', 'getUsageSummary', 'readRows'],
  ...['putBudget', 'readBudgets', 'claimAlerts', 'endAlert', 'close'],
];
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
  /** Where usage is kept. */
  readonly store: UsageStore;
  readonly #budgets: Budgets;
  readonly #pricing: Pricing;
  readonly #board = new StatusBoard();
  readonly #holdTtlMs: number;
  readonly #clock: Clock;
  readonly #scope = new AsyncLocalStorage<CallScope>();
  readonly #listeners = new Listeners();

  constructor(options: CostTrackerOptions = {}) {
    checkKeys(options, OPTION_KEYS, 'CostTracker options');
    this.store = checkMethods(options.store ?? memoryStore(), STORE_METHODS, 'store');
    this.#budgets = new Budgets(options.budgets ?? [], this.store);
    const given = options.prices === undefined ? undefined : checkMethods(options.prices, ['price'], 'prices');
    this.#pricing = new Pricing(given, readToolPrices(options.toolPrices ?? {}));
    this.#holdTtlMs = checkNumber(options.holdTtlMs ?? DEFAULT_HOLD_TTL_MS, 1, DAY_MS, 'holdTtlMs');
    this.#clock = checkMethods(options.clock ?? SYSTEM_CLOCK, ['wall'], 'clock');
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
   * @throws {@link BudgetExceededError} when a budget has no room. {@link UnpricedModelError} when a model has no known price and a
   * budget refuses such calls. RangeError for a bad value. `StoreError` when the store fails.
   */
  async reserve(options: ReserveOptions, { signal }: { signal?: AbortSignal } = {}): Promise<CostHold> {
    checkCall(options, RESERVE_KEYS, 'reserve');
    signal?.throwIfAborted();
    const id = checkText(options.idempotencyKey ?? crypto.randomUUID(), 'idempotencyKey');
    const call = readCall(options, id, this.#clock.wall(), this.#scope.getStore() ?? {});
    const { amount, maxOutputTokens } = await this.#admit(call, new ReservationSize(options, call, this.#pricing));
    const hold = endingOnce(
      { id, amountUsd: formatUsd(amount), ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }) },
      {
        settle: async (outcome) => {
          checkKeys(outcome, OUTCOME_KEYS, 'settle');
          await this.#save(call, outcome, amount);
        },
        release: () => this.store.release(call.key),
      },
    );
    if (signal?.aborted) {
      await hold.release();
      throw signal.reason;
    }
    return hold;
  }

  /**
   * Writes down a call that has been made, whatever the budgets say: the money is spent. A report of a call that is in the ledger
   * corrects it where it is a later revision, or knows the cost better (see `CostSource`); the difference is a row of its own.
   *
   * @returns false if as much was known before.
   */
  async record(options: RecordOptions): Promise<boolean> {
    checkCall(options, RECORD_KEYS, 'record');
    const id = checkText(options.dedupeKey, 'dedupeKey');
    const call = readCall(options, id, options.at ?? this.#clock.wall(), this.#scope.getStore() ?? {});
    return this.#save(call, options, undefined);
  }

  /** Where a budget stands now. RangeError for a name that no budget has. */
  async status(budget: string): Promise<BudgetStatus> {
    const asking = this.#budgets.ready();
    if (asking !== undefined) await asking;
    const { window, state } = await this.#stateOf(this.#budgets.named(budget));
    return this.#board.status(window, state);
  }

  /**
   * Does nothing until the budget is blocked.
   *
   * @throws {@link BudgetExceededError} when settled spend has reached the `blocked` threshold.
   */
  async enforce(budget: string): Promise<void> {
    await this.#budgets.ready();
    const { window, state, now } = await this.#stateOf(this.#budgets.named(budget));
    if (levelOf(state.spent, window.marks) === 'blocked') throw new BudgetExceededError(window, state, 0n, now);
  }

  /** The budgets in force: those of the constructor, and what was set since. */
  async budgets(): Promise<readonly BudgetOptions[]> {
    await this.#budgets.ready(true);
    return [...this.#budgets.all.values()].map(({ options }) => options);
  }

  /**
   * Sets a budget, or changes some options of one, for every tracker that shares the store: from its next reservation on, and after a
   * restart. What was spent stays spent.
   *
   * @throws RangeError for a bad option; nothing has changed then.
   */
  setBudget(options: Partial<BudgetOptions> & { readonly name: string }): Promise<BudgetOptions> {
    return this.#budgets.set(options);
  }

  /** Takes back what {@link CostTracker.setBudget} has set: a budget of the constructor is as it was there, another one is gone. */
  unsetBudget(name: string): Promise<void> {
    return this.#budgets.unset(checkText(name, 'name'));
  }

  /** Adds the ledger up. */
  async summary(options: SummaryOptions = {}): Promise<UsageSummary> {
    checkKeys(options, ['from', 'to', 'scope'], 'summary');
    return usageSummary(await this.store.getUsageSummary(queryOf(options)));
  }

  /** A page of the ledger's rows, in the order of their time. */
  async rows(options: RowsOptions = {}): Promise<readonly UsageRow[]> {
    checkKeys(options, ['from', 'to', 'scope', 'after', 'limit'], 'rows');
    const limit = Math.floor(checkNumber(options.limit ?? 1_000, 1, 10_000, 'limit'));
    return this.store.readRows(queryOf(options), options.after, limit);
  }

  /** What the current calendar month has cost so far, as a decimal. */
  async monthlyTotalUsd(options: MonthlyTotalOptions = {}): Promise<string> {
    checkKeys(options, ['scope', 'timeZone'], 'monthlyTotalUsd');
    const { start, end } = await new Calendar('month', options.timeZone ?? 'UTC', 'monthlyTotalUsd').at(this.#clock.wall());
    return formatUsd(await this.store.getMonthlyTotal({ ...queryOf({ scope: options.scope ?? {} }), from: start, to: end }));
  }

  /** Listens; returns the function that stops it. */
  on<E extends keyof CostTrackerEvents>(event: E, listener: (payload: CostTrackerEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /** Writes what was accepted and closes the store. Later calls reject with `ERR_CLOSED`. */
  close(): Promise<void> {
    return this.store.close();
  }

  /** The same as {@link CostTracker.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #admit(call: PaidCall, size: ReservationSize): Promise<Admitted> {
    let wanted = await size.most();
    for (;;) {
      await this.#budgets.ready();
      const budgets = this.#budgets.covering(call.dimensions);
      if (wanted === undefined) return this.#admitUnpriced(call, budgets);
      // What costs nothing needs no room, also not in a budget that is blocked, and no write.
      if (wanted.amount === 0n) return wanted;
      const windows = await windowsAt(budgets, call.at);
      const hold = { ...call, amount: wanted.amount, expiresAt: call.at + Math.ceil(this.#holdTtlMs) };
      const result = await this.store.reserve(hold, windows, call.at, this.#budgets.version);
      if (result.admitted) return wanted;
      if (result.admitted === undefined) {
        await this.#budgets.ready(true);
        continue;
      }
      const smaller = await size.fitting(result.window.ceiling - result.state.spent - result.state.reserved, wanted);
      if (smaller === undefined) throw this.#refused(new BudgetExceededError(result.window, result.state, wanted.amount, call.at), call);
      wanted = smaller;
    }
  }

  #admitUnpriced(call: PaidCall, budgets: readonly Budget[]): Admitted {
    const strict = budgets.find(({ refusesUnpriced }) => refusesUnpriced);
    if (strict) throw this.#refused(new UnpricedModelError(call.name, strict.name), call);
    return { amount: 0n };
  }

  #refused<E extends BudgetExceededError | UnpricedModelError>(error: E, { kind, name, dimensions }: PaidCall): E {
    this.#listeners.emit('refused', { kind, name, tenant: dimensions.tenant, limit: error.limit, code: error.code });
    return error;
  }

  async #save(call: PaidCall, outcome: CallOutcome, reserved: NanoUsd | undefined): Promise<boolean> {
    await this.#budgets.ready();
    const report = await this.#pricing.report(call, outcome, Math.floor(this.#clock.wall()), reserved);
    const windows = await windowsAt(this.#budgets.covering(call.dimensions), call.at);
    const { row, crossings } = await this.store.saveUsage(report, windows);
    if (row) this.#listeners.emit('recorded', recordedEvent(row));
    for (const crossing of crossings) this.#listeners.emit('budget-threshold', thresholdEvent(crossing));
    return row !== undefined;
  }

  async #stateOf(budget: Budget): Promise<{ window: BudgetWindow; state: BudgetState; now: number }> {
    const now = this.#clock.wall();
    const found = budget.windowAt(now);
    const window = found instanceof Promise ? await found : found;
    return { window, state: await this.store.budgetState(window, now), now };
  }
}

function queryOf({ from = 0, to = Number.MAX_SAFE_INTEGER, scope = {} }: SummaryOptions) {
  return {
    dimensions: dimensionsOf(scope, 'scope'),
    from: checkNumber(from, 0, Number.MAX_SAFE_INTEGER, 'from'),
    to: checkNumber(to, from, Number.MAX_SAFE_INTEGER, 'to'),
  };
}
