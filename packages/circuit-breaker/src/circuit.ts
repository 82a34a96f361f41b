import { delayAfter } from './backoff.ts';
import type { CircuitRecord } from './circuit-record.ts';
import { type CircuitState, circuitStates } from './circuit-state.ts';
import { IllegalTransitionError } from './errors.ts';
import type { TransitionReason } from './events.ts';
import { InFlight } from './in-flight.ts';
import { oneOf } from './options.ts';
import type { Outcome } from './outcome.ts';
import { Probes } from './probes.ts';
import type { Settings } from './settings.ts';
import { type OpenReason, type SlidingWindow, slidingWindow, type WindowCounts } from './windows/sliding-window.ts';

/** Leave to make one call. Opaque; give each back exactly once. */
export type Permit = number;

/** Hears what the state machine decides. */
export interface CircuitObserver {
  transition(from: CircuitState, to: CircuitState, reason: TransitionReason): void;
  wouldOpen(reason: OpenReason | 'throttled'): void;
  readmitted(openings: number, afterMs: number): void;
}

/**
 * The state machine: permits out, outcomes in. Runs nothing, waits for nothing, and reads the clock only where the answer
 * depends on it. A caller who has read it hands the time in as `now`, others NaN.
 *
 * Every state is a generation of its own, and a permit lies above the generation that admitted it and below the next, so that
 * the result of a call that an earlier state admitted is recognised as late (after sony/gobreaker).
 */
export class Circuit {
  readonly #observer: CircuitObserver;
  readonly #probes = new Probes();
  #settings: Settings;
  #window: SlidingWindow;
  #inFlight: InFlight | undefined;
  #openUntil = 0;
  #openings = 0;
  #openSince = 0;
  #told: OpenReason | 'throttled' | undefined;
  #lastPermit: Permit = 1;
  /** The state when somebody last looked. */
  state: CircuitState = 'closed';
  /** The first permit of this state; where calls in flight are not watched, the permit of every call but the probes. */
  generation: Permit = 1;
  /** The permit of a call that is admitted without a look at anything; 0 where one must look. */
  freePermit: Permit = 1;
  /** Whether a success would change nothing: no failure is counted, and the window remembers nothing else. */
  #quiet: boolean;

  constructor(settings: Settings, observer: CircuitObserver) {
    this.#settings = settings;
    this.#observer = observer;
    this.#window = slidingWindow(settings.window, settings.thresholds);
    this.#quiet = settings.window.type === 'consecutive';
    if (!settings.slowInFlight) return;
    this.#inFlight = new InFlight(settings.slowMs, 1, settings.clock.now());
    this.freePermit = 0;
  }

  /** How many calls have been in flight for so long that they are slow; 0 unless they are watched. */
  get slowInFlight(): number {
    return this.#inFlight?.slow(this.#settings.clock.now()) ?? 0;
  }

  /** Brings the state up to the present: an elapsed wait, an expired probe, calls that hang. */
  settle(now = Number.NaN): CircuitState {
    this.#settleWait(now);
    if (this.#inFlight?.hangs(this.#at(now))) this.#settleInFlight(now);
    return this.state;
  }

  /** A permit, or undefined where the circuit refuses. */
  admit(now = Number.NaN): Permit | undefined {
    if (this.state === 'closed' && this.#inFlight !== undefined) {
      const at = this.#at(now);
      if (!this.#inFlight.hangs(at)) return this.#inFlight.begin(at);
    }
    switch (this.settle(now)) {
      case 'open':
      case 'forced-open':
        return undefined;
      case 'half-open':
        return this.#admitProbe(this.#at(now));
      default:
        return this.#inFlight === undefined ? this.generation : this.#inFlight.begin(this.#at(now));
    }
  }

  /** The call has begun to answer and is no longer watched; returns the permit to give back instead. */
  answered(permit: Permit): Permit {
    if (permit < this.generation) return permit; // of an earlier state, or told before
    if (this.state === 'half-open') this.#probes.answered(permit);
    else this.#inFlight?.end(permit);
    return -permit;
  }

  /** Counts an outcome; false where it came too late to count. */
  finish(permit: Permit, outcome: Outcome, slow: boolean, now = Number.NaN): boolean {
    this.#settleWait(now); // calls that hang are looked at when this one hangs no longer
    const counted = this.isOwn(permit) && this.#finishOwn(permit, outcome, slow, now);
    if (!counted && typeof outcome === 'object') this.#stayAway(outcome.throttledMs);
    return counted;
  }

  /** Whether this state has handed the permit out, as it is or as {@link Circuit.answered} gives it back. */
  isOwn(permit: Permit): boolean {
    const own = permit < 0 ? -permit : permit;
    return own >= this.generation && (own <= this.#lastPermit || own <= (this.#inFlight?.lastPermit ?? 0));
  }

  /** Counts a success of the closed circuit's present generation. */
  succeed(permit: Permit, slow: boolean, now: number): void {
    if (this.#quiet) return;
    if (this.#inFlight !== undefined && permit > 0) this.#inFlight.end(permit);
    this.#count(false, slow, now);
  }

  /** Changes the state by hand. */
  transitionTo(state: CircuitState): void {
    oneOf('a state', state, circuitStates);
    const from = this.settle();
    if (state === 'half-open' && from !== 'open') throw new IllegalTransitionError(this.#settings.name, from, state);
    if (state === 'open') this.#open(this.#settings.clock.now(), 0, 'by-hand');
    else this.#enter(state, 'by-hand');
  }

  /** In how many ms it is worth asking again; undefined where no time brings that. */
  retryAfterMs(now = this.#settings.clock.now()): number | undefined {
    switch (this.settle(now)) {
      case 'open':
        return Math.ceil(this.#openUntil - now);
      case 'half-open':
        return this.#probes.full(this.#settings.probes) ? this.#probeMs(now) : 0;
      case 'forced-open':
        return undefined;
      default:
        return 0;
    }
  }

  counts(): WindowCounts {
    return this.#window.counts(this.#windowTime(Number.NaN));
  }

  /** What it takes to go on from here. */
  snapshot(): CircuitRecord {
    const state = this.settle();
    const now = this.#settings.clock.now();
    return {
      state,
      openForMs: state === 'open' ? Math.max(0, this.#openUntil - now) : 0,
      openings: this.#openings,
      openSinceMs: this.#openings === 0 ? 0 : now - this.#openSince,
      window: this.#window.snapshot(now),
    };
  }

  /** Goes on from a snapshot. Calls that are in flight now come back late. */
  restore({ state, openForMs, openings, openSinceMs, window }: CircuitRecord): void {
    const now = this.#settings.clock.now();
    this.#openUntil = now + openForMs;
    this.#enter(state, 'restored');
    this.#openings = openings;
    this.#openSince = now - openSinceMs;
    if (window.type === this.#settings.window.type) this.#window.restore(window, now);
    this.#quiet = false;
  }

  /** Goes on with other settings: same state, same calls in the window if it is of the same type, same permits. */
  reconfigure(settings: Settings): void {
    const now = this.#settings.clock.now();
    const window = slidingWindow(settings.window, settings.thresholds);
    if (settings.window.type === this.#settings.window.type) window.restore(this.#window.snapshot(now), now);
    if (!settings.slowInFlight) this.#forgetInFlight();
    else if (this.#inFlight?.slowMs !== settings.slowMs) this.#watchAnew(settings.slowMs, now);
    this.#window = window;
    this.#settings = settings;
    this.#quiet = false;
    this.#setFree();
    this.#settleWait(now);
    if (this.state === 'half-open') this.#judgeProbes(); // there may be fewer of them to wait for
  }

  #forgetInFlight(): void {
    this.#lastPermit = Math.max(this.#lastPermit, this.#inFlight?.lastPermit ?? 0);
    this.#inFlight = undefined;
  }

  #watchAnew(slowMs: number, now: number): void {
    this.#forgetInFlight();
    this.#inFlight = new InFlight(slowMs, this.#lastPermit + 1, now);
  }

  get #counts(): boolean {
    return this.state === 'closed' || this.state === 'metrics-only';
  }

  #at(now: number): number {
    return Number.isNaN(now) ? this.#settings.clock.now() : now;
  }

  #windowTime(now: number): number {
    return this.#window.readsTime ? this.#at(now) : 0;
  }

  /** A probe may take long and mostly does not: nobody is told to stay away for longer than an opening would ask. */
  #probeMs(now: number): number {
    const { openFor } = this.#settings;
    return Math.ceil(Math.min(this.#probes.earliestDeadline() - now, openFor.initialDelayMs));
  }

  #admitProbe(now: number): Permit | undefined {
    const { probes, probeMs } = this.#settings;
    if (this.#probes.full(probes)) return undefined;
    this.#lastPermit += 1;
    this.#probes.lend(this.#lastPermit, now + probeMs);
    return this.#lastPermit;
  }

  #finishOwn(permit: Permit, outcome: Outcome, slow: boolean, now: number): boolean {
    if (this.state === 'half-open') return this.#finishProbe(Math.abs(permit), outcome, slow);
    if (permit > 0) this.#inFlight?.end(permit);
    if (!this.#counts) return this.state === 'disabled';
    if (typeof outcome === 'object') {
      if (this.state === 'closed') this.#open(this.#at(now), outcome.throttledMs, 'throttled');
      else this.#tell('throttled');
    } else if (outcome !== 'ignore') {
      this.#count(outcome === 'failure', slow, now);
    } else if (slow && this.#inFlight !== undefined) {
      this.#count(false, true, now); // its caller gave up what was slow
    }
    return true;
  }

  #count(failed: boolean, slow: boolean, now: number): void {
    this.#quiet = !failed && this.#settings.window.type === 'consecutive';
    const reason = this.#window.record(failed, slow, this.#windowTime(now)) ?? this.#slowReached(now);
    if (reason === undefined) this.#told = undefined;
    else this.#act(reason, now);
  }

  #act(reason: OpenReason, now: number): void {
    if (this.state === 'metrics-only') this.#tell(reason);
    else this.#open(this.#at(now), 0, reason);
  }

  #slowReached(now: number): OpenReason | undefined {
    if (this.#inFlight === undefined) return undefined;
    const at = this.#at(now);
    return this.#inFlight.hangs(at) && this.#window.slowReached(this.#inFlight.slow(at), at) ? 'slow-call-rate' : undefined;
  }

  #tell(reason: OpenReason | 'throttled'): void {
    if (reason !== this.#told) this.#observer.wouldOpen(reason);
    this.#told = reason;
  }

  #finishProbe(permit: Permit, outcome: Outcome, slow: boolean): boolean {
    const failed = outcome === 'failure' || typeof outcome === 'object' || (slow && outcome !== 'ignore');
    const result = outcome === 'ignore' ? 'ignore' : failed ? 'failure' : 'success';
    if (!this.#probes.end(permit, result)) return false;
    if (typeof outcome === 'object') this.#open(this.#settings.clock.now(), outcome.throttledMs, 'throttled');
    else this.#judgeProbes();
    return true;
  }

  #judgeProbes(): void {
    const { clock, probes, probeFailureRate } = this.#settings;
    if (this.#probes.failures / probes >= probeFailureRate) this.#open(clock.now(), 0, 'probe-failed');
    else if (this.#probes.successes + this.#probes.failures >= probes) this.#readmit(clock.now());
  }

  #readmit(now: number): void {
    const openings = this.#openings;
    this.#enter('closed', 'probes-succeeded');
    this.#observer.readmitted(openings, now - this.#openSince);
  }

  #settleInFlight(now: number): void {
    const reason = this.#counts ? this.#slowReached(now) : undefined;
    if (reason !== undefined) this.#act(reason, now);
  }

  #settleWait(now: number): void {
    if (this.state !== 'open' && this.state !== 'half-open') return;
    const at = this.#at(now);
    const deadline = this.state === 'half-open' ? this.#probes.missed(at) : undefined;
    if (deadline !== undefined) this.#open(deadline, 0, 'probe-expired');
    if (this.state === 'open' && at >= this.#openUntil) this.#enter('half-open', 'wait-elapsed');
  }

  #open(now: number, hintMs: number, reason: TransitionReason): void {
    const { openFor, openForHintAlone, random } = this.#settings;
    if (this.#openings === 0) this.#openSince = now;
    if (this.state !== 'open') this.#openings += 1;
    const waitMs = delayAfter(this.#openings, openFor, openFor.jitter === 0 ? 0 : random());
    this.#openUntil = now + (openForHintAlone && reason === 'throttled' ? hintMs : Math.max(hintMs, waitMs));
    this.#enter('open', reason);
  }

  /** That a server wants to be left alone is true whoever asked; only what its probes say to a closed circuit is newer. */
  #stayAway(hintMs: number): void {
    const now = this.#settings.clock.now();
    if (this.state === 'open') this.#openUntil = Math.max(this.#openUntil, now + hintMs);
    if (this.state === 'half-open') this.#open(now, hintMs, 'throttled');
  }

  #enter(state: CircuitState, reason: TransitionReason): void {
    const from = this.state;
    this.state = state;
    if (state !== 'open' && state !== 'half-open') this.#openings = 0;
    this.#lastPermit = Math.max(this.#lastPermit, this.#inFlight?.lastPermit ?? 0) + 1;
    this.generation = this.#lastPermit;
    this.#setFree();
    this.#inFlight?.clear(this.generation, this.#settings.clock.now());
    this.#probes.begin();
    this.#window.clear();
    this.#told = undefined;
    if (from !== state) this.#observer.transition(from, state, reason);
  }

  #setFree(): void {
    this.freePermit = this.state === 'closed' && this.#inFlight === undefined ? this.generation : 0;
  }
}
