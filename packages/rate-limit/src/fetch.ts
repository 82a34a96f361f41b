import { type Clock, systemClock } from './clock.ts';
import { isRateLimitError, type RateLimitError } from './decision.ts';
import type { Cost } from './demand.ts';
import type { Amounts } from './fetch/amounts.ts';
import type { Sent } from './fetch/provider-gate.ts';
import { ProviderGates } from './fetch/provider-gates.ts';
import { refusalResponse } from './fetch/refusal-response.ts';
import { numberWithin, onlyKnown, wholeNumber } from './options.ts';
import { largestAmount, longestMs } from './rate.ts';
import type { AcquireOptions, RateLimiter } from './rate-limiter.ts';
import type { Reservation } from './reservation.ts';
import { callsAtOnce } from './rules/concurrency.ts';

export { type HeaderSource, type ProviderLimits, type ProviderQuota, parseRateLimitHeaders, type QuotaSource } from './headers/parse.ts';

/** What is asked of a fetch that {@link limitFetch} made. */
export interface FetchCall {
  /** Where the request goes, as it was given. */
  readonly url: string;
  /** The first argument. */
  readonly input: Parameters<typeof fetch>[0];
  /** The second argument, whose `body` is often a string; leave a stream alone. */
  readonly init: RequestInit | undefined;
}

/** What {@link limitFetch} limits, and whom it follows. */
export interface LimitFetchOptions<Subject> {
  /** Our own limits, which are kept whatever the provider says. */
  readonly limiter: Pick<RateLimiter<Subject>, 'acquire' | 'reserve' | 'refund' | 'limits'>;
  /** What makes the requests. @defaultValue the global `fetch`, looked up at each call */
  readonly fetch?: typeof fetch;
  /** Whose limits a request is charged to. @defaultValue undefined, for a limiter without `key` */
  readonly subject?: (call: FetchCall) => Subject;
  /** What a request takes, such as `{ tokens: 1_200 }`. @defaultValue 1 of every unit */
  readonly cost?: (call: FetchCall) => Cost;
  /**
   * What a request took, read from the headers of its answer; the body belongs to the caller. What throws or is no cost changes nothing.
   * With it the cost is reserved until then: it does not come back at the limit's rate, and so many that are under way fill the limit.
   * @defaultValue what `cost` says
   */
  readonly settle?: (response: Response) => Cost | undefined;
  /**
   * Whether the provider's numbers are followed. A function says whose numbers they are: answers of the same name are about the same quotas.
   * @defaultValue by the origin of the URL and the subject
   */
  readonly follow?: boolean | ((call: FetchCall) => string);
  /** Gives up after this many ms; at once where the wait is known to be longer. @defaultValue `Infinity` */
  readonly maxWaitMs?: number;
  /** No word of the provider holds requests back for longer, in ms: one is sent then to see, and the others wait for its answer. @defaultValue `60_000` */
  readonly maxHoldMs?: number;
  /** Requests that may wait for one provider at once; those that wait for the limiter it counts itself. @defaultValue `1_000` */
  readonly maxWaiting?: number;
  /** Providers and subjects whose numbers are remembered at once. @defaultValue `1_000` */
  readonly maxFollowed?: number;
  /**
   * What a refusal is: a `RateLimitError` is thrown, or a `Response` with status 429 (503 for `ERR_STORE_UNAVAILABLE`) and `Retry-After` is given, for
   * clients that try again by themselves. @defaultValue `'throw'`
   */
  readonly refuse?: 'throw' | 'response';
  /** Where time comes from. */
  readonly clock?: Clock;
}

type Fetch = typeof fetch;

/** A request whose turn has come. */
interface Turn {
  /** Given where it is settled when the answer is there. */
  readonly reservation: Reservation | undefined;
  readonly sent: Sent | undefined;
  readonly cost: Cost | undefined;
}

const known = [
  ...['limiter', 'fetch', 'subject', 'cost', 'settle', 'follow', 'maxWaitMs', 'maxHoldMs', 'maxWaiting', 'maxFollowed', 'refuse', 'clock'],
];

/**
 * A `fetch` that waits for its turn, to be handed to any client: `new OpenAI({ fetch: limitFetch({ limiter }), maxRetries: 0 })`.
 *
 * A request is sent when the limiter lets it through and the provider, as far as its answers told, has enough left: what they say in any
 * headers that {@link parseRateLimitHeaders} reads, less what was sent since. The provider can only hold back: our limits hold whatever
 * it says. An answer with status 403, 429, 503 or 529 and a `Retry-After` holds back all that goes to this provider.
 *
 * A place of a `concurrency` limit is held until the headers are there. What was sent counts as used, also where no answer came; who aborts
 * before takes nothing. The answer is the very object that `fetch` gave.
 *
 * @throws `RateLimitError` from the returned function, without a request: with `ERR_RATE_LIMITED` where the wait would be longer than
 * `maxWaitMs`, and as `RateLimiter.acquire` does; with `refuse: 'response'` only that with `ERR_CLOSED`. The signal's reason on abort.
 * @throws RangeError for options that are unknown or not allowed; from the returned function for a cost that is not.
 */
export function limitFetch<Subject = void>(options: LimitFetchOptions<Subject>): Fetch {
  const line = new Line(options);
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const answers = options.refuse === 'response';
  return async (...[input, init]: Parameters<Fetch>) => {
    const signal = signalOf(input, init);
    signal?.throwIfAborted();
    const turn = await line.turn({ url: urlOf(input), input, init }, signal).catch((error: unknown) => {
      if (answers && isRateLimitError(error) && error.code !== 'ERR_CLOSED') return error;
      throw error;
    });
    if (isRefusal(turn)) return refusalResponse(turn);
    let response: Response;
    try {
      response = await send(input, init);
    } catch (error) {
      turn.sent?.failed();
      line.settle(turn, undefined);
      throw error;
    }
    turn.sent?.answered(response);
    line.settle(turn, actual(options.settle, response));
    return response;
  };
}

interface Patience {
  readonly until: number;
  readonly signal: AbortSignal | undefined;
}

class Line<Subject> {
  readonly #options: LimitFetchOptions<Subject>;
  readonly #clock: Clock;
  readonly #maxWaitMs: number;
  readonly #gates: ProviderGates;
  #place = 0;

  constructor(options: LimitFetchOptions<Subject>) {
    onlyKnown('limitFetch', options, known);
    const { refuse = 'throw', follow = true, clock = systemClock } = options;
    if (typeof options.limiter?.reserve !== 'function') throw new RangeError('limitFetch: limiter must be a RateLimiter');
    if (!['throw', 'response'].includes(refuse))
      throw new RangeError(`limitFetch: refuse must be throw or response, not '${String(refuse)}'`);
    if (!['boolean', 'function'].includes(typeof follow)) throw new RangeError('limitFetch: follow must be true, false or a function');
    for (const name of ['fetch', 'subject', 'cost', 'settle'] as const) {
      if (!['undefined', 'function'].includes(typeof options[name])) throw new RangeError(`limitFetch: ${name} must be a function`);
    }
    this.#options = options;
    this.#clock = clock;
    this.#maxWaitMs = numberWithin('maxWaitMs', options.maxWaitMs ?? Number.POSITIVE_INFINITY, 0, Number.POSITIVE_INFINITY);
    const maxHoldMs = wholeNumber('maxHoldMs', options.maxHoldMs ?? 60_000, 1, longestMs);
    const maxWaiting = wholeNumber('maxWaiting', options.maxWaiting ?? 1_000, 0, 1_000_000);
    const maxFollowed = wholeNumber('maxFollowed', options.maxFollowed ?? 1_000, 1, 1_000_000);
    this.#gates = new ProviderGates({ clock, maxHoldMs, maxWaiting }, maxFollowed);
  }

  /** Resolves when the provider and the limiter let the request through at once. */
  async turn(call: FetchCall, signal: AbortSignal | undefined): Promise<Turn> {
    const subject = this.#options.subject?.(call) as Subject;
    const cost = this.#options.cost?.(call);
    const amounts = amountsOf(cost, this.#units());
    const until = this.#clock.now() + this.#maxWaitMs;
    const gate = this.#gateOf(call, subject);
    this.#place += 1;
    const place = this.#place;
    for (;;) {
      const claim = await gate?.enter({ amounts, until, signal, place });
      const reservation = await this.#ours(subject, cost, { until, signal }).catch((error: unknown) => {
        claim?.drop();
        throw error;
      });
      const sent = claim?.begin();
      if (claim === undefined || sent !== undefined) return { reservation, sent, cost };
      await this.#giveBack(subject, { reservation, cost }); // the provider said less meanwhile: what is taken now would be sent all at once later
    }
  }

  /** Tells the limits what a request took, while nobody waits for it: of each unit what is known, else what was reserved. */
  settle({ reservation, cost }: Turn, taken: Cost | undefined): void {
    if (reservation === undefined) return;
    const exact = this.#units().map((unit) => {
      const known = [amountIn(taken, unit), amountIn(cost, unit), 1].find(
        (amount) => Number.isInteger(amount) && amount >= 0 && amount <= largestAmount,
      );
      return [unit, known as number] as const;
    });
    void reservation.settle(Object.fromEntries(exact)).catch(() => {}); // what cannot be told counts as reserved
  }

  /**
   * Takes what a request takes from our limits. Only what is known better later is reserved: what is reserved does not come back until it
   * is settled, and long answers would hold up those that are not sent yet.
   */
  async #ours(subject: Subject, cost: Cost | undefined, { until, signal }: Patience): Promise<Reservation | undefined> {
    const { limiter, settle } = this.#options;
    const options: AcquireOptions = {
      maxWaitMs: Math.max(0, until - this.#clock.now()),
      ...(cost !== undefined && { cost }),
      ...(signal !== undefined && { signal }),
    };
    if (settle !== undefined || limiter.limits.some(({ unit }) => unit === callsAtOnce)) return limiter.reserve(subject, options);
    await limiter.acquire(subject, options);
    return undefined;
  }

  async #giveBack(subject: Subject, { reservation, cost }: Pick<Turn, 'reservation' | 'cost'>): Promise<void> {
    if (reservation !== undefined) await reservation.release();
    else await this.#options.limiter.refund(subject, cost === undefined ? undefined : { cost }).catch(() => {}); // it then counts as used
  }

  #gateOf(call: FetchCall, subject: Subject) {
    const { follow = true } = this.#options;
    if (follow === false) return undefined;
    return this.#gates.of(follow === true ? `${originOf(call.url)} ${nameOf(subject)}` : String(follow(call)));
  }

  #units(): readonly string[] {
    return [...new Set(this.#options.limiter.limits.map(({ unit }) => unit))].filter((unit) => unit !== callsAtOnce);
  }
}

/** The amount of a unit in a cost; NaN where it is not said. */
function amountIn(cost: Cost | undefined, unit: string): number {
  if (typeof cost === 'object' && cost !== null) return Object.hasOwn(cost, unit) ? (cost[unit] as number) : Number.NaN;
  return cost ?? Number.NaN;
}

function isRefusal(turn: Turn | RateLimitError): turn is RateLimitError {
  return isRateLimitError(turn);
}

function actual(read: ((response: Response) => Cost | undefined) | undefined, response: Response): Cost | undefined {
  try {
    return read?.(response);
  } catch {
    return undefined;
  }
}

/** How much of each unit; one request where that is not said. */
function amountsOf(cost: Cost | undefined, units: readonly string[]): Amounts {
  const given = typeof cost === 'object' ? cost : Object.fromEntries(units.map((unit) => [unit, cost ?? 1]));
  for (const unit of Object.keys(given)) wholeNumber(`limitFetch: cost.${unit}`, given[unit] as number, 0, largestAmount);
  return { requests: 1, ...given };
}

function signalOf(input: FetchCall['input'], init: FetchCall['init']): AbortSignal | undefined {
  if (init?.signal !== undefined) return init.signal ?? undefined; // null takes a Request's own signal away
  return typeof input === 'object' && 'signal' in input ? input.signal : undefined;
}

function urlOf(input: FetchCall['input']): string {
  return typeof input === 'object' && 'url' in input ? input.url : String(input);
}

function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : '';
}

/** A subject as part of a name; those that cannot be written as JSON share one. */
function nameOf(subject: unknown): string {
  try {
    return typeof subject === 'string' ? subject : (JSON.stringify(subject) ?? '');
  } catch {
    return '';
  }
}
