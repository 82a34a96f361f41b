import { describe, expect, test } from 'vitest';
import type { ReportedUsage } from '../src/index.ts';
import { usageFromAnthropic, usageFromGemini, usageFromOpenAI } from '../src/index.ts';
import { priceBook } from '../src/prices.ts';
import { inputTokensOf, outputTokensOf } from '../src/usage.ts';
import { answerOf, eventsOf, providerAnswers, providerStreams } from './provider-answers.ts';

const book = priceBook();
book.on('catalogue-old', () => {});

describe('an answer of a provider', () => {
  test.each(providerAnswers.map((answer) => [answer.file, answer] as const))(
    '%s is read and priced to the nano-dollar',
    async (file, answer) => {
      const body = answerOf(file);
      const { usage, servedModel, responseId, ...beside } = answer.read(body);
      expect(usage).toEqual(answer.usage);
      expect(servedModel).toBe(body['model'] ?? body['modelVersion']);
      expect(responseId).toBe(body['id'] ?? body['responseId']);
      expect(beside).toEqual(answer.beside ?? {});
      for (const { at, nano, provider, model = servedModel ?? '', batch } of answer.prices) {
        const priced = await book.price({ provider, model, batch, at: Date.parse(at), usage: answer.usage, ...beside });
        expect([at, priced?.amount]).toEqual([at, nano]);
      }
    },
  );

  test('fixtures and expectations are about the same files', async () => {
    const { readdirSync } = await import('node:fs');
    const files = readdirSync(new URL('fixtures/providers', import.meta.url));
    expect(files.sort()).toEqual([...providerAnswers.map(({ file }) => `${file}.json`), ...providerStreams.map(({ file }) => file)].sort());
  });
});

describe('a stream', () => {
  /** What a meter hands over: the last event that says anything of usage, of Anthropic laid over the first. */
  const lastSaid = ({ file, read }: (typeof providerStreams)[number]): ReportedUsage => {
    const events = eventsOf(file);
    if (read !== usageFromAnthropic) return events.map(read).findLast(({ usage }) => usage !== undefined) ?? {};
    const message = events[0]?.['message'] as { usage: object };
    const usages = events.map((event) => event['usage']).filter((usage) => typeof usage === 'object');
    return read({ ...message, usage: Object.assign({}, message.usage, ...usages) });
  };

  test.each(providerStreams.map((stream) => [stream.file, stream] as const))('%s', (_, stream) => {
    const said = lastSaid(stream);
    expect(said.usage).toEqual(stream.usage);
    expect(said.amountUsd).toBe(stream.amountUsd);
    expect(said.usageProblem).toBeUndefined();
  });
});

describe('an answer that contradicts itself', () => {
  test.each([
    [
      'more cached than sent',
      { prompt_tokens: 100, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 900 } },
      { cacheReadTokens: 100 },
    ],
    [
      'more of everything than sent: the dearest first',
      { prompt_tokens: 100, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 90, audio_tokens: 60, cache_write_tokens: 30 } },
      { inputAudioTokens: 60, cacheWriteTokens: 30, cacheReadTokens: 10 },
    ],
    ['a total that is too low', { prompt_tokens: 100, completion_tokens: 5, total_tokens: 7 }, { inputTokens: 100 }],
    [
      'cached audio beyond what is cached',
      {
        prompt_tokens: 100,
        completion_tokens: 5,
        prompt_tokens_details: { cached_tokens: 10, audio_tokens: 20, cached_tokens_details: { audio_tokens: 50 } },
      },
      { inputTokens: 80, inputAudioTokens: 10, cacheReadAudioTokens: 10 },
    ],
  ])('%s', (_, usage, sent) => {
    expect(usageFromOpenAI({ usage }).usage).toEqual({ ...sent, outputTokens: 5 });
  });

  test('more reasoning than came back', () => {
    const usage = {
      prompt_tokens: 1,
      completion_tokens: 5,
      total_tokens: 6,
      completion_tokens_details: { reasoning_tokens: 50, audio_tokens: 3 },
    };
    expect(usageFromOpenAI({ usage }).usage).toEqual({ inputTokens: 1, outputAudioTokens: 3, reasoningTokens: 2 });
  });

  test('of Anthropic, cache writes by lifetime that are more than all cache writes', () => {
    const usage = { input_tokens: 1, output_tokens: 2, cache_creation_input_tokens: 10, cache_creation: { ephemeral_1h_input_tokens: 30 } };
    expect(usageFromAnthropic({ usage }).usage).toEqual({ inputTokens: 1, cacheWrite1hTokens: 10, outputTokens: 2 });
    expect(usageFromAnthropic({ usage: { ...usage, cache_creation_input_tokens: null } }).usage).toMatchObject({ cacheWrite1hTokens: 30 });
  });

  test('of Gemini, modalities and cache that are more than the prompt, and a total that tells more', () => {
    const usageMetadata = {
      promptTokenCount: 100,
      cachedContentTokenCount: 500,
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 70 }],
      cacheTokensDetails: [{ modality: 'AUDIO', tokenCount: 90 }],
      totalTokenCount: 140,
    };
    const { usage = {} } = usageFromGemini({ usageMetadata });
    expect(usage).toEqual({ cacheReadAudioTokens: 90, cacheReadTokens: 10, outputTokens: 40 });
    expect([inputTokensOf(usage), outputTokensOf(usage)]).toEqual([100, 40]);
  });
});

describe('what is not said', () => {
  test.each([undefined, null, 'text', 7, [], {}, { usage: null }, { usage: {} }, { usage: [] }, { usage: { prompt_tokens: 5 } }])(
    '%j says nothing',
    (body) => {
      for (const read of [usageFromOpenAI, usageFromAnthropic, usageFromGemini]) expect(read(body)).toEqual({});
    },
  );

  test('what one count and the total leave over is the other', () => {
    expect(usageFromOpenAI({ usage: { completion_tokens: 5, total_tokens: 12 } }).usage).toEqual({ inputTokens: 7, outputTokens: 5 });
    expect(usageFromOpenAI({ usage: { prompt_tokens: 7, total_tokens: 12 } }).usage).toEqual({ inputTokens: 7, outputTokens: 5 });
    expect(usageFromGemini({ usageMetadata: { totalTokenCount: 12, candidatesTokenCount: 5 } }).usage).toEqual({
      inputTokens: 7,
      outputTokens: 5,
    });
  });

  test('a 0 that is said is a 0', () => {
    expect(usageFromOpenAI({ usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } })).toEqual({ usage: {} });
    expect(usageFromAnthropic({ usage: { input_tokens: 0, output_tokens: 0 } })).toEqual({ usage: {} });
    expect(usageFromGemini({ usageMetadata: { promptTokenCount: 0 } })).toEqual({ usage: {} });
    expect(usageFromOpenAI({ usage: { cost: 0 } })).toEqual({ amountUsd: '0' });
  });
});

describe('nonsense is told, not believed', () => {
  const nonsense = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 60, 1_000_000_001, '12', true, {}, []];

  test.each(nonsense)('%j where a count belongs', (bad) => {
    const shown = typeof bad === 'string' ? JSON.stringify(bad) : typeof bad === 'object' ? 'an object' : String(bad);
    const problem = (name: string) => `${name} must be a whole number from 0 to 1000000000, not ${shown}`;
    expect(usageFromOpenAI({ model: 'm', usage: { prompt_tokens: bad, completion_tokens: 1 } })).toEqual({
      usageProblem: problem('prompt_tokens'),
      servedModel: 'm',
    });
    expect(usageFromOpenAI({ usage: { prompt_tokens: 5, completion_tokens: 1, prompt_tokens_details: { cached_tokens: bad } } })).toEqual({
      usageProblem: problem('cached_tokens'),
    });
    expect(usageFromAnthropic({ usage: { input_tokens: 5, output_tokens: bad } })).toEqual({ usageProblem: problem('output_tokens') });
    expect(usageFromGemini({ usageMetadata: { promptTokenCount: 5, thoughtsTokenCount: bad } })).toEqual({
      usageProblem: problem('thoughtsTokenCount'),
    });
    expect(
      usageFromGemini({ usageMetadata: { promptTokenCount: 5, promptTokensDetails: [{ modality: 'AUDIO', tokenCount: bad }] } }),
    ).toEqual({ usageProblem: problem('tokenCount') });
  });

  test.each([-1, Number.NaN, 'much', {}, 2e9, 1e30])('%j where a cost belongs', (bad) => {
    expect(usageFromOpenAI({ usage: { cost: bad } })).toEqual({});
    expect(usageFromOpenAI({ usage: { cost: { total_cost: bad } } })).toEqual({});
    expect(usageFromOpenAI({ usage: { cost: 1, is_byok: true, cost_details: { upstream_inference_cost: bad } } })).toEqual({});
    if (bad !== 2e9) expect(usageFromOpenAI({ usage: { cost_in_usd_ticks: bad } })).toEqual({});
  });

  test('names and tiers that are no texts are not there', () => {
    expect(usageFromOpenAI({ id: 7, model: '', service_tier: null, usage: { prompt_tokens: 1, completion_tokens: 1 } })).toEqual({
      usage: { inputTokens: 1, outputTokens: 1 },
    });
  });
});

test('Gemini 2 and earlier are billed by the grounded answer, later ones by the query', () => {
  const body = (modelVersion: string, webSearchQueries: unknown) => ({
    modelVersion,
    usageMetadata: { promptTokenCount: 1 },
    candidates: [{ groundingMetadata: { webSearchQueries } }],
  });
  expect(usageFromGemini(body('gemini-2.5-pro', ['a', 'b'])).usage?.webSearches).toBe(1);
  expect(usageFromGemini(body('gemini-3-pro-preview', ['a', '', 'b', 7])).usage?.webSearches).toBe(2);
  expect(usageFromGemini(body('gemini-3-pro-preview', 'a')).usage?.webSearches).toBeUndefined();
});

test.each([
  [{ trafficType: 'ON_DEMAND' }, undefined],
  [{ trafficType: 'TRAFFIC_TYPE_UNSPECIFIED' }, undefined],
  [{ trafficType: 'ON_DEMAND_PRIORITY' }, 'priority'],
  [{ trafficType: 'PROVISIONED_THROUGHPUT' }, 'provisioned-throughput'],
  [{ serviceTier: 'unspecified', trafficType: 'ON_DEMAND_FLEX' }, undefined],
  [{ serviceTier: 'STANDARD' }, 'standard'],
])('Gemini says the tier in two ways: %j', (said, tier) => {
  expect(usageFromGemini({ usageMetadata: { promptTokenCount: 1, ...said } }).serviceTier).toBe(tier);
});
