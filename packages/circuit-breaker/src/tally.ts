import type { CircuitObserver } from './circuit.ts';
import type { CircuitState } from './circuit-state.ts';
import { type CircuitBreakerEvents, Listeners, type TransitionReason } from './events.ts';
import type { Outcome } from './outcome.ts';
import type { OpenReason } from './windows/sliding-window.ts';

/** The totals of a breaker since it was made. */
export interface Totals {
  /** Calls refused since the breaker was made. */
  readonly rejected: number;
  /** Results that came too late to count since the breaker was made. */
  readonly late: number;
  /** How often the circuit has opened since the breaker was made. */
  readonly opened: number;
  /** How often its probes have closed it again. */
  readonly readmitted: number;
}

/** Counts what a breaker does, and tells it to whoever listens. No event is built while nobody does. */
export class Tally implements CircuitObserver {
  readonly #name: string;
  #listeners: Listeners<CircuitBreakerEvents> | undefined;
  #rejected = 0;
  #late = 0;
  #opened = 0;
  #readmitted = 0;

  constructor(name: string) {
    this.#name = name;
  }

  /** Whether anybody listens. */
  get heard(): boolean {
    return this.#listeners !== undefined;
  }

  get totals(): Totals {
    return { rejected: this.#rejected, late: this.#late, opened: this.#opened, readmitted: this.#readmitted };
  }

  set totals({ rejected, late, opened, readmitted }: Totals) {
    this.#rejected = rejected;
    this.#late = late;
    this.#opened = opened;
    this.#readmitted = readmitted;
  }

  on<E extends keyof CircuitBreakerEvents>(event: E, listener: (event: CircuitBreakerEvents[E]) => void): () => void {
    const listeners = this.#listeners ?? new Listeners<CircuitBreakerEvents>();
    this.#listeners = listeners;
    const remove = listeners.add(event, listener);
    return () => {
      remove();
      if (listeners.empty && this.#listeners === listeners) this.#listeners = undefined;
    };
  }

  transition(from: CircuitState, to: CircuitState, reason: TransitionReason): void {
    if (to === 'open') this.#opened += 1;
    this.#listeners?.emit('state-change', { name: this.#name, from, to, reason });
  }

  wouldOpen(reason: OpenReason | 'throttled'): void {
    this.#listeners?.emit('threshold-reached', { name: this.#name, reason });
  }

  readmitted(openings: number, afterMs: number): void {
    this.#readmitted += 1;
    this.#listeners?.emit('readmitted', { name: this.#name, afterMs, openings });
  }

  /** A call was refused. */
  refused(circuit: { readonly state: CircuitState; retryAfterMs(): number | undefined }): void {
    this.#rejected += 1;
    if (this.#listeners === undefined) return;
    this.#listeners.emit('rejected', { name: this.#name, state: circuit.state, retryAfterMs: circuit.retryAfterMs() });
  }

  /** A call has ended; `counted` is false for a late one. */
  finished(counted: boolean, outcome: Outcome, durationMs: number, error: unknown): void {
    if (!counted) this.#late += 1;
    const listeners = this.#listeners;
    if (listeners === undefined) return;
    const name = this.#name;
    if (!counted) listeners.emit('late', { name, outcome, durationMs });
    else if (outcome === 'success') listeners.emit('success', { name, durationMs });
    else if (outcome === 'ignore') listeners.emit('ignored', { name, durationMs, error });
    else listeners.emit('failure', { name, durationMs, error, ...(typeof outcome === 'object' ? outcome : {}) });
  }

  /** A classifier threw. */
  threw(error: unknown): void {
    this.#listeners?.emit('listener-error', { name: this.#name, error });
  }
}
