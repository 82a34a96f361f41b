import { EventEmitter } from 'eventemitter3';
import type { CallKind } from './call.ts';

/** A call that has ended. */
export interface CallEvent {
  /** Whose call it was. */
  readonly tenant: string;
  /** Who of that tenant, where the credential says so. */
  readonly user?: string;
  /** What was called. */
  readonly kind: CallKind;
  /** By the name the client knows. */
  readonly name: string;
  /** The name under which calls of it are added up: one for all names that no server lists. */
  readonly counted: string;
  /** The server that has it. */
  readonly server: string;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
  /** From the request to its answer. */
  readonly durationMs: number;
  /** `error`: the server answered with one. `refused`: the gateway has no answer of the server; `code` says why. */
  readonly outcome: 'ok' | 'error' | 'refused' | 'cancelled';
  /** Why it was refused: `ERR_…` */
  readonly code?: string;
  /** What was wrong, with what the server itself said; not for clients. */
  readonly problem?: string;
}

/** The circuit of a server, or of its fallback, changed. */
export interface CircuitEvent {
  /** The configured name, with ` (fallback)` behind it for a fallback. */
  readonly server: string;
  /** The state before. */
  readonly from: string;
  /** The state now. */
  readonly to: string;
  /** What brought the change. */
  readonly reason: string;
}

/** A server was reached, or lost. */
export interface ServerEvent {
  /** The configured name. */
  readonly server: string;
  /** For whom. */
  readonly tenant: string;
  /** Told at changes only. */
  readonly state: 'up' | 'down';
  /** Why it is down. */
  readonly reason?: string;
}

/** A server wants a caller to sign in, or somebody has tried to. */
export interface SignInEvent {
  /** The configured name. */
  readonly server: string;
  /** For whom. */
  readonly tenant: string;
  /** Who of that tenant, where the credential says so. */
  readonly user?: string;
  /** `needed` is told once until it is done. */
  readonly state: 'needed' | 'done' | 'failed';
  /** Why it failed. */
  readonly reason?: string;
}

/** A server sent something that is no message of the protocol. */
export interface FrameEvent {
  /** The configured name. */
  readonly server: string;
  /** What is wrong with it. */
  readonly problem: string;
  /** How it begins. */
  readonly sample: string;
}

/** A call was made again after it failed. */
export interface RetryEvent {
  /** The configured name. */
  readonly server: string;
  /** 2 for the first repetition. */
  readonly attempt: number;
}

/** A call went to the fallback because its server's circuit is open. */
export interface FallbackEvent {
  /** The server that was meant. */
  readonly server: string;
  /** What answers in its place. */
  readonly fallback: string;
  /** What was called, by the name the client knows. */
  readonly name: string;
  /** 32 hexadecimal digits. */
  readonly traceId: string;
}

/** A budget crossed a threshold; told once for each threshold and period. */
export interface BudgetEvent {
  /** The budget's name. */
  readonly budget: string;
  /** `warning`, `critical` or `blocked`. */
  readonly level: string;
  /** Spent in this period, as a decimal. */
  readonly spentUsd: string;
  /** The limit, as a decimal. */
  readonly limitUsd: string;
}

/** Somebody was told, or could not be told, that a budget crossed a threshold. */
export interface AlertEvent {
  /** The budget's name. */
  readonly budget: string;
  /** `warning`, `critical` or `blocked`. */
  readonly level: string;
  /** Who: the name of the alert in the configuration, or its kind. */
  readonly sink: string;
  /** What `failed` is sent again; what is `given-up` is not. */
  readonly state: 'delivered' | 'failed' | 'given-up';
  /** Why it was not delivered. */
  readonly reason?: string;
}

/** Two servers offer the same name. */
export interface CollisionEvent {
  /** The name or address. */
  readonly name: string;
  /** The server that has it: the one that is configured first. */
  readonly holder: string;
  /** The server whose offer is not shown. */
  readonly other: string;
}

/** What a tenant sees has changed. */
export interface CatalogEvent {
  /** Who sees it. */
  readonly tenant: string;
}

/** The gateway itself failed, or a listener threw. */
export interface FaultEvent {
  /** What was thrown. */
  readonly error: unknown;
  /** The call it happened to; empty where there was none. */
  readonly traceId: string;
}

/** What a gateway tells its listeners, by name. */
export interface GatewayEvents {
  /** A call has ended. */
  call: CallEvent;
  /** A circuit changed. */
  circuit: CircuitEvent;
  /** A server was reached, or lost. */
  server: ServerEvent;
  /** A sign-in is needed, done or failed. */
  'sign-in': SignInEvent;
  /** A server sent what is no message. */
  frame: FrameEvent;
  /** A call is made again. */
  retry: RetryEvent;
  /** A call goes to a fallback. */
  fallback: FallbackEvent;
  /** A budget crossed a threshold. */
  budget: BudgetEvent;
  /** Somebody was told, or could not be told, of a budget. */
  alert: AlertEvent;
  /** Two servers offer the same name. */
  collision: CollisionEvent;
  /** What a tenant sees has changed. */
  catalog: CatalogEvent;
  /** The gateway itself failed. */
  fault: FaultEvent;
}

/** Listeners whose errors change nothing. */
export class Listeners {
  readonly #emitter = new EventEmitter();

  /** Calls `listener` at each event of that name; the returned function removes it. */
  on<E extends keyof GatewayEvents>(event: E, listener: (event: GatewayEvents[E]) => void): () => void {
    const own = (payload: GatewayEvents[E]) => listener(payload); // the same function may be added twice
    this.#emitter.on(event, own);
    return () => {
      this.#emitter.off(event, own);
    };
  }

  /** Tells every listener; one that throws is told as a `fault` and stops no other. */
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
