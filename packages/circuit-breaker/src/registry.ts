import { CircuitBreaker } from './circuit-breaker.ts';
import { type CircuitBreakerEvents, Listeners } from './events.ts';
import { onlyKnown, wholeNumber } from './options.ts';
import { type Linked, Recency } from './registry/recency.ts';
import { RegistryFullError } from './registry/registry-full.ts';
import type { CircuitBreakerOptions } from './settings.ts';
import type { CircuitBreakerSnapshot } from './snapshot.ts';

export { isRegistryFullError, RegistryFullError } from './registry/registry-full.ts';

/** How a {@link CircuitBreakerRegistry} makes and keeps breakers. */
export interface CircuitBreakerRegistryOptions<K> {
  /**
   * The options of every breaker, or a function that gives those of a key's. A breaker is named by its key, unless the
   * function gives a `name`; give one for keys that are objects.
   */
  readonly options?: Omit<CircuitBreakerOptions, 'name'> | ((key: K) => CircuitBreakerOptions);
  /** The most breakers it keeps, for keys that come from outside. No limit unless given. */
  readonly maxBreakers?: number;
}

/** What a {@link CircuitBreakerRegistry} tells its listeners: its own events, and those of all its breakers with their keys. */
export type CircuitBreakerRegistryEvents<K> = {
  [E in keyof CircuitBreakerEvents]: CircuitBreakerEvents[E] & {
    /** Of the breaker; absent where a listener to `added` or `removed` threw. */
    readonly key?: K;
  };
} & {
  /** A breaker was made. */
  added: {
    /** Name of the breaker. */
    readonly name: string;
    /** Its key. */
    readonly key: K;
    /** The breaker itself. */
    readonly breaker: CircuitBreaker;
  };
  /** A breaker was deleted, or had to make room. */
  removed: {
    /** Name of the breaker. */
    readonly name: string;
    /** The key it had. */
    readonly key: K;
    /** The breaker itself; it goes on working for whoever holds it. */
    readonly breaker: CircuitBreaker;
    /** Which of the two. */
    readonly reason: 'deleted' | 'made-room';
  };
};

interface Entry<K> extends Linked<Entry<K>> {
  readonly key: K;
  readonly breaker: CircuitBreaker;
  /** Whether it was found in a state that must be kept. */
  kept: boolean;
}

/** One forwarded listener, and what takes it off each breaker again. */
interface Forward<K> {
  readonly attach: (entry: Entry<K>) => () => void;
  readonly off: Map<Entry<K>, () => void>;
}

/** Among how many of the least recently used breakers one is chosen: the bound of what a removal costs. */
const looked = 16;

/**
 * Breakers by key, made at first use. It is the only thing that holds them: a deleted one is garbage once nobody uses it.
 *
 * With `maxBreakers` the least recently used closed breaker makes room, one with an empty window first. Failing that, a
 * half-open one that nobody asked for since its wait elapsed goes. An open circuit, and any state set by hand, is never forgotten.
 *
 * @example
 * const breakers = new CircuitBreakerRegistry({ maxBreakers: 10_000 });
 * await breakers.get(host).execute(({ signal }) => fetch(url, { signal }));
 */
export class CircuitBreakerRegistry<K = string> implements Iterable<readonly [K, CircuitBreaker]> {
  readonly #entries = new Map<K, Entry<K>>();
  readonly #optionsOf: (key: K) => CircuitBreakerOptions;
  readonly #max: number;
  readonly #used = new Recency<Entry<K>>();
  readonly #kept = new Recency<Entry<K>>();
  #forwards: Set<Forward<K>> | undefined;
  #listeners: Listeners<CircuitBreakerRegistryEvents<K>> | undefined;

  constructor(options: CircuitBreakerRegistryOptions<K> = {}) {
    onlyKnown('CircuitBreakerRegistry', options, ['options', 'maxBreakers']);
    const { options: given = {}, maxBreakers } = options;
    if (typeof given === 'object' && 'name' in given) {
      throw new RangeError('options.name must be left out: a breaker is named by its key, or by a function of it');
    }
    this.#optionsOf = typeof given === 'function' ? given : () => given;
    this.#max = maxBreakers === undefined ? Number.POSITIVE_INFINITY : wholeNumber('maxBreakers', maxBreakers, 1, 10_000_000);
  }

  /** How many breakers there are. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * The breaker of `key`, made if there is none.
   *
   * @throws {@link RegistryFullError} where `maxBreakers` is reached and none of those looked at may be forgotten.
   */
  get(key: K): CircuitBreaker {
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#make(key);
    if (this.#max !== Number.POSITIVE_INFINITY) this.#touch(entry);
    return entry.breaker;
  }

  /** The breaker of `key` if there is one; looking is no use of it. */
  peek(key: K): CircuitBreaker | undefined {
    return this.#entries.get(key)?.breaker;
  }

  /** Forgets the breaker of `key`; false if there is none. Calls that are under way with it end as they would have. */
  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#remove(entry, 'deleted');
    return entry !== undefined;
  }

  /** Forgets all breakers. */
  clear(): void {
    for (const entry of [...this.#entries.values()]) this.#remove(entry, 'deleted'); // a listener may add some
  }

  /** All breakers with their keys, the first made first. */
  *[Symbol.iterator](): IterableIterator<readonly [K, CircuitBreaker]> {
    for (const { key, breaker } of this.#entries.values()) yield [key, breaker];
  }

  /** All breakers as plain JSON, with their keys. */
  snapshot(): Array<readonly [key: K, snapshot: CircuitBreakerSnapshot]> {
    return Array.from(this.#entries.values(), ({ key, breaker }) => [key, breaker.snapshot()]);
  }

  /**
   * Goes on where a snapshot was taken, in another process too; breakers that there are already go on as their snapshots say.
   *
   * @throws RangeError for a snapshot of another version or with a wrong member, which it names; those before it are restored.
   */
  restore(snapshots: Iterable<readonly [key: K, snapshot: CircuitBreakerSnapshot]>): void {
    for (const [key, snapshot] of snapshots) this.get(key).restore(snapshot);
  }

  /**
   * Calls `listener` at each event of that name, of the registry or of any of its breakers, present and future; the
   * returned function removes it. Breakers are listened to only as long as somebody listens here.
   */
  on<E extends keyof CircuitBreakerRegistryEvents<K>>(event: E, listener: (event: CircuitBreakerRegistryEvents<K>[E]) => void): () => void {
    this.#listeners ??= new Listeners();
    if (event === 'added' || event === 'removed') return this.#listeners.add(event, listener);
    const own = event === 'listener-error' ? this.#listeners.add(event, listener) : undefined;
    const forget = this.#forward(event as keyof CircuitBreakerEvents, listener as (event: object) => void);
    return () => {
      own?.();
      forget();
    };
  }

  #forward(event: keyof CircuitBreakerEvents, listener: (event: object) => void): () => void {
    const attach = ({ key, breaker }: Entry<K>) => breaker.on(event, (payload) => listener({ ...payload, key }));
    const forward: Forward<K> = { attach, off: new Map() };
    for (const entry of this.#entries.values()) forward.off.set(entry, attach(entry));
    this.#forwards ??= new Set();
    this.#forwards.add(forward);
    return () => {
      this.#forwards?.delete(forward);
      for (const off of forward.off.values()) off();
      forward.off.clear();
    };
  }

  #make(key: K): CircuitBreaker {
    const options = this.#optionsOf(key);
    const made = new CircuitBreaker('name' in options ? options : { ...options, name: String(key) }); // an object may have no text
    while (this.#entries.size >= this.#max && !this.#entries.has(key)) this.#makeRoom();
    const meanwhile = this.#entries.get(key); // a listener or the options' function may have asked for it too
    if (meanwhile !== undefined) return meanwhile.breaker;
    const entry: Entry<K> = { key, breaker: made, kept: false, older: undefined, newer: undefined };
    this.#entries.set(key, entry);
    this.#used.add(entry);
    for (const forward of this.#forwards ?? []) forward.off.set(entry, forward.attach(entry));
    this.#listeners?.emit('added', { name: made.name, key, breaker: made });
    return made;
  }

  #touch(entry: Entry<K>): void {
    this.#listOf(entry).remove(entry);
    entry.kept = false;
    this.#used.add(entry);
  }

  #listOf(entry: Entry<K>): Recency<Entry<K>> {
    return entry.kept ? this.#kept : this.#used;
  }

  #remove(entry: Entry<K>, reason: 'deleted' | 'made-room'): void {
    const { key, breaker } = entry;
    if (this.#entries.get(key) !== entry) return; // a listener was faster
    this.#entries.delete(key);
    this.#listOf(entry).remove(entry);
    for (const { off } of this.#forwards ?? []) {
      off.get(entry)?.();
      off.delete(entry);
    }
    this.#listeners?.emit('removed', { name: breaker.name, key, breaker, reason });
  }

  #makeRoom(): void {
    this.#lookAtKept();
    const victim = this.#leastNeeded() ?? this.#lastResort();
    this.#remove(victim, 'made-room');
  }

  /**
   * The least recently used closed breaker with an empty window, or else the least recently used closed one. What must be
   * kept is put aside until its next use, so that it is passed over once and not at every removal.
   */
  #leastNeeded(): Entry<K> | undefined {
    let closed: Entry<K> | undefined;
    let entry = this.#used.oldest;
    for (let seen = 0; entry !== undefined && seen < looked; ) {
      const { state, calls } = entry.breaker.metrics();
      if (state === 'closed') {
        if (calls === 0) return entry;
        closed ??= entry;
        seen += 1;
        entry = entry.newer;
      } else {
        this.#putAside(entry);
        closed = undefined; // from the start: a listener that heard of the state may have changed the order
        seen = 0;
        entry = this.#used.oldest;
      }
    }
    return closed;
  }

  /** A half-open one that waits for somebody to ask: without it, dead keys would fill the registry for ever. */
  #lastResort(): Entry<K> {
    const waiting = this.#lookAtKept();
    const victim = this.#leastNeeded() ?? waiting.find(({ breaker }) => breaker.state === 'half-open' && breaker.retryAfterMs === 0);
    if (victim === undefined) throw new RegistryFullError(this.#max, soonest(waiting));
    return victim;
  }

  #putAside(entry: Entry<K>): void {
    if (this.#entries.get(entry.key) !== entry) return; // a listener deleted it
    this.#listOf(entry).remove(entry);
    entry.kept = true;
    this.#kept.add(entry);
  }

  /** Looks at some of those put aside, in turn. What has closed is used like any other again; returns the others. */
  #lookAtKept(): Entry<K>[] {
    const some: Entry<K>[] = [];
    for (let entry = this.#kept.oldest; entry !== undefined && some.length < looked; entry = entry.newer) some.push(entry);
    return some.filter((entry) => {
      const closed = entry.breaker.state === 'closed';
      if (this.#entries.get(entry.key) !== entry) return false;
      if (closed) this.#touch(entry);
      else this.#putAside(entry);
      return !closed;
    });
  }
}

/** When the first of these may be forgotten, in ms; undefined where time alone brings that for none. */
function soonest<K>(entries: readonly Entry<K>[]): number | undefined {
  const waits = entries.flatMap(({ breaker }) =>
    breaker.state === 'open' || breaker.state === 'half-open' ? (breaker.retryAfterMs ?? []) : [],
  );
  return waits.length === 0 ? undefined : Math.min(...waits);
}
