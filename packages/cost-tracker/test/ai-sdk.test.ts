import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { freePort, until } from '@tidegate/test-kit';
import { generateText, type LanguageModel, streamText, wrapLanguageModel } from 'ai';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { type MeterMiddlewareOptions, meterMiddleware } from '../src/ai-sdk.ts';
import { meterFetch } from '../src/fetch.ts';
import { isBudgetExceededError, isUnpricedModelError } from '../src/index.ts';
import { chatWire, events, json, type LlmAnswer, llmServer, messagesWire, responsesWire, type Wire } from './llm-server.ts';
import { meteredTracker, wireUsd } from './metered-tracker.ts';

type WrappableModel = Parameters<typeof wrapLanguageModel>[0]['model'];
type Connect = (url: string, model?: string) => WrappableModel;

const providers: [name: string, connect: Connect, wire: Wire][] = [
  ['openai.chat', (url, model = 'm') => createOpenAI({ apiKey: 'key', baseURL: `${url}/v1` }).chat(model), chatWire],
  ['openai.responses', (url, model = 'm') => createOpenAI({ apiKey: 'key', baseURL: `${url}/v1` }).responses(model), responsesWire],
  ['anthropic.messages', (url, model = 'm') => createAnthropic({ apiKey: 'key', baseURL: `${url}/v1` })(model), messagesWire],
];

const exact = { model: 'm', servedModel: 'm-1', nano: 182_000, usage: { inputTokens: 80, cacheReadTokens: 20, outputTokens: 10 } };
const mina = { tenant: 'acme', user: 'mina', traceId: 't1' };
const call = { prompt: 'hello', maxOutputTokens: 50, maxRetries: 0 };

async function connected(connect: Connect, answer: LlmAnswer, options: Partial<MeterMiddlewareOptions> = {}, limitUsd = '1000') {
  const server = await llmServer(answer);
  const metered = meteredTracker({ limitUsd });
  const middleware = meterMiddleware({ tracker: metered.tracker, ...options });
  const modelAt = (url: string, name?: string): LanguageModel => wrapLanguageModel({ model: connect(url, name), middleware });
  return { server, modelAt, model: modelAt(server.url), ...metered };
}

async function textOf(stream: AsyncIterable<string>, atMost = 1_000): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of stream) {
    pieces.push(piece);
    if (pieces.length === atMost) break;
  }
  return pieces.join('');
}

describe.each(providers)('%s in the AI SDK through meterMiddleware', (name, connect, wire) => {
  it('is in the ledger, exactly, when the caller has the answer', async () => {
    const { model, asAcme, rows, status } = await connected(connect, json(wire.whole));
    expect((await asAcme(() => generateText({ ...call, model }))).text).toBe('hello');
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
    const provider = name.split('.')[0];
    expect(await rows()).toMatchObject([{ ...exact, ...mina, provider, costSource: 'priced', success: true, correction: 0 }]);
  });

  it('meters a stream once, when it is finished', async () => {
    const { model, asAcme, rows, status } = await connected(connect, events(wire.stream));
    expect(await asAcme(() => textOf(streamText({ ...call, model }).textStream))).toBe('hello');
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
    expect(await rows()).toMatchObject([{ ...exact, ...mina, costSource: 'priced', success: true }]);
  });

  it('prices a stream that is aborted by what was received of it', async () => {
    const { model, asAcme, rows, status } = await connected(
      connect,
      events(wire.stream.slice(0, wire.beforeUsage), () => {}),
    );
    const caller = new AbortController();
    await asAcme(() => textOf(streamText({ ...call, model, abortSignal: caller.signal }).textStream, 2));
    caller.abort();
    await until(async () => (await rows()).length === 1, { what: 'the row' });
    expect(await rows()).toMatchObject([{ ...mina, costSource: 'partial', usage: { outputTokens: 2, inputTokens: expect.any(Number) } }]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('prices a stream that breaks off by what was received of it', async () => {
    const cut = events(wire.stream.slice(0, wire.beforeUsage), (response) => response.destroy());
    const { model, asAcme, rows, status } = await connected(connect, cut);
    const errors: unknown[] = [];
    await asAcme(() => textOf(streamText({ ...call, model, onError: ({ error }) => void errors.push(error) }).textStream)).catch(() => {});
    expect(await rows()).toMatchObject([{ ...mina, costSource: expect.stringMatching('partial|estimated'), usage: { outputTokens: 2 } }]);
    expect((await rows())[0]?.success).toBe(false);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('gives everything back when the provider refuses; a repeated attempt is a call of its own', async () => {
    const { model, server, asAcme, rows, status } = await connected(connect, (response, request) =>
      (server.requests.length === 1 ? json({ error: { message: 'no' } }, 503, { 'retry-after-ms': '1' }) : json(wire.whole))(
        response,
        request,
      ),
    );
    expect((await asAcme(() => generateText({ ...call, model, maxRetries: 1 }))).text).toBe('hello');
    expect(server.requests).toHaveLength(2);
    expect(await rows()).toMatchObject([exact]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('a call that is never answered costs what it may have cost; one that nobody was reached with, nothing', async () => {
    const { model, modelAt, asAcme, rows, status } = await connected(connect, (response) => void response.destroy());
    await expect(asAcme(() => generateText({ ...call, model }))).rejects.toThrow();
    const estimate = { costSource: 'estimated', success: false, usage: { outputTokens: 50, inputTokens: expect.any(Number) } };
    expect(await rows()).toMatchObject([estimate]);
    const nowhere = modelAt(`http://127.0.0.1:${await freePort()}`);
    await expect(asAcme(() => generateText({ ...call, model: nowhere }))).rejects.toThrow();
    expect(await rows()).toHaveLength(1);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('a budget without room arrives as it is, at once, and nothing is sent', async () => {
    const { model, modelAt, server, asAcme } = await connected(connect, json(wire.whole), {}, '0.0001');
    const error = await asAcme(() => generateText({ ...call, model, maxRetries: 2 })).catch((thrown: unknown) => thrown);
    expect(isBudgetExceededError(error)).toBe(true);
    const unpriced = await asAcme(() => generateText({ ...call, model: modelAt(server.url, 'unknown') })).catch(
      (thrown: unknown) => thrown,
    );
    expect(isUnpricedModelError(unpriced)).toBe(true);
    const told: unknown[] = [];
    await asAcme(() => textOf(streamText({ ...call, model, onError: (event) => void told.push(event.error) }).textStream)).catch(() => {});
    expect(told.map(isBudgetExceededError)).toEqual([true]);
    expect(server.requests).toEqual([]);
  });

  it('asks for less where that is all there is room for', async () => {
    const options = { minOutputTokens: 20, inputTokens: () => 100 };
    const { model, server, asAcme } = await connected(connect, json(wire.whole), options, '0.00041');
    await asAcme(() => generateText({ ...call, model }));
    const { max_completion_tokens, max_output_tokens, max_tokens } = server.requests[0]?.body ?? {};
    expect([max_completion_tokens, max_output_tokens, max_tokens].filter((limit) => limit !== undefined)).toEqual([21]);
  });
});

/** A model that answers what it is told to. */
function scripted(result: Record<string, unknown>, provider = 'scripted'): WrappableModel {
  const usage = {
    inputTokens: { total: 100, noCache: 80, cacheRead: 20, cacheWrite: 0 },
    outputTokens: { total: 10, text: 10, reasoning: 0 },
  };
  const answer = {
    content: [{ type: 'text', text: 'hello' }],
    finishReason: { unified: 'stop', raw: 'stop' },
    warnings: [],
    usage,
    ...result,
  };
  const parts = [
    { type: 'stream-start', warnings: [] },
    { type: 'text-start', id: '1' },
    { type: 'text-delta', id: '1', delta: 'hello' },
    ...(result['parts'] === undefined ? [{ type: 'finish', ...answer }] : (result['parts'] as object[])),
  ];
  return {
    ...{ specificationVersion: 'v4', provider, modelId: 'm', supportedUrls: {} },
    doGenerate: async () => answer,
    doStream: async () => ({ stream: ReadableStream.from(parts) }),
  } as unknown as WrappableModel;
}

async function rowsOf(result: Record<string, unknown>, provider?: string, streamed = false) {
  const { tracker, asAcme, rows } = meteredTracker();
  const model = wrapLanguageModel({ model: scripted(result, provider), middleware: meterMiddleware({ tracker }) });
  if (streamed) await asAcme(() => textOf(streamText({ ...call, model, onError: () => {} }).textStream)).catch(() => {});
  else await asAcme(() => generateText({ ...call, model }));
  return rows();
}

describe('what is read of an answer', () => {
  it('the counts of the SDK, and what it does not say of them', async () => {
    const inputTokens = { total: 100, noCache: undefined, cacheRead: 20, cacheWrite: 30 };
    const outputTokens = { total: 10, text: undefined, reasoning: 4 };
    const usage = { inputTokens: 50, cacheReadTokens: 20, cacheWriteTokens: 30, outputTokens: 6, reasoningTokens: 4 };
    expect(await rowsOf({ usage: { inputTokens, outputTokens } })).toMatchObject([{ usage, costSource: 'priced' }]);
    const parts = { inputTokens: { noCache: 5, cacheRead: 2 }, outputTokens: { text: 3, reasoning: 1 } };
    expect(await rowsOf({ usage: parts })).toMatchObject([
      { usage: { inputTokens: 5, cacheReadTokens: 2, outputTokens: 3, reasoningTokens: 1 }, costSource: 'priced' },
    ]);
  });

  it("the provider's own counts, where they come to the same", async () => {
    const counts = { inputTokens: { total: 110, noCache: 50, cacheRead: 20, cacheWrite: 40 }, outputTokens: { total: 10 } };
    const raw = {
      ...{ input_tokens: 50, cache_read_input_tokens: 20, cache_creation_input_tokens: 40, output_tokens: 10 },
      ...{ cache_creation: { ephemeral_1h_input_tokens: 30, ephemeral_5m_input_tokens: 10 }, server_tool_use: { web_search_requests: 1 } },
    };
    const usage = { inputTokens: 50, cacheReadTokens: 20, cacheWriteTokens: 10, cacheWrite1hTokens: 30, outputTokens: 10, webSearches: 1 };
    expect((await rowsOf({ usage: { ...counts, raw } }, 'anthropic.messages'))[0]?.usage).toEqual(usage);
    const other = { ...raw, output_tokens: 11 };
    expect((await rowsOf({ usage: { ...counts, raw: other } }, 'anthropic.messages'))[0]?.usage).toEqual({
      ...{ inputTokens: 50, cacheReadTokens: 20, cacheWriteTokens: 40, outputTokens: 10 },
    });
    const gemini = {
      promptTokenCount: 110,
      candidatesTokenCount: 10,
      totalTokenCount: 120,
      promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 60 }],
    };
    const plain = { inputTokens: { total: 110, cacheRead: 0 }, outputTokens: { total: 10 } };
    expect((await rowsOf({ usage: { ...plain, raw: gemini } }, 'google.generative-ai'))[0]?.usage).toEqual({
      ...{ inputTokens: 50, inputAudioTokens: 60, outputTokens: 10 },
    });
  });

  it('what a gateway says that the call cost', async () => {
    for (const providerMetadata of [{ gateway: { cost: '0.00123' } }, { openrouter: { usage: { cost: 0.00123 } } }]) {
      for (const streamed of [false, true]) {
        expect(await rowsOf({ providerMetadata }, 'gateway', streamed)).toMatchObject([{ nano: 1_230_000, costSource: 'reported' }]);
      }
    }
  });

  it('nothing: estimated; 0: it costs 0; nonsense: estimated, and why', async () => {
    const none = { inputTokens: {}, outputTokens: {} };
    expect(await rowsOf({ usage: none })).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 2 } }]);
    const zeros = { inputTokens: { total: 0 }, outputTokens: { total: 0 } };
    expect(await rowsOf({ usage: zeros })).toMatchObject([{ costSource: 'priced', nano: 0, usage: {} }]);
    const nonsense = { inputTokens: { total: -5 }, outputTokens: { total: 1 } };
    expect(await rowsOf({ usage: nonsense })).toMatchObject([
      { costSource: 'estimated', metadata: { usageProblem: expect.stringContaining('-5') } },
    ]);
  });

  it('a stream without its last part is estimated; one that is an error and nothing else costs nothing', async () => {
    expect(await rowsOf({ parts: [] }, 'scripted', true)).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 2 } }]);
    const { tracker, asAcme, rows, status } = meteredTracker();
    const error = ReadableStream.from([{ type: 'error', error: new Error('overloaded') }]);
    const model = { ...(scripted({}) as object), doStream: async () => ({ stream: error }) } as unknown as WrappableModel;
    const wrapped = wrapLanguageModel({ model, middleware: meterMiddleware({ tracker }) });
    await asAcme(() => textOf(streamText({ ...call, model: wrapped, onError: () => {} }).textStream)).catch(() => {});
    expect(await rows()).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('input of tools counts once, whether it is streamed or not', async () => {
    const input = 'x'.repeat(30);
    const whole = { type: 'tool-call', toolCallId: 't', toolName: 'f', input };
    const streamed = [{ type: 'tool-input-start', id: 't', toolName: 'f' }, { type: 'tool-input-delta', id: 't', delta: input }, whole];
    for (const parts of [[whole], streamed]) {
      const { tracker, asAcme, rows } = meteredTracker();
      const { wrapStream } = meterMiddleware({ tracker });
      const model = {
        provider: 'p',
        modelId: 'm',
        doGenerate: async () => ({}),
        doStream: async () => ({ stream: ReadableStream.from(parts) }),
      };
      const { stream } = await asAcme(() => wrapStream({ doStream: () => model.doStream(), params: { prompt: [] }, model }));
      for await (const part of stream as ReadableStream<object>) expect(parts).toContain(part);
      expect(await rows()).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 10 } }]);
    }
  });
});

test('a stream that nobody reads gives its hold back when it is garbage', async () => {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  onTestFinished(() => setFlagsFromString('--no-expose_gc'));
  const { tracker, asAcme, rows, status } = meteredTracker();
  const { wrapStream } = meterMiddleware({ tracker });
  const doStream = async () => ({ stream: new ReadableStream({ pull: (controller) => controller.enqueue({ type: 'ping' }) }) });
  const model = { provider: 'p', modelId: 'm', doGenerate: async () => ({}), doStream };
  await (async () => void (await asAcme(() => wrapStream({ doStream, params: { prompt: [] }, model }))).stream.locked)();
  await until(
    async () => {
      collect();
      return (await status()).reservedUsd === '0';
    },
    { what: 'the hold to end' },
  );
  expect(await rows()).toMatchObject([{ costSource: 'partial' }]);
});

test('a model that talks through meterFetch needs no middleware', async () => {
  const server = await llmServer(json(chatWire.whole));
  const { tracker, asAcme, rows } = meteredTracker();
  const openai = createOpenAI({ apiKey: 'key', baseURL: `${server.url}/v1`, fetch: meterFetch({ tracker }) });
  await asAcme(() => generateText({ ...call, model: openai.chat('m') }));
  expect(await rows()).toMatchObject([exact]);
});

test('each step of a loop over tools is a call of its own; the functions among the options see it', async () => {
  const seen: string[] = [];
  const { model, asAcme, rows } = await connected(providers[0]?.[1] as Connect, json(chatWire.whole), {
    inputTokens: ({ provider, model: name, params }) => void seen.push(`${provider} ${name} ${params.maxOutputTokens}`),
    provider: () => 'azure',
  });
  await asAcme(() => generateText({ ...call, model }));
  await asAcme(() => generateText({ ...call, model }));
  expect(seen).toEqual(['openai.chat m 50', 'openai.chat m 50']);
  expect(await rows()).toMatchObject([{ provider: 'azure' }, { provider: 'azure' }]);
});

test('unknown options are refused', () => {
  const { tracker } = meteredTracker();
  expect(() => meterMiddleware({ tracker, refuse: 'throw' } as MeterMiddlewareOptions)).toThrow('meterMiddleware.refuse is unknown');
});

test('an abort before the call is made leaves nothing', async () => {
  const { model, asAcme, server, status } = await connected(providers[0]?.[1] as Connect, json(chatWire.whole));
  await expect(asAcme(() => generateText({ ...call, model, abortSignal: AbortSignal.abort() }))).rejects.toThrow();
  expect(server.requests).toEqual([]);
  expect(await status()).toMatchObject({ reservedUsd: '0' });
});
