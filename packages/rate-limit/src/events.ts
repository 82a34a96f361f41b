import { EventEmitter } from 'eventemitter3';
import type { Allowed, Refused } from './decision.ts';

/** What a {@link RateLimiter} tells its listeners. */
export interface RateLimiterEvents {
  /** A call was let through. */
  allowed: {
    /** Name of the limiter. */
    readonly name: string;
    /** The answer. */
    readonly decision: Allowed;
  };
  /** A call was refused; a caller that waits in `acquire` or `reserve` is refused each time it is looked at. */
  refused: {
    /** Name of the limiter. */
    readonly name: string;
    /** The answer. */
    readonly decision: Refused;
  };
  /** The store did not answer in time, or with an error; decisions are made as `onStoreError` says. */
  'store-failed': {
    /** Name of the limiter. */
    readonly name: string;
    /** What it said, or that it said nothing. */
    readonly error: unknown;
  };
  /** The store answers again. */
  'store-recovered': {
    /** Name of the limiter. */
    readonly name: string;
  };
  /** A reservation lost a place of a `concurrency` limit, because its lease could not be renewed in time. */
  'lease-lost': {
    /** Name of the limiter. */
    readonly name: string;
  };
  /** The limits were changed. */
  reconfigured: {
    /** Name of the limiter. */
    readonly name: string;
    /** The number of this change. */
    readonly version: number;
  };
  /** A listener threw. */
  'listener-error': {
    /** Name of the limiter. */
    readonly name: string;
    /** What it threw. */
    readonly error: unknown;
  };
}

/** Listeners whose errors change nothing. */
export class Listeners {
  readonly #name: string;
  readonly #emitter = new EventEmitter();
  /** Whether nobody listens. */
  empty = true;

  constructor(name: string) {
    this.#name = name;
  }

  add<E extends keyof RateLimiterEvents>(event: E, listener: (payload: RateLimiterEvents[E]) => void): () => void {
    const own = (payload: RateLimiterEvents[E]) => listener(payload); // so that removing one addition of a function leaves its others
    this.#emitter.on(event, own);
    this.empty = false;
    return () => {
      this.#emitter.off(event, own);
      this.empty = this.#emitter.eventNames().length === 0;
    };
  }

  emit<E extends keyof RateLimiterEvents>(event: E, payload: Omit<RateLimiterEvents[E], 'name'>): void {
    for (const listener of this.#emitter.listeners(event)) {
      try {
        const answer = (listener as (payload: unknown) => unknown)({ name: this.#name, ...payload });
        if (answer instanceof Promise) answer.catch((error) => this.#threw(event, error)); // an async function fits the type
      } catch (error) {
        this.#threw(event, error);
      }
    }
  }

  #threw(event: string, error: unknown): void {
    if (event !== 'listener-error') this.emit('listener-error', { error });
  }
}
