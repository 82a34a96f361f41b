/** One place in a {@link WaitingLine}. */
export interface Place<T> {
  readonly item: T;
  before: Place<T> | undefined;
  behind: Place<T> | undefined;
  waits: boolean;
}

/** A queue, first in first out, that one may leave from anywhere. Every operation is O(1). */
export class WaitingLine<T> {
  #first: Place<T> | undefined;
  #last: Place<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  join(item: T): Place<T> {
    const place: Place<T> = { item, before: this.#last, behind: undefined, waits: true };
    if (this.#last === undefined) this.#first = place;
    else this.#last.behind = place;
    this.#last = place;
    this.#size += 1;
    return place;
  }

  /** Takes a place out of the line; one that is out already stays so. */
  leave(place: Place<T>): void {
    if (!place.waits) return;
    const { before, behind } = place;
    place.waits = false;
    if (before === undefined) this.#first = behind;
    else before.behind = behind;
    if (behind === undefined) this.#last = before;
    else behind.before = before;
    this.#size -= 1;
  }

  /** Takes out who has waited longest. */
  next(): T | undefined {
    const first = this.#first;
    if (first !== undefined) this.leave(first);
    return first?.item;
  }
}
