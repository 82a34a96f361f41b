import { EventEmitter } from 'eventemitter3';
import type { CircuitState } from './circuit-state.ts';
import type { Outcome } from './outcome.ts';
import type { OpenReason } from './windows/sliding-window.ts';

/** Why a circuit changed its state. */
export type TransitionReason =
  | OpenReason
  | 'throttled'
  | 'probe-failed'
  | 'probe-expired'
  | 'probes-succeeded'
  | 'wait-elapsed'
  | 'by-hand'
  | 'restored';

/** What a {@link CircuitBreaker} tells its listeners. */
export interface CircuitBreakerEvents {
  /** The state changed. A change that time alone brings is told when somebody next looks. */
  'state-change': {
    /** Name of the breaker. */
    readonly name: string;
    /** The state that ended. */
    readonly from: CircuitState;
    /** The state that began. */
    readonly to: CircuitState;
    /** Why. */
    readonly reason: TransitionReason;
  };
  /** The circuit had been open and its probes have closed it: calls are let through again. */
  readmitted: {
    /** Name of the breaker. */
    readonly name: string;
    /** How long ago it opened, in ms. */
    readonly afterMs: number;
    /** How often it opened in that time. */
    readonly openings: number;
  };
  /** A call counted as a success. */
  success: {
    /** Name of the breaker. */
    readonly name: string;
    /** How long the call took, of a stream to its first item; 0 for a call that began before anybody listened. */
    readonly durationMs: number;
  };
  /** A call counted as a failure. */
  failure: {
    /** Name of the breaker. */
    readonly name: string;
    /** How long the call took, of a stream to its first item; 0 for a call that began before anybody listened. */
    readonly durationMs: number;
    /** What was thrown, or handed to the permit API. */
    readonly error: unknown;
    /** For how long the server asked to be left alone, in ms; absent unless it did. */
    readonly throttledMs?: number;
  };
  /** A call counted as nothing: its permit was given back. */
  ignored: {
    /** Name of the breaker. */
    readonly name: string;
    /** How long the call took; as for `success`. */
    readonly durationMs: number;
    /** What was thrown, or handed to the permit API. */
    readonly error: unknown;
  };
  /** A call was refused. */
  rejected: {
    /** Name of the breaker. */
    readonly name: string;
    /** The state that refused. */
    readonly state: CircuitState;
    /** In how many ms it is worth asking again; undefined while held open by hand. */
    readonly retryAfterMs: number | undefined;
  };
  /** A result came after the state that admitted its call had ended; it changed nothing. */
  late: {
    /** Name of the breaker. */
    readonly name: string;
    /** What it would have counted as. */
    readonly outcome: Outcome;
    /** As for `success`. */
    readonly durationMs: number;
  };
  /** A threshold was reached in state `metrics-only`: the circuit would have opened. Told again only after a quiet call. */
  'threshold-reached': {
    /** Name of the breaker. */
    readonly name: string;
    /** What would have opened it. */
    readonly reason: OpenReason | 'throttled';
  };
  /** A listener or a classifier threw. */
  'listener-error': {
    /** Name of the breaker. */
    readonly name: string;
    /** What it threw. */
    readonly error: unknown;
  };
}

/** Listeners whose errors change nothing. */
export class Listeners<Events extends { 'listener-error': { readonly error: unknown } }> {
  readonly #emitter = new EventEmitter();

  /** Whether nobody listens. */
  get empty(): boolean {
    return this.#emitter.eventNames().length === 0;
  }

  add<E extends keyof Events & string>(event: E, listener: (payload: Events[E]) => void): () => void {
    const own = (payload: Events[E]) => listener(payload); // so that removing one addition of a function leaves its others
    this.#emitter.on(event, own);
    return () => {
      this.#emitter.off(event, own);
    };
  }

  emit<E extends keyof Events & string>(event: E, payload: Events[E]): void {
    for (const listener of this.#emitter.listeners(event)) {
      try {
        const answer = (listener as (payload: Events[E]) => unknown)(payload);
        if (answer instanceof Promise) answer.catch((error) => this.#threw(event, payload, error)); // an async function fits the type
      } catch (error) {
        this.#threw(event, payload, error);
      }
    }
  }

  #threw(event: string, payload: unknown, error: unknown): void {
    if (event !== 'listener-error') this.emit('listener-error', errorOf<Events>(payload, error));
  }
}

/** Tells of an error under the name, if any, that the event had. */
function errorOf<Events extends { 'listener-error': unknown }>(payload: unknown, error: unknown): Events['listener-error'] {
  const { name } = payload as { readonly name?: string };
  return (name === undefined ? { error } : { name, error }) as Events['listener-error'];
}
