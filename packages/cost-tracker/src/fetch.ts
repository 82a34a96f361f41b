import { isBudgetExceededError, isUnpricedModelError } from './errors.ts';
import { AnswerMeter } from './fetch/answer-meter.ts';
import { hasBodyToCome, meterBody } from './fetch/metered-body.ts';
import { type FetchArguments, type ModelRequest, type RecognisedCall, recognise, signalOf, withBody } from './fetch/model-request.ts';
import { providerOfHost } from './fetch/provider-of-host.ts';
import { refusalResponse } from './fetch/refusal-response.ts';
import { Meter, type MeterOptions } from './meter/meter.ts';
import type { MeteredCall } from './meter/metered-call.ts';
import { checkOneOf } from './options.ts';

export type { ModelApiName } from './fetch/model-api.ts';
export type { ModelRequest } from './fetch/model-request.ts';
export type { TokenAllowance } from './meter/input-size.ts';
export type { MeterClock, MeterOptions } from './meter/meter.ts';

/** What {@link meterFetch} meters, and how. */
export interface MeterFetchOptions extends MeterOptions<ModelRequest> {
  /** What makes the requests. @defaultValue the global `fetch`, looked up at each call */
  fetch?: typeof fetch;
  /**
   * Whether a stream of chat completions that does not ask for its usage is made to (`stream_options.include_usage`); what comes of that
   * is hidden from the caller. Without it such a stream is estimated.
   * @defaultValue true, but for api.mistral.ai, which refuses the question and tells the usage anyway
   */
  askForUsage?: boolean | ((call: ModelRequest) => boolean);
  /**
   * What a refusal is: a `BudgetExceededError` or `UnpricedModelError` is thrown, or a `Response` with status 403 and an
   * `application/problem+json` is given. The clients of OpenAI and Anthropic wrap what is thrown (`error.cause` is the refusal) and try again
   * unless `maxRetries` is 0; the answer they take as a `PermissionDeniedError` at once. @defaultValue `'throw'`
   */
  refuse?: 'throw' | 'response';
}

type Fetch = typeof fetch;

/**
 * A `fetch` that holds calls of models to budgets and writes down what they cost, to be handed to any client:
 * `new OpenAI({ fetch: meterFetch({ tracker }), maxRetries: 0 })`. The call pays for the scope of `tracker.withScope` it is made in.
 *
 * A `POST` is a call of a model where its path ends in `/chat/completions`, `/completions`, `/responses`, `/embeddings`, `/v1/messages`,
 * or `/models/…:generateContent` (or `streamGenerateContent`), and its body is JSON; everything else passes untouched and unmetered. Before it
 * is sent, the most it can cost is reserved. Whoever has read the answer to its end finds it in the ledger. It costs what the provider says
 * that it cost, else what the usage in the answer costs; where that is missing, an estimate from what was sent and received. A stream
 * that is left or breaks off is `partial`: what the provider told by then, and a token for every three bytes received. A refusal by the provider
 * costs nothing unless its answer says so. A repeated attempt is another call, unless both carry the same `Idempotency-Key` header.
 *
 * The answer is the very object that `fetch` gave; its bytes are neither buffered nor changed, but for the event that only the meter asked for.
 *
 * @throws `BudgetExceededError` and `UnpricedModelError` from the returned function, without a request, unless `refuse` is `'response'`;
 * `StoreError` where the ledger cannot be read. The signal's reason on abort.
 * @throws RangeError for options that are unknown or not allowed.
 */
export function meterFetch(options: MeterFetchOptions): Fetch {
  const meter = new Meter<ModelRequest>('meterFetch', options, ['fetch', 'askForUsage', 'refuse']);
  checkOneOf(options.refuse ?? 'throw', ['throw', 'response'], 'meterFetch: refuse');
  for (const name of ['fetch', 'askForUsage'] as const) {
    const value: unknown = options[name];
    if (typeof value === 'function' || value === undefined || (name === 'askForUsage' && typeof value === 'boolean')) continue;
    throw new RangeError(`meterFetch: ${name} must be a function, not ${String(value)}`);
  }
  const send: Fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  return async (...given: FetchArguments) => {
    signalOf(given)?.throwIfAborted();
    const { call, args } = await recognise(given);
    if (call === undefined) return send(...args);
    const sent = await admit(meter, options, call, args);
    return sent instanceof Response ? sent : answer(send, sent);
  };
}

/** A call that was admitted, as it is to be sent. */
interface Sent {
  readonly call: RecognisedCall;
  readonly args: FetchArguments;
  readonly metered: MeteredCall;
  /** Whether events are hidden that the caller did not ask for. */
  readonly hides: boolean;
}

async function admit(meter: Meter<ModelRequest>, options: MeterFetchOptions, call: RecognisedCall, args: FetchArguments) {
  const { shape, url, model, body, idempotencyKey } = call;
  const asking = asksForUsage(options, call) ? shape.askingForUsage?.(body) : undefined;
  try {
    const { metered, limitEach } = await meter.start({
      ...{ call: publicOf(call), model, provider: providerOfHost(url), sent: body, idempotencyKey, signal: signalOf(args) },
      ...{ output: shape.outputOf(body), serviceTier: shape.tierOf?.(body), region: shape.regionOf?.(body) },
    });
    const limited = limitEach === undefined ? asking : shape.withLimit(asking ?? body, limitEach);
    const sent: Sent = { call, metered, hides: asking !== undefined, args: limited === undefined ? args : withBody(args, limited) };
    return sent;
  } catch (error) {
    if (options.refuse === 'response' && (isBudgetExceededError(error) || isUnpricedModelError(error))) return refusalResponse(error);
    throw error;
  }
}

function publicOf({ api, url, model, body }: RecognisedCall): ModelRequest {
  return { api, url, model, body };
}

function asksForUsage({ askForUsage }: MeterFetchOptions, call: RecognisedCall): boolean {
  if (typeof askForUsage === 'function') return askForUsage(publicOf(call));
  return askForUsage ?? providerOfHost(call.url) !== 'mistral';
}

async function answer(send: Fetch, { call, args, metered, hides }: Sent): Promise<Response> {
  const signal = signalOf(args);
  let response: Response;
  try {
    response = await send(...args);
  } catch (error) {
    await metered.unanswered(error);
    throw error;
  }
  const isEvents = /^text\/event-stream/i.test(response.headers.get('content-type') ?? '');
  const body = new AnswerMeter(metered, { api: call.shape, isEvents, hides, refused: !response.ok });
  if (!hasBodyToCome(response)) {
    await body.unreadable();
    return response;
  }
  if (signal !== undefined) metered.leaveOn(signal, () => body.left());
  meterBody(response, body);
  return response;
}
