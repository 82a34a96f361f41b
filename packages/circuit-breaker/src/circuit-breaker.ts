import { Circuit, type Permit } from './circuit.ts';
import type { CircuitState } from './circuit-state.ts';
import { CircuitOpenError, isRefusal, isTimeoutError } from './errors.ts';
import { type CircuitBreakerEvents, Listeners } from './events.ts';
import { type ExecuteOptions, Execution, type Policy, type Protected, run, underSignal } from './execution.ts';
import { checkedOutcome, type Outcome, waitHint } from './outcome.ts';
import { role } from './pipeline-order.ts';
import { breakerSettings, type CircuitBreakerOptions, type Settings } from './settings.ts';

/** Numbers of a breaker at one moment. */
export interface CircuitBreakerMetrics {
  /** The state at that moment. */
  readonly state: CircuitState;
  /** Calls in the window; for a consecutive window the failures since the last success. */
  readonly calls: number;
  /** Failures in the window. */
  readonly failures: number;
  /** Slow calls in the window. */
  readonly slowCalls: number;
  /** Calls refused since the breaker was made. */
  readonly rejected: number;
  /** Results that came too late to count since the breaker was made. */
  readonly late: number;
}

/** A breaker as plain JSON. Durations are what is left of them, so that it means the same in another process. */
export interface CircuitBreakerSnapshot extends CircuitBreakerMetrics {
  /** Of this shape. */
  readonly version: 1;
  /** The name of the breaker. */
  readonly name: string;
  /** When it was taken, in ms since the Unix epoch. */
  readonly takenAt: number;
  /** How long an open circuit still refuses, in ms. */
  readonly openForMs?: number;
}

// A refusal thrown one microtask late costs half of one thrown at once: the caller's handler is attached by then.
const settled = Promise.resolve();

/**
 * Stops calling what keeps failing, and finds out by a few probes when it is well again.
 *
 * A result counts only in the state that admitted its call. Nothing runs on a timer: the state is a function of the
 * results and of the time at which somebody looks.
 *
 * @example
 * const breaker = new CircuitBreaker({ name: 'weather' });
 * const answer = await breaker.execute(({ signal }) => fetch(url, { signal }));
 */
export class CircuitBreaker implements Policy {
  /** @internal */
  readonly [role] = 'circuit-breaker';
  #settings: Settings;
  #timed: boolean;
  readonly #circuit: Circuit;
  #rejected = 0;
  #late = 0;
  #listeners: Listeners | undefined;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#settings = breakerSettings(options);
    this.#timed = this.#settings.slowMs !== Number.POSITIVE_INFINITY;
    const { name } = this.#settings;
    this.#circuit = new Circuit(this.#settings, {
      transition: (from, to, reason) => this.#listeners?.emit('state-change', { name, from, to, reason }),
      wouldOpen: (reason) => this.#listeners?.emit('threshold-reached', { name, reason }),
    });
  }

  /** Names the breaker in errors, events and metrics. */
  get name(): string {
    return this.#settings.name;
  }

  /** The state now. */
  get state(): CircuitState {
    return this.#circuit.settle();
  }

  /**
   * In how many ms it is worth asking again: until the probes while open, until the oldest probe is due while half-open and
   * full, 0 while calls are admitted, undefined for `forced-open`.
   */
  get retryAfterMs(): number | undefined {
    return this.#circuit.retryAfterMs();
  }

  /**
   * Runs `fn` if the circuit admits it, and counts what comes of it. Errors of `fn` pass through untouched.
   *
   * An abort of `options.signal` rejects at once with its reason, gives the permit back and counts as nothing.
   *
   * @throws {@link CircuitOpenError} without calling `fn` while the circuit refuses.
   */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    return signal === undefined ? this.#direct(fn) : underSignal(signal, (execution) => this[run](fn, execution));
  }

  /**
   * Asks for leave to make one call, without a promise or a closure. Give the permit back by exactly one of
   * {@link CircuitBreaker.onSuccess}, {@link CircuitBreaker.onFailure}, {@link CircuitBreaker.onThrottled} and
   * {@link CircuitBreaker.release}.
   */
  tryAcquire(): Permit | undefined {
    const circuit = this.#circuit;
    if (circuit.state === 'closed') return circuit.generation;
    const permit = circuit.admit();
    if (permit === undefined) this.#countRefusal();
    return permit;
  }

  /** Counts a success. `durationMs` is looked at where slow calls count. */
  onSuccess(permit: Permit, durationMs = 0): void {
    const circuit = this.#circuit;
    if (permit === circuit.generation && circuit.state === 'closed' && this.#listeners === undefined) {
      circuit.record(false, durationMs >= this.#settings.slowMs);
    } else {
      this.#finish(permit, 'success', durationMs, undefined);
    }
  }

  /** Counts a failure. `error` is told to listeners. */
  onFailure(permit: Permit, error?: unknown, durationMs = 0): void {
    this.#finish(permit, 'failure', durationMs, error);
  }

  /** The server asked to be left alone: the circuit is open for `throttledMs` at least; a shorter wait never shortens a longer one. */
  onThrottled(permit: Permit, throttledMs: number, error?: unknown): void {
    this.#finish(permit, { throttledMs: waitHint(throttledMs) }, 0, error);
  }

  /** Gives the permit back as if the call had not been made. */
  release(permit: Permit): void {
    this.#finish(permit, 'ignore', 0, undefined);
  }

  /** The error with which the circuit refuses now, for users of the permit API. */
  refusal(): CircuitOpenError {
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0; // a refusal's stack says nothing and is half its cost
    const error = new CircuitOpenError(this.name, this.#circuit.state, this.#circuit.retryAfterMs());
    Error.stackTraceLimit = limit;
    return error;
  }

  /**
   * Changes the state by hand. `open` waits as long as any other opening; `half-open` can only follow `open`.
   *
   * @throws {@link IllegalTransitionError} for `half-open` from any other state.
   * @throws RangeError for a state that there is not.
   */
  transitionTo(state: CircuitState): void {
    this.#circuit.transitionTo(state);
  }

  /**
   * Takes other options. State, totals and, where its type stays the same, the window are kept; the name and an opening under
   * way stay as they were.
   *
   * @throws RangeError for options that are wrong; nothing has changed then.
   */
  reconfigure(options: CircuitBreakerOptions): void {
    this.#settings = { ...breakerSettings({ ...options, name: this.name }) };
    this.#timed = this.#settings.slowMs !== Number.POSITIVE_INFINITY;
    this.#circuit.reconfigure(this.#settings);
  }

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof CircuitBreakerEvents>(event: E, listener: (event: CircuitBreakerEvents[E]) => void): () => void {
    this.#listeners ??= new Listeners();
    return this.#listeners.add(event, listener);
  }

  /** The numbers of the breaker now. */
  metrics(): CircuitBreakerMetrics {
    const state = this.#circuit.settle();
    return { state, ...this.#circuit.counts(), rejected: this.#rejected, late: this.#late };
  }

  /** The breaker as plain JSON. */
  snapshot(): CircuitBreakerSnapshot {
    const metrics = this.metrics();
    const openForMs = metrics.state === 'open' ? this.#circuit.retryAfterMs() : undefined;
    const snapshot = { version: 1, name: this.name, takenAt: this.#settings.clock.wall(), ...metrics } as const;
    return openForMs === undefined ? snapshot : { ...snapshot, openForMs };
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    execution.throwIfAborted();
    const permit = this.tryAcquire() ?? (await this.#refuse());
    const startedAt = this.#start();
    let held = true;
    const giveUp = (reason: unknown) => {
      held = false;
      // a time limit around the breaker ran out: the fault of what was called; a caller who leaves is not
      this.#finish(permit, isTimeoutError(reason) ? 'failure' : 'ignore', this.#since(startedAt), reason);
    };
    execution.onAbort(giveUp);
    try {
      const value = await fn(execution);
      if (held) this.#returned(permit, value, startedAt);
      return value;
    } catch (error) {
      if (held) this.#threw(permit, error, startedAt);
      throw error;
    } finally {
      execution.offAbort(giveUp);
    }
  }

  async #direct<T>(fn: Protected<T>): Promise<T> {
    const permit = this.tryAcquire() ?? (await this.#refuse());
    const startedAt = this.#start();
    let value: T;
    try {
      value = await fn(new Execution());
    } catch (error) {
      this.#threw(permit, error, startedAt);
      throw error;
    }
    this.#returned(permit, value, startedAt);
    return value;
  }

  async #refuse(): Promise<never> {
    const error = this.refusal();
    await settled;
    throw error;
  }

  #returned(permit: Permit, value: unknown, startedAt: number): void {
    const { classify } = this.#settings;
    if (classify.value === undefined) this.onSuccess(permit, this.#since(startedAt));
    else
      this.#finish(
        permit,
        this.#judged(() => classify.value?.(value)),
        this.#since(startedAt),
        undefined,
      );
  }

  #threw(permit: Permit, error: unknown, startedAt: number): void {
    const { classify } = this.#settings;
    const byDefault = isRefusal(error) ? 'ignore' : 'failure';
    const outcome = classify.error === undefined ? byDefault : this.#judged(() => classify.error?.(error));
    this.#finish(permit, outcome, this.#since(startedAt), error);
  }

  #judged(classifier: () => unknown): Outcome {
    try {
      return checkedOutcome(classifier());
    } catch (error) {
      this.#listeners?.emit('listener-error', { name: this.name, error });
      return 'failure';
    }
  }

  #finish(permit: Permit, outcome: Outcome, durationMs: number, error: unknown): void {
    const counted = this.#circuit.finish(permit, outcome, durationMs >= this.#settings.slowMs);
    if (!counted) this.#late += 1;
    const listeners = this.#listeners;
    if (listeners === undefined) return;
    const { name } = this;
    if (!counted) listeners.emit('late', { name, outcome, durationMs });
    else if (outcome === 'success') listeners.emit('success', { name, durationMs });
    else if (outcome === 'ignore') listeners.emit('ignored', { name, durationMs, error });
    else if (outcome === 'failure') listeners.emit('failure', { name, durationMs, error });
    else listeners.emit('failure', { name, durationMs, error, throttledMs: outcome.throttledMs });
  }

  #countRefusal(): void {
    this.#rejected += 1;
    if (this.#listeners === undefined) return;
    this.#listeners.emit('rejected', { name: this.name, state: this.#circuit.state, retryAfterMs: this.#circuit.retryAfterMs() });
  }

  /** Measures only where somebody looks: two readings of the clock cost as much as the rest of a call. */
  #start(): number {
    return this.#timed || this.#listeners !== undefined ? this.#settings.clock.now() : Number.NaN;
  }

  #since(startedAt: number): number {
    return Number.isNaN(startedAt) ? 0 : this.#settings.clock.now() - startedAt;
  }
}
