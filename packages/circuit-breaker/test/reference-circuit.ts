import type { CircuitState, SlidingWindowOptions } from '../src/index.ts';

export type Result = 'success' | 'failure' | 'ignore' | { readonly throttledMs: number };

export interface ReferenceOptions {
  readonly window: SlidingWindowOptions;
  readonly failureRate: number;
  readonly slowRate: number | undefined;
  readonly minimumCalls: number;
  readonly probes: number;
  readonly openMs: number;
  readonly openMultiplier: number;
  readonly openMaxMs: number;
  readonly jitter: number;
  readonly hintAlone: boolean;
  readonly slowInFlight: boolean;
  readonly probeMs: number;
}

/** From this many ms on a call is slow. */
export const slowMs = 16;

/** What chance answers, each time. */
export const chance = 0.25;

/** A call that was admitted: in which era, and how it ended. */
export interface ReferenceCall {
  readonly era: object;
  readonly probe: boolean;
  readonly beganAt: number;
  readonly deadline: number;
  answered?: boolean;
  result?: 'success' | 'failure' | 'ignore';
}

interface Recorded {
  readonly at: number;
  readonly failed: boolean;
  readonly slow: boolean;
}

/** What a circuit should do, written for the reader alone: every call is kept for ever, and every question looks through all of them. */
export class ReferenceCircuit {
  readonly #options: ReferenceOptions;
  readonly #visit: (row: string) => void;
  #era = {};
  #eraAt: number;
  #inFlight: ReferenceCall[] = [];
  #openings = 0;
  #openedAt = 0;
  #history: Recorded[] = [];
  #probes: ReferenceCall[] = [];
  #openUntil = 0;
  #toldLast: string | undefined;
  state: CircuitState = 'closed';
  rejected = 0;
  late = 0;
  opened = 0;
  readonly readmissions: Array<readonly [openings: number, afterMs: number]> = [];
  readonly changes: string[] = [];
  readonly told: string[] = [];

  constructor(options: ReferenceOptions, startAt: number, visit: (row: string) => void) {
    this.#options = options;
    this.#visit = visit;
    this.#eraAt = startAt;
  }

  settle(now: number): void {
    this.settleWait(now);
    if (this.state === 'closed' || this.state === 'metrics-only') this.#settleInFlight(now);
  }

  settleWait(now: number): void {
    if (this.state === 'half-open') {
      for (const probe of this.#probes) if (probe.answered && probe.deadline <= now) probe.result ??= 'ignore';
      const overdue = this.#probes.filter((probe) => probe.result === undefined && probe.deadline <= now);
      if (overdue.length > 0) this.#open(Math.min(...overdue.map((probe) => probe.deadline)), 0, 'probe-expired');
    }
    if (this.state === 'open' && now >= this.#openUntil) this.#change('half-open', 'wait-elapsed', now);
  }

  acquire(now: number): ReferenceCall | undefined {
    this.settle(now);
    const full = this.#probes.filter((probe) => probe.result !== 'ignore').length >= this.#options.probes;
    const refuses = this.state === 'open' || this.state === 'forced-open' || (this.state === 'half-open' && full);
    this.#visit(`${this.state}: ${refuses ? 'refuses' : 'admits'}`);
    if (refuses) {
      this.rejected += 1;
      return undefined;
    }
    const call = { era: this.#era, probe: this.state === 'half-open', beganAt: now, deadline: now + this.#options.probeMs };
    this.#inFlight.push(call);
    if (call.probe) this.#probes.push(call);
    return call;
  }

  finish(call: ReferenceCall, result: Result, slowly: boolean, now: number): void {
    this.settleWait(now);
    const inTime = call.era === this.#era && !(call.probe && call.result !== undefined);
    this.#visit(`${this.state}: ${typeof result === 'object' ? 'throttled' : result} ${inTime ? 'counts' : 'is late'}`);
    if (!inTime) {
      this.late += 1;
      if (this.state === 'open' && typeof result === 'object') this.#openUntil = Math.max(this.#openUntil, now + result.throttledMs);
      if (this.state === 'half-open' && typeof result === 'object') this.#open(now, result.throttledMs, 'throttled');
      return;
    }
    call.answered = true;
    const slow =
      slowly &&
      this.#options.slowRate !== undefined &&
      (result === 'success' || result === 'failure' || (result === 'ignore' && this.#watches));
    if (this.state === 'half-open') this.#finishProbe(call, result, slow, now);
    else if (this.state !== 'disabled') this.#finishCall(result, slow, now);
  }

  /** The call begins to answer: from now on it does not hang. */
  answer(call: ReferenceCall): void {
    call.answered = true;
  }

  /** Everything goes on but the calls in flight. */
  restart(now: number): void {
    this.#era = {};
    this.#eraAt = now;
    this.#inFlight = [];
    this.#probes = [];
    this.#toldLast = undefined;
  }

  /** Whether the transition is legal; if so it is made. */
  transitionTo(state: CircuitState, now: number): boolean {
    this.settle(now);
    if (state === 'half-open' && this.state !== 'open') {
      this.#visit(`${this.state} > half-open: illegal`);
      return false;
    }
    if (state === 'open') this.#open(now, 0, 'by-hand');
    else this.#change(state, 'by-hand', now);
    return true;
  }

  retryAfterMs(now: number): number | undefined {
    this.settle(now);
    if (this.state === 'forced-open') return undefined;
    if (this.state === 'open') return Math.ceil(this.#openUntil - now);
    const counted = this.#probes.filter((probe) => probe.result !== 'ignore');
    if (this.state !== 'half-open' || counted.length < this.#options.probes) return 0;
    return Math.min(this.#options.openMs, ...counted.filter((probe) => probe.result === undefined).map((probe) => probe.deadline - now));
  }

  metrics(now: number) {
    this.settle(now);
    const calls = this.#windowed(now);
    const failures = calls.filter((call) => call.failed).length;
    const slowCalls = this.#options.window.type === 'consecutive' ? 0 : calls.filter((call) => call.slow).length;
    return {
      state: this.state,
      calls: calls.length,
      failures,
      slowCalls,
      slowCallsInFlight: this.#watches ? this.#hanging(now) : 0,
      rejected: this.rejected,
      late: this.late,
      opened: this.opened,
      readmitted: this.readmissions.length,
    };
  }

  get #watches(): boolean {
    return this.#options.slowInFlight;
  }

  /** Calls that hang: their part of time (a sixteenth of what is slow) lies more than sixteen parts back. */
  #hanging(now: number): number {
    const part = (at: number) => Math.floor((at - this.#eraAt) / (slowMs / 16));
    const waiting = this.#inFlight.filter((call) => call.era === this.#era && !call.probe && call.answered !== true);
    return waiting.filter((call) => part(now) - part(call.beganAt) > 16).length;
  }

  #settleInFlight(now: number): void {
    if (this.#hangingTooMany(now)) this.#reach('slow-call-rate', now);
  }

  #hangingTooMany(now: number): boolean {
    const hanging = this.#watches ? this.#hanging(now) : 0;
    const { minimumCalls, slowRate = Number.POSITIVE_INFINITY } = this.#options;
    const calls = this.#windowed(now);
    const all = calls.length + hanging;
    return hanging > 0 && all >= minimumCalls && (calls.filter((call) => call.slow).length + hanging) / all >= slowRate;
  }

  #reach(reason: string, now: number): void {
    if (this.state === 'metrics-only') this.#tell(reason);
    else this.#open(now, 0, reason);
  }

  #finishCall(result: Result, slow: boolean, now: number): void {
    if (result === 'ignore' && !slow) return;
    if (typeof result === 'object') {
      if (this.state === 'closed') this.#open(now, result.throttledMs, 'throttled');
      else this.#tell('throttled');
      return;
    }
    this.#history.push({ at: now, failed: result === 'failure', slow });
    const reason = this.#reasonToOpen(now) ?? (this.#hangingTooMany(now) ? 'slow-call-rate' : undefined);
    if (reason === undefined) this.#toldLast = undefined;
    else this.#reach(reason, now);
  }

  #finishProbe(call: ReferenceCall, result: Result, slow: boolean, now: number): void {
    if (typeof result === 'object') {
      this.#open(now, result.throttledMs, 'throttled');
      return;
    }
    call.result = slow && result === 'success' ? 'failure' : result;
    const failed = this.#probes.filter((probe) => probe.result === 'failure').length;
    const succeeded = this.#probes.filter((probe) => probe.result === 'success').length;
    const anyIsTooMany = this.#options.window.type === 'consecutive';
    if (failed > 0 && (anyIsTooMany || failed / this.#options.probes >= this.#options.failureRate)) this.#open(now, 0, 'probe-failed');
    else if (failed + succeeded === this.#options.probes) {
      this.readmissions.push([this.#openings, now - this.#openedAt]);
      this.#change('closed', 'probes-succeeded', now);
    }
  }

  #reasonToOpen(now: number): string | undefined {
    const { window, minimumCalls, failureRate, slowRate } = this.#options;
    const calls = this.#windowed(now);
    if (window.type === 'consecutive') return calls.length >= window.failures ? 'consecutive-failures' : undefined;
    if (calls.length < minimumCalls) return undefined;
    if (calls.filter((call) => call.failed).length / calls.length >= failureRate) return 'failure-rate';
    if (slowRate === undefined) return undefined;
    return calls.filter((call) => call.slow).length / calls.length >= slowRate ? 'slow-call-rate' : undefined;
  }

  #windowed(now: number): Recorded[] {
    const { window } = this.#options;
    if (window.type === 'consecutive') return this.#history.slice(this.#history.findLastIndex((call) => !call.failed) + 1);
    if (window.type === 'count') return this.#history.slice(-window.size);
    const buckets = window.buckets ?? 10;
    const bucket = (at: number) => Math.floor(at / (window.durationMs / buckets));
    return this.#history.filter((call) => bucket(call.at) > bucket(now) - buckets);
  }

  #tell(reason: string): void {
    if (reason !== this.#toldLast) {
      this.told.push(reason);
      this.#visit(`metrics-only tells ${reason}`);
    }
    this.#toldLast = reason;
  }

  #open(now: number, hintMs: number, reason: string): void {
    const { openMs, openMultiplier, openMaxMs, jitter, hintAlone } = this.#options;
    if (this.#openings === 0) this.#openedAt = now;
    if (this.state !== 'open') {
      this.#openings += 1;
      this.opened += 1;
    }
    const wait = Math.min(openMaxMs, openMs * openMultiplier ** (this.#openings - 1));
    const least = hintAlone && reason === 'throttled' ? 0 : wait * (1 - jitter * chance);
    this.#openUntil = now + Math.max(least, hintMs);
    this.#change('open', reason, now);
  }

  #change(to: CircuitState, reason: string, now: number): void {
    this.#visit(`${this.state} > ${to}: ${reason}`);
    if (this.state !== to) this.changes.push(`${this.state} > ${to}: ${reason}`);
    this.state = to;
    if (to !== 'open' && to !== 'half-open') this.#openings = 0;
    this.#era = {};
    this.#eraAt = now;
    this.#inFlight = [];
    this.#history = [];
    this.#probes = [];
    this.#toldLast = undefined;
  }
}
