import { checkedKey } from './demand.ts';

/** How many shared places take the keys that find no place of their own. */
const overflowPlaces = 64;

/**
 * The numbers of many keys in one typed array: no object and no timer a key.
 *
 * Bounded: a key is forgotten when its numbers have all passed, looked for two keys at a time whenever a new one comes.
 * Where every key is still in use, a new one shares a place with other such keys, and what any of them uses counts for all, so that
 * crowding refuses more and never lets a blocked key through.
 */
export class Memory {
  readonly #places = new Map<string, number>();
  readonly #perKey: number;
  readonly #maxKeys: number;
  readonly #passed: (numbers: Float64Array, at: number, key: string) => boolean;
  readonly #free: number[] = [];
  #sweep: IterableIterator<[string, number]>;
  #used = overflowPlaces;
  /** `perKey` numbers at each place. */
  numbers: Float64Array;

  /** `passed` says whether the numbers of a key are as good as those of a new one. */
  constructor(perKey: number, maxKeys: number, passed: (numbers: Float64Array, at: number, key: string) => boolean) {
    this.#perKey = perKey;
    this.#maxKeys = maxKeys;
    this.#passed = passed;
    this.#sweep = this.#places.entries();
    this.numbers = new Float64Array((overflowPlaces + 192) * perKey);
  }

  /** Keys that have a place of their own. */
  get size(): number {
    return this.#places.size;
  }

  /** Where in {@link Memory.numbers} those of `key` begin; a new key gets a place. */
  place(key: string): number {
    return this.#places.get(key) ?? this.#placeForNew(key);
  }

  /** As {@link Memory.place}, but gives a new key no place: it reads those whose numbers it would begin with. */
  find(key: string): number {
    return this.#places.get(key) ?? this.#overflow(key);
  }

  /** Whether several keys share the place at `at`. */
  isShared(at: number): boolean {
    return at < overflowPlaces * this.#perKey;
  }

  /** Empties a key's own place. A shared one stays, because emptying it would let the others through. */
  clear(key: string): void {
    const at = this.place(key);
    if (!this.isShared(at)) this.numbers.fill(0, at, at + this.#perKey);
  }

  /** Takes over every key of another memory, and the shared places; `copy` fills the numbers of one. */
  adopt(source: Memory, copy: (from: number, at: number) => void): void {
    for (let place = 0; place < overflowPlaces; place += 1) copy(place * source.#perKey, place * this.#perKey);
    for (const [key, from] of source.#places) {
      const at = this.#places.get(key) ?? this.#append();
      this.#places.set(key, at);
      copy(from, at);
    }
  }

  #placeForNew(key: string): number {
    checkedKey(key); // here and not at each call, which has to be fast: no other key is ever known
    this.#forgetPassed(this.#places.size >= this.#maxKeys ? 16 : 2);
    const shared = this.#overflow(key);
    if (this.#places.size >= this.#maxKeys) return shared;
    const at = this.#free.pop() ?? this.#append();
    // whoever shared that place may be this key
    this.numbers.copyWithin(at, shared, shared + this.#perKey);
    this.#places.set(key, at);
    return at;
  }

  #forgetPassed(most: number): void {
    for (let looked = 0; looked < most; looked += 1) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = this.#places.entries();
        return;
      }
      const [key, at] = next.value;
      if (!this.#passed(this.numbers, at, key)) continue;
      this.#places.delete(key);
      this.#free.push(at);
    }
  }

  #append(): number {
    const at = this.#used * this.#perKey;
    if (at >= this.numbers.length) {
      const larger = new Float64Array((Math.ceil((this.#used * 5) / 4) + 1) * this.#perKey);
      larger.set(this.numbers);
      this.numbers = larger;
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
