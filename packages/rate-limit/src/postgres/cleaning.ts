import type { PostgresParts } from './store.ts';

const stepsAtOnce = 64;

/** Deletes rows that say nothing any more, a few pages of the table at a time, while the store is in use. */
export class Cleaning {
  readonly #parts: PostgresParts;
  readonly #text: string;
  #timer: unknown;
  #running: Promise<void> | undefined;
  #page: string | null = null;
  #closed = false;

  constructor(parts: PostgresParts) {
    this.#parts = parts;
    this.#text = `SELECT next, deleted FROM ${parts.schema.prefix}_forget"($1::float8, $2::bigint)`;
  }

  /** Cleans up after a while, unless that is planned already. */
  plan(): void {
    const { clock, cleanupEveryMs } = this.#parts;
    if (this.#timer !== undefined || this.#running !== undefined || this.#closed || cleanupEveryMs === 0) return;
    this.#timer = clock.setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#steps()
        .catch(() => {}) // the next time will do
        .finally(() => {
          this.#running = undefined;
        });
    }, cleanupEveryMs);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  /** Ends it; resolves when nothing is being deleted any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#parts.clock.clearTimeout(this.#timer);
    await this.#running;
  }

  async #steps(): Promise<void> {
    const { client, now } = this.#parts;
    for (let step = 0; step < stepsAtOnce && !this.#closed; step += 1) {
      const { rows } = await client.query({ text: this.#text, values: [now?.() ?? null, this.#page], query_timeout: 30_000 });
      const { next } = rows[0] as { next: string };
      this.#page = next;
      if (next === '0') return;
    }
  }
}
