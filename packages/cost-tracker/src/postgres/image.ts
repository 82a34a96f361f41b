import type { BudgetState, BudgetWindow } from '../budget.ts';
import type { LedgerTables } from '../ledger.ts';
import { alertId } from '../memory-alerts.ts';
import type { NanoUsd } from '../money.ts';
import { RollupSums } from '../rollup-sums.ts';
import { covers, type Dimensions } from '../scope.ts';
import type { Crossing, Hold, UsageKey, UsageRow } from '../store.ts';

/** A counter as the database has it. */
export interface StoredCounter {
  readonly id: string;
  readonly dimensions: Dimensions;
  readonly start: number;
  readonly end: number;
  spent: NanoUsd;
  reserved: NanoUsd;
}

/** A counter that a window is the sum of. */
export interface CounterPlace {
  readonly dimensions: Dimensions;
  readonly start: number;
  readonly end: number;
  /** From when on no window of its budget looks at it. */
  readonly unusedFrom: number;
}

/** All of a ledger that the operations of one transaction can come to look at. */
export interface Fetched {
  readonly budgetsVersion: number;
  readonly holds: readonly Hold[];
  readonly rows: readonly UsageRow[];
  readonly counters: readonly StoredCounter[];
  /** Ids of the thresholds asked for that were crossed before. */
  readonly crossings: readonly string[];
}

/** What a transaction has to write. */
export interface Changes {
  readonly rows: readonly UsageRow[];
  readonly rollup: ReturnType<RollupSums['take']>;
  readonly deletedHolds: readonly UsageKey[];
  readonly holds: readonly Hold[];
  readonly counters: readonly StoredCounter[];
  readonly crossings: readonly { readonly crossing: Crossing; readonly id: string; readonly at: number }[];
}

/** The ledger's tables in memory, as they were fetched and as the operations of the transaction have changed them since. */
export class Image implements LedgerTables {
  readonly #version: number;
  readonly #holds = new Map<string, Hold>();
  readonly #storedHolds: ReadonlyMap<string, Hold>;
  readonly #rows = new Map<string, UsageRow[]>();
  readonly #newRows: UsageRow[] = [];
  readonly #rollup = new RollupSums();
  readonly #counters = new Map<string, StoredCounter>();
  readonly #changedCounters = new Set<StoredCounter>();
  readonly #crossed: Set<string>;
  readonly #newCrossings: Changes['crossings'][number][] = [];

  constructor(fetched: Fetched) {
    this.#version = fetched.budgetsVersion;
    for (const hold of fetched.holds) this.#holds.set(keyText(hold.key), hold);
    this.#storedHolds = new Map(this.#holds);
    for (const row of fetched.rows) this.#rowsOf(row.key).push(row);
    for (const counter of fetched.counters) this.#counters.set(placeText(counter), counter);
    this.#crossed = new Set(fetched.crossings);
  }

  budgetsVersion(): number {
    return this.#version;
  }

  hold(key: UsageKey): Hold | undefined {
    return this.#holds.get(keyText(key));
  }

  insertHold(hold: Hold): void {
    this.#holds.set(keyText(hold.key), hold);
  }

  deleteHold(key: UsageKey): void {
    this.#holds.delete(keyText(key));
  }

  expiredHolds(now: number): readonly Hold[] {
    return [...this.#holds.values()].filter((hold) => hold.expiresAt <= now);
  }

  rows(key: UsageKey): readonly UsageRow[] {
    return this.#rows.get(keyText(key)) ?? [];
  }

  insertRow(row: UsageRow): void {
    this.#rowsOf(row.key).push(row);
    this.#newRows.push(row);
    this.#rollup.add(row);
  }

  counter(window: BudgetWindow): BudgetState {
    let [spent, reserved] = [0n, 0n];
    for (const place of placesOf(window)) {
      const counter = this.#counters.get(placeText(place));
      if (counter === undefined) throw new Error(`the counter of budget '${window.budget}' from ${place.start} was not fetched`);
      spent += counter.spent;
      reserved += counter.reserved;
    }
    return { spent, reserved };
  }

  addToCounters({ dimensions, at }: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    for (const counter of this.#counters.values()) {
      if (at < counter.start || at >= counter.end || !covers(counter.dimensions, dimensions)) continue;
      counter.spent += spent;
      counter.reserved += reserved;
      this.#changedCounters.add(counter);
    }
  }

  insertCrossing(crossing: Crossing, at: number): boolean {
    const id = alertId(crossing.window.budget, crossing.window.periodStart, crossing.mark.level);
    if (this.#crossed.has(id)) return false;
    this.#crossed.add(id);
    this.#newCrossings.push({ crossing, id, at });
    return true;
  }

  /** Of the places, those that no counter is fetched for. */
  missing(places: Iterable<CounterPlace>): CounterPlace[] {
    const missing = new Map<string, CounterPlace>();
    for (const place of places) {
      const text = placeText(place);
      if (!this.#counters.has(text)) missing.set(text, place);
    }
    return [...missing.values()];
  }

  /** Takes counters that were opened after the rest was fetched. */
  open(counters: readonly StoredCounter[]): void {
    for (const counter of counters) this.#counters.set(placeText(counter), counter);
  }

  changes(): Changes {
    return {
      rows: this.#newRows,
      rollup: this.#rollup.take(),
      deletedHolds: [...this.#storedHolds].filter(([text]) => !this.#holds.has(text)).map(([, { key }]) => key),
      holds: [...this.#holds].filter(([text, hold]) => this.#storedHolds.get(text) !== hold).map(([, hold]) => hold),
      counters: [...this.#changedCounters],
      crossings: this.#newCrossings,
    };
  }

  #rowsOf(key: UsageKey): UsageRow[] {
    const text = keyText(key);
    const known = this.#rows.get(text);
    if (known) return known;
    const rows: UsageRow[] = [];
    this.#rows.set(text, rows);
    return rows;
  }
}

/** The counters that a window is the sum of. */
export function placesOf({ dimensions, start, end, step, resetsAt }: BudgetWindow): CounterPlace[] {
  // calls of the period before still settle
  if (step === undefined) return [{ dimensions, start, end, unusedFrom: resetsAt + end - start }];
  const places: CounterPlace[] = [];
  // a part is looked at until the window has moved on by its own length
  for (let part = start; part < end; part += step)
    places.push({ dimensions, start: part, end: part + step, unusedFrom: part + end - start });
  return places;
}

/** Tells calls apart. */
export function keyText({ tenant, id }: UsageKey): string {
  return JSON.stringify([tenant, id]);
}

function placeText({ start, end, dimensions }: { readonly start: number; readonly end: number; readonly dimensions: Dimensions }): string {
  const { org, tenant, project, user, key, model, tool } = dimensions;
  return JSON.stringify([start, end, org, tenant, project, user, key, model, tool]);
}
