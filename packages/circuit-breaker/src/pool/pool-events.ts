import type { EjectionReason } from './outlier-detection.ts';

/** What the events of one member have in common. */
export interface PoolMemberEvent {
  /** Name of the pool. */
  readonly name: string;
  /** Name of the member. */
  readonly member: string;
}

/** What a {@link CircuitBreakerPool} tells its listeners. */
export interface CircuitBreakerPoolEvents {
  /** A member takes no more ordinary calls: it was ejected, or its server asked to be left alone (`throttled`). */
  ejected: PoolMemberEvent & {
    /** Why. */
    readonly reason: EjectionReason;
    /** For how long, in ms; what it gets then is one probe, or after `throttled` its share of the calls. */
    readonly forMs: number;
  };
  /** A member takes its share of the calls again. What time alone brings is told when somebody next looks. */
  returned: PoolMemberEvent & {
    /** How long it took none, in ms. */
    readonly outForMs: number;
  };
  /** A call counted as a success. */
  success: PoolMemberEvent & {
    /** How long the call took, in ms. */
    readonly durationMs: number;
  };
  /** A call counted as a failure, or was answered with a request to be left alone. */
  failure: PoolMemberEvent & {
    /** How long the call took, in ms. */
    readonly durationMs: number;
    /** What was thrown, or handed to the permit. */
    readonly error: unknown;
    /** For how long the server asked to be left alone, in ms; absent unless it did. */
    readonly throttledMs?: number;
  };
  /** A call counted as nothing. */
  ignored: PoolMemberEvent & {
    /** What was thrown, or handed to the permit. */
    readonly error: unknown;
  };
  /** A result came after the state that admitted its call had ended, or of a call that was made in a panic. */
  late: PoolMemberEvent;
  /** A call was refused: no member takes calls. */
  rejected: {
    /** Name of the pool. */
    readonly name: string;
    /** When the first member takes a call again, in ms. */
    readonly retryAfterMs: number;
  };
  /** A listener or a classifier threw. */
  'listener-error': {
    /** Name of the pool. */
    readonly name: string;
    /** What it threw. */
    readonly error: unknown;
  };
}
