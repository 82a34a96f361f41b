import type { Clock } from '../clock.ts';
import { RateLimitError } from '../decision.ts';
import { type HeaderSource, parseRateLimitHeaders } from '../headers/parse.ts';
import { type Amounts, amountOf, Total } from './amounts.ts';
import { charged, decidedWithinMs, fits, renewed, revised, type Standing, standingOf, waitFor } from './standing.ts';

/** The platform's timers keep no longer delay. */
const longestTimerMs = 2_147_483_647;

/** Quotas remembered of one provider. */
const mostStandings = 32;

/** Answers whose `Retry-After` holds back: too many requests, overloaded, and what GitHub says for too many. */
const holdingStatuses = new Set([403, 429, 503, 529]);

/** How a {@link ProviderGate} holds requests back. */
export interface GateOptions {
  readonly clock: Clock;
  /** No word of the provider holds for longer. */
  readonly maxHoldMs: number;
  /** Requests that may wait at once. */
  readonly maxWaiting: number;
}

/** A request that wants to be sent. */
export interface Caller {
  readonly amounts: Amounts;
  /** When it gives up. */
  readonly until: number;
  readonly signal: AbortSignal | undefined;
  /** Its place in the line: the lower goes first. */
  readonly place: number;
}

/** The right to be the next that is sent. */
export interface Claim {
  /** Sends it; undefined where the provider has said less since, and it has to come again. */
  begin(): Sent | undefined;
  /** Gives it up. Either is called once. */
  drop(): void;
}

/** A request that was sent. */
export interface Sent {
  /** Reads what its answer says. */
  answered(answer: { readonly status: number; readonly headers: HeaderSource }): void;
  /** There is no answer; whether the provider counted it nobody knows. */
  failed(): void;
}

interface Waiter {
  readonly caller: Caller;
  readonly resolve: (claim: Claim) => void;
  readonly reject: (error: unknown) => void;
}

interface UnderWay {
  readonly amounts: Amounts;
  readonly sentAt: number;
  /** What had been sent up to and with it. */
  readonly marks: Amounts;
}

interface Hold {
  readonly ms: number;
  readonly limit: string;
}

/** Holds requests back where the provider that they go to has said that no more fit. */
export class ProviderGate {
  readonly #options: GateOptions;
  readonly #standings = new Map<string, Standing>();
  readonly #sent = new Total();
  readonly #claimed = new Total();
  readonly #line: Waiter[] = [];
  readonly #underWay = new Set<UnderWay>();
  #claims = 0;
  #heldUntil = Number.NEGATIVE_INFINITY;
  #timer: unknown;

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /** Whether nobody would miss it but those who come later. */
  get idle(): boolean {
    return this.#line.length === 0 && this.#claims === 0 && this.#underWay.size === 0;
  }

  /**
   * Waits until the provider lets one more through.
   *
   * @throws `RateLimitError` with `ERR_RATE_LIMITED` where that is known to be too late, `ERR_QUEUE_FULL`; the signal's reason on abort.
   */
  async enter(caller: Caller): Promise<Claim> {
    caller.signal?.throwIfAborted();
    const first = this.#line[0];
    if (first === undefined && this.#hold(caller.amounts).ms === 0) return this.#claim(caller.amounts);
    if (this.#line.length >= this.#options.maxWaiting) {
      const { ms, limit } = this.#hold((first?.caller ?? caller).amounts);
      throw new RateLimitError('ERR_QUEUE_FULL', `${this.#line.length} requests wait already`, limit, Math.ceil(ms));
    }
    return new Promise((resolve, reject) => this.#join(caller, resolve, reject));
  }

  #join(caller: Caller, resolve: (claim: Claim) => void, reject: (error: unknown) => void): void {
    const onAbort = () => {
      this.#line.splice(this.#line.indexOf(waiter), 1);
      reject(caller.signal?.reason);
      this.#serve();
    };
    const left = () => caller.signal?.removeEventListener('abort', onAbort);
    const waiter: Waiter = {
      caller,
      resolve: (claim) => {
        left();
        resolve(claim);
      },
      reject: (error) => {
        left();
        reject(error);
      },
    };
    caller.signal?.addEventListener('abort', onAbort, { once: true });
    const at = this.#line.findIndex((other) => other.caller.place > caller.place);
    this.#line.splice(at < 0 ? this.#line.length : at, 0, waiter);
    this.#serve();
  }

  /** Lets through whoever may go, in the order of the line. */
  #serve(): void {
    const { clock } = this.#options;
    clock.clearTimeout(this.#timer);
    for (let first = this.#line[0]; first !== undefined; first = this.#line[0]) {
      const hold = this.#hold(first.caller.amounts);
      if (hold.ms > 0) {
        this.#wait(hold);
        return;
      }
      this.#line.shift();
      first.resolve(this.#claim(first.caller.amounts));
    }
  }

  /** Waits with the line for its first, and sends away those for whom that is too late. */
  #wait({ ms, limit }: Hold): void {
    const { clock } = this.#options;
    const opensAt = clock.now() + ms;
    const late = this.#line.filter(({ caller }) => caller.until < opensAt);
    if (late.length > 0) {
      const staying = this.#line.filter((waiter) => !late.includes(waiter));
      this.#line.splice(0, this.#line.length, ...staying);
      const retryAfterMs = Math.ceil(ms);
      for (const { reject } of late)
        reject(new RateLimitError('ERR_RATE_LIMITED', `the provider's '${limit}' lets none through yet`, limit, retryAfterMs));
      this.#serve();
      return;
    }
    this.#timer = clock.setTimeout(() => this.#serve(), Math.min(Math.max(1, Math.ceil(ms)), longestTimerMs));
  }

  /** How long such a request is held back, and by what. */
  #hold(amounts: Amounts): Hold {
    const { clock, maxHoldMs } = this.#options;
    const now = clock.now();
    let hold: Hold = { ms: Math.max(0, this.#heldUntil - now), limit: 'retry-after' };
    for (const [name, believed] of this.#standings) {
      const standing = renewed(believed, now, this.#sent.of(believed.unit), maxHoldMs);
      if (standing !== believed) this.#standings.set(name, standing);
      const undecided = this.#undecided(standing, now);
      const ms = waitFor(standing, amountOf(amounts, standing.unit), this.#claimed.of(standing.unit) + undecided, now);
      if (ms > hold.ms) hold = { ms: undecided > 0 ? Math.min(ms, decidedWithinMs) : ms, limit: name };
    }
    return hold;
  }

  /** What may have overtaken the request whose answer is believed: sent before it, and perhaps decided about after it. */
  #undecided({ unit, mark }: Standing, now: number): number {
    let undecided = 0;
    for (const { amounts, sentAt, marks } of this.#underWay) {
      if (sentAt > now - decidedWithinMs && amountOf(marks, unit) < mark) undecided += amountOf(amounts, unit);
    }
    return undecided;
  }

  #claim(amounts: Amounts): Claim {
    const { clock, maxHoldMs } = this.#options;
    const tried = this.#misfits(amounts); // lets it through to see whether it fits: the next one only when that is known, or later
    for (const name of tried) this.#retry(name, clock.now() + maxHoldMs);
    this.#claimed.add(amounts);
    this.#claims += 1;
    const close = () => {
      this.#claimed.take(amounts);
      this.#claims -= 1;
    };
    const drop = (): undefined => {
      close();
      for (const name of tried) this.#retry(name, clock.now());
      this.#serve();
    };
    const begin = () => {
      this.#claimed.take(amounts);
      const open = this.#heldUntil <= clock.now() && this.#misfits(amounts).every((name) => tried.includes(name));
      this.#claimed.add(amounts);
      if (!open) return drop();
      close();
      return this.#send(amounts);
    };
    return { begin, drop };
  }

  #misfits(amounts: Amounts): readonly string[] {
    const now = this.#options.clock.now();
    const misfits = [...this.#standings].filter(([, standing]) => {
      const before = this.#claimed.of(standing.unit) + this.#undecided(standing, now);
      return !fits(standing, amountOf(amounts, standing.unit), before, now);
    });
    return misfits.map(([name]) => name);
  }

  #retry(name: string, trialAt: number): void {
    const standing = this.#standings.get(name);
    if (standing !== undefined) this.#standings.set(name, { ...standing, trialAt });
  }

  #send(amounts: Amounts): Sent {
    const sentAt = this.#options.clock.now();
    this.#sent.add(amounts);
    for (const [name, standing] of this.#standings) {
      this.#standings.set(name, charged(standing, amountOf(amounts, standing.unit), sentAt));
    }
    const marks = this.#sent.now;
    const underWay = { amounts, sentAt, marks };
    this.#underWay.add(underWay);
    return {
      failed: () => {
        this.#underWay.delete(underWay);
        this.#serve();
      },
      answered: ({ status, headers }) => {
        this.#underWay.delete(underWay);
        this.#read(status, headers, sentAt, marks);
        this.#serve();
      },
    };
  }

  #read(status: number, headers: HeaderSource, sentAt: number, marks: Amounts): void {
    const { clock, maxHoldMs } = this.#options;
    const now = clock.now();
    const { quotas, retryAfterMs } = parseRateLimitHeaders(headers, { now: clock.wall() });
    if (retryAfterMs !== undefined && holdingStatuses.has(status)) {
      this.#heldUntil = Math.max(this.#heldUntil, now + Math.min(retryAfterMs, maxHoldMs));
    }
    const told = new Set<string>();
    for (const quota of quotas) {
      const { unit = 'requests' } = quota;
      const evidence = { sentAt, now, mark: amountOf(marks, unit), sent: this.#sent.of(unit) };
      const next = standingOf(quota, evidence, maxHoldMs);
      const name = `${quota.source} ${quota.name}`;
      if (next === undefined || told.has(name)) continue;
      told.add(name);
      this.#standings.set(name, revised(this.#standings.get(name), next, evidence));
    }
    for (const [name, standing] of this.#standings) {
      const silent = status < 400 && standing.sentAt <= sentAt && !told.has(name); // the provider tells of it no more
      if (silent || (this.#standings.size > mostStandings && !told.has(name))) this.#standings.delete(name);
    }
  }
}
