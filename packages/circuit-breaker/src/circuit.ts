import type { CircuitState } from './circuit-state.ts';
import { IllegalTransitionError } from './errors.ts';
import type { TransitionReason } from './events.ts';
import type { Outcome } from './outcome.ts';
import { Probes } from './probes.ts';
import type { Settings } from './settings.ts';
import type { OpenReason, WindowCounts } from './sliding-window.ts';

/** Leave to make one call. Opaque; give each back exactly once. */
export type Permit = number;

/** What the state machine tells while it decides. */
export interface CircuitObserver {
  transition(from: CircuitState, to: CircuitState, reason: TransitionReason): void;
  wouldOpen(reason: OpenReason | 'throttled'): void;
}

const states: ReadonlySet<CircuitState> = new Set(['closed', 'open', 'half-open', 'forced-open', 'disabled', 'metrics-only']);

/**
 * The state machine: permits out, outcomes in. Runs nothing, waits for nothing, and reads the clock only where the answer
 * depends on it.
 *
 * Every state is a generation of its own, and a permit names its generation, so that the result of a call that an earlier
 * state admitted is recognised as late (after sony/gobreaker).
 */
export class Circuit {
  #settings: Settings;
  #probes: Probes;
  readonly #observer: CircuitObserver;
  #openUntil = 0;
  #told: OpenReason | 'throttled' | undefined;
  #lastPermit: Permit = 1;
  /** The state when somebody last looked. */
  state: CircuitState = 'closed';
  /** The permit of every call of this generation but the probes, each of which has one of its own. */
  generation: Permit = 1;

  constructor(settings: Settings, observer: CircuitObserver) {
    this.#settings = settings;
    this.#probes = new Probes(settings.probes);
    this.#observer = observer;
  }

  /** Goes on with other settings. */
  reconfigure(settings: Settings): void {
    this.settle();
    const { failures, calls } = this.counts();
    if (settings.window.constructor === this.#settings.window.constructor) {
      const now = settings.clock.now();
      for (let i = 0; i < calls - failures; i += 1) settings.window.record(false, false, now);
      for (let i = 0; i < failures; i += 1) settings.window.record(true, false, now);
    }
    if (this.state !== 'half-open') this.#probes = new Probes(settings.probes);
    this.#settings = settings;
  }

  /** Brings the state up to the present: an elapsed wait, an expired probe. */
  settle(): CircuitState {
    if (this.state === 'open' || this.state === 'half-open') this.#settleAt(this.#settings.clock.now());
    return this.state;
  }

  /** A permit, or undefined where the circuit refuses. */
  admit(): Permit | undefined {
    switch (this.settle()) {
      case 'open':
      case 'forced-open':
        return undefined;
      case 'half-open':
        return this.#admitProbe();
      default:
        return this.generation;
    }
  }

  /** Counts an outcome; false where it came too late to count. */
  finish(permit: Permit, outcome: Outcome, slow: boolean): boolean {
    const state = this.settle();
    if (permit === this.generation) return this.#finishCall(outcome, slow);
    if (state === 'half-open') return this.#finishProbe(permit, outcome, slow);
    if (state === 'open' && typeof outcome === 'object') this.#stayOpen(outcome.throttledMs); // true whoever asked
    return false;
  }

  /** Changes the state by hand. */
  transitionTo(state: CircuitState): void {
    if (!states.has(state)) throw new RangeError(`a state must be one of ${[...states].join(', ')}, not ${String(state)}`);
    const from = this.settle();
    if (state === 'half-open' && from !== 'open') throw new IllegalTransitionError(this.#settings.name, from, state);
    if (state === 'open') this.#open(this.#settings.clock.now(), 0, 'by-hand');
    else this.#enter(state, 'by-hand');
  }

  /** In how many ms it is worth asking again; undefined where no time brings that. */
  retryAfterMs(): number | undefined {
    switch (this.settle()) {
      case 'open':
        return Math.max(0, Math.ceil(this.#openUntil - this.#settings.clock.now()));
      case 'half-open':
        return this.#probes.full ? Math.max(0, Math.ceil(this.#probes.earliestDeadline() - this.#settings.clock.now())) : 0;
      case 'forced-open':
        return undefined;
      default:
        return 0;
    }
  }

  counts(): WindowCounts {
    return this.#settings.window.counts(this.#settings.window.readsTime ? this.#settings.clock.now() : 0);
  }

  #admitProbe(): Permit | undefined {
    const permit = this.#lastPermit + 1;
    if (!this.#probes.take(permit, this.#settings.clock.now() + this.#settings.probeMs)) return undefined;
    this.#lastPermit = permit;
    return permit;
  }

  #finishCall(outcome: Outcome, slow: boolean): boolean {
    if (this.state !== 'closed' && this.state !== 'metrics-only') return this.state === 'disabled';
    if (outcome === 'ignore') return true;
    if (typeof outcome === 'object') {
      if (this.state === 'closed') this.#open(this.#settings.clock.now(), outcome.throttledMs, 'throttled');
      else this.#tell('throttled');
      return true;
    }
    this.record(outcome === 'failure', slow);
    return true;
  }

  /** Adds a call of the present generation to the window and opens the circuit where that reaches a threshold. */
  record(failed: boolean, slow: boolean): void {
    const { window, clock } = this.#settings;
    const reason = window.record(failed, slow, window.readsTime ? clock.now() : 0);
    if (this.state === 'metrics-only') {
      this.#tell(reason);
    } else if (reason !== undefined) {
      this.#open(clock.now(), 0, reason);
    }
  }

  #tell(reason: OpenReason | 'throttled' | undefined): void {
    if (reason !== undefined && reason !== this.#told) this.#observer.wouldOpen(reason);
    this.#told = reason;
  }

  #finishProbe(permit: Permit, outcome: Outcome, slow: boolean): boolean {
    const failed = outcome === 'failure' || typeof outcome === 'object' || (slow && outcome !== 'ignore');
    const result = outcome === 'ignore' ? 'ignore' : failed ? 'failure' : 'success';
    if (!this.#probes.end(permit, result)) return false;
    const { clock, probes, probeFailureRate } = this.#settings;
    if (typeof outcome === 'object') {
      this.#open(clock.now(), outcome.throttledMs, 'throttled');
    } else if (this.#probes.failures / probes >= probeFailureRate) {
      this.#open(clock.now(), 0, 'probe-failed');
    } else if (this.#probes.successes + this.#probes.failures === probes) {
      this.#enter('closed', 'probes-succeeded');
    }
    return true;
  }

  #settleAt(now: number): void {
    if (this.state === 'half-open') {
      const deadline = this.#probes.earliestDeadline();
      if (deadline <= now) this.#open(deadline, 0, 'probe-expired');
    }
    if (this.state === 'open' && now >= this.#openUntil) this.#enter('half-open', 'wait-elapsed');
  }

  #open(now: number, hintMs: number, reason: TransitionReason): void {
    this.#openUntil = now + Math.max(this.#settings.openMs, hintMs);
    this.#enter('open', reason);
  }

  #stayOpen(hintMs: number): void {
    this.#openUntil = Math.max(this.#openUntil, this.#settings.clock.now() + hintMs);
  }

  #enter(state: CircuitState, reason: TransitionReason): void {
    const from = this.state;
    this.state = state;
    this.#lastPermit += 1;
    this.generation = this.#lastPermit;
    this.#probes.begin();
    this.#settings.window.clear();
    this.#told = undefined;
    if (from !== state) this.#observer.transition(from, state, reason);
  }
}
