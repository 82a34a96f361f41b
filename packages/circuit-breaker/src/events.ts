import { EventEmitter } from 'eventemitter3';
import type { CircuitState } from './circuit.ts';
import type { OpenReason } from './sliding-window.ts';

/** Why a circuit changed its state. */
export type TransitionReason =
  | OpenReason
  | 'throttled'
  | 'probe-failed'
  | 'probe-expired'
  | 'probes-succeeded'
  | 'wait-elapsed'
  | 'by-hand';

/** What a {@link CircuitBreaker} tells its listeners. */
export interface CircuitBreakerEvents {
  /** The state changed. A change that time alone brings is told when somebody next looks. */
  'state-change': { readonly name: string; readonly from: CircuitState; readonly to: CircuitState; readonly reason: TransitionReason };
  /** A call counted as a success. `durationMs` is 0 unless slow calls are measured. */
  success: { readonly name: string; readonly durationMs: number };
  /** A call counted as a failure. */
  failure: { readonly name: string; readonly durationMs: number; readonly error: unknown };
  /** A call counted as nothing: its permit was given back. */
  ignored: { readonly name: string; readonly error: unknown };
  /** A call was refused. */
  rejected: { readonly name: string; readonly state: CircuitState; readonly retryAfterMs: number | undefined };
  /** A result came after the state that admitted its call had ended; it changed nothing. */
  late: { readonly name: string };
  /** A threshold was reached in state `metrics-only`: the circuit would have opened. Told again only after a quiet call. */
  'threshold-reached': { readonly name: string; readonly reason: OpenReason | 'throttled' };
  /** A listener or a classifier threw. */
  'listener-error': { readonly name: string; readonly error: unknown };
}

/** Listeners whose errors change nothing. Built only when somebody listens. */
export class Listeners {
  readonly #emitter = new EventEmitter();

  add<E extends keyof CircuitBreakerEvents>(event: E, listener: (payload: CircuitBreakerEvents[E]) => void): () => void {
    const own = (payload: CircuitBreakerEvents[E]) => listener(payload); // so that removing one addition of a function leaves its others
    this.#emitter.on(event, own);
    return () => {
      this.#emitter.off(event, own);
    };
  }

  emit<E extends keyof CircuitBreakerEvents>(event: E, payload: CircuitBreakerEvents[E]): void {
    for (const listener of this.#emitter.listeners(event)) {
      try {
        (listener as (payload: CircuitBreakerEvents[E]) => void)(payload);
      } catch (error) {
        if (event !== 'listener-error') this.emit('listener-error', { name: payload.name, error });
      }
    }
  }
}
