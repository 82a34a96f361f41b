import { openAdmitted } from './breaker-stream.ts';
import { Circuit, type Permit } from './circuit.ts';
import type { CircuitState } from './circuit-state.ts';
import { CircuitOpenError, isRefusal, isTimeoutError } from './errors.ts';
import type { CircuitBreakerEvents } from './events.ts';
import { type ExecuteOptions, Execution, type Policy, type Protected, result, run, underSignal } from './execution.ts';
import { judged, type Outcome, waitHint } from './outcome.ts';
import { type PolicyRole, role } from './policy-role.ts';
import { breakerSettings, type CircuitBreakerOptions, type Settings } from './settings.ts';
import { type CircuitBreakerMetrics, type CircuitBreakerSnapshot, checkedSnapshot, elapsed } from './snapshot.ts';
import { type Opening, type OpenStream, opened, ProtectedIterator, type ProtectedStream, runStream } from './stream.ts';
import { Tally } from './tally.ts';

// What every call goes through is no async function: another frame of one would cost as much as all the rest.

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
  readonly #circuit: Circuit;
  readonly #tally: Tally;
  #settings: Settings;

  constructor(options: CircuitBreakerOptions = {}) {
    this.#settings = breakerSettings(options);
    this.#tally = new Tally(this.#settings.name);
    this.#circuit = new Circuit(this.#settings, this.#tally);
  }

  /** @internal */
  get [role](): PolicyRole {
    return 'circuit-breaker'; // of the class: a field of each breaker would take its place in each
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
    if (signal !== undefined) return underSignal(signal, (execution) => this[run](fn, execution));
    const circuit = this.#circuit;
    const startedAt = this.#start();
    const permit = circuit.freePermit || this.#acquire(startedAt);
    if (permit === undefined) return this.#refuse(startedAt);
    return result(fn, new Execution()).then(
      (value) => {
        this.#returned(permit, value, startedAt);
        return value;
      },
      (error) => {
        this.#threw(permit, error, this.#since(startedAt));
        throw error;
      },
    );
  }

  /**
   * Iterates over the stream that `fn` answers with, if the circuit admits it. It is one call: its time is that to the first
   * item, and it has failed if it ends in an error, whenever that comes. A consumer who stops after an item is content.
   *
   * Nothing is called before the first `next()`. Until the end, or `return()`, it holds its permit: iterate with `for await`.
   *
   * @throws {@link CircuitOpenError} from `next()`, without calling `fn`, while the circuit refuses.
   */
  executeStream<T>(fn: ProtectedStream<T>, options?: ExecuteOptions): AsyncIterableIterator<T> {
    return new ProtectedIterator((execution) => this[runStream]((inner) => opened(fn, inner), execution), options);
  }

  /**
   * Asks for leave to make one call, without a promise or a closure. Give the permit back by exactly one of
   * {@link CircuitBreaker.onSuccess}, {@link CircuitBreaker.onFailure}, {@link CircuitBreaker.onThrottled} and
   * {@link CircuitBreaker.release}.
   */
  tryAcquire(): Permit | undefined {
    return this.#circuit.freePermit || this.#acquire(Number.NaN);
  }

  /**
   * Tells that a call which goes on for long has begun to answer, so that it is not taken for one that hangs. Returns the
   * permit to give back from now on. Needed only with `slowCallInFlight`.
   */
  answered(permit: Permit): Permit {
    return this.#circuit.answered(permit);
  }

  /** Counts a success. `durationMs` is looked at where slow calls count. */
  onSuccess(permit: Permit, durationMs = 0): void {
    this.#succeeded(permit, durationMs, Number.NaN);
  }

  /** Counts a failure. `error` is told to listeners. */
  onFailure(permit: Permit, error?: unknown, durationMs = 0): void {
    this.#finish(permit, 'failure', durationMs, error);
  }

  /**
   * The server asked to be left alone: the circuit is open for `throttledMs` at least; a shorter wait never shortens a
   * longer one.
   */
  onThrottled(permit: Permit, throttledMs: number, error?: unknown, durationMs = 0): void {
    this.#finish(permit, { throttledMs: waitHint(throttledMs) }, durationMs, error);
  }

  /** Gives the permit back as if the call had not been made. */
  release(permit: Permit, reason?: unknown, durationMs = 0): void {
    this.#finish(permit, 'ignore', durationMs, reason);
  }

  /** The error with which the circuit refuses now, for users of the permit API. */
  refusal(): CircuitOpenError {
    return new CircuitOpenError(this.name, this.#circuit.state, this.#circuit.retryAfterMs());
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

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof CircuitBreakerEvents>(event: E, listener: (event: CircuitBreakerEvents[E]) => void): () => void {
    return this.#tally.on(event, listener);
  }

  /** The numbers of the breaker now. */
  metrics(): CircuitBreakerMetrics {
    const circuit = this.#circuit;
    const state = circuit.settle();
    return { state, ...circuit.counts(), slowCallsInFlight: circuit.slowInFlight, ...this.#tally.totals };
  }

  /** The breaker as plain JSON. */
  snapshot(): CircuitBreakerSnapshot {
    const takenAt = this.#settings.clock.wall();
    return { version: 1, name: this.name, takenAt, ...this.metrics(), ...this.#circuit.snapshot() };
  }

  /**
   * Goes on where a snapshot was taken, of this breaker or one in another process: the state, what is left of its wait, the
   * calls in the window if it is of the same type, and the totals. Time has gone on since then by the wall clock.
   *
   * @throws RangeError for a snapshot of another version or with a wrong member, which it names; nothing is changed then.
   */
  restore(snapshot: CircuitBreakerSnapshot): void {
    const checked = checkedSnapshot(snapshot);
    this.#circuit.restore(elapsed(checked, Math.max(0, this.#settings.clock.wall() - checked.takenAt)));
    this.#tally.totals = checked;
  }

  /**
   * Goes on with other options. The state, the totals, the calls in flight and, if it is of the same type, the calls in the
   * window stay; a wait that has begun goes on as it is. So do name and clock, whatever `options` say.
   *
   * @throws RangeError for options that the constructor would refuse; nothing is changed then.
   */
  reconfigure(options: CircuitBreakerOptions): void {
    const { name, clock } = this.#settings;
    const settings = breakerSettings({ ...options, name, clock });
    this.#circuit.reconfigure(settings);
    this.#settings = settings;
  }

  /** @internal */
  [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    execution.throwIfAborted();
    const startedAt = this.#start();
    const permit = this.#acquire(startedAt);
    if (permit === undefined) return this.#refuse(startedAt);
    let held = true;
    const calledOff = (reason: unknown) => {
      held = false;
      this.#calledOff(permit, reason, this.#since(startedAt));
    };
    const back = () => {
      execution.offAbort(calledOff);
      return held;
    };
    execution.onAbort(calledOff);
    return result(fn, execution).then(
      (value) => {
        if (back()) this.#returned(permit, value, startedAt);
        return value;
      },
      (error) => {
        if (back()) this.#threw(permit, error, this.#since(startedAt));
        throw error;
      },
    );
  }

  /** @internal */
  async [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    execution.throwIfAborted();
    const startedAt = this.#start();
    let permit = this.#acquire(startedAt) ?? (await this.#refuse(startedAt));
    let firstItemMs: number | undefined;
    const durationMs = () => firstItemMs ?? this.#since(startedAt);
    return openAdmitted(open, execution, {
      answered: () => {
        firstItemMs = this.#since(startedAt);
        permit = this.#circuit.answered(permit);
      },
      succeeded: () => this.#finish(permit, 'success', durationMs(), undefined),
      failed: (error) => this.#threw(permit, error, durationMs()),
      calledOff: (reason) => this.#calledOff(permit, reason, durationMs()),
    });
  }

  #acquire(now: number): Permit | undefined {
    const permit = this.#circuit.admit(now);
    if (permit === undefined) this.#tally.refused(this.#circuit);
    return permit;
  }

  async #refuse(now: number): Promise<never> {
    const error = new CircuitOpenError(this.name, this.#circuit.state, this.#circuit.retryAfterMs(now));
    await settled;
    throw error;
  }

  #returned(permit: Permit, value: unknown, startedAt: number): void {
    const { classify } = this.#settings;
    const now = Number.isNaN(startedAt) ? Number.NaN : this.#settings.clock.now();
    const durationMs = Number.isNaN(startedAt) ? 0 : now - startedAt;
    const outcome = classify.value === undefined ? 'success' : judged(classify, 'value', value, this.#tally);
    if (outcome === 'success') this.#succeeded(permit, durationMs, now);
    else this.#finish(permit, outcome, durationMs, undefined);
  }

  #succeeded(permit: Permit, durationMs: number, now: number): void {
    const circuit = this.#circuit;
    const own = permit === circuit.freePermit || (circuit.state === 'closed' && circuit.isOwn(permit));
    if (own && !this.#tally.heard) {
      circuit.succeed(permit, durationMs >= this.#settings.slowMs, now);
    } else {
      this.#finish(permit, 'success', durationMs, undefined);
    }
  }

  #threw(permit: Permit, error: unknown, durationMs: number): void {
    const { classify } = this.#settings;
    const byDefault = isRefusal(error) ? 'ignore' : 'failure';
    const outcome = classify.error === undefined ? byDefault : judged(classify, 'error', error, this.#tally);
    this.#finish(permit, outcome, durationMs, error);
  }

  /** A time limit around the breaker that ran out is the fault of what was called; a caller who leaves is not. */
  #calledOff(permit: Permit, reason: unknown, durationMs: number): void {
    this.#finish(permit, isTimeoutError(reason) ? 'failure' : 'ignore', durationMs, reason);
  }

  #finish(permit: Permit, outcome: Outcome, durationMs: number, error: unknown): void {
    const counted = this.#circuit.finish(permit, outcome, durationMs >= this.#settings.slowMs);
    this.#tally.finished(counted, outcome, durationMs, error);
  }

  /** The time, where it will be asked for. */
  #start(): number {
    const timed = this.#settings.slowMs !== Number.POSITIVE_INFINITY || this.#circuit.state !== 'closed' || this.#tally.heard;
    return timed ? this.#settings.clock.now() : Number.NaN;
  }

  #since(startedAt: number): number {
    return Number.isNaN(startedAt) ? 0 : this.#settings.clock.now() - startedAt;
  }
}
