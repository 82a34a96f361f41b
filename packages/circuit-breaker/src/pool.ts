import { isRefusal, isTimeoutError } from './errors.ts';
import { Listeners } from './events.ts';
import { begin, type ExecuteOptions, type Execution, type ExecutionContext } from './execution.ts';
import { judged, type Outcome } from './outcome.ts';
import { pickers, type Seat } from './pool/member-picker.ts';
import { OutlierDetection } from './pool/outlier-detection.ts';
import type { CircuitBreakerPoolEvents } from './pool/pool-events.ts';
import { PoolExhaustedError } from './pool/pool-exhausted.ts';
import { Lease, type PoolPermit } from './pool/pool-permit.ts';
import { type CircuitBreakerPoolOptions, type PoolMember, type PoolSettings, poolSettings } from './pool/pool-settings.ts';

export type { EjectionReason } from './pool/outlier-detection.ts';
export type { CircuitBreakerPoolEvents, PoolMemberEvent } from './pool/pool-events.ts';
export { isPoolExhaustedError, PoolExhaustedError } from './pool/pool-exhausted.ts';
export type { PoolPermit } from './pool/pool-permit.ts';
export type { CircuitBreakerPoolOptions, FailureRateEjection, PoolMember, PoolOrder, SuccessRateEjection } from './pool/pool-settings.ts';

/** A member of a pool at one moment. */
export interface PoolMemberStatus<M extends PoolMember = PoolMember> {
  /** The member. */
  readonly member: M;
  /** `closed` takes calls, `open` takes none but in a panic, `half-open` takes one probe. */
  readonly state: 'closed' | 'open' | 'half-open';
  /** In how many ms it takes a call again; 0 while it does. */
  readonly retryAfterMs: number;
  /** By how many times `baseEjectionMs` its present or last ejection is long; falls again while it is well. */
  readonly ejections: number;
  /** Calls under way. */
  readonly inFlight: number;
  /** Calls of this interval. */
  readonly calls: number;
  /** Failures of this interval. */
  readonly failures: number;
}

/** Numbers of a pool at one moment. */
export interface CircuitBreakerPoolMetrics {
  /** Members in all. */
  readonly members: number;
  /** Members that take a call, if only a probe. */
  readonly available: number;
  /** Whether so few are that ejection is disregarded. */
  readonly panic: boolean;
  /** Calls under way. */
  readonly inFlight: number;
  /** Calls refused since the pool was made. */
  readonly rejected: number;
  /** Results that did not count since the pool was made. */
  readonly late: number;
}

/**
 * Several endpoints for the same calls: keeps away from those that fail, without ever keeping away from too many.
 *
 * Ejection follows Envoy's outlier detection. An ejected member returns by one probe; a server that asks to be left alone
 * is, for exactly as long. A result counts only in the state that admitted its call. Nothing runs on a timer.
 *
 * @example
 * const pool = new CircuitBreakerPool({ order: 'in-order', maxAttempts: 2, members: [{ name: 'a', client: a }, { name: 'b', client: b }] });
 * const answer = await pool.execute(({ client }, { signal }) => client.ask(question, { signal }));
 */
export class CircuitBreakerPool<M extends PoolMember = PoolMember> {
  readonly #settings: PoolSettings<M>;
  readonly #detection: OutlierDetection;
  readonly #seats: readonly Seat<M>[];
  readonly #listeners = new Listeners<CircuitBreakerPoolEvents>();
  readonly #mistakes = { threw: (error: unknown) => this.#listeners.emit('listener-error', { name: this.name, error }) };
  #told: Array<() => void> = [];
  #rejected = 0;
  #late = 0;

  constructor(options: CircuitBreakerPoolOptions<M>) {
    const settings = poolSettings(options);
    this.#settings = settings;
    this.#seats = settings.members.map((member, at) => ({ at, member, weight: member.weight ?? 1, inFlight: 0, credit: 0 }));
    const of = (at: number) => ({ name: settings.name, member: settings.members[at]?.name ?? '' });
    this.#detection = new OutlierDetection(settings.members.length, settings.outliers, settings.clock.now(), {
      ejected: (at, reason, forMs) => this.#told.push(() => this.#listeners.emit('ejected', { ...of(at), reason, forMs })),
      returned: (at, outForMs) => this.#told.push(() => this.#listeners.emit('returned', { ...of(at), outForMs })),
    });
  }

  /** Names the pool in errors, events and metrics. */
  get name(): string {
    return this.#settings.name;
  }

  /**
   * Runs `fn` with a member that takes calls, and counts what comes of it. After a failure it goes on to members not yet
   * tried, up to `maxAttempts` in all, and at the end throws the last error as it was thrown; an ignored error is thrown at once.
   *
   * An abort of `options.signal` rejects at once with its reason and counts as nothing.
   *
   * @throws {@link PoolExhaustedError} without calling `fn` while no member takes calls.
   */
  execute<T>(fn: (member: M, context: ExecutionContext) => T | PromiseLike<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this.#run(fn, execution));
  }

  /** Asks for leave to call one member, without a promise or a closure; undefined while no member takes calls. */
  tryAcquire(): PoolPermit<M> | undefined {
    const lease = this.#lease([]);
    if (lease === undefined) this.#countRefusal();
    return lease;
  }

  /** The error with which the pool refuses now, for users of permits. */
  refusal(): PoolExhaustedError {
    return new PoolExhaustedError(this.name, this.#retryAfterMs());
  }

  /** All members as they are now. */
  members(): PoolMemberStatus<M>[] {
    const now = this.#settle();
    return this.#seats.map(({ at, member, inFlight }) => {
      const host = this.#detection.host(at);
      const { times: ejections, calls, failures } = host;
      const state = host.restUntil > now ? 'open' : host.state;
      return { member, state, retryAfterMs: this.#detection.waitMs(host, false, now), ejections, inFlight, calls, failures };
    });
  }

  /** The numbers of the pool now. */
  metrics(): CircuitBreakerPoolMetrics {
    const now = this.#settle();
    return {
      members: this.#seats.length,
      available: this.#detection.available(now),
      panic: this.#detection.panics(now),
      inFlight: this.#seats.reduce((sum, { inFlight }) => sum + inFlight, 0),
      rejected: this.#rejected,
      late: this.#late,
    };
  }

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof CircuitBreakerPoolEvents>(event: E, listener: (event: CircuitBreakerPoolEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  async #run<T>(fn: (member: M, context: ExecutionContext) => T | PromiseLike<T>, execution: Execution): Promise<T> {
    const tried: number[] = [];
    let last: Attempt<T> | undefined;
    do {
      execution.throwIfAborted();
      const lease = this.#lease(tried);
      if (lease === undefined) break;
      tried.push(lease.at);
      last = await this.#attempt(fn, lease, execution);
    } while (last.failed && tried.length < this.#settings.maxAttempts);
    if (last === undefined) {
      this.#countRefusal();
      throw this.refusal();
    }
    if ('error' in last) throw last.error;
    return last.value;
  }

  async #attempt<T>(
    fn: (member: M, context: ExecutionContext) => T | PromiseLike<T>,
    lease: Lease<M>,
    execution: Execution,
  ): Promise<Attempt<T>> {
    const { clock, classify } = this.#settings;
    const startedAt = clock.now();
    // a time limit around the pool ran out: the fault of what was called; a caller who leaves is not
    const giveUp = (reason: unknown) => lease.finish(isTimeoutError(reason) ? 'failure' : 'ignore', clock.now() - startedAt, reason);
    execution.onAbort(giveUp);
    let attempt: Attempt<T>;
    let outcome: Outcome;
    try {
      const value = await fn(lease.member, execution);
      outcome = classify.value === undefined ? 'success' : judged(classify, 'value', value, this.#mistakes);
      attempt = { failed: isFailure(outcome), value };
    } catch (error) {
      const byDefault = isRefusal(error) ? 'ignore' : 'failure';
      outcome = classify.error === undefined ? byDefault : judged(classify, 'error', error, this.#mistakes);
      attempt = { failed: isFailure(outcome), error };
    } finally {
      execution.offAbort(giveUp);
    }
    lease.finish(outcome, clock.now() - startedAt, 'error' in attempt ? attempt.error : undefined);
    return attempt;
  }

  #lease(tried: readonly number[]): Lease<M> | undefined {
    const detection = this.#detection;
    const now = this.#settle();
    const panic = detection.panics(now);
    const able = this.#seats.filter(({ at }) => !tried.includes(at) && detection.takes(detection.host(at), panic, now));
    const seat = pickers[this.#settings.order](able);
    if (seat === undefined) return undefined;
    seat.inFlight += 1;
    const generation = detection.admit(detection.host(seat.at), now);
    return new Lease(seat, (outcome, durationMs, error) => this.#finish(seat, generation, outcome, durationMs, error));
  }

  #finish(seat: Seat<M>, generation: number, outcome: Outcome, durationMs: number, error: unknown): void {
    seat.inFlight -= 1;
    const now = this.#settle();
    const counted = this.#detection.finish(seat.at, generation, outcome, now);
    if (!counted) this.#late += 1;
    const of = { name: this.name, member: seat.member.name };
    const listeners = this.#listeners;
    this.#tell();
    if (!counted) listeners.emit('late', of);
    else if (outcome === 'success') listeners.emit('success', { ...of, durationMs });
    else if (outcome === 'ignore') listeners.emit('ignored', { ...of, error });
    else if (outcome === 'failure') listeners.emit('failure', { ...of, durationMs, error });
    else listeners.emit('failure', { ...of, durationMs, error, throttledMs: outcome.throttledMs });
  }

  /** Brings the members up to the present and returns it. */
  #settle(): number {
    const now = this.#settings.clock.now();
    this.#detection.settle(now);
    this.#tell();
    return now;
  }

  /** Tells what happened once it has been decided, so that a listener that calls the pool finds it whole. */
  #tell(): void {
    if (this.#told.length === 0) return;
    const told = this.#told;
    this.#told = [];
    for (const tell of told) tell();
  }

  #retryAfterMs(): number {
    const now = this.#settle();
    const panic = this.#detection.panics(now);
    return Math.min(...this.#detection.hosts.map((host) => this.#detection.waitMs(host, panic, now)));
  }

  #countRefusal(): void {
    this.#rejected += 1;
    this.#listeners.emit('rejected', { name: this.name, retryAfterMs: this.#retryAfterMs() });
  }
}

type Attempt<T> = { readonly failed: boolean } & ({ readonly value: T } | { readonly error: unknown });

function isFailure(outcome: Outcome): boolean {
  return outcome !== 'success' && outcome !== 'ignore';
}
