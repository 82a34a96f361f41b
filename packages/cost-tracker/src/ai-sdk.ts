import { Meter, type MeterOptions } from './meter/meter.ts';
import type { MeteredCall } from './meter/metered-call.ts';
import { meterStream } from './meter/metered-stream.ts';
import { SdkAnswer } from './meter/sdk-answer.ts';
import { bodyOf } from './usage/reported-usage.ts';

export type { TokenAllowance } from './meter/input-size.ts';
export type { MeterClock, MeterOptions } from './meter/meter.ts';

/** What the SDK hands to a model; of `LanguageModelV4CallOptions` what is read here. */
export interface LanguageModelParams {
  /** The messages. */
  readonly prompt: unknown;
  /** The most tokens to answer with. */
  readonly maxOutputTokens?: number | undefined;
  /** Aborts the call. */
  readonly abortSignal?: AbortSignal | undefined;
  /** Tools that the model may call. */
  readonly tools?: unknown;
  /** The shape of the answer. */
  readonly responseFormat?: unknown;
  /** What only some providers know. */
  readonly providerOptions?: unknown;
}

/** A model of the SDK; of `LanguageModelV4` what is used here. */
export interface MeteredModel<Params, Result, Streamed> {
  /** The SDK's name of the provider, such as `openai.responses`. */
  readonly provider: string;
  /** The model, as its provider names it. */
  readonly modelId: string;
  /** Answers at once. */
  doGenerate(params: Params): PromiseLike<Result>;
  /** Answers part by part. */
  doStream(params: Params): PromiseLike<Streamed>;
}

/** What comes part by part. */
export interface StreamedAnswer {
  /** The parts. */
  stream: ReadableStream;
}

/** A call of a model, as the functions among the options of `meterMiddleware` are told of it. */
export interface LanguageModelCall {
  /** The SDK's name of the provider, such as `openai.responses`. */
  readonly provider: string;
  /** The model. */
  readonly model: string;
  /** What it is handed, not to be changed. */
  readonly params: LanguageModelParams;
}

/** What {@link meterMiddleware} meters, and how. */
export interface MeterMiddlewareOptions extends MeterOptions<LanguageModelCall> {}

/** A middleware of the AI SDK, version 7; its types are written out here, so that the SDK need not be installed. */
export interface MeterMiddleware {
  /** The SDK's version of middlewares. */
  readonly specificationVersion: 'v4';
  /** Meters an answer that comes at once. */
  wrapGenerate<Params extends LanguageModelParams, Result extends object, Streamed>(options: {
    readonly doGenerate: () => PromiseLike<Result>;
    readonly params: Params;
    readonly model: MeteredModel<Params, Result, Streamed>;
  }): Promise<Result>;
  /** Meters an answer that comes part by part. */
  wrapStream<Params extends LanguageModelParams, Result, Streamed extends StreamedAnswer>(options: {
    readonly doStream: () => PromiseLike<Streamed>;
    readonly params: Params;
    readonly model: MeteredModel<Params, Result, Streamed>;
  }): Promise<Streamed>;
}

/** The price book's names of providers that the SDK calls otherwise, and those that both call the same. */
const providers: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['openai', 'azure', 'anthropic', 'google', 'mistral', 'groq', 'deepseek', 'perplexity', 'fireworks', 'cerebras', 'openrouter'].map(
      (same) => [same, same],
    ),
  ),
  xai: 'x-ai',
  togetherai: 'together',
};

/**
 * A middleware for `wrapLanguageModel` of the Vercel AI SDK that holds calls of models to budgets and writes down what they cost:
 * `wrapLanguageModel({ model: openai('gpt-5'), middleware: meterMiddleware({ tracker }) })`. Whatever the SDK's model talks through is metered, also
 * what is no HTTP. A model whose provider was given a `meterFetch` is metered there; it needs no middleware.
 *
 * Each attempt and each step of a loop over tools is a call of its own, and pays for the scope of `tracker.withScope` it is made in. The most it can
 * cost is reserved before. Whoever has the answer, or the `finish` of a stream, finds the call in the ledger. A stream that is aborted, cancelled
 * or breaks off is `partial`. Tools that the provider runs by the piece are priced where the provider's own usage counts them.
 *
 * @throws `BudgetExceededError` and `UnpricedModelError` from `generateText`; `streamText` tells them as an error of the stream. No
 * request has been made then, and the SDK does not try again.
 * @throws RangeError for options that are unknown or not allowed.
 */
export function meterMiddleware(options: MeterMiddlewareOptions): MeterMiddleware {
  const meter = new Meter<LanguageModelCall>('meterMiddleware', options);
  return {
    specificationVersion: 'v4',
    async wrapGenerate({ doGenerate, params, model }) {
      const { metered, limitEach } = await start(meter, params, model);
      const result = await answered(metered, () =>
        limitEach === undefined ? doGenerate() : model.doGenerate({ ...params, maxOutputTokens: limitEach }),
      );
      const answer = new SdkAnswer(model.provider);
      answer.whole(bodyOf(result));
      await metered.ended(answer.seen);
      return result;
    },
    async wrapStream({ doStream, params, model }) {
      const { metered, limitEach } = await start(meter, params, model);
      const result = await answered(metered, () =>
        limitEach === undefined ? doStream() : model.doStream({ ...params, maxOutputTokens: limitEach }),
      );
      const answer = new SdkAnswer(model.provider);
      const left = () => metered.left(answer.seen, true);
      if (params.abortSignal !== undefined) metered.leaveOn(params.abortSignal, left);
      const stream = meterStream(result.stream, {
        take: (part) => (answer.part(bodyOf(part)) ? metered.ended(answer.seen) : undefined),
        ended: () => metered.ended(answer.seen),
        broke: (error) => metered.left(answer.seen, (error as { name?: unknown } | undefined)?.name === 'AbortError'),
        left,
      });
      return { ...result, stream };
    },
  };
}

function start(
  meter: Meter<LanguageModelCall>,
  params: LanguageModelParams,
  model: Pick<MeteredModel<never, never, never>, 'provider' | 'modelId'>,
) {
  const { prompt, tools, responseFormat, providerOptions, maxOutputTokens, abortSignal } = params;
  abortSignal?.throwIfAborted();
  const each = typeof maxOutputTokens === 'number' && maxOutputTokens > 0 ? Math.ceil(maxOutputTokens) : undefined;
  return meter.start({
    call: { provider: model.provider, model: model.modelId, params },
    model: model.modelId,
    provider: providers[model.provider.split('.', 1)[0] as string],
    sent: { prompt, tools, responseFormat, providerOptions },
    output: { each, answers: 1, least: 1 },
    signal: abortSignal,
  });
}

/** Waits for the answer; an error of the provider's costs nothing, and where there is no answer it depends. */
async function answered<R>(metered: MeteredCall, call: () => PromiseLike<R>): Promise<R> {
  try {
    return await call();
  } catch (error) {
    const { statusCode } = bodyOf(error);
    if (typeof statusCode === 'number' && (statusCode < 200 || statusCode > 299)) await metered.release();
    else await metered.unanswered(error);
    throw error;
  }
}
