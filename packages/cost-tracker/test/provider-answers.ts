import { readFileSync } from 'node:fs';
import { type ReportedUsage, type UsageParts, usageFromAnthropic, usageFromGemini, usageFromOpenAI } from '../src/index.ts';

/** What the answer of a fixture costs at an instant, written by hand. */
export interface HandPrice {
  readonly at: string;
  readonly nano: bigint;
  /** Who is paid, where the model's name does not tell. */
  readonly provider?: string;
  /** The model that was called, where the answer does not name it. */
  readonly model?: string;
  readonly batch?: true;
}

/** An answer as a provider sends it, and what has to be read from it. */
export interface ProviderAnswer {
  readonly file: string;
  readonly read: (body: unknown) => ReportedUsage;
  readonly usage: UsageParts;
  readonly beside?: Omit<ReportedUsage, 'usage' | 'servedModel' | 'responseId'>;
  readonly prices: readonly HandPrice[];
}

/** The body of a fixture. */
export const answerOf = (file: string): Record<string, unknown> => JSON.parse(textOf(`${file}.json`));

/** A fixture as text, such as a stream. */
export const textOf = (file: string): string => readFileSync(new URL(`fixtures/providers/${file}`, import.meta.url), 'utf8');

/** The messages of a stream of server-sent events, those that are JSON. */
export const eventsOf = (file: string): Record<string, unknown>[] =>
  textOf(file)
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice('data: '.length)));

const openai = { read: usageFromOpenAI };
const anthropic = { read: usageFromAnthropic };
const gemini = { read: usageFromGemini };
const standard = { serviceTier: 'default' };
const june = '2026-06-01T08:00:00Z';

/*
 * Amounts are in nano-USD; prices in USD per million tokens are 1 000 nano-USD per token. The pages are those of the providers' own
 * prices, which the catalogue cites too.
 */
export const providerAnswers: readonly ProviderAnswer[] = [
  {
    // the trap: 9 000 of the 10 000 are cached and must not be paid twice. https://developers.openai.com/api/docs/pricing: 2.50, 1.25, 10
    file: 'openai-chat-cached',
    ...openai,
    usage: { inputTokens: 1_000, cacheReadTokens: 9_000, outputTokens: 500 },
    beside: standard,
    prices: [{ at: june, nano: 1_000n * 2_500n + 9_000n * 1_250n + 500n * 10_000n }], // 0.01875
  },
  {
    // reasoning is part of the 2 048. https://developers.openai.com/api/docs/pricing: gpt-5 1.25, 0.125, 10
    file: 'openai-chat-reasoning',
    ...openai,
    usage: { inputTokens: 210, cacheReadTokens: 1_024, outputTokens: 512, reasoningTokens: 1_536 },
    beside: standard,
    prices: [{ at: june, nano: 210n * 1_250n + 1_024n * 125n + 2_048n * 10_000n }], // 0.0208705
  },
  {
    // https://developers.openai.com/api/docs/models/gpt-audio: text 2.50 and 10, audio 32 and 64
    file: 'openai-chat-audio',
    ...openai,
    usage: { inputTokens: 200, inputAudioTokens: 800, outputTokens: 100, outputAudioTokens: 400 },
    beside: standard,
    prices: [{ at: june, nano: 200n * 2_500n + 800n * 32_000n + 100n * 10_000n + 400n * 64_000n }],
  },
  {
    // https://openai.com/api-priority-processing/: gpt-5-mini 0.45, 0.045, 3.60
    file: 'openai-chat-priority',
    ...openai,
    usage: { inputTokens: 2_000, outputTokens: 360, reasoningTokens: 640 },
    beside: { serviceTier: 'priority' },
    prices: [{ at: june, nano: 2_000n * 450n + 1_000n * 3_600n }],
  },
  {
    // https://openai.com/api-priority-processing/: gpt-4o-mini 0.25, 0.125, 1, which is no multiple of 0.15
    file: 'openai-chat-priority-4o-mini',
    ...openai,
    usage: { inputTokens: 1_976, cacheReadTokens: 1_024, outputTokens: 100 },
    beside: { serviceTier: 'priority' },
    prices: [{ at: june, nano: 1_976n * 250n + 1_024n * 125n + 100n * 1_000n }],
  },
  {
    // https://developers.openai.com/api/docs/guides/flex-processing: half of o3's 2 and 8
    file: 'openai-chat-flex',
    ...openai,
    usage: { inputTokens: 1_000, outputTokens: 500, reasoningTokens: 1_500 },
    beside: { serviceTier: 'flex' },
    prices: [{ at: june, nano: 1_000n * 1_000n + 2_000n * 4_000n }],
  },
  {
    // https://developers.openai.com/api/docs/guides/batch: half of 0.15 and 0.60
    file: 'openai-chat-batch',
    ...openai,
    usage: { inputTokens: 1_001, outputTokens: 333 },
    beside: standard,
    prices: [
      { at: june, batch: true, nano: 1_001n * 75n + 333n * 300n },
      { at: june, nano: 1_001n * 150n + 333n * 600n },
    ],
  },
  {
    // two searches at 10 per thousand, a page that was opened at nothing, a file search at 2.50 per thousand; gpt-4.1 2 and 8
    file: 'openai-responses-tools',
    ...openai,
    usage: { inputTokens: 20_000, outputTokens: 300, webSearches: 2, fileSearches: 1 },
    beside: standard,
    prices: [{ at: june, nano: 20_000n * 2_000n + 300n * 8_000n + 2n * 10_000_000n + 2_500_000n }],
  },
  {
    // https://developers.openai.com/api/docs/pricing: gpt-5.4 2.50 and 15 below 272K tokens of input
    file: 'openai-responses-below-272k',
    ...openai,
    usage: { inputTokens: 271_999, outputTokens: 100 },
    beside: standard,
    prices: [{ at: june, nano: 271_999n * 2_500n + 100n * 15_000n }],
  },
  {
    // one token more: the whole call costs 5 and 22.50
    file: 'openai-responses-at-272k',
    ...openai,
    usage: { inputTokens: 272_000, outputTokens: 100 },
    beside: standard,
    prices: [{ at: june, nano: 272_000n * 5_000n + 100n * 22_500n }],
  },
  {
    // https://developers.openai.com/api/docs/pricing: gpt-5.6-sol 5, 6.25 (write), 0.50 (read), 30; from 2026-08-21 on 4, 5, 0.40, 20
    file: 'openai-responses-cache-write',
    ...openai,
    usage: { inputTokens: 1_000, cacheWriteTokens: 3_000, cacheReadTokens: 6_000, outputTokens: 144, reasoningTokens: 256 },
    beside: standard,
    prices: [
      { at: '2026-08-20T23:59:59.999Z', nano: 1_000n * 5_000n + 3_000n * 6_250n + 6_000n * 500n + 400n * 30_000n },
      { at: '2026-08-21T00:00:00.000Z', nano: 1_000n * 4_000n + 3_000n * 5_000n + 6_000n * 400n + 400n * 20_000n },
    ],
  },
  {
    // https://developers.openai.com/api/docs/pricing: text-embedding-3-small 0.02
    file: 'openai-embeddings',
    ...openai,
    usage: { inputTokens: 8 },
    prices: [{ at: june, provider: 'openai', nano: 8n * 20n }],
  },
  {
    // https://developers.openai.com/api/docs/models/gpt-image-1.5: text 5, images 8 in and 32 out
    file: 'openai-images',
    ...openai,
    usage: { inputTokens: 50, inputImageTokens: 1_000, outputImageTokens: 4_160 },
    prices: [{ at: june, model: 'gpt-image-1.5', nano: 50n * 5_000n + 1_000n * 8_000n + 4_160n * 32_000n }],
  },
  {
    // https://api-docs.deepseek.com/quick_start/pricing: by day 0.27, 0.07, 1.10, at night 0.135, 0.035, 0.55, until 2025-09-05 16:00 UTC;
    // then 0.56, 0.07, 1.68, and from 2025-09-29 on 0.28, 0.028, 0.42
    file: 'deepseek-chat',
    ...openai,
    usage: { inputTokens: 400, cacheReadTokens: 600, outputTokens: 200 },
    prices: [
      { at: '2025-08-01T16:29:59.999Z', nano: 400n * 270n + 600n * 70n + 200n * 1_100n },
      { at: '2025-08-01T16:30:00.000Z', nano: 400n * 135n + 600n * 35n + 200n * 550n },
      { at: '2025-08-02T00:29:59.999Z', nano: 400n * 135n + 600n * 35n + 200n * 550n },
      { at: '2025-09-05T15:59:59.999Z', nano: 400n * 270n + 600n * 70n + 200n * 1_100n },
      { at: '2025-09-05T16:00:00.000Z', nano: 400n * 560n + 600n * 70n + 200n * 1_680n },
      { at: '2025-10-01T20:00:00.000Z', nano: 400n * 280n + 600n * 28n + 200n * 420n },
    ],
  },
  {
    // https://openrouter.ai/anthropic/claude-sonnet-4.5: 3, 0.30, 3.75, 15; the answer says the same
    file: 'openrouter-chat',
    ...openai,
    usage: { inputTokens: 94, cacheReadTokens: 1_000, cacheWriteTokens: 100, outputTokens: 42 },
    beside: { amountUsd: '0.001587' },
    prices: [{ at: june, provider: 'openrouter', nano: 94n * 3_000n + 1_000n * 300n + 100n * 3_750n + 42n * 15_000n }],
  },
  {
    // https://openrouter.ai/docs/use-cases/byok: a fee, and what the own key cost at OpenAI
    file: 'openrouter-own-key',
    ...openai,
    usage: { inputTokens: 2_000, outputTokens: 500 },
    beside: { amountUsd: '0.00063' },
    prices: [{ at: june, provider: 'openrouter', nano: 2_000n * 150n + 500n * 600n }],
  },
  {
    // https://docs.x.ai/developers/cost-tracking: reasoning stands beside completion_tokens; grok-4 3, 0.75, 15; the ticks say the same
    file: 'xai-chat',
    ...openai,
    usage: { inputTokens: 26, cacheReadTokens: 6, outputTokens: 9, reasoningTokens: 94 },
    beside: { amountUsd: '0.0016275' },
    prices: [{ at: june, provider: 'x-ai', nano: 26n * 3_000n + 6n * 750n + 103n * 15_000n }],
  },
  {
    // https://groq.com/pricing: gpt-oss-120b 0.15, 0.075, 0.60
    file: 'groq-chat',
    ...openai,
    usage: { inputTokens: 488, cacheReadTokens: 512, outputTokens: 300, reasoningTokens: 100 },
    beside: { serviceTier: 'on_demand' },
    prices: [{ at: june, provider: 'groq', nano: 488n * 150n + 512n * 75n + 400n * 600n }],
  },
  {
    // https://mistral.ai/pricing/api: what the alias stands for cost 0.40 and 2 until 2026-06-16, then 1.50 and 7.50
    file: 'mistral-chat',
    ...openai,
    usage: { inputTokens: 1_600, outputTokens: 800 },
    prices: [
      { at: '2026-06-15T23:59:59.999Z', nano: 1_600n * 400n + 800n * 2_000n },
      { at: '2026-06-16T00:00:00.000Z', nano: 1_600n * 1_500n + 800n * 7_500n },
    ],
  },
  {
    // https://docs.perplexity.ai/guides/pricing: sonar 1 and 1, and up to 12 per thousand requests; the answer says that it was 5
    file: 'perplexity-chat',
    ...openai,
    usage: { inputTokens: 26, outputTokens: 832 },
    beside: { amountUsd: '0.005858' },
    prices: [{ at: june, provider: 'perplexity', nano: 26n * 1_000n + 832n * 1_000n + 12_000_000n }],
  },
  {
    // Gemini in OpenAI's shape: 530 − 20 − 10 are thoughts that only the total tells. https://ai.google.dev/gemini-api/docs/pricing: 0.30, 2.50
    file: 'gemini-openai-chat',
    ...openai,
    usage: { inputTokens: 20, outputTokens: 10, reasoningTokens: 500 },
    prices: [{ at: june, nano: 20n * 300n + 510n * 2_500n }],
  },
  {
    // https://platform.claude.com/docs/en/about-claude/pricing: 3, 3.75 (5 minutes), 6 (1 hour), 0.30 (read), 15
    file: 'anthropic-cache',
    ...anthropic,
    usage: { inputTokens: 2_095, cacheReadTokens: 10_000, cacheWriteTokens: 1_000, cacheWrite1hTokens: 2_000, outputTokens: 503 },
    beside: { serviceTier: 'standard', region: 'not_available' },
    prices: [{ at: june, nano: 2_095n * 3_000n + 10_000n * 300n + 1_000n * 3_750n + 2_000n * 6_000n + 503n * 15_000n }],
  },
  {
    // https://platform.claude.com/docs/en/about-claude/pricing#batch-processing: half of 1 and 5
    file: 'anthropic-batch',
    ...anthropic,
    usage: { inputTokens: 1_000, outputTokens: 200 },
    beside: { serviceTier: 'batch', region: 'not_available' },
    prices: [{ at: june, nano: 1_000n * 500n + 200n * 2_500n }],
  },
  {
    // https://platform.claude.com/docs/en/about-claude/pricing: fast mode 10 and 50, in the US 1.1 times as much
    file: 'anthropic-fast-us',
    ...anthropic,
    usage: { inputTokens: 1_000, outputTokens: 100 },
    beside: { serviceTier: 'fast', region: 'us' },
    prices: [{ at: '2026-08-01T00:00:00Z', nano: 1_000n * 11_000n + 100n * 55_000n }],
  },
  {
    // https://platform.claude.com/docs/en/about-claude/pricing#web-search-tool: 10 per thousand, fetches nothing
    file: 'anthropic-web-search',
    ...anthropic,
    usage: { inputTokens: 7_000, outputTokens: 400, webSearches: 2 },
    beside: { serviceTier: 'standard', region: 'global' },
    prices: [{ at: june, nano: 7_000n * 3_000n + 400n * 15_000n + 2n * 10_000_000n }],
  },
  {
    // https://platform.claude.com/docs/en/about-claude/pricing: Opus 5.5 4 and 20, thinking included
    file: 'anthropic-thinking',
    ...anthropic,
    usage: { inputTokens: 300, outputTokens: 300, reasoningTokens: 1_200 },
    beside: { serviceTier: 'standard', region: 'global' },
    prices: [{ at: '2026-09-22T00:00:00Z', nano: 300n * 4_000n + 1_500n * 20_000n }],
  },
  {
    // https://platform.claude.com/docs/en/build-with-claude/compaction: the compaction is billed and in no other count
    file: 'anthropic-compaction',
    ...anthropic,
    usage: { inputTokens: 180_500, outputTokens: 3_580 },
    beside: { serviceTier: 'standard', region: 'global' },
    prices: [{ at: '2026-08-01T00:00:00Z', nano: 180_500n * 5_000n + 3_580n * 25_000n }],
  },
  {
    // https://ai.google.dev/gemini-api/docs/pricing: gemini-2.5-pro 1.25 and 10 for prompts of up to 200k tokens
    file: 'gemini-at-200k',
    ...gemini,
    usage: { inputTokens: 200_000, outputTokens: 400, reasoningTokens: 600 },
    prices: [{ at: june, nano: 200_000n * 1_250n + 1_000n * 10_000n }],
  },
  {
    // one token more: the whole call costs 2.50 and 15
    file: 'gemini-above-200k',
    ...gemini,
    usage: { inputTokens: 200_001, outputTokens: 400, reasoningTokens: 600 },
    prices: [{ at: june, nano: 200_001n * 2_500n + 1_000n * 15_000n }],
  },
  {
    // https://ai.google.dev/gemini-api/docs/pricing: gemini-2.5-flash 0.30, audio 1, cached 0.03, cached audio 0.10, out 2.50
    file: 'gemini-cached-audio',
    ...gemini,
    usage: {
      inputTokens: 500,
      inputAudioTokens: 500,
      cacheReadTokens: 7_500,
      cacheReadAudioTokens: 1_500,
      outputTokens: 200,
      reasoningTokens: 300,
    },
    prices: [{ at: june, nano: 500n * 300n + 500n * 1_000n + 7_500n * 30n + 1_500n * 100n + 500n * 2_500n }],
  },
  {
    // https://ai.google.dev/gemini-api/docs/pricing: 2 and 12, and 14 per thousand queries; what the tool found is input
    file: 'gemini-grounded',
    ...gemini,
    usage: { inputTokens: 2_000, outputTokens: 100, reasoningTokens: 400, webSearches: 3 },
    prices: [{ at: june, nano: 2_000n * 2_000n + 500n * 12_000n + 3n * 14_000_000n }],
  },
  {
    // https://ai.google.dev/gemini-api/docs/pricing: 1.8 times 0.75 and 3.75; from 2027-01-01 on 1.8 times 1.50 and 7.50
    file: 'gemini-priority',
    ...gemini,
    usage: { inputTokens: 1_000, outputTokens: 500 },
    beside: { serviceTier: 'priority' },
    prices: [
      { at: '2026-12-31T23:59:59.999Z', nano: 1_000n * 1_350n + 500n * 6_750n },
      { at: '2027-01-01T00:00:00.000Z', nano: 1_000n * 2_700n + 500n * 13_500n },
    ],
  },
  {
    // https://ai.google.dev/gemini-api/docs/optimization: half; Vertex AI tells it by its quota
    file: 'gemini-vertex-flex',
    ...gemini,
    usage: { inputTokens: 1_000, outputTokens: 500 },
    beside: { serviceTier: 'flex' },
    prices: [{ at: '2026-11-20T09:00:00Z', nano: 1_000n * 375n + 500n * 1_875n }],
  },
  {
    // https://ai.google.dev/gemini-api/docs/pricing#gemini-2.5-flash-image: 0.30 in, images 30 out
    file: 'gemini-image',
    ...gemini,
    usage: { inputTokens: 10, outputImageTokens: 1_290 },
    prices: [{ at: june, nano: 10n * 300n + 1_290n * 30_000n }],
  },
  {
    // a prompt that was blocked is paid and has no answer
    file: 'gemini-blocked',
    ...gemini,
    usage: { inputTokens: 12 },
    prices: [{ at: june, nano: 12n * 300n }],
  },
];

/** A stream as a provider sends it, and what its whole has used; the last fields only where it says them. */
export interface ProviderStream {
  readonly file: string;
  readonly read: (body: unknown) => ReportedUsage;
  /** Absent where the stream does not say it. */
  readonly usage?: UsageParts;
  readonly amountUsd?: string;
  /** What its text is, for a meter that has to estimate. */
  readonly text: string;
}

export const providerStreams: readonly ProviderStream[] = [
  {
    file: 'openai-chat-stream.sse',
    ...openai,
    usage: { inputTokens: 1_000, cacheReadTokens: 9_000, outputTokens: 9 },
    text: 'Hello, Mina! How are you?',
  },
  { file: 'openai-chat-stream-without-usage.sse', ...openai, text: 'Hello, Mina! How are you?' },
  {
    file: 'openai-responses-stream.sse',
    ...openai,
    usage: { inputTokens: 210, cacheReadTokens: 1_024, outputTokens: 512, reasoningTokens: 1_536 },
    text: 'Hello!',
  },
  {
    file: 'anthropic-stream.sse',
    ...anthropic,
    usage: { inputTokens: 2_095, cacheReadTokens: 10_000, cacheWriteTokens: 1_000, cacheWrite1hTokens: 2_000, outputTokens: 503 },
    text: 'Hello there, Mina.',
  },
  {
    // cut off in the middle: the input is known, and of the output only what message_start says
    file: 'anthropic-stream-cut.sse',
    ...anthropic,
    usage: { inputTokens: 2_095, cacheReadTokens: 10_000, cacheWriteTokens: 1_000, cacheWrite1hTokens: 2_000, outputTokens: 1 },
    text: 'Hello there',
  },
  {
    // its lines end in CR LF
    file: 'gemini-stream.sse',
    ...gemini,
    usage: { inputTokens: 1_000, outputTokens: 200, reasoningTokens: 300 },
    text: 'Hello there.',
  },
  {
    // comments come before the first chunk
    file: 'openrouter-stream.sse',
    ...openai,
    usage: { inputTokens: 94, cacheReadTokens: 1_000, cacheWriteTokens: 100, outputTokens: 42 },
    amountUsd: '0.001587',
    text: 'Hello there',
  },
  {
    // usage stands in x_groq of the last chunk
    file: 'groq-stream.sse',
    ...openai,
    usage: { inputTokens: 488, cacheReadTokens: 512, outputTokens: 300, reasoningTokens: 100 },
    text: 'Hello.',
  },
];
