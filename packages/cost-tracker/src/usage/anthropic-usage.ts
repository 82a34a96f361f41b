import type { UsageParts } from '../usage.ts';
import { type Body, bodyOf, countOf, divide, listOf, type ReportedUsage, reported, textOf } from './reported-usage.ts';

/**
 * Reads a message of Anthropic, also as AWS Bedrock and Google Vertex serve it. Never throws.
 *
 * Of a stream, hand over the message of `message_start` with the `usage` of each `message_delta` laid over its own: its counts are
 * cumulative. The cost of server-side compaction is part of the usage; what an advisor model used is not, because it has another price.
 *
 * `serviceTier` is `'fast'` where the answer came in fast mode.
 */
export function usageFromAnthropic(body: unknown): ReportedUsage {
  const event = bodyOf(body);
  const message = typeof event['message'] === 'object' && event['message'] !== null ? bodyOf(event['message']) : event;
  const usage = bodyOf(message['usage']);
  return reported(() => partsOf(usage), {
    servedModel: textOf(message['model']),
    responseId: textOf(message['id']),
    serviceTier: usage['speed'] === 'fast' ? 'fast' : textOf(usage['service_tier']),
    region: textOf(usage['inference_geo']),
  });
}

function partsOf(usage: Body): UsageParts | undefined {
  const [input, output] = [countOf(usage, 'input_tokens'), countOf(usage, 'output_tokens')];
  if (input === undefined || output === undefined) return undefined;
  // what summarising the conversation took is billed and stands in no other count
  const all = [usage, ...listOf(usage['iterations']).filter(({ type }) => type === 'compaction')];
  const webSearches = countOf(bodyOf(usage['server_tool_use']), 'web_search_requests') ?? 0;
  const parts: Record<string, number> = { webSearches };
  for (const each of all) {
    for (const [part, count] of Object.entries({ ...sent(each), ...came(each) })) parts[part] = (parts[part] ?? 0) + count;
  }
  return Object.fromEntries(Object.entries(parts).filter(([, count]) => count > 0));
}

/** Three counts that do not overlap; the one of cache writes is told by lifetime besides. */
function sent(usage: Body): UsageParts {
  const byLifetime = bodyOf(usage['cache_creation']);
  const anHour = countOf(byLifetime, 'ephemeral_1h_input_tokens') ?? 0;
  const written = countOf(usage, 'cache_creation_input_tokens') ?? anHour + (countOf(byLifetime, 'ephemeral_5m_input_tokens') ?? 0);
  const read = countOf(usage, 'cache_read_input_tokens') ?? 0;
  const plain = countOf(usage, 'input_tokens') ?? 0;
  return { inputTokens: plain, cacheReadTokens: read, ...divide(written, [['cacheWrite1hTokens', anHour]], 'cacheWriteTokens') };
}

function came(usage: Body): UsageParts {
  const thinking = countOf(bodyOf(usage['output_tokens_details']), 'thinking_tokens');
  return divide(countOf(usage, 'output_tokens') ?? 0, [['reasoningTokens', thinking]], 'outputTokens');
}
