import type { Outcome } from '../outcome.ts';
import { outliers } from './outlier-rates.ts';
import type { OutlierSettings } from './pool-settings.ts';

/** Why a member was ejected. */
export type EjectionReason = 'consecutive-failures' | 'success-rate' | 'failure-rate' | 'probe-failed' | 'probe-expired' | 'throttled';

/** What outlier detection tells while it decides. */
export interface EjectionObserver {
  ejected(at: number, reason: EjectionReason, forMs: number): void;
  returned(at: number, outForMs: number): void;
}

/** What is remembered of one member. */
export interface Host {
  /** `closed` takes calls, `open` is ejected, `half-open` is due and takes one probe. */
  state: 'closed' | 'open' | 'half-open';
  /** Grows with each change of the state: a call that an earlier one admitted is late. */
  generation: number;
  /** When an ejection ends. */
  until: number;
  /** Until when the server asked to be left alone. */
  restUntil: number;
  /** The deadline of the probe that is out; Infinity if none is. */
  probeUntil: number;
  /** By how many times the base the present or last ejection is long. */
  times: number;
  /** Failures since the last success. */
  consecutive: number;
  /** Calls and failures of this interval. */
  calls: number;
  failures: number;
  returnedAt: number;
  /** Since when it takes no ordinary calls; undefined while it does. */
  outSince: number | undefined;
}

/** Of a call that was admitted in spite of an ejection: its result says nothing new. */
const inPanic = 0;

/**
 * Which members take calls. After Envoy's outlier detection, but for two things: an ejected member returns by one probe,
 * where Envoy lets everything through until it has failed five times more, and a server's own request to be left alone is
 * kept for exactly as long as it asked, whatever share of the members that leaves.
 *
 * A function of the results and of the time: nothing runs on a timer, and intervals that nobody saw end are made up for.
 */
export class OutlierDetection {
  readonly hosts: readonly Host[];
  readonly #settings: OutlierSettings;
  readonly #observer: EjectionObserver;
  #intervalEnd: number;

  constructor(members: number, settings: OutlierSettings, now: number, observer: EjectionObserver) {
    this.#settings = settings;
    this.#observer = observer;
    this.#intervalEnd = now + settings.intervalMs;
    this.hosts = Array.from({ length: members }, newHost);
  }

  /** What is remembered of the member at that place. */
  host(at: number): Host {
    const host = this.hosts[at];
    if (host === undefined) throw new RangeError(`there is no member ${at}`);
    return host;
  }

  /** Brings all members up to the present: ended intervals, ejections, rests and probes. */
  settle(now: number): void {
    if (now >= this.#intervalEnd) this.#endIntervals(now);
    this.#settleHosts(now);
  }

  /** Members that take a call now, panic apart. */
  available(now: number): number {
    return count(this.hosts, (host) => this.takes(host, false, now));
  }

  /** Whether so few members take calls that ejection is disregarded. */
  panics(now: number): boolean {
    const { panicThreshold, inOrder } = this.#settings;
    const available = this.available(now);
    return panicThreshold > 0 && (inOrder ? available === 0 : available / this.hosts.length < panicThreshold);
  }

  /** Whether a member takes a call now. */
  takes(host: Host, panic: boolean, now: number): boolean {
    if (host.restUntil > now) return false;
    return panic || host.state === 'closed' || (host.state === 'half-open' && host.probeUntil === Number.POSITIVE_INFINITY);
  }

  /** Admits a call to a member that takes one; returns the generation under which its result is to be handed in. */
  admit(host: Host, now: number): number {
    if (host.state === 'closed') return host.generation;
    if (host.state === 'open' || host.probeUntil !== Number.POSITIVE_INFINITY) return inPanic;
    host.probeUntil = now + this.#settings.baseEjectionMs;
    return host.generation;
  }

  /** In how many ms a member that is out takes a call again; in a panic only a rest keeps it from that. */
  waitMs(host: Host, panic: boolean, now: number): number {
    if (panic) return Math.max(0, Math.ceil(host.restUntil - now));
    return Math.max(0, Math.ceil(Math.max(ejectedUntil(host), host.restUntil) - now));
  }

  /** Counts what came of a call; false where it came too late to count. */
  finish(at: number, generation: number, outcome: Outcome, now: number): boolean {
    const host = this.host(at);
    const counts = generation === host.generation;
    if (typeof outcome === 'object' && outcome.throttledMs > 0) this.#rest(at, outcome.throttledMs, now); // true whoever asked
    if (!counts) return false;
    if (host.state === 'half-open') this.#finishProbe(at, outcome, now);
    else this.#finishCall(at, outcome, now);
    return true;
  }

  #finishCall(at: number, outcome: Outcome, now: number): void {
    const host = this.host(at);
    if (!isVerdict(outcome)) return;
    host.calls += 1;
    if (outcome === 'success') {
      host.consecutive = 0;
      return;
    }
    host.failures += 1;
    host.consecutive += 1;
    if (host.consecutive < this.#settings.consecutiveFailures) return;
    host.consecutive = 0; // where too many are out, it takes as many failures again
    this.#ejectIfAllowed(at, 'consecutive-failures', now);
  }

  #finishProbe(at: number, outcome: Outcome, now: number): void {
    const host = this.host(at);
    host.probeUntil = Number.POSITIVE_INFINITY;
    if (outcome === 'success') {
      this.#enter(host, 'closed');
      host.returnedAt = now;
      if (host.restUntil <= now) this.#takeBack(at, now);
    } else if (isVerdict(outcome)) {
      this.#ejectIfAllowed(at, 'probe-failed', now);
    }
  }

  /** Ejects a member unless too many are; a member that is due holds no place, or one that nobody asks for would keep it. */
  #ejectIfAllowed(at: number, reason: EjectionReason, now: number): void {
    const ejected = count(this.hosts, ({ state, until }) => state === 'open' && until > now);
    if (ejected === 0 || (ejected + 1) / this.hosts.length <= this.#settings.maxEjectionFraction) this.#eject(at, reason, now);
  }

  #eject(at: number, reason: EjectionReason, now: number): void {
    const { baseEjectionMs, maxEjectionMs, maxEjectionJitterMs, random } = this.#settings;
    const host = this.host(at);
    if (host.times * baseEjectionMs < maxEjectionMs) host.times += 1;
    const jitterMs = maxEjectionJitterMs === 0 ? 0 : Math.floor(random() * (maxEjectionJitterMs + 1));
    const forMs = Math.min(host.times * baseEjectionMs, maxEjectionMs) + jitterMs;
    host.until = now + forMs;
    this.#enter(host, 'open');
    host.outSince ??= now;
    this.#observer.ejected(at, reason, forMs);
  }

  #rest(at: number, forMs: number, now: number): void {
    const host = this.host(at);
    host.restUntil = Math.max(host.restUntil, now + forMs);
    if (host.outSince !== undefined) return;
    host.outSince = now;
    this.#observer.ejected(at, 'throttled', forMs);
  }

  #enter(host: Host, state: Host['state']): void {
    host.state = state;
    host.generation += 1;
    host.probeUntil = Number.POSITIVE_INFINITY;
    host.consecutive = host.calls = host.failures = 0;
  }

  /** Probes expire in the order of their deadlines: each ejection may leave no place for the next. */
  #settleHosts(now: number): void {
    const expired = [...this.hosts.entries()].filter(([, { probeUntil }]) => probeUntil <= now);
    for (const [at, host] of expired.sort(([, a], [, b]) => a.probeUntil - b.probeUntil)) {
      const deadline = host.probeUntil;
      this.#enter(host, 'half-open'); // what the probe still brings is late
      this.#ejectIfAllowed(at, 'probe-expired', deadline);
    }
    for (const [at, host] of this.hosts.entries()) {
      if (host.state === 'open' && host.until <= now) this.#enter(host, 'half-open');
      if (host.state === 'closed' && host.restUntil <= now) this.#takeBack(at, host.restUntil);
    }
  }

  #takeBack(at: number, since: number): void {
    const host = this.host(at);
    if (host.outSince === undefined) return;
    const outForMs = since - host.outSince;
    host.outSince = undefined;
    this.#observer.returned(at, outForMs);
  }

  /** Only the first of several ended intervals can hold calls; the others just shorten the next ejections. */
  #endIntervals(now: number): void {
    const { intervalMs } = this.#settings;
    const first = this.#intervalEnd;
    const further = Math.floor((now - first) / intervalMs);
    this.#intervalEnd = first + (further + 1) * intervalMs;
    this.#settleHosts(first);
    const tallies = this.hosts.map(({ state, calls, failures }) => (state === 'closed' ? { calls, failures } : undefined));
    for (const host of this.hosts) host.calls = host.failures = 0;
    for (const { at, reason } of outliers(tallies, this.#settings)) {
      if (this.host(at).state === 'closed') this.#ejectIfAllowed(at, reason, first);
    }
    for (const host of this.hosts) {
      if (host.state !== 'closed') continue;
      const healthy = further + (first - host.returnedAt >= intervalMs ? 1 : 0);
      host.times = Math.max(0, host.times - healthy);
    }
  }
}

function newHost(): Host {
  const never = { probeUntil: Number.POSITIVE_INFINITY, restUntil: Number.NEGATIVE_INFINITY, returnedAt: Number.NEGATIVE_INFINITY };
  return { state: 'closed', generation: 1, until: 0, times: 0, consecutive: 0, calls: 0, failures: 0, outSince: undefined, ...never };
}

/** Until when ejection keeps calls away; a clock may stand below 0, so "not at all" is no 0. */
function ejectedUntil({ state, until, probeUntil }: Host): number {
  if (state === 'open') return until;
  const probing = state === 'half-open' && probeUntil !== Number.POSITIVE_INFINITY;
  return probing ? probeUntil : Number.NEGATIVE_INFINITY;
}

/** Whether an outcome speaks for or against a member. A server that wants to be left alone and names no time only refuses. */
function isVerdict(outcome: Outcome): boolean {
  return outcome === 'success' || outcome === 'failure' || (typeof outcome === 'object' && outcome.throttledMs === 0);
}

function count(hosts: readonly Host[], test: (host: Host) => boolean): number {
  let found = 0;
  for (const host of hosts) if (test(host)) found += 1;
  return found;
}
