import { usageFromAnthropic } from '../usage/anthropic-usage.ts';
import { usageFromGemini } from '../usage/gemini-usage.ts';
import { usageFromOpenAI } from '../usage/openai-usage.ts';
import { amountOf, type Body, bodyOf, countOf, divide, listOf, type ReportedUsage, reported, textOf } from '../usage/reported-usage.ts';
import { inputTokensOf, outputTokensOf, type UsageParts } from '../usage.ts';
import type { Seen } from './metered-call.ts';

/** Reads an answer in the shape of the AI SDK, at once or part by part. */
export class SdkAnswer {
  readonly #provider: string;
  #reported: ReportedUsage = {};
  #final = false;
  #failed = false;
  #bytes = 0;
  readonly #streamedInputs = new Set<unknown>();

  /** `provider` is the SDK's name of it, such as `openai.responses`. */
  constructor(provider: string) {
    this.#provider = provider;
  }

  get seen(): Seen {
    return { reported: this.#reported, final: this.#final, failed: this.#failed, receivedBytes: this.#bytes, goesOn: false };
  }

  /** Takes what `doGenerate` resolved with. */
  whole(result: Body): void {
    for (const part of listOf(result['content'])) this.#bytes += bytes(part['text']) + bytes(part['input']);
    this.#learn(bodyOf(result['response']));
    this.#finish(result);
  }

  /** Takes a part of a stream; true where it is the last that matters. */
  part(part: Body): boolean {
    const { type, id } = part;
    if (type === 'text-delta' || type === 'reasoning-delta' || type === 'tool-input-delta') this.#bytes += bytes(part['delta']);
    else if (type === 'tool-input-start') this.#streamedInputs.add(id);
    else if (type === 'tool-call' && !this.#streamedInputs.has(part['toolCallId'])) this.#bytes += bytes(part['input']);
    else if (type === 'response-metadata') this.#learn(part);
    else if (type === 'error') this.#failed = true;
    else if (type === 'finish') this.#finish(part);
    return type === 'finish';
  }

  #learn(response: Body): void {
    const [servedModel, responseId] = [textOf(response['modelId']), textOf(response['id'])];
    this.#reported = {
      ...this.#reported,
      ...(servedModel !== undefined && { servedModel }),
      ...(responseId !== undefined && { responseId }),
    };
  }

  #finish(ending: Body): void {
    const told = usageOf(bodyOf(ending['usage']), this.#provider);
    const metadata = bodyOf(ending['providerMetadata']);
    const serviceTier = textOf(bodyOf(metadata['openai'])['serviceTier']);
    const amountUsd = costOf(metadata);
    this.#reported = {
      ...this.#reported,
      ...told,
      ...(serviceTier !== undefined && { serviceTier }),
      ...(amountUsd !== undefined && { amountUsd }),
    };
    this.#final = told.usage !== undefined;
    this.#failed ||= bodyOf(ending['finishReason'])['unified'] === 'error';
  }
}

/**
 * The SDK's own counts know no media and no lifetimes of caches; the provider's, which stand beside them, do. They are used where
 * both say the same of either side.
 */
function usageOf(usage: Body, provider: string): ReportedUsage {
  const counted = reported(() => partsOf(usage), {});
  const raw = rawUsageOf(bodyOf(usage['raw']), provider);
  const { servedModel: _, responseId: __, usageProblem: ___, ...exact } = raw;
  if (counted.usage === undefined || exact.usage === undefined) return { ...exact, ...counted };
  const agree =
    inputTokensOf(exact.usage) === inputTokensOf(counted.usage) && outputTokensOf(exact.usage) === outputTokensOf(counted.usage);
  return agree ? exact : { ...exact, usage: counted.usage };
}

function rawUsageOf(raw: Body, provider: string): ReportedUsage {
  if (/anthropic/.test(provider)) return usageFromAnthropic({ usage: raw });
  if (/google|vertex/.test(provider)) return usageFromGemini({ usageMetadata: raw });
  return usageFromOpenAI({ usage: raw });
}

function partsOf(usage: Body): UsageParts | undefined {
  const [input, output] = [bodyOf(usage['inputTokens']), bodyOf(usage['outputTokens'])];
  const [read, written] = [countOf(input, 'cacheRead') ?? 0, countOf(input, 'cacheWrite') ?? 0];
  const fresh = countOf(input, 'noCache');
  const reasoning = countOf(output, 'reasoning') ?? 0;
  const text = countOf(output, 'text');
  const sent = countOf(input, 'total') ?? (fresh === undefined ? undefined : fresh + read + written);
  const came = countOf(output, 'total') ?? (text === undefined ? undefined : text + reasoning);
  if (sent === undefined || came === undefined) return undefined;
  return {
    ...divide(
      sent,
      [
        ['cacheWriteTokens', written],
        ['cacheReadTokens', read],
      ],
      'inputTokens',
    ),
    ...divide(came, [['reasoningTokens', reasoning]], 'outputTokens'),
  };
}

/** What the AI Gateway and OpenRouter say that a call cost. */
function costOf(metadata: Body): string | undefined {
  const costs = [bodyOf(metadata['gateway'])['cost'], bodyOf(bodyOf(metadata['openrouter'])['usage'])['cost']];
  const cost = costs.find((each) => each !== undefined && each !== null);
  return cost === undefined ? undefined : amountOf(cost);
}

function bytes(value: unknown): number {
  return typeof value === 'string' ? Buffer.byteLength(value) : 0;
}
