import type { Decision, Refused } from '../decision.ts';
import type { Cost } from '../demand.ts';
import { onlyKnown } from '../options.ts';
import type { RateLimiter } from '../rate-limiter.ts';
import type { Reservation } from '../reservation.ts';
import { generationsOf, type HeaderOptions, headerOptions, limitHeaders } from './headers.ts';
import { problemJson, problemOf } from './problem.ts';

/** What of a {@link RateLimiter} requests are limited with. */
export type HttpLimiter<Subject> = Pick<RateLimiter<Subject>, 'limits' | 'consume' | 'tryReserve'>;

/** What a refused request is answered with instead. */
export interface RefusalAnswer {
  /** The status. @defaultValue 429, 413 for a permanent refusal, 503 where the store cannot be asked */
  readonly status?: number;
  /** Headers beside those that tell of the limits. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text, or what becomes JSON. @defaultValue the problem details */
  readonly body?: string | object;
}

/** How requests are limited: alike in every adapter. What `Request` and `Answer` are is said there. */
export interface HttpLimitOptions<Subject, Request, Answer> extends HeaderOptions {
  /** Decides. With a `concurrency` limit among its limits, a request holds its place until the response has ended. */
  readonly limiter: HttpLimiter<Subject>;
  /** Whose request it is. */
  readonly subject: (request: Request) => NoInfer<Subject> | Promise<NoInfer<Subject>>;
  /** How much it takes; undefined is 1. @defaultValue 1 */
  readonly cost?: (request: Request) => Cost | undefined | Promise<Cost | undefined>;
  /** Whether it is let through without being limited. */
  readonly skip?: (request: Request) => boolean | Promise<boolean>;
  /** Called for each request that is refused; what it returns is answered instead of the problem details. */
  readonly onRefused?: (refused: Refused, request: Request) => RefusalAnswer | undefined | Promise<RefusalAnswer | undefined>;
  /**
   * Where it is given, `cost` is an estimate that is reserved, and this says what was used when the response has ended, also where the client
   * went away; undefined leaves it as it was reserved, 0 gives it back. Called at most once. What it throws is a warning of the process, and
   * leaves it as it was reserved.
   */
  readonly settle?: (request: Request, answer: Answer) => Cost | undefined | Promise<Cost | undefined>;
}

/** What a request used, as `settle` says. */
export type Used = () => Cost | undefined | Promise<Cost | undefined>;

/** What a request holds until its response has ended. It keeps neither of them from being collected. */
export interface Hold {
  /** The response has ended; without `used`, what was reserved was used. Only the first call of either counts. */
  end(used?: Used): void;
  /** The request was not served: all of it is given back. */
  release(): void;
}

/** What becomes of a request. */
export type Admission =
  | { readonly outcome: 'skipped' }
  | { readonly outcome: 'allowed'; readonly headers: Readonly<Record<string, string>>; readonly hold?: Hold }
  | { readonly outcome: 'refused'; readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

const known = ['limiter', 'subject', 'cost', 'skip', 'onRefused', 'settle', ...headerOptions];
const functions = ['subject', 'cost', 'skip', 'onRefused', 'settle'] as const;

/** Limits requests; what is common to all adapters. */
export class HttpLimit<Subject, Request, Answer> {
  readonly #options: HttpLimitOptions<Subject, Request, Answer>;
  readonly #headersOf: (decision: Decision) => Readonly<Record<string, string>>;
  readonly #levels: boolean;

  /** `owner` has options of its own, named `others`. */
  constructor(owner: string, options: HttpLimitOptions<Subject, Request, Answer>, others: readonly string[] = []) {
    onlyKnown(owner, options, [...known, ...others]);
    if (typeof options.limiter?.tryReserve !== 'function') throw new RangeError(`${owner}: limiter must be a RateLimiter`);
    for (const name of functions) {
      const value: unknown = options[name];
      if (typeof value === 'function' || (value === undefined && name !== 'subject')) continue;
      throw new RangeError(`${owner}: ${name} must be a function, not ${String(value)}`);
    }
    this.#options = options;
    this.#headersOf = limitHeaders(options);
    this.#levels = generationsOf(options.headers).length > 0;
  }

  /** Whether requests hold something until their response has ended. */
  get holds(): boolean {
    return this.#options.settle !== undefined || this.#options.limiter.limits.some(({ rule }) => rule.kind === 'concurrency');
  }

  /** What `settle` says of a request and its answer. */
  used(request: Request, answer: Answer): Used {
    return () => this.#options.settle?.(request, answer);
  }

  /** Decides about a request. @throws what the caller's functions and the limiter throw */
  async admit(request: Request): Promise<Admission> {
    const { limiter, subject: subjectOf, cost: costOf, skip } = this.#options;
    if (await skip?.(request)) return { outcome: 'skipped' };
    const subject = await subjectOf(request);
    const cost = await costOf?.(request);
    const asked = { ...(cost === undefined ? {} : { cost }), levels: this.#levels };
    if (!this.holds) {
      const decision = await limiter.consume(subject, asked);
      return decision.allowed ? { outcome: 'allowed', headers: this.#headersOf(decision) } : this.#refuse(decision, request);
    }
    const reserved = cost ?? oneEach(limiter);
    const decision = await limiter.tryReserve(subject, asked);
    if (!decision.allowed) return this.#refuse(decision, request);
    const hold = new Held(decision, reserved);
    try {
      return { outcome: 'allowed', headers: this.#headersOf(decision), hold };
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  async #refuse(refused: Refused, request: Request): Promise<Admission> {
    const problem = problemOf(refused);
    const { status = problem.status, headers, body } = (await this.#options.onRefused?.(refused, request)) ?? {};
    const type = body === undefined ? problemJson : typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
    return {
      outcome: 'refused',
      status,
      headers: { ...this.#headersOf(refused), 'Content-Type': type, ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body ?? problem),
    };
  }
}

class Held implements Hold {
  readonly #reservation: Reservation;
  readonly #reserved: Cost;
  #over = false;

  constructor(reservation: Reservation, reserved: Cost) {
    this.#reservation = reservation;
    this.#reserved = reserved;
  }

  end(used?: Used): void {
    if (this.#over) return;
    this.#over = true;
    void this.#settle(used);
  }

  release(): void {
    if (this.#over) return;
    this.#over = true;
    this.#reservation.release().catch(warn);
  }

  async #settle(used: Used | undefined): Promise<void> {
    let actual: Cost | undefined;
    try {
      actual = await used?.();
    } catch (error) {
      warn(error);
    }
    await this.#reservation.settle(actual ?? this.#reserved).catch(warn);
  }
}

/** What a call without a cost takes. */
function oneEach(limiter: HttpLimiter<never>): Cost {
  return Object.fromEntries(limiter.limits.filter(({ rule }) => rule.kind !== 'concurrency').map(({ unit }) => [unit, 1]));
}

/** The response has ended, so that no error handling of a framework hears of it any more. */
function warn(error: unknown): void {
  process.emitWarning(`what a request used could not be settled: ${String(error)}`, { code: 'TIDEGATE_NOT_SETTLED' });
}
