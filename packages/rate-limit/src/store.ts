import { backendOf, type SharedBackendMaker } from './backend.ts';
import type { Carry, Rule } from './rules/rule.ts';

/** What one call asks of one limit. */
export interface Demand {
  /** Which limit: the name of its limiter, its own and its kind, as one text. */
  readonly limit: string;
  /** Whom it is charged to; together with `limit`, whose state. */
  readonly key: string;
  /** How it is decided. */
  readonly rule: Rule;
  /** How much; 0 asks and takes nothing. */
  readonly cost: number;
}

/** Takes from all its limits, or from none. */
export interface Take {
  /** Tells it from other commands. */
  readonly do: 'take';
  /** What is taken. */
  readonly demands: readonly Demand[];
  /** `false` asks only. */
  readonly charge: boolean;
  /** Whether the reply is to say when more will fit. */
  readonly levels: boolean;
  /** Given where what is taken may be settled later: names the leases of `concurrency` limits and marks amounts as reserved. */
  readonly reservation?: string | undefined;
}

/** Makes a reservation exact: `cost` of each demand was used of what was reserved. */
export interface Settle {
  /** Tells it from other commands. */
  readonly do: 'settle';
  /** What was used, and what was `reserved`. */
  readonly demands: readonly (Demand & {
    /** How much was reserved. */
    readonly reserved: number;
  })[];
  /** The name it was taken under. */
  readonly reservation: string;
  /** When it was reserved, as the reply to the reservation said. */
  readonly takenAt: number;
}

/** Makes the leases of a reservation last longer. */
export interface Renew {
  /** Tells it from other commands. */
  readonly do: 'renew';
  /** What was taken; those of `concurrency` limits have leases. */
  readonly demands: readonly Demand[];
  /** The name it was taken under. */
  readonly reservation: string;
}

/** Gives back up to `cost` of each demand. */
export interface Refund {
  /** Tells it from other commands. */
  readonly do: 'refund';
  /** What is given back. */
  readonly demands: readonly Demand[];
  /** Tells one refund from another, so that one that is sent twice counts once. */
  readonly id: string;
}

/** Forgets the state of each demand. */
export interface Reset {
  /** Tells it from other commands. */
  readonly do: 'reset';
  /** Whose state; the costs say nothing. */
  readonly demands: readonly Demand[];
}

/**
 * Settles what a process took in advance, and takes more: of a token bucket alone. What it takes it may let through by itself until
 * one spell of reservations has passed.
 */
export interface Lease {
  /** Tells it from other commands. */
  readonly do: 'lease';
  /** Of one token bucket: what is wanted now as `cost`, what was taken before as `reserved`. */
  readonly demands: readonly [
    Demand & {
      /** How much was taken before. */
      readonly reserved: number;
    },
  ];
  /** Of what was taken before, how much was used; what was taken is `reserved`, and `cost` is what is wanted now. */
  readonly used: number;
  /** When it was taken before, as the reply said; 0 for the first time. */
  readonly takenAt: number;
  /** Tells one lease from another. */
  readonly id: string;
}

/** What a limiter asks of a {@link Store}. */
export type Command = Take | Settle | Renew | Refund | Reset | Lease;

/** One limit's part of an answer, after the command. */
export interface LimitReply {
  /** In how many µs the cost would fit: 0 where it does, Infinity where never. */
  readonly waitUs: number;
  /** The highest cost that still fits. */
  readonly left: number;
  /** In how many µs more will fit, of a `take` with `levels`; 0 where nothing is used. */
  readonly moreInUs: number;
  /** In how many µs nothing will be used any more, of a `take` with `levels`. */
  readonly fullInUs: number;
}

/** What became of a command. */
export interface Reply {
  /** A `take`: every limit agreed. A `renew`: every lease was still held. A `lease`: something was granted. Else `true`. */
  readonly done: boolean;
  /** A `lease`: how much was granted. */
  readonly granted: number;
  /** The store's time, in µs since the Unix epoch. */
  readonly now: number;
  /** One for each demand. */
  readonly limits: readonly LimitReply[];
}

/** What is told of limits that were changed while they ran. */
export interface Change {
  /** Higher than that of the limits before. */
  readonly version: number;
  /** What becomes of what was used. */
  readonly carry: Carry;
}

/**
 * Where limits are kept that several processes share.
 *
 * It promises: each command happens wholly or not at all; commands with a key in common happen one after the other, those of one
 * process in the order given; time is the store's own. Commands of one turn of the event loop may share a round trip. `@tidegate/rate-limit/contract` holds the tests of this promise.
 */
export interface Store {
  /** Does a command. Rejects where it cannot know what became of it. */
  run(command: Command, change: Change): Promise<Reply>;
  /** Lets go of what it opened itself, not of a client it was given. */
  close(): Promise<void>;
}

/** A {@link Store} that limiters can be given: made by `redisStore`, `postgresStore`, `memoryStore`, `leased` or `sharedStore`. */
export interface SharedStore extends Store {
  /** @internal */
  readonly [backendOf]: SharedBackendMaker;
}
