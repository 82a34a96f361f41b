import { httpClassifier } from './classifiers/http-classifier.ts';
import { type Clock, systemClock } from './clock.ts';
import { type PermitBreaker, PermitHold } from './fetch/permit-hold.ts';
import { watchBody } from './fetch/watched-body.ts';
import { longestTimerMs, numberWithin, onlyKnown } from './options.ts';
import type { Classifier, Outcome } from './outcome.ts';
import { checkedClassifier } from './settings.ts';

export type { PermitBreaker } from './fetch/permit-hold.ts';

/** What {@link breakerFetch} puts a breaker around. */
export interface BreakerFetchOptions<P = unknown> {
  /** Decides whether a request is made, and counts what comes of it. */
  readonly breaker: PermitBreaker<P>;
  /** What makes the requests. @defaultValue the global `fetch`, looked up at each call */
  readonly fetch?: typeof fetch;
  /**
   * What answers and errors mean; it sees headers only and must leave the body alone. A rule that throws counts as `failure` and is
   * told to nobody. @defaultValue `httpClassifier()`
   */
  readonly classify?: Classifier;
  /**
   * From how many ms without headers on an abort counts as a failure. For clients that abort at their own time limit without
   * saying so, such as `openai` and `@anthropic-ai/sdk`: a little less than their `timeout`. Off unless given.
   */
  readonly abortFailsAfterMs?: number;
  /** Where time comes from. */
  readonly clock?: Pick<Clock, 'now' | 'wall'>;
}

type Fetch = typeof fetch;

const known = ['breaker', 'fetch', 'classify', 'abortFailsAfterMs', 'clock'];

/**
 * A `fetch` that asks a breaker before each request, to be handed to any client: `new OpenAI({ fetch: breakerFetch({ breaker }), maxRetries: 0 })`.
 *
 * An answer that is no success counts when its headers are there, a good one when its body has ended: read to the end is a
 * success, broken off a failure, cancelled a success if anything was read. The permit is held until then, so that a half-open circuit
 * waits for its streams. An abort counts as nothing, unless a time limit is its reason. A body that nobody ever reads gives the permit back when it is
 * garbage-collected. Durations are to the headers.
 *
 * The answer is the very object that `fetch` gave, and its body is neither buffered nor changed.
 *
 * @throws the breaker's `refusal()` from the returned function, without a request, while the circuit refuses.
 * @throws RangeError for options that are unknown or not allowed.
 */
export function breakerFetch<P>(options: BreakerFetchOptions<P>): Fetch {
  onlyKnown('breakerFetch', options, known);
  const { breaker, clock = systemClock } = options;
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const classify = options.classify === undefined ? httpClassifier({ clock }) : checkedClassifier(options.classify);
  const { abortFailsAfterMs } = options;
  const patienceMs =
    abortFailsAfterMs === undefined ? Number.POSITIVE_INFINITY : numberWithin('abortFailsAfterMs', abortFailsAfterMs, 0, longestTimerMs);
  return async (...call: Parameters<Fetch>) => {
    const signal = signalOf(...call);
    signal?.throwIfAborted();
    const permit = breaker.tryAcquire();
    if (permit === undefined) throw breaker.refusal();
    const hold = new PermitHold(breaker, permit, classify);
    const startedAt = clock.now();
    let waiting = true;
    const sinceStart = () => clock.now() - startedAt;
    const gaveUp = () => {
      if (waiting) hold.took(sinceStart());
      return waiting && sinceStart() >= patienceMs;
    };
    if (signal) hold.follow(signal, gaveUp);
    try {
      const response = await send(...call);
      waiting = false;
      hold.took(sinceStart());
      answered(response, hold);
      return response;
    } catch (error) {
      hold.took(sinceStart());
      hold.fail(error);
      throw error;
    }
  };
}

function signalOf(input: Parameters<Fetch>[0], init: Parameters<Fetch>[1]): AbortSignal | undefined {
  if (init?.signal !== undefined) return init.signal ?? undefined; // null takes a Request's own signal away
  return typeof input === 'object' && 'signal' in input ? input.signal : undefined;
}

function answered<P>(response: Response, hold: PermitHold<P>): void {
  const outcome = hold.judge(response);
  if (outcome === 'success' && hold.held && hasBodyToCome(response)) {
    hold.answered();
    watchBody(response, {
      ended: () => hold.settle('success'),
      broke: (error) => hold.fail(error),
      left: (delivered) => hold.settle(delivered ? 'success' : 'ignore'),
    });
  } else {
    hold.settle(outcome, outcome === 'success' ? undefined : refusedBy(response, outcome));
  }
}

/** Whether the end of a good answer's body can be waited for: a redirect's is no matter, and one that is no web stream cannot be watched. */
function hasBodyToCome(response: Response): boolean {
  const { ok, body, bodyUsed, headers } = response;
  const unread = typeof body?.getReader === 'function' && !body.locked && !bodyUsed;
  return unread && ok && headers.get('content-length') !== '0' && Object.isExtensible(response);
}

/** What listeners of the breaker are told; not the answer itself, whose body belongs to the caller. */
function refusedBy({ status }: Response, outcome: Outcome): Error | undefined {
  return outcome === 'ignore' ? undefined : Object.assign(new Error(`HTTP status ${status}`), { status });
}
