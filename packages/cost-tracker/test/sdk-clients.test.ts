import Anthropic from '@anthropic-ai/sdk';
import { freePort, until } from '@tidegate/test-kit';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { type MeterFetchOptions, meterFetch } from '../src/fetch.ts';
import { isBudgetExceededError, isUnpricedModelError } from '../src/index.ts';
import { chatWire, events, json, type LlmAnswer, llmServer, messagesWire, responsesWire, type Wire } from './llm-server.ts';
import { meteredTracker, wireUsd } from './metered-tracker.ts';

interface Client {
  /** One call without a stream; resolves with the text. */
  complete(options?: { signal?: AbortSignal; headers?: Record<string, string>; model?: string }): Promise<string>;
  /** One call with a stream; stops after `atMost` pieces of text. */
  stream(atMost?: number): Promise<string>;
}

type Connect = (url: string, metered: typeof fetch, maxRetries?: number) => Client;

async function textOf(stream: AsyncIterable<unknown>, piece: (event: never) => string | undefined, atMost: number): Promise<string> {
  const pieces: string[] = [];
  for await (const event of stream) {
    const text = piece(event as never);
    if (text !== undefined) pieces.push(text);
    if (pieces.length === atMost) break;
  }
  return pieces.join('');
}

const chat: Connect = (url, metered, maxRetries = 0) => {
  const client = new OpenAI({ apiKey: 'key', baseURL: `${url}/v1`, fetch: metered, maxRetries });
  const request = { model: 'm', max_completion_tokens: 50, messages: [{ role: 'user' as const, content: 'hello' }] };
  return {
    complete: async ({ model = 'm', ...options } = {}) => {
      const { choices } = await client.chat.completions.create({ ...request, model }, options);
      return choices[0]?.message.content ?? '';
    },
    stream: async (atMost = 1_000) =>
      textOf(
        await client.chat.completions.create({ ...request, stream: true }),
        ({ choices }: OpenAI.Chat.Completions.ChatCompletionChunk) => choices[0]?.delta.content ?? undefined,
        atMost,
      ),
  };
};

const responses: Connect = (url, metered, maxRetries = 0) => {
  const client = new OpenAI({ apiKey: 'key', baseURL: `${url}/v1`, fetch: metered, maxRetries });
  const request = { model: 'm', max_output_tokens: 50, input: 'hello' };
  return {
    complete: async ({ model = 'm', ...options } = {}) => (await client.responses.create({ ...request, model }, options)).output_text,
    stream: async (atMost = 1_000) =>
      textOf(
        await client.responses.create({ ...request, stream: true }),
        (event: OpenAI.Responses.ResponseStreamEvent) => (event.type === 'response.output_text.delta' ? event.delta : undefined),
        atMost,
      ),
  };
};

const anthropic: Connect = (url, metered, maxRetries = 0) => {
  const client = new Anthropic({ apiKey: 'key', baseURL: url, fetch: metered, maxRetries });
  const request = { model: 'm', max_tokens: 50, messages: [{ role: 'user' as const, content: 'hello' }] };
  return {
    complete: async ({ model = 'm', ...options } = {}) => {
      const { content } = await client.messages.create({ ...request, model }, options);
      return content[0]?.type === 'text' ? content[0].text : '';
    },
    stream: async (atMost = 1_000) =>
      textOf(
        await client.messages.create({ ...request, stream: true }),
        (event: Anthropic.MessageStreamEvent) =>
          event.type === 'content_block_delta' && event.delta.type === 'text_delta' ? event.delta.text : undefined,
        atMost,
      ),
  };
};

const exact = { model: 'm', servedModel: 'm-1', nano: 182_000, usage: { inputTokens: 80, cacheReadTokens: 20, outputTokens: 10 } };
const mina = { tenant: 'acme', user: 'mina', traceId: 't1' };

describe.each<[string, Connect, Wire]>([
  ['chat completions of openai', chat, chatWire],
  ['responses of openai', responses, responsesWire],
  ['messages of @anthropic-ai/sdk', anthropic, messagesWire],
])('%s through meterFetch', (_, connect, wire) => {
  async function connected(answer: LlmAnswer, options: Partial<MeterFetchOptions> = {}, limitUsd = '1000', maxRetries = 0) {
    const server = await llmServer(answer);
    const metered = meteredTracker({ limitUsd });
    const client = connect(server.url, meterFetch({ tracker: metered.tracker, ...options }), maxRetries);
    return { server, client, ...metered };
  }
  const wireError = { type: 'error', error: { type: 'api_error', message: 'no' } };

  it('is in the ledger, exactly, when the caller has the answer', async () => {
    const { client, asAcme, rows, status, server } = await connected(json(wire.whole));
    expect(await asAcme(() => client.complete())).toBe('hello');
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
    const metadata = { responseId: wire.whole['id'] };
    expect(await rows()).toEqual([{ ...exact, ...mina, provider: 'flat', costSource: 'priced', success: true, metadata, correction: 0 }]);
    expect(server.requests).toHaveLength(1);
  });

  it('reserves the most that it can cost until then', async () => {
    const { client, asAcme, status, server } = await connected(() => {});
    const caller = new AbortController();
    const call = asAcme(() => client.complete({ signal: caller.signal }));
    await until(() => server.requests.length === 1, { what: 'the request' });
    const body = Buffer.byteLength(JSON.stringify(server.requests[0]?.body));
    // a token for each byte of the body and 64 besides, written to a cache for an hour, and 50 of output
    expect(await status()).toMatchObject({ reservedUsd: `0.${String((body + 64) * 2_000 + 500_000).padStart(9, '0')}`.replace(/0+$/, '') });
    caller.abort();
    await expect(call).rejects.toThrow();
  });

  it('meters a stream once, when its last word is read', async () => {
    const { client, asAcme, rows, status } = await connected(events(wire.stream));
    expect(await asAcme(() => client.stream())).toBe('hello');
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
    expect(await rows()).toMatchObject([{ ...exact, ...mina, costSource: 'priced', success: true }]);
  });

  it('prices a stream that is left by what was received of it', async () => {
    const { client, asAcme, rows, status } = await connected(events(wire.stream.slice(0, wire.beforeUsage), () => {}));
    expect(await asAcme(() => client.stream(2))).toBe('hell');
    await until(async () => (await rows()).length === 1, { what: 'the row of the stream' });
    const [row] = await rows();
    expect(row).toMatchObject({ ...mina, costSource: 'partial', success: true });
    expect(row?.usage.outputTokens).toBe(2); // four bytes
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('prices a stream that breaks off by what was received of it, as a failure', async () => {
    const { client, asAcme, rows, status } = await connected(
      events(wire.stream.slice(0, wire.beforeUsage), (response) => response.destroy()),
    );
    await expect(asAcme(() => client.stream())).rejects.toThrow();
    expect(await rows()).toMatchObject([{ ...mina, costSource: 'partial', success: false, usage: { outputTokens: 2 } }]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('gives everything back when the provider refuses; a repeated attempt is a call of its own', async () => {
    const { client, server, asAcme, rows, status } = await connected(
      (response, request) => {
        const answer = server.requests.length === 1 ? json(wireError, 500, { 'retry-after-ms': '1' }) : json(wire.whole);
        return answer(response, request);
      },
      {},
      '1000',
      1,
    );
    expect(await asAcme(() => client.complete())).toBe('hello');
    expect(server.requests).toHaveLength(2);
    expect(await rows()).toMatchObject([exact]);
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
  });

  it('lets the body of an error through', async () => {
    const { client, asAcme, rows, status } = await connected(json(wireError, 400));
    await expect(asAcme(() => client.complete())).rejects.toMatchObject({ status: 400, message: expect.stringContaining('no') });
    expect(await rows()).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('counts what a refusal was charged by its own word', async () => {
    const { client, asAcme, rows, status } = await connected(json({ ...wire.whole, ...wireError }, 400));
    await expect(asAcme(() => client.complete())).rejects.toMatchObject({ status: 400 });
    expect(await rows()).toMatchObject([{ ...exact, success: false, costSource: 'priced' }]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('a call that is never answered costs what it may have cost, or nothing', async () => {
    for (const unanswered of ['estimate', 'release'] as const) {
      const { client, asAcme, rows, status } = await connected((response) => void response.destroy(), { unanswered });
      await expect(asAcme(() => client.complete())).rejects.toThrow();
      const estimate = { ...mina, costSource: 'estimated', success: false, usage: { outputTokens: 50, inputTokens: expect.any(Number) } };
      expect(await rows()).toMatchObject(unanswered === 'estimate' ? [estimate] : []);
      expect(await status()).toMatchObject({ reservedUsd: '0' });
    }
  });

  it('a call that nobody was reached with costs nothing', async () => {
    const { asAcme, tracker, rows, status } = await connected(json({}));
    const client = connect(`http://127.0.0.1:${await freePort()}`, meterFetch({ tracker }));
    await expect(asAcme(() => client.complete())).rejects.toThrow();
    expect(await rows()).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it("a budget without room is the cause of the client's error, and nothing is sent", async () => {
    const { client, asAcme, server, status } = await connected(json(wire.whole), {}, '0.0001');
    const error = (await asAcme(() => client.complete().catch((thrown: unknown) => thrown))) as Error;
    expect(error.constructor.name).toBe('APIConnectionError');
    expect(isBudgetExceededError(error.cause)).toBe(true);
    expect(error.cause).toMatchObject({ limit: 'acme', limitUsd: '0.0001', spentUsd: '0' });
    expect(server.requests).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('a budget without room is an answer that the client does not ask for again', async () => {
    const { client, asAcme, server } = await connected(json(wire.whole), { refuse: 'response' }, '0.0001', 2);
    const error = (await asAcme(() => client.complete().catch((thrown: unknown) => thrown))) as Error & { error: unknown };
    expect(error.constructor.name).toBe('PermissionDeniedError');
    expect(error).toMatchObject({ status: 403, message: expect.stringContaining("budget 'acme' has no room") });
    expect(JSON.stringify(error.error)).toContain('ERR_BUDGET_EXCEEDED');
    expect(server.requests).toEqual([]);
  });

  it('a model without a price is refused in the same ways', async () => {
    const { client, tracker, asAcme, server } = await connected(json(wire.whole));
    const thrown = (await asAcme(() => client.complete({ model: 'unknown' }).catch((error: unknown) => error))) as Error;
    expect(isUnpricedModelError(thrown.cause)).toBe(true);
    const answering = connect(server.url, meterFetch({ tracker, refuse: 'response' }));
    const answered = await asAcme(() => answering.complete({ model: 'unknown' }).catch((error: unknown) => error));
    expect(answered).toMatchObject({ status: 403, message: expect.stringContaining("model 'unknown' has no known price") });
  });

  it('asks for less where that is all there is room for', async () => {
    // room for what is sent and 20 tokens of output
    const { client, asAcme, server, rows } = await connected(json(wire.whole), { minOutputTokens: 20, inputTokens: () => 100 }, '0.00041');
    expect(await asAcme(() => client.complete())).toBe('hello');
    const { max_completion_tokens, max_output_tokens, max_tokens } = server.requests[0]?.body ?? {};
    expect([max_completion_tokens, max_output_tokens, max_tokens].filter((limit) => limit !== undefined)).toEqual([21]);
    expect(await rows()).toMatchObject([exact]);
  });

  it('calls that carry the same idempotency key are one', async () => {
    const { client, asAcme, rows, status } = await connected(json(wire.whole));
    const options = { headers: { 'Idempotency-Key': 'k1' } };
    await asAcme(() => client.complete(options));
    await asAcme(() => client.complete(options));
    expect(await rows()).toMatchObject([exact]);
    expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
  });

  it('an answer that says nothing of its usage is estimated; one that says 0 costs 0', async () => {
    const { client, server, asAcme, rows } = await connected(json({ ...wire.whole, usage: undefined }));
    expect(await asAcme(() => client.complete())).toBe('hello');
    const zeros = Object.fromEntries(Object.keys(wire.whole['usage'] as object).map((name) => [name, name.endsWith('details') ? {} : 0]));
    server.answer(json({ ...wire.whole, usage: zeros }));
    expect(await asAcme(() => client.complete())).toBe('hello');
    expect((await rows()).sort((a, b) => b.nano - a.nano)).toMatchObject([
      { costSource: 'estimated', usage: { inputTokens: expect.any(Number), outputTokens: expect.any(Number) } },
      { costSource: 'priced', nano: 0, usage: {} },
    ]);
  });

  it('an answer that says nonsense of its usage is estimated, and says why', async () => {
    const usage = { ...(wire.whole['usage'] as object), input_tokens: -5, prompt_tokens: -5 };
    const { client, asAcme, rows } = await connected(json({ ...wire.whole, usage }));
    await asAcme(() => client.complete());
    expect(await rows()).toMatchObject([{ costSource: 'estimated', metadata: { usageProblem: expect.stringContaining('not -5') } }]);
  });

  it('an abort before the call is made leaves nothing', async () => {
    const { client, asAcme, server, status } = await connected(json(wire.whole));
    await expect(asAcme(() => client.complete({ signal: AbortSignal.abort() }))).rejects.toThrow();
    expect(server.requests).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0', spentUsd: '0' });
  });
});
