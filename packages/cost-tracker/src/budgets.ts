import { type Budget, type BudgetOptions, type BudgetWindow, readBudget, readBudgets } from './budget.ts';
import type { Dimensions } from './scope.ts';
import type { StoredBudgets, UsageStore } from './store.ts';

/** The budgets of a tracker: those it was made with, under those that were set in the store since. */
export class Budgets {
  readonly #store: UsageStore;
  readonly #own: ReadonlyMap<string, Budget>;
  #all: ReadonlyMap<string, Budget>;
  #version = -1; // of the store's, before it was asked
  #asking: Promise<void> | undefined;

  constructor(options: readonly BudgetOptions[], store: UsageStore) {
    this.#own = readBudgets(options);
    this.#all = this.#own;
    this.#store = store;
  }

  /** The version that the windows are of. */
  get version(): number {
    return this.#version;
  }

  /** What is in force; asks the store the first time, or again. */
  ready(again = false): Promise<void> | undefined {
    if (this.#version >= 0 && !again) return undefined;
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  get all(): ReadonlyMap<string, Budget> {
    return this.#all;
  }

  /** By name; RangeError for a name that no budget has. */
  named(name: string): Budget {
    const budget = this.#all.get(name);
    if (budget) return budget;
    throw new RangeError(`no budget is named '${name}'; known are ${[...this.#all.keys()].join(', ') || 'none'}`);
  }

  /** Of the budgets that cover a call, in a fixed order. */
  covering(call: Dimensions): Budget[] {
    return [...this.#all.values()].filter((budget) => budget.covers(call));
  }

  /** Sets or changes a budget for every tracker of the store. */
  async set(options: Partial<BudgetOptions> & { readonly name: string }): Promise<BudgetOptions> {
    await this.ready(true);
    const before = this.#all.get(options?.name)?.options;
    const budget = readBudget({ ...before, ...options } as BudgetOptions, 'setBudget');
    this.#take(await this.#store.putBudget(budget.name, JSON.stringify(budget.options)));
    return budget.options;
  }

  /** Takes back what was set. */
  async unset(name: string): Promise<void> {
    this.#take(await this.#store.putBudget(name, undefined));
  }

  async #ask(): Promise<void> {
    this.#take(await this.#store.readBudgets());
  }

  #take({ version, budgets }: StoredBudgets): void {
    if (version < this.#version) return; // an answer that was overtaken
    const all = new Map(this.#own);
    for (const { name, options } of budgets) all.set(name, readBudget(JSON.parse(options), `stored budget '${name}'`));
    this.#all = all;
    this.#version = version;
  }
}

/** The windows of some budgets at an instant. */
export function windowsAt(budgets: readonly Budget[], at: number): Promise<BudgetWindow[]> {
  return Promise.all(budgets.map((budget) => budget.windowAt(at)));
}
