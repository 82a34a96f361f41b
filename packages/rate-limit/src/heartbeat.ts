import type { Clock } from './clock.ts';
import { RateLimitError } from './decision.ts';

/** A call whose lease is to be renewed. */
export interface Lessee {
  /** Whether the lease is still held; undefined where the store does not answer. */
  renew(): Promise<boolean | undefined>;
  /** How long the lease lasts, in ms. */
  readonly leaseMs: number;
  /** The lease has ended though the call has not. */
  lost(error: RateLimitError): void;
}

interface Held {
  readonly lessee: Lessee;
  until: number;
}

/** Renews the leases of calls that run, thrice before one ends, and says when one has ended; one timer for all. */
export class Heartbeat {
  readonly #clock: Clock;
  readonly #held = new Set<Held>();
  #timer: unknown;
  #firesAt = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Renews until the returned function is called. `sentAt` is when the lease was asked for. */
  keep(lessee: Lessee, sentAt: number): () => void {
    const held = { lessee, until: sentAt + lessee.leaseMs };
    this.#held.add(held);
    this.#setTimer([held]);
    return () => {
      this.#held.delete(held);
      if (this.#held.size === 0) this.close();
    };
  }

  /** Stops renewing. */
  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#firesAt = Number.POSITIVE_INFINITY;
  }

  /** Beats in time for these too: a quarter of a lease from now, or when one ends that could not be renewed. */
  #setTimer(all: readonly Held[]): void {
    const now = this.#clock.now();
    const due = all.map(({ lessee, until }) => Math.min(Math.max(10, Math.floor(lessee.leaseMs / 4)), until - now));
    const delay = Math.max(1, Math.min(...due));
    if (now + delay >= this.#firesAt) return;
    this.#clock.clearTimeout(this.#timer);
    this.#firesAt = now + delay;
    this.#timer = this.#clock.setTimeout(() => this.#beat(), delay);
    (this.#timer as { unref?: () => void } | undefined)?.unref?.();
  }

  #beat(): void {
    this.#firesAt = Number.POSITIVE_INFINITY;
    for (const held of [...this.#held]) {
      if (held.until <= this.#clock.now()) this.#lose(held);
      else void this.#renew(held);
    }
    if (this.#held.size > 0) this.#setTimer([...this.#held]);
  }

  /** From when it was sent counts how long a renewal lasts: the store's own time for it begins later, never earlier. */
  async #renew(held: Held): Promise<void> {
    const sentAt = this.#clock.now();
    const kept = await held.lessee.renew().catch(() => undefined);
    if (!this.#held.has(held)) return;
    if (kept === true) held.until = sentAt + held.lessee.leaseMs;
    else if (kept === false || this.#clock.now() >= held.until) this.#lose(held);
  }

  #lose(held: Held): void {
    this.#held.delete(held);
    if (this.#held.size === 0) this.close();
    held.lessee.lost(new RateLimitError('ERR_LEASE_LOST', 'the lease of this call could not be renewed in time', '', 0));
  }
}
