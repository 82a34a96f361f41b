import type { Permit } from './circuit.ts';

/** Into how many parts the time after which a call is slow is divided; a slow call is seen at most one part late. */
const parts = 16;

/** Places for as many parts as are younger than slow, up to a power of two: the place of a part is its last bits. */
const places = 32;

/**
 * Calls that have not answered yet, counted by the moment they began, so that those that hang are known before they end.
 *
 * Holds counts, not calls: how far a permit lies behind the first one says in which part of time its call began.
 */
export class InFlight {
  /** From how many ms on a call is slow. */
  readonly slowMs: number;
  readonly #partMs: number;
  readonly #young = new Int32Array(places); // calls begun in the newest part and the `parts` before it
  #firstPermit: Permit;
  #beganAt: number;
  #newest = 0; // part of the latest look, counted from the beginning
  #nextPartAt: number;
  #slow = 0;

  /** `firstPermit` is for calls that begin now; calls with earlier permits are not counted here. */
  constructor(slowMs: number, firstPermit: Permit, now: number) {
    this.slowMs = slowMs;
    this.#partMs = slowMs / parts;
    this.#firstPermit = firstPermit;
    this.#beganAt = now;
    this.#nextPartAt = now + this.#partMs;
  }

  /** The latest permit that was handed out. */
  get lastPermit(): Permit {
    return this.#firstPermit + this.#newest;
  }

  /** Forgets all calls and begins anew, as the constructor does. */
  clear(firstPermit: Permit, now: number): void {
    this.#young.fill(0);
    this.#slow = this.#newest = 0;
    this.#firstPermit = firstPermit;
    this.#beganAt = now;
    this.#nextPartAt = now + this.#partMs;
  }

  /** A call begins; returns its permit. */
  begin(now: number): Permit {
    if (now >= this.#nextPartAt) this.#age(now);
    this.#add(this.#newest, 1);
    return this.#firstPermit + this.#newest;
  }

  /** The call of that permit has answered or ended. */
  end(permit: Permit): void {
    const part = permit - this.#firstPermit;
    if (part < 0 || part > this.#newest) return;
    if (part < this.#newest - parts) this.#slow = Math.max(0, this.#slow - 1);
    else if ((this.#young[part & (places - 1)] ?? 0) > 0) this.#add(part, -1); // a permit may come back twice
  }

  /** Whether any call has been in flight for so long that it is slow. */
  hangs(now: number): boolean {
    if (now >= this.#nextPartAt) this.#age(now);
    return this.#slow > 0;
  }

  /** How many calls have been in flight for so long that they are slow. */
  slow(now: number): number {
    if (now >= this.#nextPartAt) this.#age(now);
    return this.#slow;
  }

  #age(now: number): void {
    const current = Math.floor((now - this.#beganAt) / this.#partMs);
    for (let part = Math.max(0, this.#newest - parts); part < Math.min(current - parts, this.#newest + 1); part += 1) {
      this.#slow += this.#young[part & (places - 1)] ?? 0;
      this.#young[part & (places - 1)] = 0;
    }
    this.#newest = current;
    this.#nextPartAt = this.#beganAt + (current + 1) * this.#partMs;
  }

  #add(part: number, calls: number): void {
    const place = part & (places - 1);
    this.#young[place] = (this.#young[place] ?? 0) + calls;
  }
}
