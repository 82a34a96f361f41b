import { EventEmitter } from 'eventemitter3';
import type { CallKind } from './call.ts';

/** A call that has ended. */
export interface CallEvent {
  readonly tenant: string;
  readonly user?: string;
  readonly kind: CallKind;
  /** What was called, by the name the client knows. */
  readonly name: string;
  readonly server: string;
  readonly traceId: string;
  readonly durationMs: number;
  /** `error`: the server answered with one. `refused`: the gateway has no answer of the server; `code` says why. */
  readonly outcome: 'ok' | 'error' | 'refused' | 'cancelled';
  readonly code?: string;
}

/** What a gateway tells its listeners. */
export interface GatewayEvents {
  /** The circuit of a server (or of its fallback) changed. */
  circuit: { readonly server: string; readonly from: string; readonly to: string; readonly reason: string };
  /** A server was reached, or lost. */
  server: { readonly server: string; readonly tenant: string; readonly state: 'up' | 'down'; readonly reason?: string };
  /** A server sent something that is no message of the protocol. `sample` is its beginning. */
  frame: { readonly server: string; readonly problem: string; readonly sample: string };
  /** A call has ended. */
  call: CallEvent;
  /** A call was made again after it failed. */
  retry: { readonly server: string; readonly attempt: number };
  /** A call went to the fallback because its server's circuit is open. */
  fallback: { readonly server: string; readonly fallback: string; readonly name: string; readonly traceId: string };
  /** A budget crossed a threshold. */
  budget: { readonly budget: string; readonly level: string; readonly spentUsd: string; readonly limitUsd: string };
  /** Two servers offer the same name; `holder` has it. */
  collision: { readonly name: string; readonly holder: string; readonly other: string };
  /** What a tenant sees has changed. */
  catalog: { readonly tenant: string };
  /** The gateway itself failed, or a listener threw. */
  fault: { readonly error: unknown; readonly traceId: string };
}

/** Listeners whose errors change nothing. */
export class Listeners {
  readonly #emitter = new EventEmitter();

  on<E extends keyof GatewayEvents>(event: E, listener: (event: GatewayEvents[E]) => void): () => void {
    this.#emitter.on(event, listener as (payload: unknown) => void);
    return () => {
      this.#emitter.off(event, listener as (payload: unknown) => void);
    };
  }

  emit<E extends keyof GatewayEvents>(event: E, payload: GatewayEvents[E]): void {
    for (const listener of this.#emitter.listeners(event)) {
      try {
        (listener as (payload: GatewayEvents[E]) => void)(payload);
      } catch (error) {
        if (event !== 'fault') this.emit('fault', { error, traceId: '' });
      }
    }
  }
}
