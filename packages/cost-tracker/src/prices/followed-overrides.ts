import { FilePoll } from './file-poll.ts';
import { parseOverrides, readBytes, readBytesNow } from './overrides-file.ts';
import type { PriceClock } from './price-clock.ts';
import { PriceFileError } from './price-file-error.ts';
import type { ReadOverride } from './price-override.ts';

/** What becomes of a file that is read anew. */
export interface OverridesFollower {
  readonly reloaded: (overrides: readonly ReadOverride[], bytes: Uint8Array) => void;
  readonly refused: (error: PriceFileError) => void;
}

/** The overrides of a file, as it says now: a wrong one is refused as a whole, and what was read before stays. */
export class FollowedOverrides {
  readonly #file: string;
  readonly #follower: OverridesFollower;
  readonly #poll: FilePoll | undefined;
  #bytes: Uint8Array;
  #refused: string | undefined;
  #reading: Promise<unknown> = Promise.resolve();

  /** Reads the file at once. @throws {@link PriceFileError} */
  constructor(file: string, pollIntervalMs: number | undefined, clock: PriceClock, follower: OverridesFollower) {
    this.#file = file;
    this.#follower = follower;
    this.#bytes = readBytesNow(file);
    follower.reloaded(parseOverrides(this.#bytes, file), this.#bytes);
    const look = () => this.reload().catch(() => undefined); // the follower was told
    this.#poll = pollIntervalMs === undefined ? undefined : new FilePoll(file, clock, pollIntervalMs, look);
  }

  /** Reads the file now. @throws {@link PriceFileError} */
  reload(): Promise<void> {
    // one after the other, so that an earlier reading never replaces a later one
    const next = this.#reading.then(() => this.#read());
    this.#reading = next.catch(() => undefined);
    return next;
  }

  /** Looks no longer. */
  async close(): Promise<void> {
    this.#poll?.close();
    await this.#reading;
  }

  async #read(): Promise<void> {
    try {
      const bytes = await readBytes(this.#file);
      if (this.#refused === undefined && Buffer.compare(bytes, this.#bytes) === 0) return;
      const overrides = parseOverrides(bytes, this.#file);
      this.#bytes = bytes;
      this.#refused = undefined;
      this.#follower.reloaded(overrides, bytes);
    } catch (error) {
      if (error instanceof PriceFileError && this.#refused !== error.message) {
        this.#refused = error.message; // told once, not at every look
        this.#follower.refused(error);
      }
      throw error;
    }
  }
}
