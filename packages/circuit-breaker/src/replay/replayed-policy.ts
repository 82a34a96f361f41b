import type { Permit } from '../circuit.ts';
import { CircuitBreaker } from '../circuit-breaker.ts';
import type { CircuitState } from '../circuit-state.ts';
import type { Clock } from '../clock.ts';
import type { TransitionReason } from '../events.ts';
import { breakerSettings, type CircuitBreakerOptions } from '../settings.ts';
import { EventQueue } from './event-queue.ts';
import { Timeline } from './replay-timeline.ts';
import type { RecordedCall } from './replay-trace.ts';

/** What a policy's breaker would have done with the calls of a trace. */
export interface PolicyReport {
  /** What the policy was called. */
  readonly label: string;
  /** Calls that it would have let through. */
  readonly admitted: number;
  /** Calls that it would have refused. */
  readonly rejected: number;
  /** Refused ones that succeeded when they were recorded. */
  readonly goodCallsRefused: number;
  /** Refused ones that failed or were throttled when they were recorded. */
  readonly failuresAvoided: number;
  /** Admitted ones that failed or were throttled when they were recorded. */
  readonly failuresLetThrough: number;
  /** Admitted ones that were refused when they were recorded, so that nobody knows their outcome; they count as nothing. */
  readonly unknownAdmitted: number;
  /** Refused ones that were refused when they were recorded, too. */
  readonly unknownRejected: number;
  /** How often the circuit opened, reopenings included. */
  readonly opened: number;
  /** How long it was open, in ms: until its wait was over, whether or not a call came. */
  readonly openMs: number;
  /** The share of the trace's time that it was open, 0 to 1. */
  readonly openShare: number;
  /** From the end of the first failure that it let through to the first opening since, in ms; null where there is none. */
  readonly firstOpeningAfterMs: number | null;
  /** Calls that a half-open circuit let through. */
  readonly probes: number;
}

/** A change of the state in a replay. */
export interface ReplayedTransition {
  /** When, in ms since the Unix epoch. */
  readonly atMs: number;
  /** The state that ended. */
  readonly from: CircuitState;
  /** The state that began. */
  readonly to: CircuitState;
  /** Why. */
  readonly reason: TransitionReason;
}

interface Ending {
  readonly endMs: number;
  readonly line: number;
  readonly permit: Permit;
  readonly call: RecordedCall;
}

/** The span of a trace and into how many parts it is drawn. */
export interface TraceSpan {
  readonly fromMs: number;
  readonly toMs: number;
  readonly parts: number;
}

/** One policy's breaker under the calls of a trace, on a clock that only they move. */
export class ReplayedPolicy {
  readonly #label: string;
  readonly #span: TraceSpan;
  readonly #breaker: CircuitBreaker;
  readonly #probeMs: number;
  readonly #ends = new EventQueue<Ending>((a, b) => a.endMs < b.endMs || (a.endMs === b.endMs && a.line < b.line));
  readonly #probeEnds: number[] = [];
  readonly #open: Timeline;
  readonly #halfOpen: Timeline;
  readonly #counts = { admitted: 0, rejected: 0, goodCallsRefused: 0, failuresAvoided: 0, failuresLetThrough: 0 };
  readonly #unknown = { unknownAdmitted: 0, unknownRejected: 0 };
  #opened = 0;
  #openMs = 0;
  #probes = 0;
  #firstFailureMs: number | undefined;
  #firstOpeningMs: number | undefined;
  #state: CircuitState = 'closed';
  #since: number;
  #now: number;
  #nextLook = Number.POSITIVE_INFINITY;

  constructor(label: string, options: CircuitBreakerOptions, span: TraceSpan, told?: (transition: ReplayedTransition) => void) {
    this.#label = label;
    this.#span = span;
    this.#now = this.#since = span.fromMs;
    this.#open = new Timeline(span.fromMs, span.toMs, span.parts);
    this.#halfOpen = new Timeline(span.fromMs, span.toMs, span.parts);
    const now = () => this.#now;
    const clock: Clock = { now, wall: now, setTimeout: () => undefined, clearTimeout: () => undefined };
    const random = () => 0.5; // the middle of what chance would do, so that a replay repeats
    this.#breaker = new CircuitBreaker({ random, ...options, clock });
    this.#probeMs = breakerSettings(options).probeMs;
    this.#breaker.on('state-change', ({ from, to, reason }) => {
      this.#changed(to);
      told?.({ atMs: this.#now, from, to, reason });
    });
  }

  /** Takes the next call; they come by their start. `line` orders what happened at the same instant. */
  begin(call: RecordedCall, line: number): void {
    const { startMs, durationMs, outcome } = call;
    // a call without a duration is one instant, in its place among the ends; any other begins after what ended then
    this.#endUntil(startMs, durationMs === 0 && outcome !== 'rejected' ? line : Number.POSITIVE_INFINITY);
    this.#moveTo(startMs);
    const permit = this.#breaker.tryAcquire();
    if (permit === undefined) this.#refused(call);
    else this.#admitted(call, permit, line);
    this.#planLook();
  }

  /** Ends every call that is out. */
  end(): PolicyReport {
    this.#endUntil(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    this.#moveTo(this.#span.toMs);
    this.#changed(this.#state);
    const [firstFailure, firstOpening] = [this.#firstFailureMs, this.#firstOpeningMs];
    return {
      label: this.#label,
      ...this.#counts,
      ...this.#unknown,
      opened: this.#opened,
      openMs: this.#openMs,
      openShare: this.#openMs / Math.max(1, this.#span.toMs - this.#span.fromMs),
      firstOpeningAfterMs: firstFailure === undefined || firstOpening === undefined ? null : firstOpening - firstFailure,
      probes: this.#probes,
    };
  }

  /** The share of each part of the trace in which the circuit was open and half-open, 0 to 1. */
  bands(): { readonly open: readonly number[]; readonly halfOpen: readonly number[] } {
    return { open: this.#open.shares(), halfOpen: this.#halfOpen.shares() };
  }

  #refused({ outcome }: RecordedCall): void {
    this.#counts.rejected += 1;
    if (outcome === 'success') this.#counts.goodCallsRefused += 1;
    else if (isFailure(outcome)) this.#counts.failuresAvoided += 1;
    else if (outcome === 'rejected') this.#unknown.unknownRejected += 1;
  }

  #admitted(call: RecordedCall, permit: Permit, line: number): void {
    const { startMs, durationMs, outcome } = call;
    this.#counts.admitted += 1;
    if (isFailure(outcome)) this.#counts.failuresLetThrough += 1;
    if (outcome === 'rejected') {
      this.#unknown.unknownAdmitted += 1;
      this.#breaker.release(permit);
      return;
    }
    if (this.#state === 'half-open') {
      this.#probes += 1;
      this.#probeEnds.push(startMs + this.#probeMs);
    }
    const ending = { endMs: startMs + durationMs, line, permit, call };
    if (durationMs === 0) this.#finish(ending);
    else this.#ends.add(ending);
  }

  #endUntil(ms: number, line: number): void {
    for (let next = this.#ends.first; next !== undefined; next = this.#ends.first) {
      if (next.endMs > ms || (next.endMs === ms && next.line > line)) return;
      this.#ends.take();
      this.#moveTo(next.endMs);
      this.#finish(next);
      this.#planLook();
    }
  }

  #finish({ endMs, permit, call: { durationMs, outcome, throttledMs = 0 } }: Ending): void {
    if (isFailure(outcome)) this.#firstFailureMs ??= endMs;
    if (outcome === 'success') this.#breaker.onSuccess(permit, durationMs);
    else if (outcome === 'failure') this.#breaker.onFailure(permit, undefined, durationMs);
    else if (outcome === 'throttled') this.#breaker.onThrottled(permit, throttledMs, undefined, durationMs);
    else this.#breaker.release(permit, undefined, durationMs);
  }

  /** Goes on to an instant and stops where time alone changes the state: a breaker says so only when somebody looks. */
  #moveTo(ms: number): void {
    while (this.#nextLook <= ms) {
      this.#now = this.#nextLook;
      this.#state = this.#breaker.state;
      this.#planLook();
    }
    this.#now = ms;
  }

  #planLook(): void {
    this.#nextLook = Number.POSITIVE_INFINITY;
    if (this.#state === 'open') this.#nextLook = this.#now + (this.#breaker.retryAfterMs ?? Number.POSITIVE_INFINITY);
    if (this.#state !== 'half-open') return;
    while ((this.#probeEnds[0] ?? Number.POSITIVE_INFINITY) <= this.#now) this.#probeEnds.shift();
    this.#nextLook = this.#probeEnds[0] ?? Number.POSITIVE_INFINITY;
  }

  #changed(to: CircuitState): void {
    if (this.#state === 'open') {
      this.#openMs += this.#now - this.#since;
      this.#open.span(this.#since, this.#now);
    }
    if (this.#state === 'half-open') this.#halfOpen.span(this.#since, this.#now);
    if (to === 'open' && this.#state !== 'open') {
      this.#opened += 1;
      if (this.#firstFailureMs !== undefined) this.#firstOpeningMs ??= this.#now;
    }
    if (to !== 'half-open') this.#probeEnds.length = 0;
    this.#state = to;
    this.#since = this.#now;
  }
}

function isFailure(outcome: RecordedCall['outcome']): boolean {
  return outcome === 'failure' || outcome === 'throttled';
}
