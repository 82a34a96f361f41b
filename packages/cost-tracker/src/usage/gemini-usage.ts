import type { UsageParts } from '../usage.ts';
import { type Body, bodyOf, countOf, divide, listOf, type ReportedUsage, reported, textOf } from './reported-usage.ts';

/**
 * Reads an answer of Gemini's `generateContent`, or the last chunk of its stream, of the Gemini API or Vertex AI. Never throws.
 *
 * `promptTokenCount` includes what came from a cache; results of tools that the model read are input besides, and
 * `thoughtsTokenCount` is output besides `candidatesTokenCount`. A count that is absent is 0, because the API leaves out zeros.
 *
 * Grounding with Google Search counts the queries, of Gemini 2 and earlier one for the answer: that is how they are billed.
 */
export function usageFromGemini(body: unknown): ReportedUsage {
  const answer = bodyOf(body);
  const usage = bodyOf(answer['usageMetadata']);
  return reported(() => partsOf(usage, searchesOf(answer)), {
    servedModel: textOf(answer['modelVersion']),
    responseId: textOf(answer['responseId']),
    serviceTier: tierOf(usage),
  });
}

function partsOf(usage: Body, webSearches: number): UsageParts | undefined {
  const [total, prompt] = [countOf(usage, 'totalTokenCount'), countOf(usage, 'promptTokenCount')];
  if (total === undefined && prompt === undefined) return undefined;
  const ofTools = countOf(usage, 'toolUsePromptTokenCount') ?? 0;
  const thoughts = countOf(usage, 'thoughtsTokenCount') ?? 0;
  const visible = countOf(usage, 'candidatesTokenCount', 'responseTokenCount') ?? 0;
  const input = (prompt ?? Math.max(0, (total ?? 0) - visible - thoughts - ofTools)) + ofTools;
  const output = Math.max(visible + thoughts, (total ?? 0) - input);
  const came = byModality(usage, 'candidatesTokensDetails', 'responseTokensDetails');
  return {
    ...divide(input, sentShares(usage), 'inputTokens'),
    ...divide(
      output,
      [
        ['outputAudioTokens', came.audio],
        ['outputImageTokens', came.image],
        ['reasoningTokens', thoughts],
      ],
      'outputTokens',
    ),
    ...(webSearches > 0 && { webSearches }),
  };
}

function sentShares(usage: Body): Parameters<typeof divide>[1] {
  const cached = countOf(usage, 'cachedContentTokenCount') ?? 0;
  const [sent, kept, ofTools] = [
    byModality(usage, 'promptTokensDetails'),
    byModality(usage, 'cacheTokensDetails'),
    byModality(usage, 'toolUsePromptTokensDetails'),
  ];
  const cachedAudio = Math.min(kept.audio, cached);
  const fresh = (medium: keyof typeof sent) => Math.max(0, sent[medium] - kept[medium]) + ofTools[medium];
  return [
    ['inputVideoTokens', fresh('video')],
    ['inputAudioTokens', fresh('audio')],
    ['inputImageTokens', fresh('image')],
    ['cacheReadAudioTokens', cachedAudio],
    ['cacheReadTokens', cached - cachedAudio],
  ];
}

/** A document is seen page by page as an image. */
function byModality(usage: Body, ...names: readonly string[]): Record<'audio' | 'image' | 'video', number> {
  const counts = { audio: 0, image: 0, video: 0 };
  const name = names.find((each) => Array.isArray(usage[each]));
  for (const each of name === undefined ? [] : listOf(usage[name])) {
    const modality = each['modality'] === 'DOCUMENT' ? 'image' : textOf(each['modality'])?.toLowerCase();
    const count = countOf(each, 'tokenCount') ?? 0;
    if (modality === 'audio' || modality === 'image' || modality === 'video') counts[modality] += count;
  }
  return counts;
}

function searchesOf(answer: Body): number {
  const queries = listOf(answer['candidates']).flatMap((candidate) => {
    const asked = bodyOf(candidate['groundingMetadata'])['webSearchQueries'];
    return Array.isArray(asked) ? asked.filter((query) => textOf(query) !== undefined) : [];
  });
  const byAnswer = /^(models\/)?gemini-[12]/.test(textOf(answer['modelVersion']) ?? '');
  return byAnswer ? Math.min(1, queries.length) : queries.length;
}

/** Vertex AI tells the tier by the quota that was used. */
function tierOf(usage: Body): string | undefined {
  const tier = textOf(usage['serviceTier'])?.toLowerCase();
  if (tier !== undefined) return tier === 'unspecified' ? undefined : tier;
  const traffic = textOf(usage['trafficType'])?.toLowerCase().replaceAll('_', '-');
  if (traffic === undefined || traffic === 'on-demand' || traffic === 'traffic-type-unspecified') return undefined;
  return traffic.replace(/^on-demand-/, '');
}
