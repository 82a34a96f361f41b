import type { PriceOverride } from './price-override.ts';

/** OpenAI's fast mode, until 2026-07-30 called priority processing; both names are sent and answered. */
const openaiFast = (model: string, price: Pick<PriceOverride, 'multiplier' | 'perMillionUsd'>): PriceOverride[] =>
  ['priority', 'fast'].map((serviceTier) => ({ provider: 'openai', model, serviceTier, ...price }));

// https://openai.com/api-fast-mode/ and https://openai.com/api-priority-processing/. There is none for long context: the factor on its
// prices is an upper bound of what OpenAI falls back to.
const openaiTiers: readonly PriceOverride[] = [
  ...openaiFast('gpt-4.1*', { multiplier: '1.75' }),
  ...openaiFast('gpt-4.1-nano*', { multiplier: '2' }),
  ...openaiFast('o3*', { multiplier: '1.75' }),
  ...openaiFast('gpt-4o*', { multiplier: '1.7' }),
  ...openaiFast('gpt-4o-2024-05-13', { multiplier: '1.75' }),
  ...openaiFast('gpt-4o-mini*', { perMillionUsd: { inputTokens: '0.25', cacheReadTokens: '0.125', outputTokens: '1' } }),
  ...openaiFast('o4-mini*', { perMillionUsd: { inputTokens: '2', cacheReadTokens: '0.5', outputTokens: '8' } }),
  ...openaiFast('gpt-5*', { multiplier: '2' }),
  ...openaiFast('gpt-5-mini*', { multiplier: '1.8' }),
  ...openaiFast('gpt-5.5*', { multiplier: '2.5' }),
  ...openaiFast('gpt-6*', { multiplier: '2' }),
  // https://developers.openai.com/api/docs/guides/flex-processing: "priced at Batch API rates"
  { provider: 'openai', model: '*', serviceTier: 'flex', multiplier: '0.5' },
  // https://developers.openai.com/api/docs/pricing, its batch table; the scale tier is bought in advance and has no price by the token
  { provider: 'openai', model: '*', batch: true, multiplier: '0.5' },
  // https://developers.openai.com/api/docs/guides/data-residency: "a 10% uplift for models released on or after March 5, 2026"
  { provider: 'openai', model: '*', region: '*', multiplier: '1' },
  ...['gpt-5.4*', 'gpt-5.5*', 'gpt-5.6*', 'gpt-6*'].map((model) => ({ provider: 'openai', model, region: '*', multiplier: '1.1' })),
];

// https://platform.claude.com/docs/en/about-claude/pricing (batch, fast mode, data residency). The priority tier is bought in advance, so
// that it has no price by the token: such a call is unpriced until an override says what it is worth.
const anthropicTiers: readonly PriceOverride[] = [
  { provider: 'anthropic', model: '*', batch: true, multiplier: '0.5' },
  { provider: 'anthropic', model: '*', region: 'us', multiplier: '1.1' },
  { provider: 'anthropic', model: 'claude-opus-4-6*', serviceTier: 'fast', multiplier: '6' },
  { provider: 'anthropic', model: 'claude-opus-4-7*', serviceTier: 'fast', multiplier: '6' },
  { provider: 'anthropic', model: 'claude-opus-4-8*', serviceTier: 'fast', multiplier: '2' },
  { provider: 'anthropic', model: 'claude-opus-5*', serviceTier: 'fast', multiplier: '2' },
];

// https://ai.google.dev/gemini-api/docs/optimization (batch and flex "50% discount", priority "75% to 100% more than standard") and
// https://ai.google.dev/gemini-api/docs/pricing: priority is 1.8 times the standard, grounding 14 USD per 1 000 queries, of Gemini 2 and
// earlier 35 USD per 1 000 grounded answers. Free quotas are the account's and stand in no answer: the price is an upper bound.
const googleTiers: readonly PriceOverride[] = [
  { provider: 'google', model: '*gemini-*', batch: true, multiplier: '0.5' },
  { provider: 'google', model: '*gemini-*', serviceTier: 'flex', multiplier: '0.5' },
  { provider: 'google', model: '*gemini-*', serviceTier: 'priority', multiplier: '1.8' },
  { provider: 'google', model: '*gemini-*', perThousandUsd: { webSearches: '14' } },
  { provider: 'google', model: '*gemini-1*', perThousandUsd: { webSearches: '35' } },
  { provider: 'google', model: '*gemini-2*', perThousandUsd: { webSearches: '35' } },
];

// https://api-docs.deepseek.com/quick_start/pricing: "Starting from 16:00 UTC Time on Sept 5th, 2025, we will apply the following price
// list and cancel the nighttime discount". The catalogue still has the prices of before. Since the names stand for V4 (2026) they
// cost less: an upper bound.
const deepseekSince2025: readonly PriceOverride[] = ['deepseek-chat', 'deepseek-reasoner'].flatMap((model) => [
  {
    provider: 'deepseek',
    model,
    from: '2025-09-05T16:00Z',
    to: '2025-09-29',
    perMillionUsd: { inputTokens: '0.56', cacheReadTokens: '0.07', outputTokens: '1.68' },
  },
  {
    provider: 'deepseek',
    model,
    from: '2025-09-29',
    perMillionUsd: { inputTokens: '0.28', cacheReadTokens: '0.028', outputTokens: '0.42' },
  },
]);

/**
 * What the catalogue cannot say or says wrongly, with the provider's page. An override of the user's own wins over it. What stands
 * neither here nor there (a tier, a batch, a region) has no known price.
 */
export const builtInOverrides: readonly PriceOverride[] = [
  ...openaiTiers,
  ...anthropicTiers,
  ...googleTiers,
  ...deepseekSince2025,
  // the batch APIs of these providers cost half
  ...['azure', 'mistral', 'groq'].map((provider) => ({ provider, model: '*', batch: true as const, multiplier: '0.5' })),
  // https://docs.voyageai.com/docs/pricing: a third less
  { provider: 'voyageai', model: '*', batch: true, multiplier: '0.67' },
  // https://console.groq.com/docs/flex-processing: the tiers of Groq differ in limits, not in price
  ...['flex', 'performance'].map((serviceTier) => ({ provider: 'groq', model: '*', serviceTier, multiplier: '1' })),
  // https://docs.x.ai/developers/pricing: "billed at 1.1x the global token rates, a 10% premium"
  { provider: 'x-ai', model: '*', region: 'us', multiplier: '1.1' },
];
