/** What came of a call. */
export type PoolResult = 'success' | 'failure' | 'ignore' | { readonly throttledMs: number };

export interface ReferencePoolOptions {
  readonly members: number;
  readonly consecutiveFailures: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionFraction: number;
  readonly panicThreshold: number;
  readonly inOrder: boolean;
  readonly intervalMs: number;
  readonly successRate: { readonly stdevFactor: number; readonly minimumMembers: number; readonly minimumCalls: number } | undefined;
  readonly failureRate: { readonly threshold: number; readonly minimumMembers: number; readonly minimumCalls: number } | undefined;
}

interface Ejection {
  readonly until: number;
  probe?: { readonly call: object; readonly until: number } | undefined;
}

interface Patient {
  ejection: Ejection | undefined;
  restUntil: number;
  times: number;
  streak: number;
  /** Results of this interval: true for a success. */
  results: boolean[];
  /** Changes with each ejection and each return. */
  era: object;
  returnedAt: number;
}

/** A call of the reference. */
export interface ReferenceCall {
  readonly at: number;
  readonly era: object | undefined;
}

/** Outlier detection written down naively: every millisecond is walked through, every rate counted anew. */
export class ReferencePool {
  readonly #options: ReferencePoolOptions;
  readonly #members: Patient[];
  readonly #visit: (row: string) => void;
  #now: number;
  #tick: number;

  constructor(options: ReferencePoolOptions, now: number, visit: (row: string) => void) {
    this.#options = options;
    this.#now = now;
    this.#tick = now + options.intervalMs;
    this.#visit = visit;
    this.#members = Array.from({ length: options.members }, () => ({
      ejection: undefined,
      restUntil: -1e9,
      times: 0,
      streak: 0,
      results: [],
      era: {},
      returnedAt: -1e9,
    }));
  }

  /** Millisecond by millisecond. */
  advance(ms: number): void {
    for (const end = this.#now + ms; this.#now < end; ) {
      this.#now += 1;
      for (const at of this.#all()) {
        const { ejection } = this.#of(at);
        if (ejection?.probe?.until !== this.#now) continue;
        Object.assign(this.#of(at), { ejection: { until: ejection.until }, era: {} });
        this.#ejectWithin(at, 'probe-expired');
      }
      if (this.#now === this.#tick) this.#endInterval();
    }
  }

  /** Who takes a call now. */
  eligible(): number[] {
    const panic = this.panics();
    return this.#all().filter((at) => this.#takes(at) || (panic && this.#of(at).restUntil <= this.#now));
  }

  panics(): boolean {
    const { panicThreshold, inOrder, members } = this.#options;
    const well = this.#all().filter((at) => this.#takes(at)).length;
    return panicThreshold > 0 && (inOrder ? well === 0 : well / members < panicThreshold);
  }

  ejected(): number {
    return this.#members.filter(({ ejection }) => ejection !== undefined && ejection.until > this.#now).length;
  }

  call(at: number): ReferenceCall {
    const patient = this.#of(at);
    const { ejection } = patient;
    if (ejection === undefined) return { at, era: patient.era };
    if (ejection.until > this.#now || ejection.probe !== undefined) {
      this.#visit('a call in panic');
      return { at, era: undefined };
    }
    const call = { at, era: patient.era };
    ejection.probe = { call, until: this.#now + this.#options.baseEjectionMs };
    return call;
  }

  finish(call: ReferenceCall, result: PoolResult): void {
    const patient = this.#of(call.at);
    const { ejection } = patient;
    if (typeof result === 'object' && result.throttledMs > 0) {
      patient.restUntil = Math.max(patient.restUntil, this.#now + result.throttledMs);
      this.#visit(ejection === undefined ? 'rests' : 'rests while ejected');
    }
    if (call.era !== patient.era) {
      this.#visit('a late result');
      return;
    }
    const bad = result === 'failure' || (typeof result === 'object' && result.throttledMs === 0);
    if (ejection !== undefined) {
      ejection.probe = undefined;
      if (bad) this.#ejectWithin(call.at, 'probe-failed');
      if (result === 'success') {
        this.#visit('returns');
        Object.assign(patient, { ejection: undefined, era: {}, returnedAt: this.#now });
      }
    } else if (bad || result === 'success') {
      patient.results.push(!bad);
      patient.streak = bad ? patient.streak + 1 : 0;
      if (patient.streak === this.#options.consecutiveFailures) {
        patient.streak = 0;
        this.#ejectWithin(call.at, 'consecutive-failures');
      }
    }
  }

  status(): Array<{ state: string; retryAfterMs: number; ejections: number; calls: number; failures: number }> {
    return this.#members.map(({ ejection, restUntil, times, results }) => {
      const due = ejection !== undefined && ejection.until <= this.#now;
      const state = restUntil > this.#now ? 'open' : ejection === undefined ? 'closed' : due ? 'half-open' : 'open';
      const ejectedUntil = ejection === undefined ? this.#now : due ? (ejection.probe?.until ?? this.#now) : ejection.until;
      const retryAfterMs = Math.max(0, restUntil - this.#now, ejectedUntil - this.#now);
      return { state, retryAfterMs, ejections: times, calls: results.length, failures: results.filter((ok) => !ok).length };
    });
  }

  #takes(at: number): boolean {
    const { ejection, restUntil } = this.#of(at);
    return restUntil <= this.#now && (ejection === undefined || (ejection.until <= this.#now && ejection.probe === undefined));
  }

  #endInterval(): void {
    const { successRate, failureRate, intervalMs } = this.#options;
    this.#tick += intervalMs;
    const rates = this.#all()
      .filter((at) => this.#of(at).ejection === undefined)
      .map((at) => ({ at, calls: this.#of(at).results.length, rate: mean(this.#of(at).results.map(Number)) }))
      .sort((a, b) => a.rate - b.rate);
    const condemned: Array<[number, string]> = [];
    const enough = (least: { minimumCalls: number; minimumMembers: number }) => {
      const some = rates.filter(({ calls }) => calls >= least.minimumCalls);
      return some.length >= least.minimumMembers ? some : [];
    };
    if (successRate !== undefined) {
      const some = enough(successRate);
      const average = mean(some.map(({ rate }) => rate));
      const deviation = Math.sqrt(mean(some.map(({ rate }) => (rate - average) ** 2)));
      for (const { at, rate } of some)
        if (average - successRate.stdevFactor * deviation - rate > 1e-12) condemned.push([at, 'success-rate']);
    }
    if (failureRate !== undefined) {
      for (const { at, calls } of enough(failureRate)) {
        if (this.#of(at).results.filter((ok) => !ok).length / calls >= failureRate.threshold) condemned.push([at, 'failure-rate']);
      }
    }
    for (const patient of this.#members) patient.results = [];
    for (const [at, reason] of condemned) if (this.#of(at).ejection === undefined) this.#ejectWithin(at, reason);
    for (const patient of this.#members) {
      if (patient.ejection !== undefined || this.#now - patient.returnedAt < intervalMs || patient.times === 0) continue;
      patient.times -= 1;
      this.#visit('is ejected for shorter');
    }
  }

  #ejectWithin(at: number, reason: string): void {
    const ejected = this.ejected();
    if (ejected > 0 && (ejected + 1) / this.#options.members > this.#options.maxEjectionFraction) this.#visit('too many are ejected');
    else this.#eject(at, reason);
  }

  #eject(at: number, reason: string): void {
    const { baseEjectionMs, maxEjectionMs } = this.#options;
    const patient = this.#of(at);
    patient.times = Math.min(patient.times + 1, Math.ceil(maxEjectionMs / baseEjectionMs));
    const until = this.#now + Math.min(patient.times * baseEjectionMs, maxEjectionMs);
    Object.assign(patient, { ejection: { until }, era: {}, streak: 0, results: [] });
    this.#visit(reason);
  }

  #all(): number[] {
    return this.#members.map((_, at) => at);
  }

  #of(at: number): Patient {
    const patient = this.#members[at];
    if (patient === undefined) throw new Error(`there is no member ${at}`);
    return patient;
  }
}

function mean(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}
