import type { BudgetState, BudgetWindow } from '../budget.ts';
import type { NanoUsd } from '../money.ts';
import type { Dimensions } from '../scope.ts';
import type { Hold } from '../store.ts';
import { covered, covering, dimensionColumns, dimensionsIn, dimensionValues, exactly, prepareAll } from './columns.ts';
import type { Connection, SqlValue } from './file.ts';

interface Counter {
  readonly dimensions: Dimensions;
  readonly start: number;
  readonly end: number;
  spent: NanoUsd;
  reserved: NanoUsd;
}

interface CounterRecord extends Record<keyof Dimensions, string> {
  start_ms: bigint;
  end_ms: bigint;
  spent: bigint;
  reserved: bigint;
}

interface Covering {
  /** Counters that ended by then are not among them. */
  readonly from: number;
  readonly counters: Counter[];
}

// Counters, and sets of dimensions whose counters, that are remembered at once.
const mostRemembered = 10_000;

const within = 'at_ms >= ?8 AND at_ms < ?9';
const read = 'spent_nano AS spent, reserved_nano AS reserved';

const sql = {
  find: `SELECT *, ${read} FROM budget_counter WHERE ${exactly} AND start_ms = ?8 AND end_ms = ?9`,
  open: `INSERT INTO budget_counter (${dimensionColumns}, start_ms, end_ms, spent_nano, reserved_nano) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
      (SELECT coalesce(sum(amount_nano), 0) FROM usage WHERE ${covered} AND ${within}),
      (SELECT coalesce(sum(amount_nano), 0) FROM hold WHERE ${covered} AND ${within}))
    RETURNING *, ${read}`,
  covering: `SELECT *, ${read} FROM budget_counter WHERE ${covering} AND end_ms > ?8`,
  drop: `DELETE FROM budget_counter WHERE ${exactly} AND end_ms <= ?8 AND end_ms - start_ms = ?9`,
  write: `UPDATE budget_counter SET spent_nano = ?10, reserved_nano = ?11 WHERE ${exactly} AND start_ms = ?8 AND end_ms = ?9`,
};

/**
 * The counters of a ledger, kept in memory between transactions as long as no other connection writes; what a transaction changes is
 * written once, at its end.
 */
export class Counters {
  readonly #statements: ReturnType<typeof prepareAll<keyof typeof sql>>;
  readonly #known = new Map<string, Counter>();
  readonly #covering = new Map<string, Covering>();
  #ofWindow = new WeakMap<BudgetWindow, Counter>(); // found without a text to look it up by
  readonly #changed = new Set<Counter>();
  #opened = 0;

  constructor(connection: Connection) {
    this.#statements = prepareAll(connection, sql);
  }

  /** At the beginning of a transaction: later on, what is forgotten would be read again without what was changed. */
  begin(): void {
    if (this.#known.size >= mostRemembered) this.forget();
  }

  /** The sum of the parts of a window. */
  state(window: BudgetWindow): BudgetState {
    const { dimensions, start, end, step } = window;
    if (step === undefined) {
      let known = this.#ofWindow.get(window);
      if (known === undefined) {
        known = this.#counter(dimensions, start, end);
        this.#ofWindow.set(window, known);
      }
      return known;
    }
    const opened = this.#opened;
    let [spent, reserved] = [0n, 0n];
    for (let part = start; part < end; part += step) {
      const counter = this.#counter(dimensions, part, part + step);
      spent += counter.spent;
      reserved += counter.reserved;
    }
    if (this.#opened > opened) this.#dropParts(dimensions, step, start - (end - start));
    return { spent, reserved };
  }

  /** Adds to every counter that covers the call. */
  add({ dimensions, at }: Pick<Hold, 'dimensions' | 'at'>, spent: NanoUsd, reserved: NanoUsd): void {
    for (const counter of this.#coveringOf(dimensions, at)) {
      if (at < counter.start || at >= counter.end) continue;
      counter.spent += spent;
      counter.reserved += reserved;
      this.#changed.add(counter);
    }
  }

  /** Writes what was changed. */
  flush(): void {
    for (const { dimensions, start, end, spent, reserved } of this.#changed) {
      this.#statements.write.run(...dimensionValues(dimensions), start, end, spent, reserved);
    }
    this.#changed.clear();
  }

  /** What is in the file may be something else by now. */
  forget(): void {
    this.#known.clear();
    this.#covering.clear();
    this.#changed.clear();
    this.#ofWindow = new WeakMap();
  }

  #counter(dimensions: Dimensions, start: number, end: number): Counter {
    const text = textOf(dimensions, start, end);
    const known = this.#known.get(text);
    if (known) return known;
    const place: SqlValue[] = [...dimensionValues(dimensions), start, end];
    const found = this.#statements.find.get(...place) as CounterRecord | undefined;
    if (found) return this.#remember(found);
    this.flush(); // the new one is summed up from what the file says
    const opened = this.#remember(this.#statements.open.get(...place) as CounterRecord);
    this.#opened += 1;
    this.#covering.clear();
    return opened;
  }

  /** A rolling budget opens parts for ever; those that it has left behind can be added up again from the rows. */
  #dropParts(dimensions: Dimensions, step: number, before: number): void {
    const { changes } = this.#statements.drop.run(...dimensionValues(dimensions), before, step);
    if (Number(changes) === 0) return;
    this.flush();
    this.forget();
  }

  #coveringOf(dimensions: Dimensions, at: number): readonly Counter[] {
    const text = textOf(dimensions, 0, 0);
    const known = this.#covering.get(text);
    if (known && known.from <= at) return known.counters;
    if (this.#covering.size >= mostRemembered) this.#covering.clear();
    const records = this.#statements.covering.all(...dimensionValues(dimensions), at) as CounterRecord[];
    const counters = records.map((record) => this.#remember(record));
    this.#covering.set(text, { from: at, counters });
    return counters;
  }

  #remember(record: CounterRecord): Counter {
    const [start, end] = [Number(record.start_ms), Number(record.end_ms)];
    const dimensions = dimensionsIn(record);
    const text = textOf(dimensions, start, end);
    const known = this.#known.get(text); // may have been changed since it was read
    if (known) return known;
    const counter = { dimensions, start, end, spent: record.spent, reserved: record.reserved };
    this.#known.set(text, counter);
    return counter;
  }
}

function textOf(dimensions: Dimensions, start: number, end: number): string {
  const { org, tenant, project, user, key, model, tool } = dimensions;
  // the lengths tell where each begins
  const lengths = `${org.length} ${tenant.length} ${project.length} ${user.length} ${key.length} ${model.length}`;
  return `${start} ${end} ${lengths} ${org}${tenant}${project}${user}${key}${model}${tool}`;
}
