import type { Call } from './call.ts';

/** Lets a call through or says why not: the shape of a rate limiter. */
export interface Limiter {
  /** Takes what the call costs, or says why not. Never throws a refusal. */
  consume(call: Call): Promise<LimiterDecision> | LimiterDecision;
}

/** A limiter's answer. */
export type LimiterDecision = LimiterYes | LimiterNo;

/** The call may be made. */
export interface LimiterYes {
  /** Tells the two answers apart. */
  readonly allowed: true;
}

/** The call may not be made. */
export interface LimiterNo {
  /** Tells the two answers apart. */
  readonly allowed: false;
  /** `ERR_…` */
  readonly code: string;
  /** One sentence for people and models. */
  readonly message: string;
  /** The limit's name. */
  readonly limit: string;
  /** When the call would be let through, in ms from now. */
  readonly retryAfterMs?: number;
}

/** Sets money aside for a call, or throws a refusal: the shape of a cost tracker. */
export interface Budget {
  /** Holds what the call may cost; throws a `RefusedError` where there is no room. */
  reserve(call: Call): Promise<BudgetHold>;
}

/** Money set aside for one call. Exactly one of the two is called. */
export interface BudgetHold {
  /** The call was made; enters it in the ledger. */
  settle(outcome: { readonly success: boolean; readonly durationMs: number }): Promise<void>;
  /** The call was not made. */
  release(): Promise<void>;
}

/** Runs a function under time limits, retries and a circuit breaker: the shape of a resilience policy. */
export interface Guard {
  /** Runs `fn`, perhaps several times, and gives its result; an abort of `signal` rejects with its reason. */
  execute<T>(fn: (context: GuardContext) => Promise<T>, options: { readonly signal: AbortSignal }): Promise<T>;
}

/** What a guard hands to the function that it runs. */
export interface GuardContext {
  /** Aborted when the function's time is over. */
  readonly signal: AbortSignal;
  /** Stops the guard's clocks, as while a person is asked, until the returned function is called. */
  readonly suspendTimeouts?: () => () => void;
}

/** What guards the calls to one server. */
export interface ServerGuard {
  /** For calls that may be made twice. */
  readonly repeatable: Guard;
  /** For calls that may not: made again only where they were certainly not carried out. */
  readonly once: Guard;
  /** The state of the server's circuit. */
  state(): string;
}

/** Takes the gateway's news. Any logger of this shape fits. */
export interface Logger {
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}
