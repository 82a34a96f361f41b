import type { ValueStore } from './value-store.ts';

const EVERY_MS = 3_600_000;
const ROWS_AT_ONCE = 500;

/**
 * Deletes what is older than the retention: at most 500 values at a record, once an hour, and at the next records again while there
 * is more. That is faster than records come, so that nothing piles up.
 */
export class Pruning {
  readonly #store: ValueStore;
  readonly #retentionMs: number;
  #dueAt = Number.NEGATIVE_INFINITY;

  constructor(store: ValueStore, retentionMs: number) {
    this.#store = store;
    this.#retentionMs = retentionMs;
  }

  /** Deletes some values if it is time; never rejects. */
  async step(now: number): Promise<void> {
    // A clock that was set back must not put it off.
    if (now < this.#dueAt && now > this.#dueAt - 2 * EVERY_MS) return;
    this.#dueAt = now + EVERY_MS;
    try {
      const deleted = await this.#store.pruneValues(now - this.#retentionMs, ROWS_AT_ONCE);
      if (deleted === ROWS_AT_ONCE) this.#dueAt = now;
    } catch {
      // The value was recorded whatever becomes of the old ones, which the next step meets again.
    }
  }
}
