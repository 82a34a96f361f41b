import { isTimeLimit } from '../classifiers/thrown.ts';
import { type Classifier, judged, type Outcome } from '../outcome.ts';

/** What {@link breakerFetch} needs of a breaker; `P` is its permit, which stays opaque. A `CircuitBreaker` fits. */
export interface PermitBreaker<P = unknown> {
  /** A permit for one call, or undefined while the circuit refuses. */
  tryAcquire(): P | undefined;
  /** The error with which the circuit refuses now. */
  refusal(): unknown;
  /** Tells that the call has begun to answer; returns the permit to give back instead. Left out where nobody watches calls that hang. */
  answered?(permit: P): P;
  /** Takes the permit of a call that went well. */
  onSuccess(permit: P, durationMs?: number): void;
  /** Takes the permit of a call that failed. */
  onFailure(permit: P, error?: unknown, durationMs?: number): void;
  /** Takes the permit of a call whose server asks to be left alone for `throttledMs`. */
  onThrottled(permit: P, throttledMs: number, error?: unknown, durationMs?: number): void;
  /** Takes the permit of a call that says nothing. */
  release(permit: P, reason?: unknown, durationMs?: number): void;
}

/** One permit on its way back: whatever ends the call first decides, and all that follows changes nothing. */
export class PermitHold<P> {
  readonly #breaker: PermitBreaker<P>;
  readonly #classify: Classifier;
  #permit: P;
  #held = true;
  #durationMs = 0;
  #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;

  constructor(breaker: PermitBreaker<P>, permit: P, classify: Classifier) {
    this.#breaker = breaker;
    this.#permit = permit;
    this.#classify = classify;
  }

  get held(): boolean {
    return this.#held;
  }

  /** From now on an abort of `signal` gives the permit back at once, read or not; `gaveUp` says whether the caller left because of the server. */
  follow(signal: AbortSignal, gaveUp: () => boolean): void {
    this.#signal = signal;
    this.#onAbort = () => {
      const { reason } = signal;
      const failed = gaveUp() || isTimeLimit(reason);
      this.settle(failed ? 'failure' : 'ignore', reason);
    };
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** What the call has taken so far is its duration. */
  took(durationMs: number): void {
    this.#durationMs = durationMs;
  }

  /** The answer has begun: from now on the call does not hang. */
  answered(): void {
    if (this.#held && this.#breaker.answered !== undefined) this.#permit = this.#breaker.answered(this.#permit);
  }

  /** What the classifier makes of an answer. */
  judge(answer: unknown): Outcome {
    return this.#classify.value === undefined ? 'success' : judged(this.#classify, 'value', answer, nobody);
  }

  /** Ends the call with what the classifier makes of an error. */
  fail(error: unknown): void {
    this.settle(this.#classify.error === undefined ? 'failure' : judged(this.#classify, 'error', error, nobody), error);
  }

  settle(outcome: Outcome, error?: unknown): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    if (outcome === 'success') this.#breaker.onSuccess(this.#permit, this.#durationMs);
    else if (outcome === 'failure') this.#breaker.onFailure(this.#permit, error, this.#durationMs);
    else if (outcome === 'ignore') this.#breaker.release(this.#permit, error, this.#durationMs);
    else this.#breaker.onThrottled(this.#permit, outcome.throttledMs, error, this.#durationMs);
  }
}

/** A port of permits has nobody to tell what a classifier threw; the call counts as failed. */
const nobody = { threw: () => {} };
