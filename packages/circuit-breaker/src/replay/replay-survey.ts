import { type DroppedCalls, faultOf, type RecordedCall, TraceError } from './replay-trace.ts';

/** What a trace holds. */
export interface TraceReport {
  /** Calls, refused ones included. */
  readonly calls: number;
  /** Calls that succeeded. */
  readonly successes: number;
  /** Calls that failed or were throttled. */
  readonly failures: number;
  /** Calls that counted as nothing. */
  readonly ignored: number;
  /** Calls that were refused when they were recorded; their outcome is unknown. */
  readonly rejected: number;
  /** Calls of which the recording says only that they are missing. */
  readonly dropped: number;
  /** Calls of other names, left out. */
  readonly otherNames: number;
  /** The first start, in ms since the Unix epoch. */
  readonly fromMs: number;
  /** The last end, in ms since the Unix epoch. */
  readonly toMs: number;
}

const manyNames = 1_000;

/** Reads a trace for the first time: what it holds, and how far its calls are from the order of their starts. */
export class TraceSurvey {
  readonly #asked: string | undefined;
  readonly #names = new Set<string>();
  readonly #counts = { success: 0, failure: 0, ignore: 0, rejected: 0 };
  #dropped = 0;
  #otherNames = 0;
  #fromMs = Number.POSITIVE_INFINITY;
  #toMs = Number.NEGATIVE_INFINITY;
  #latestStartMs = Number.NEGATIVE_INFINITY;
  /** How much later than a call an earlier line may have begun, in ms. */
  disorderMs = 0;

  constructor(asked: string | undefined) {
    this.#asked = asked;
  }

  /** Whether a call is one of those asked for. */
  wants({ name }: RecordedCall): boolean {
    return name === undefined || this.#asked === undefined || name === this.#asked;
  }

  add(call: RecordedCall | DroppedCalls): void {
    if ('dropped' in call && !('outcome' in call)) {
      this.#dropped += call.dropped;
      return;
    }
    const { name, startMs, durationMs, outcome } = call as RecordedCall;
    if (!this.wants(call as RecordedCall)) {
      this.#otherNames += 1;
      return;
    }
    if (name !== undefined && this.#names.size < manyNames) this.#names.add(name);
    this.#counts[outcome === 'throttled' ? 'failure' : outcome] += 1;
    this.#fromMs = Math.min(this.#fromMs, startMs);
    this.#toMs = Math.max(this.#toMs, startMs + durationMs);
    this.disorderMs = Math.max(this.disorderMs, this.#latestStartMs - startMs);
    this.#latestStartMs = Math.max(this.#latestStartMs, startMs);
  }

  /** @throws RangeError where the trace is of several names and none was asked for. */
  report(): TraceReport {
    const names = [...this.#names];
    if (names.length > 1)
      throw new RangeError(`the trace has calls of ${names.sort().join(', ').slice(0, 500)}; one name must be asked for`);
    const { success, failure, ignore, rejected } = this.#counts;
    const calls = success + failure + ignore + rejected;
    return {
      calls,
      successes: success,
      failures: failure,
      ignored: ignore,
      rejected,
      dropped: this.#dropped,
      otherNames: this.#otherNames,
      fromMs: calls === 0 ? 0 : this.#fromMs,
      toMs: calls === 0 ? 0 : this.#toMs,
    };
  }
}

/** @throws {@link TraceError} for a call that no trace could hold. */
export function checkedCall(call: RecordedCall, index: number): RecordedCall {
  const fault = faultOf(call);
  if (fault === undefined) return call;
  throw new TraceError(`call ${index}: ${fault[1]}`);
}
