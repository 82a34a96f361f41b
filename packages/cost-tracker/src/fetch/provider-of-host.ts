/** Whom a host pays, as the price book names it. What is unknown is found by the model's name. */
const hosts: readonly (readonly [host: RegExp, provider: string])[] = [
  [/^api\.openai\.com$/, 'openai'],
  [/\.(openai|cognitiveservices|services\.ai)\.azure\.com$/, 'azure'],
  [/^api\.anthropic\.com$/, 'anthropic'],
  [/^generativelanguage\.googleapis\.com$/, 'google'],
  [/(^|-)aiplatform\.googleapis\.com$/, 'google'],
  [/^openrouter\.ai$/, 'openrouter'],
  [/^api\.groq\.com$/, 'groq'],
  [/^api\.mistral\.ai$/, 'mistral'],
  [/^api\.deepseek\.com$/, 'deepseek'],
  [/^api\.x\.ai$/, 'x-ai'],
  [/^api\.together\.(xyz|ai)$/, 'together'],
  [/^api\.fireworks\.ai$/, 'fireworks'],
  [/^api\.perplexity\.ai$/, 'perplexity'],
  [/^api\.cerebras\.ai$/, 'cerebras'],
];

/** The provider at a URL, where its host tells it. */
export function providerOfHost(url: string): string | undefined {
  const host = URL.canParse(url) ? new URL(url).hostname : '';
  return hosts.find(([pattern]) => pattern.test(host))?.[1];
}
