import { type Backend, backendOf } from './backend.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Decision, Refused } from './decision.ts';
import { type Cost, Demands } from './demand.ts';
import { Listeners, type RateLimiterEvents } from './events.ts';
import { checkedLimits, type Limit } from './limit.ts';
import { localBackend } from './local-backend.ts';
import { numberWithin, onlyKnown, wholeNumber } from './options.ts';
import type { Reservation } from './reservation.ts';
import { ConcurrencyRule } from './rules/concurrency.ts';
import type { Carry } from './rules/rule.ts';
import { tokenBucket } from './rules/token-bucket.ts';
import type { SharedStore } from './store.ts';
import { Waiting } from './waiting.ts';

/** What a {@link RateLimiter} limits and by what. */
export interface RateLimiterOptions<Subject> {
  /** Names the limiter in events, and in the store: limits of the same name in limiters of the same name are one. @defaultValue `'limiter'` */
  readonly name?: string;
  /** Whose limits are charged: the same key, the same state. @defaultValue one key for all */
  readonly key?: (subject: Subject) => string;
  /** Every limit has to let a call through, else none is charged. @defaultValue `[tokenBucket()]`, 5 a second with burst 10 */
  readonly limits?: readonly Limit<NoInfer<Subject>>[];
  /** Where the limits are kept, so that several processes share them. @defaultValue the memory of this process */
  readonly store?: SharedStore;
  /** After so many ms without an answer of the store, `onStoreError` of the limits answers. @defaultValue `50` */
  readonly decisionTimeoutMs?: number;
  /** How many processes share the store: a limit that is `local` while it cannot be asked lets each of them have its part. @defaultValue `1` */
  readonly instances?: number;
  /** Keys remembered in this process at once. @defaultValue `1_000_000` */
  readonly maxKeys?: number;
  /** Callers that may wait in {@link RateLimiter.acquire} and {@link RateLimiter.reserve} at once. @defaultValue `1_000` */
  readonly maxWaiting?: number;
  /** Where time comes from; a store has its own. */
  readonly clock?: Clock;
}

/** How much one call takes. */
export interface PeekOptions {
  /** What is taken from every limit, a whole number from 1; or how much of each unit, such as `{ tokens: 1_200 }`. @defaultValue `1` */
  readonly cost?: Cost;
  /** Whether the decision is to tell of each limit in `levels`. @defaultValue `false` */
  readonly levels?: boolean;
}

/** How {@link RateLimiter.consume} charges. */
export interface ConsumeOptions extends PeekOptions {
  /**
   * Whether a refused call is charged too, so that who keeps trying stays locked out: up to the debt of a token bucket, and to twice the
   * limit of a window or quota.
   * @defaultValue `false`
   */
  readonly chargeRefused?: boolean;
}

/** How long a caller waits. */
export interface AcquireOptions {
  /** What is taken, as in {@link PeekOptions}. */
  readonly cost?: Cost;
  /** Gives up after this many ms; at once where the wait is known to be longer. */
  readonly maxWaitMs?: number;
  /** Gives up with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** How limits are changed while they run. */
export interface ReconfigureOptions {
  /**
   * What becomes of what was used: it stays used; it stays the same share of the limit; or nothing is used.
   * @defaultValue `'used'`
   */
  readonly carry?: Carry;
  /** Higher than that of the limits before, and the same in every process that shares the store. @defaultValue the next number */
  readonly version?: number;
}

const onlyKey = () => '';

/**
 * Lets calls through at the rates of all its limits at once, or charges none of them.
 *
 * What each limit promises is said at the function that makes it. Without a store, time that goes back is taken as standing still.
 *
 * @example
 * const limiter = new RateLimiter<string>({ key: (user) => user });
 * if (!(await limiter.consume('mina')).allowed) return;
 */
export class RateLimiter<Subject = void> {
  /** Name of the limiter. */
  readonly name: string;
  readonly #options: RateLimiterOptions<Subject>;
  readonly #clock: Clock;
  readonly #listeners: Listeners;
  readonly #waiting: Waiting;
  #limits: readonly Limit<Subject>[];
  #demands: Demands<Subject>;
  #backend: Backend;
  #oneKey: ((subject: Subject) => string) | undefined;
  #version = 0;
  #running: string | undefined; // the name of a limit on calls that run

  constructor(options: RateLimiterOptions<Subject> = {}) {
    onlyKnown('RateLimiter', options, [
      ...['name', 'key', 'limits', 'store', 'decisionTimeoutMs', 'instances', 'maxKeys', 'maxWaiting', 'clock'],
    ]);
    this.name = checkedName(options.name ?? 'limiter');
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#listeners = new Listeners(this.name);
    this.#limits = checkedLimits(options.limits ?? [tokenBucket()]);
    this.#demands = new Demands(this.#limits, options.key ?? onlyKey);
    this.#waiting = new Waiting(this.#clock, wholeNumber('maxWaiting', options.maxWaiting ?? 1_000, 0, 1_000_000));
    this.#backend = this.#newBackend({ version: 0, carry: 'used' });
    this.#oneKey = this.#backend.one === undefined ? undefined : this.#demands.oneKey;
    this.#running = running(this.#limits);
  }

  /** The limits as they are now. */
  get limits(): readonly Limit<Subject>[] {
    return this.#limits;
  }

  /** Takes the cost from every limit, or from none and says why not. Never throws a refusal. */
  async consume(subject: Subject, options?: ConsumeOptions): Promise<Decision> {
    if (this.#oneKey !== undefined) return this.consumeSync(subject, options);
    const [costs, levels] = this.#asked('consume', options);
    this.#refuseRunning('consume');
    const keys = this.#demands.keys(subject);
    const decision = this.#told(await this.#backend.decide(keys, costs, { charge: true, levels }));
    if (options?.chargeRefused === true && chargeable(decision)) await this.#backend.charge(keys, costs);
    return decision;
  }

  /** {@link RateLimiter.consume} without a promise: only for limits kept in this process. */
  consumeSync(subject: Subject, options?: ConsumeOptions): Decision {
    if (this.#oneKey !== undefined && options === undefined) {
      const decision = (this.#backend.one as NonNullable<Backend['one']>)(this.#oneKey(subject));
      return this.#listeners.empty ? decision : this.#told(decision);
    }
    const [costs, levels] = this.#asked('consumeSync', options);
    this.#refuseRunning('consumeSync');
    const keys = this.#demands.keys(subject);
    if (this.#options.store !== undefined) throw new TypeError('consumeSync answers only without a store; use consume');
    const decision = this.#told(this.#backend.decide(keys, costs, { charge: true, levels }) as Decision);
    if (options?.chargeRefused === true && chargeable(decision)) void this.#backend.charge(keys, costs);
    return decision;
  }

  /** What {@link RateLimiter.consume} would answer now; takes nothing. */
  async peek(subject: Subject, options?: PeekOptions): Promise<Decision> {
    const [costs, levels] = this.#asked('peek', options);
    return this.#backend.decide(this.#demands.keys(subject), costs, { charge: false, levels });
  }

  /**
   * Waits until the call fits and takes its cost. Callers of one key are served in the order in which they came.
   *
   * @throws `RateLimitError` with `ERR_RATE_LIMITED` where it would not fit within `maxWaitMs` or ever, `ERR_STORE_UNAVAILABLE` where the
   * store does not answer within it, `ERR_QUEUE_FULL` where too many wait already, `ERR_CLOSED` once the limiter is closed; the signal's
   * reason on abort.
   */
  async acquire(subject: Subject, options: AcquireOptions = {}): Promise<void> {
    this.#refuseRunning('acquire');
    const { wanted, maxWaitMs } = this.#wanted('acquire', subject, options, Number.POSITIVE_INFINITY);
    await this.#waiting.turn({
      keys: wanted().keys,
      attempt: (charge) => {
        this.#refuseRunning('acquire');
        const { keys, costs } = wanted();
        const decision = this.#backend.decide(keys, costs, { charge, levels: false });
        return decision instanceof Promise ? decision.then((answer) => this.#told(answer)) : this.#told(decision);
      },
      giveBack: () => void this.#backend.refund(wanted().keys, wanted().costs).catch(() => {}),
      maxWaitMs,
      signal: options.signal,
    });
  }

  /**
   * As {@link RateLimiter.acquire}, but what is taken may be made exact later, and waits only where `maxWaitMs` says so. What is reserved
   * counts as used until then, and a place among calls at once is held.
   *
   * @throws as `acquire` does
   */
  async reserve(subject: Subject, options: AcquireOptions = {}): Promise<Reservation> {
    const { wanted, maxWaitMs } = this.#wanted('reserve', subject, options, 0);
    return this.#waiting.turn({
      keys: wanted().keys,
      attempt: (charge) => this.#attempt(wanted().keys, wanted().costs, charge),
      giveBack: (taken: Reservation) => void taken.release(),
      maxWaitMs,
      signal: options.signal,
    });
  }

  /** {@link RateLimiter.reserve} that does not wait and answers with the refusal instead of throwing it. */
  async tryReserve(subject: Subject, options?: PeekOptions): Promise<Reservation | Refused> {
    const [costs, levels] = this.#asked('tryReserve', options);
    return this.#attempt(this.#demands.keys(subject), costs, true, levels);
  }

  /**
   * Gives back up to `cost`, never above what the limits hold: for a call that was consumed and turned out not to count. Nothing is known of
   * when it was taken; to give back exactly what a call took, reserve it.
   *
   * @throws `RateLimitError` with `ERR_STORE_UNAVAILABLE`
   */
  async refund(subject: Subject, options?: Pick<PeekOptions, 'cost'>): Promise<void> {
    const [costs] = this.#asked('refund', options);
    const keys = this.#demands.keys(subject);
    await this.#backend.refund(keys, costs);
    this.#waiting.wake(keys);
  }

  /**
   * Forgets what a key has used; not what it has to share because `maxKeys` others are in use.
   *
   * @throws `RateLimitError` with `ERR_STORE_UNAVAILABLE`
   */
  async reset(subject: Subject): Promise<void> {
    const keys = this.#demands.keys(subject);
    await this.#backend.reset(keys);
    this.#waiting.wake(keys);
  }

  /**
   * Changes the limits while they run. Those of the same name and kind go on from what was used, as `carry` says; others begin anew.
   *
   * With a store, each process changes its own limiter: `carry` happens to a key once for each `version`, when it is next used.
   */
  reconfigure(limits: readonly Limit<Subject>[], options: ReconfigureOptions = {}): void {
    onlyKnown('reconfigure', options, ['carry', 'version']);
    const { carry = 'used', version = this.#version + 1 } = options;
    if (!['used', 'proportional', 'reset'].includes(carry)) {
      throw new RangeError(`reconfigure: carry must be used, proportional or reset, not '${String(carry)}'`);
    }
    wholeNumber('reconfigure: version', version, this.#version + 1, 1_000_000_000_000_000);
    this.#limits = checkedLimits(limits);
    this.#demands = new Demands(this.#limits, this.#options.key ?? onlyKey);
    this.#version = version;
    this.#backend = this.#newBackend({ version, carry }, this.#backend);
    this.#oneKey = this.#backend.one === undefined ? undefined : this.#demands.oneKey;
    this.#running = running(this.#limits);
    this.#listeners.emit('reconfigured', { version });
    this.#waiting.wakeAll();
  }

  /** Calls `listener` at each such event until the returned function is called. */
  on<E extends keyof RateLimiterEvents>(event: E, listener: (event: RateLimiterEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /** Keys remembered in this process now. */
  get size(): number {
    return this.#backend.size;
  }

  /** Ends every wait with `ERR_CLOSED`. The store stays open: it may be that of others too. */
  async close(): Promise<void> {
    this.#waiting.close();
    this.#backend.close();
  }

  /** @see {@link RateLimiter.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #newBackend(change: { version: number; carry: Carry }, old?: Backend): Backend {
    const demands = this.#demands;
    const { store, decisionTimeoutMs = 50, instances = 1, maxKeys = 1_000_000 } = this.#options;
    const parts = {
      limits: this.#limits as readonly Limit<never>[],
      groupOf: demands.groupOf,
      name: this.name,
      clock: this.#clock,
      decisionTimeoutMs: wholeNumber('decisionTimeoutMs', decisionTimeoutMs, 1, 60_000),
      instances: wholeNumber('instances', instances, 1, 1_000_000),
      maxKeys: wholeNumber('maxKeys', maxKeys, 1, 16_000_000),
      listeners: this.#listeners,
      change,
      freed: (keys: readonly string[]) => this.#waiting.wake(keys),
      costs: (actual: Cost) => demands.costs('settle', actual, 0),
    };
    if (store === undefined) return localBackend(parts, old);
    if (typeof store?.[backendOf] !== 'function')
      throw new TypeError('store must be made by redisStore, postgresStore, memoryStore, leased or sharedStore');
    return store[backendOf]({ ...parts, store }, old);
  }

  async #attempt(keys: readonly string[], costs: readonly number[], charge: boolean, levels = false): Promise<Reservation | Refused> {
    if (!charge) return (await this.#backend.decide(keys, costs, { charge, levels })) as Refused;
    return this.#told(await this.#backend.reserve(keys, costs, levels));
  }

  #told<D extends Decision>(decision: D): D {
    if (this.#listeners.empty) return decision;
    if (decision.allowed) this.#listeners.emit('allowed', { decision });
    else this.#listeners.emit('refused', { decision });
    return decision;
  }

  #asked(owner: string, options: ConsumeOptions | undefined): readonly [costs: readonly number[], levels: boolean] {
    if (options === undefined) return [this.#demands.costs(owner, undefined), false];
    onlyKnown(owner, options, owner.startsWith('consume') ? ['cost', 'levels', 'chargeRefused'] : ['cost', 'levels']);
    return [this.#demands.costs(owner, options.cost), options.levels ?? false];
  }

  #wanted(owner: string, subject: Subject, options: AcquireOptions, patience: number) {
    onlyKnown(owner, options, ['cost', 'maxWaitMs', 'signal']);
    const maxWaitMs = numberWithin('maxWaitMs', options.maxWaitMs ?? patience, 0, Number.POSITIVE_INFINITY);
    options.signal?.throwIfAborted();
    const asked = (demands: Demands<Subject>) => ({ demands, keys: demands.keys(subject), costs: demands.costs(owner, options.cost) });
    let latest = asked(this.#demands);
    const wanted = () => {
      if (latest.demands !== this.#demands) latest = asked(this.#demands); // the limits were changed while it waits
      return latest;
    };
    return { wanted, maxWaitMs };
  }

  #refuseRunning(owner: string): void {
    if (this.#running === undefined) return;
    throw new TypeError(`${owner}: limit '${this.#running}' counts calls that run; take it by reserve or tryReserve, and release it`);
  }
}

/** A refusal by a limit that some wait would lift. */
function chargeable(decision: Decision): boolean {
  return !decision.allowed && !decision.permanent && decision.degraded === undefined;
}

/** Lone surrogates have no UTF-8, which stores write names in. */
function checkedName(name: string): string {
  if (typeof name === 'string' && Buffer.from(name).toString() === name) return name;
  throw new RangeError(`RateLimiter: name must be well-formed text, not ${JSON.stringify(name)}`);
}

function running(limits: readonly { readonly name: string; readonly rule: unknown }[]): string | undefined {
  return limits.find(({ rule }) => rule instanceof ConcurrencyRule)?.name;
}
