import { type Clock, systemClock } from './clock.ts';
import { type Allowed, type Decision, permanentMessage, type Refused, refusalMessage } from './decision.ts';
import { Memory } from './memory.ts';
import { numberWithin, onlyKnown, wholeNumber } from './options.ts';
import { excess, fullAgainAt, type TokenBucket, tokenBucket, tokensLeft } from './token-bucket.ts';
import { Waiting } from './waiting.ts';

/** What a {@link RateLimiter} limits and by what. */
export interface RateLimiterOptions<Subject> {
  /** Whose limits are charged: the same key, the same buckets. @defaultValue one key for all */
  readonly key?: (subject: Subject) => string;
  /** Every limit has to let a call through, else none is charged. @defaultValue `[tokenBucket()]`, 5 a second with burst 10 */
  readonly limits?: readonly TokenBucket[];
  /** Keys remembered at once. @defaultValue `1_000_000` */
  readonly maxKeys?: number;
  /** Callers that may wait in {@link RateLimiter.acquire} at once. @defaultValue `1_000` */
  readonly maxWaiting?: number;
  /** Where time comes from. */
  readonly clock?: Clock;
}

/** How much one call takes. */
export interface ConsumeOptions {
  /** Tokens taken from every limit, a whole number from 1. @defaultValue `1` */
  readonly cost?: number;
}

/** How long a caller waits. */
export interface AcquireOptions extends ConsumeOptions {
  /** Gives up after this many ms; at once where the wait is known to be longer. */
  readonly maxWaitMs?: number;
  /** Gives up with the signal's reason. */
  readonly signal?: AbortSignal;
}

const onlyKey = () => '';

// in units, about 2 ns: 24.1 + 1 000 − 24.1 is a hair less than 1 000, and a call that comes when it was told must not be refused for that
const roundingSlack = 1 / 16;

/**
 * Lets calls through at the rates of all its limits at once, or charges none of them.
 *
 * For each key and each limit, in any interval of t ms at most `burst + t · amount / period` tokens are let through. Time
 * that goes back is taken as standing still.
 *
 * @example
 * const limiter = new RateLimiter<string>({ key: (user) => user });
 * if (!(await limiter.consume('mina')).allowed) return;
 */
export class RateLimiter<Subject = void> {
  readonly #key: (subject: Subject) => string;
  readonly #limits: readonly TokenBucket[];
  readonly #messages: readonly string[];
  readonly #memory: Memory;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #waiting: Waiting;
  readonly #next: Float64Array; // what each limit's number becomes if all of them agree
  readonly #times: Float64Array; // the latest present, in each limit's units

  constructor(options: RateLimiterOptions<Subject> = {}) {
    onlyKnown('RateLimiter', options, ['key', 'limits', 'maxKeys', 'maxWaiting', 'clock']);
    this.#key = options.key ?? onlyKey;
    this.#limits = checkedLimits(options.limits ?? [tokenBucket()]);
    this.#messages = this.#limits.map(refusalMessage);
    this.#clock = options.clock ?? systemClock;
    this.#startMs = this.#clock.now();
    this.#memory = new Memory(this.#limits.length, wholeNumber('maxKeys', options.maxKeys ?? 1_000_000, 1, 16_000_000));
    this.#waiting = new Waiting(this.#clock, wholeNumber('maxWaiting', options.maxWaiting ?? 1_000, 0, 1_000_000));
    this.#next = new Float64Array(this.#limits.length);
    this.#times = new Float64Array(this.#limits.length);
  }

  /** Takes the cost from every limit, or from none and says why not. Never throws a refusal. */
  async consume(subject: Subject, options?: ConsumeOptions): Promise<Decision> {
    return this.consumeSync(subject, options);
  }

  /** {@link RateLimiter.consume} without a promise: only for limits kept in this process. */
  consumeSync(subject: Subject, options?: ConsumeOptions): Decision {
    return this.#decide(this.#key(subject), checkedCost(options), true);
  }

  /** What {@link RateLimiter.consume} would answer now; takes nothing. */
  async peek(subject: Subject, options?: ConsumeOptions): Promise<Decision> {
    return this.#decide(this.#key(subject), checkedCost(options), false);
  }

  /**
   * Waits until the call fits and takes its cost. Callers of one key are served in the order in which they came.
   *
   * @throws `RateLimitError` with `ERR_RATE_LIMITED` where it would not fit within `maxWaitMs` or ever,
   * `ERR_QUEUE_FULL` where too many wait already, `ERR_CLOSED` once the limiter is closed; the signal's reason on abort.
   */
  async acquire(subject: Subject, options: AcquireOptions = {}): Promise<void> {
    onlyKnown('acquire', options, ['cost', 'maxWaitMs', 'signal']);
    const key = this.#key(subject);
    const cost = wholeCost(options.cost);
    const maxWaitMs = numberWithin('maxWaitMs', options.maxWaitMs ?? Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY);
    options.signal?.throwIfAborted();
    await this.#waiting.turn(key, (charge) => this.#decide(key, cost, charge), maxWaitMs, options.signal);
  }

  /** Fills the buckets of a key again; not those it has to share because `maxKeys` others are in use. */
  async reset(subject: Subject): Promise<void> {
    const key = this.#key(subject);
    this.#readClock();
    this.#memory.clear(key, this.#passed);
    this.#waiting.wake(key);
  }

  /** Keys remembered now. */
  get size(): number {
    return this.#memory.size;
  }

  /** Ends every wait with `ERR_CLOSED`. */
  async close(): Promise<void> {
    this.#waiting.close();
  }

  /** @see {@link RateLimiter.close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #decide(key: string, cost: number, charge: boolean): Decision {
    this.#readClock();
    const memory = this.#memory;
    const at = charge ? memory.place(key, this.#passed) : memory.find(key);
    let longestMs = 0;
    let refusedBy = -1;
    for (let i = 0; i < this.#limits.length; i += 1) {
      const limit = this.#limits[i] as TokenBucket;
      const now = this.#times[i] as number;
      const fullAt = fullAgainAt(limit, memory.instants[at + i] as number, now, cost);
      this.#next[i] = fullAt;
      const waitMs = cost > limit.burst ? Number.POSITIVE_INFINITY : excess(limit, fullAt, now) / limit.unitsPerMs;
      if (waitMs > longestMs) {
        longestMs = waitMs;
        refusedBy = i;
      }
    }
    if (refusedBy >= 0) return this.#refuse(refusedBy, at, Math.ceil(longestMs));
    if (charge) memory.instants.set(this.#next, at);
    return this.#allow(charge ? 0 : cost);
  }

  /** The answer where every limit agrees; `untaken` is what was asked for and not taken. */
  #allow(untaken: number): Allowed {
    let tightest = this.#limits[0] as TokenBucket;
    let remaining = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#limits.length; i += 1) {
      const limit = this.#limits[i] as TokenBucket;
      const left = tokensLeft(limit, this.#next[i] as number, this.#times[i] as number) + untaken;
      if (left < remaining) {
        remaining = left;
        tightest = limit;
      }
    }
    return { allowed: true, limit: tightest.name, remaining };
  }

  #refuse(by: number, at: number, retryAfterMs: number): Refused {
    const limit = this.#limits[by] as TokenBucket;
    const fullAt = this.#memory.instants[at + by] as number;
    const permanent = retryAfterMs === Number.POSITIVE_INFINITY;
    return {
      allowed: false,
      code: 'ERR_RATE_LIMITED',
      message: permanent ? permanentMessage(limit) : (this.#messages[by] as string),
      limit: limit.name,
      remaining: Math.max(0, tokensLeft(limit, fullAt, this.#times[by] as number)),
      retryAfterMs,
      permanent,
    };
  }

  #readClock(): void {
    const nowMs = this.#clock.now() - this.#startMs;
    for (let i = 0; i < this.#limits.length; i += 1) {
      const now = Math.floor(nowMs * (this.#limits[i] as TokenBucket).unitsPerMs + roundingSlack);
      if (now > (this.#times[i] as number)) this.#times[i] = now;
    }
  }

  readonly #passed = (at: number): boolean => {
    for (let i = 0; i < this.#limits.length; i += 1) {
      if ((this.#memory.instants[at + i] as number) > (this.#times[i] as number)) return false;
    }
    return true;
  };
}

function checkedLimits(limits: readonly TokenBucket[]): readonly TokenBucket[] {
  if (limits.length === 0) throw new RangeError('limits must name at least one limit');
  const names = new Set<string>();
  for (const { name } of limits) {
    if (names.has(name)) throw new RangeError(`limits: two limits are named '${name}'; give each a name of its own`);
    names.add(name);
  }
  // derived anew, so that a limit written or changed by hand is checked too
  return limits.map((limit) => {
    onlyKnown('limits', limit, ['name', 'rate', 'burst', 'unitsPerMs', 'unitsPerToken', 'capacity']);
    return tokenBucket({ name: limit.name, rate: limit.rate, burst: limit.burst });
  });
}

function checkedCost(options: ConsumeOptions | undefined): number {
  if (options === undefined) return 1;
  onlyKnown('consume', options, ['cost']);
  return wholeCost(options.cost);
}

function wholeCost(cost: number | undefined): number {
  return cost === undefined ? 1 : wholeNumber('cost', cost, 1, 1_000_000_000);
}
