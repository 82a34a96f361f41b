import { timesDecimal } from '../money.ts';
import type { UsageParts } from '../usage.ts';
import { amountOf, type Body, bodyOf, countOf, divide, listOf, type ReportedUsage, reported, textOf } from './reported-usage.ts';

// https://docs.x.ai/developers/cost-tracking: 10^10 ticks are a dollar.
const TICK_USD = '0.0000000001';

/**
 * Reads an answer of OpenAI (chat completions, responses, embeddings, images, transcriptions) or of a provider that answers in its
 * shape, such as Azure, DeepSeek, Groq, Mistral, OpenRouter or xAI: a body, the last chunk of a stream, or an event
 * of one that holds a `response`. Never throws.
 *
 * `prompt_tokens` and `completion_tokens` are the totals of their sides. Where `total_tokens` is higher than both together, the provider
 * (xAI, Gemini) counts reasoning apart, and the difference is reasoning. What a provider says that the call cost is read too:
 * `usage.cost` (OpenRouter, with what a key of your own cost upstream; Perplexity) and `usage.cost_in_usd_ticks` (xAI).
 */
export function usageFromOpenAI(body: unknown): ReportedUsage {
  const event = bodyOf(body);
  const answer = typeof event['response'] === 'object' && event['response'] !== null ? bodyOf(event['response']) : event;
  const usage = bodyOf(answer['usage'] ?? bodyOf(answer['x_groq'])['usage']);
  return reported(() => partsOf(usage, listOf(answer['output'])), {
    servedModel: textOf(answer['model']),
    responseId: textOf(answer['id']),
    serviceTier: textOf(answer['service_tier'] ?? usage['service_tier']),
    amountUsd: costOf(usage),
  });
}

function partsOf(usage: Body, output: readonly Body[]): UsageParts | undefined {
  const total = countOf(usage, 'total_tokens');
  const saidInput = countOf(usage, 'prompt_tokens', 'input_tokens');
  const saidOutput = countOf(usage, 'completion_tokens', 'output_tokens');
  const input = saidInput ?? (total !== undefined && saidOutput !== undefined ? Math.max(0, total - saidOutput) : undefined);
  if (input === undefined || (saidOutput === undefined && total === undefined)) return undefined;
  const received = Math.max(saidOutput ?? 0, (total ?? 0) - input);
  const apart = saidOutput === undefined ? 0 : received - saidOutput;
  return { ...sent(usage, input), ...came(usage, received, apart), ...calls(output) };
}

function sent(usage: Body, total: number): UsageParts {
  const details = bodyOf(usage['prompt_tokens_details'] ?? usage['input_tokens_details'] ?? usage['input_token_details']);
  const cached = countOf(details, 'cached_tokens') ?? countOf(usage, 'prompt_cache_hit_tokens', 'cached_tokens') ?? 0;
  const cachedAudio = Math.min(countOf(bodyOf(details['cached_tokens_details']), 'audio_tokens') ?? 0, cached);
  return divide(
    total,
    [
      ['inputAudioTokens', Math.max(0, (countOf(details, 'audio_tokens') ?? 0) - cachedAudio)],
      ['cacheWriteTokens', countOf(details, 'cache_write_tokens')],
      ['inputImageTokens', countOf(details, 'image_tokens')],
      ['cacheReadAudioTokens', cachedAudio],
      ['cacheReadTokens', cached - cachedAudio],
    ],
    'inputTokens',
  );
}

function came(usage: Body, total: number, apart: number): UsageParts {
  const details = bodyOf(usage['completion_tokens_details'] ?? usage['output_tokens_details'] ?? usage['output_token_details']);
  return divide(
    total,
    [
      ['outputAudioTokens', countOf(details, 'audio_tokens')],
      ['outputImageTokens', countOf(details, 'image_tokens')],
      ['reasoningTokens', Math.max(countOf(details, 'reasoning_tokens') ?? 0, apart)],
    ],
    'outputTokens',
  );
}

/** Opening a page that was found and looking into it cost nothing; only a search does. */
function calls(output: readonly Body[]): UsageParts {
  const isSearch = (item: Body) => item['type'] === 'web_search_call' && (bodyOf(item['action'])['type'] ?? 'search') === 'search';
  const webSearches = output.filter(isSearch).length;
  const fileSearches = output.filter(({ type }) => type === 'file_search_call').length;
  return { ...(webSearches > 0 && { webSearches }), ...(fileSearches > 0 && { fileSearches }) };
}

function costOf(usage: Body): string | undefined {
  const { cost, cost_in_usd_ticks: ticks } = usage;
  if (typeof ticks === 'number' && Number.isSafeInteger(ticks) && ticks >= 0) {
    return amountOf(timesDecimal(String(ticks), TICK_USD, 'cost_in_usd_ticks'));
  }
  if (typeof cost === 'object' && cost !== null) return amountOf(bodyOf(cost)['total_cost']);
  if (cost === undefined || cost === null) return undefined;
  const upstream = usage['is_byok'] === true ? (bodyOf(usage['cost_details'])['upstream_inference_cost'] ?? 0) : 0;
  return amountOf(cost, upstream);
}
