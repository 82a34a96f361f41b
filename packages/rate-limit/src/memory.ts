/** How many shared places take the keys that find no place of their own. */
const overflowPlaces = 64;

/**
 * The numbers of many keys in one typed array: no object and no timer a key.
 *
 * Bounded: a key is forgotten when its numbers have all passed, looked for two keys at a time whenever a new one comes.
 * Where every key is still in use, a new one shares a place with other such keys; the place then holds the latest of their
 * instants, so that crowding refuses more and never lets a blocked key through.
 */
export class Memory {
  readonly #places = new Map<string, number>();
  readonly #perKey: number;
  readonly #maxKeys: number;
  readonly #free: number[] = [];
  #sweep: IterableIterator<[string, number]>;
  #used = overflowPlaces;
  /** The instants: `perKey` numbers at each place. */
  instants: Float64Array;

  constructor(perKey: number, maxKeys: number) {
    this.#perKey = perKey;
    this.#maxKeys = maxKeys;
    this.#sweep = this.#places.entries();
    this.instants = new Float64Array((overflowPlaces + 192) * perKey);
  }

  /** Keys that have a place of their own. */
  get size(): number {
    return this.#places.size;
  }

  /** Where in {@link Memory.instants} the numbers of `key` begin; a new key gets a place. */
  place(key: string, passed: (at: number) => boolean): number {
    return this.#places.get(key) ?? this.#placeForNew(key, passed);
  }

  /** As {@link Memory.place}, but gives a new key no place: it reads those whose numbers it would begin with. */
  find(key: string): number {
    return this.#places.get(key) ?? this.#overflow(key);
  }

  /** Empties a key's own place. A shared one stays, because emptying it would let the others through. */
  clear(key: string, passed: (at: number) => boolean): void {
    const at = this.place(key, passed);
    if (at >= overflowPlaces * this.#perKey) this.instants.fill(0, at, at + this.#perKey);
  }

  #placeForNew(key: string, passed: (at: number) => boolean): number {
    this.#forgetPassed(this.#places.size >= this.#maxKeys ? 16 : 2, passed);
    const shared = this.#overflow(key);
    if (this.#places.size >= this.#maxKeys) return shared;
    const at = this.#free.pop() ?? this.#append();
    // whoever shared that place may be this key
    this.instants.copyWithin(at, shared, shared + this.#perKey);
    this.#places.set(key, at);
    return at;
  }

  #forgetPassed(most: number, passed: (at: number) => boolean): void {
    for (let looked = 0; looked < most; looked += 1) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = this.#places.entries();
        return;
      }
      const [key, at] = next.value;
      if (!passed(at)) continue;
      this.#places.delete(key);
      this.#free.push(at);
    }
  }

  #append(): number {
    const at = this.#used * this.#perKey;
    if (at >= this.instants.length) {
      const larger = new Float64Array(Math.ceil(this.instants.length * 1.5));
      larger.set(this.instants);
      this.instants = larger;
    }
    this.#used += 1;
    return at;
  }

  #overflow(key: string): number {
    let hash = 0;
    for (let i = 0; i < key.length; i += 1) hash = (Math.imul(hash, 31) + key.charCodeAt(i)) | 0;
    return (Math.abs(hash) % overflowPlaces) * this.#perKey;
  }
}
