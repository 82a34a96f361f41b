import { setTimeout as pause } from 'node:timers/promises';

/** How long after the end of a stream the next one is opened, in ms: doubled each time, up to the most. */
const again = { firstMs: 1_000, mostMs: 60_000 };

/** A stream of a server's news. */
export interface ChangeStream {
  /** Opens it; resolves or rejects when it has ended, with false where the server has no such thing. */
  readonly open: () => Promise<boolean>;
  /** Whether nobody wants it any more. */
  readonly over: () => boolean;
  /** Told when it is about to be opened again: what has changed meanwhile was told to nobody. */
  readonly missed: () => void;
  /** Ends the wait between two streams. */
  readonly signal: AbortSignal;
}

/** Keeps a stream open: one that broke off, or that the server ended, is opened again, ever later where that goes on. */
export async function keepOpen({ open, over, missed, signal }: ChangeStream): Promise<void> {
  let waitMs = again.firstMs;
  for (;;) {
    const openedAt = performance.now();
    const has = await open().catch(() => true); // calls find out what is wrong
    if (!has || over()) return;
    if (performance.now() - openedAt > again.mostMs) waitMs = again.firstMs;
    await pause(waitMs, undefined, { ref: false, signal }).catch(() => {});
    if (over()) return;
    missed();
    waitMs = Math.min(2 * waitMs, again.mostMs);
  }
}
