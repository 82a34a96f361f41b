/** A thing in a {@link Recency}. */
export interface Linked<T> {
  older: T | undefined;
  newer: T | undefined;
}

/** Things in the order of their last use. Everything costs the same however many there are. */
export class Recency<T extends Linked<T>> {
  oldest: T | undefined;
  #newest: T | undefined;

  /** Puts a thing in as the one used last. */
  add(thing: T): void {
    thing.older = this.#newest;
    thing.newer = undefined;
    if (this.#newest === undefined) this.oldest = thing;
    else this.#newest.newer = thing;
    this.#newest = thing;
  }

  /** Takes out a thing that is in. */
  remove(thing: T): void {
    if (thing.older === undefined) this.oldest = thing.newer;
    else thing.older.newer = thing.newer;
    if (thing.newer === undefined) this.#newest = thing.older;
    else thing.newer.older = thing.older;
    thing.older = thing.newer = undefined;
  }
}
