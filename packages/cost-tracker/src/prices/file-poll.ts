import { stat } from 'node:fs/promises';
import type { PriceClock } from './price-clock.ts';

/**
 * Looks at a file by and by and calls `changed` when its content may have changed. Asks for the file behind the name, so
 * that a rename over it and a swapped symbolic link (a Kubernetes ConfigMap) are seen like a write.
 */
export class FilePoll {
  readonly #path: string;
  readonly #clock: PriceClock;
  readonly #everyMs: number;
  readonly #changed: () => Promise<void>;
  #timer: unknown;
  #closed = false;
  #seen: string | undefined;
  #seenTwice = false;

  constructor(path: string, clock: PriceClock, everyMs: number, changed: () => Promise<void>) {
    this.#path = path;
    this.#clock = clock;
    this.#everyMs = everyMs;
    this.#changed = changed;
    this.#later();
  }

  close(): void {
    this.#closed = true;
    this.#clock.clearTimeout(this.#timer);
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = this.#clock.setTimeout(() => void this.#look(), this.#everyMs);
    (this.#timer as { unref?: () => void } | undefined)?.unref?.(); // a file nobody else waits for keeps no process alive
  }

  async #look(): Promise<void> {
    const identity = await identityOf(this.#path);
    const same = identity === this.#seen;
    // two writes within one tick of the file system's clock look like one: what has changed is read once more
    const quiet = same && this.#seenTwice;
    this.#seen = identity;
    this.#seenTwice = same;
    if (!quiet && !this.#closed) await this.#changed();
    this.#later();
  }
}

async function identityOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
