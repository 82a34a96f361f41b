import { type Outcome, waitHint } from '../outcome.ts';
import type { Seat } from './member-picker.ts';
import type { PoolMember } from './pool-settings.ts';

/** Leave to make one call to one member. What is given back counts once; a second time does nothing. */
export interface PoolPermit<M extends PoolMember = PoolMember> {
  /** Which member to call. */
  readonly member: M;
  /** Counts a success. */
  onSuccess(durationMs?: number): void;
  /** Counts a failure. */
  onFailure(error?: unknown, durationMs?: number): void;
  /** The server asked to be left alone for that long; 0 names no time and counts as a failure. */
  onThrottled(throttledMs: number, error?: unknown): void;
  /** Gives the permit back as if the call had not been made. */
  release(error?: unknown): void;
}

/** A permit that knows where its member sits. */
export class Lease<M extends PoolMember> implements PoolPermit<M> {
  readonly member: M;
  readonly at: number;
  readonly #finish: (outcome: Outcome, durationMs: number, error: unknown) => void;
  #held = true;

  constructor({ member, at }: Seat<M>, finish: (outcome: Outcome, durationMs: number, error: unknown) => void) {
    this.member = member;
    this.at = at;
    this.#finish = finish;
  }

  finish(outcome: Outcome, durationMs: number, error: unknown): void {
    if (!this.#held) return;
    this.#held = false;
    this.#finish(outcome, durationMs, error);
  }

  onSuccess(durationMs = 0): void {
    this.finish('success', durationMs, undefined);
  }

  onFailure(error?: unknown, durationMs = 0): void {
    this.finish('failure', durationMs, error);
  }

  onThrottled(throttledMs: number, error?: unknown): void {
    try {
      this.finish({ throttledMs: waitHint(throttledMs) }, 0, error);
    } finally {
      this.finish('failure', 0, error); // where the hint is none
    }
  }

  release(error?: unknown): void {
    this.finish('ignore', 0, error);
  }
}
