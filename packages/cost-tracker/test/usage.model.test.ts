import { fc, test } from '@fast-check/vitest';
import { expect } from 'vitest';
import { type UsageParts, usageFromAnthropic, usageFromGemini, usageFromOpenAI } from '../src/index.ts';
import { inputTokensOf, outputTokensOf } from '../src/usage.ts';
import { runs } from './runs.ts';

const count = fc.nat({ max: 1_000_000 });
const maybe = fc.option(count, { nil: undefined });
const sides = (usage: UsageParts | undefined) => usage && [inputTokensOf(usage), outputTokensOf(usage)];

function expectParts(usage: UsageParts | undefined): void {
  for (const each of Object.values(usage ?? {})) expect(Number.isSafeInteger(each) && each > 0).toBe(true);
}

const details = fc.record({
  cached_tokens: maybe,
  cache_write_tokens: maybe,
  audio_tokens: maybe,
  image_tokens: maybe,
  reasoning_tokens: maybe,
});

test.prop([count, count, fc.option(count, { nil: 0 }), details, details, fc.boolean()], runs(500))(
  'OpenAI: the parts of each side add up to its total, whatever the details say',
  (sent, came, apart, input, output, responses) => {
    const usage = responses
      ? { input_tokens: sent, output_tokens: came, input_tokens_details: input, output_tokens_details: output }
      : { prompt_tokens: sent, completion_tokens: came, prompt_tokens_details: input, completion_tokens_details: output };
    const read = usageFromOpenAI({ usage: { ...usage, total_tokens: sent + came + apart } }).usage;
    expect(sides(read)).toEqual([sent, came + apart]);
    expectParts(read);
  },
);

test.prop([count, count, maybe, maybe, maybe, maybe, maybe], runs(500))(
  'Anthropic: the parts add up to the three counts of the input and the one of the output',
  (plain, came, read, written, minutes, hour, thinking) => {
    const { usage } = usageFromAnthropic({
      usage: {
        input_tokens: plain,
        cache_read_input_tokens: read,
        cache_creation_input_tokens: written,
        cache_creation: { ephemeral_5m_input_tokens: minutes, ephemeral_1h_input_tokens: hour },
        output_tokens: came,
        output_tokens_details: thinking === undefined ? null : { thinking_tokens: thinking },
      },
    });
    expect(sides(usage)).toEqual([plain + (read ?? 0) + (written ?? (minutes ?? 0) + (hour ?? 0)), came]);
    expectParts(usage);
  },
);

const modalities = fc.option(
  fc.array(fc.record({ modality: fc.constantFrom('TEXT', 'AUDIO', 'IMAGE', 'VIDEO', 'DOCUMENT'), tokenCount: maybe })),
  { nil: undefined },
);

test.prop([count, maybe, maybe, maybe, maybe, modalities, modalities, modalities], runs(500))(
  'Gemini: the parts add up to totalTokenCount, and those of the input to the prompt with what tools found',
  (prompt, candidates, thoughts, ofTools, cached, sent, kept, came) => {
    const totalTokenCount = prompt + (candidates ?? 0) + (thoughts ?? 0) + (ofTools ?? 0);
    const { usage } = usageFromGemini({
      usageMetadata: {
        promptTokenCount: prompt,
        candidatesTokenCount: candidates,
        thoughtsTokenCount: thoughts,
        toolUsePromptTokenCount: ofTools,
        cachedContentTokenCount: cached,
        totalTokenCount,
        promptTokensDetails: sent,
        cacheTokensDetails: kept,
        candidatesTokensDetails: came,
      },
    });
    const input = prompt + (ofTools ?? 0);
    expect(sides(usage)).toEqual([input, totalTokenCount - input]);
    expectParts(usage);
  },
);

test.prop([fc.anything({ withNullPrototype: true, withBigInt: true, maxDepth: 4 })], runs(300))(
  'nothing that is received makes an adapter throw',
  (body) => {
    for (const read of [usageFromOpenAI, usageFromAnthropic, usageFromGemini]) {
      expectParts(read(body).usage);
      expectParts(read({ usage: body, usageMetadata: body, message: body, response: body }).usage);
      expectParts(
        read({ usage: { prompt_tokens: body, input_tokens: 1, output_tokens: body, iterations: body }, output: body, candidates: body })
          .usage,
      );
    }
  },
);
