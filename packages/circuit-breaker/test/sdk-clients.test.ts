import Anthropic from '@anthropic-ai/sdk';
import { ManualClock, until } from '@tidegate/test-kit';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { llmTraffic } from '../src/classifiers.ts';
import { breakerFetch } from '../src/fetch.ts';
import { CircuitBreaker, isCircuitOpenError } from '../src/index.ts';
import { outcomeOf } from './calls.ts';
import { type Answer, events, json, serve } from './http-answers.ts';

interface Client {
  /** One call without a stream; resolves with the text. */
  complete(signal?: AbortSignal): Promise<string>;
  /** One call with a stream; stops after `atMost` pieces of text. */
  stream(atMost?: number): Promise<string>;
}

type Connect = (url: string, guarded: typeof fetch, timeout?: number) => Client;

const openai: Connect = (baseURL, guarded, timeout = 60_000) => {
  const client = new OpenAI({ apiKey: 'key', baseURL, fetch: guarded, maxRetries: 0, timeout });
  const messages = [{ role: 'user' as const, content: 'hello' }];
  return {
    complete: async (signal) => {
      const { choices } = await client.chat.completions.create({ model: 'm', messages }, { signal: signal ?? null });
      return choices[0]?.message.content ?? '';
    },
    stream: async (atMost = 1_000) => {
      const pieces: string[] = [];
      for await (const { choices } of await client.chat.completions.create({ model: 'm', messages, stream: true })) {
        pieces.push(choices[0]?.delta.content ?? '');
        if (pieces.length === atMost) break;
      }
      return pieces.join('');
    },
  };
};

const anthropic: Connect = (baseURL, guarded, timeout = 60_000) => {
  const client = new Anthropic({ apiKey: 'key', baseURL, fetch: guarded, maxRetries: 0, timeout });
  const request = { model: 'm', max_tokens: 5, messages: [{ role: 'user' as const, content: 'hello' }] };
  return {
    complete: async (signal) => {
      const { content } = await client.messages.create(request, { signal: signal ?? null });
      return content[0]?.type === 'text' ? content[0].text : '';
    },
    stream: async (atMost = 1_000) => {
      const pieces: string[] = [];
      for await (const event of await client.messages.create({ ...request, stream: true })) {
        if (event.type !== 'content_block_delta' || event.delta.type !== 'text_delta') continue;
        pieces.push(event.delta.text);
        if (pieces.length === atMost) break;
      }
      return pieces.join('');
    },
  };
};

interface Wire {
  readonly whole: Answer;
  readonly pieces: readonly object[];
  readonly last: object | string;
  readonly error: (type: string) => object;
}

const openaiWire: Wire = {
  whole: json({ id: 'c', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }] }),
  pieces: ['he', 'll', 'o'].map((content) => ({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] })),
  last: '[DONE]',
  error: (type) => ({ error: { message: 'no', type, code: type, param: null } }),
};

const anthropicWire: Wire = {
  whole: json({ id: 'm', type: 'message', role: 'assistant', content: [{ type: 'text', text: 'hello' }] }),
  pieces: ['he', 'll', 'o'].map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
  last: { type: 'message_stop' },
  error: (type) => ({ type: 'error', error: { type, message: 'no' } }),
};

describe.each<[string, Connect, Wire]>([
  ['openai', openai, openaiWire],
  ['@anthropic-ai/sdk', anthropic, anthropicWire],
])('%s through breakerFetch', (_, connect, wire) => {
  async function connected(answer: Answer, abortFailsAfterMs?: number, timeout?: number) {
    const server = await serve(answer);
    const clock = new ManualClock();
    const breaker = new CircuitBreaker({ name: 'llm', ...llmTraffic(), clock });
    const told: string[] = [];
    for (const event of ['success', 'failure', 'ignored'] as const) breaker.on(event, () => told.push(event));
    const guarded = breakerFetch({ breaker, ...(abortFailsAfterMs === undefined ? { clock } : { abortFailsAfterMs }) });
    return { server, clock, breaker, told, client: connect(server.url, guarded, timeout) };
  }

  it('counts a completion', async () => {
    const { client, told } = await connected(wire.whole);
    expect(await client.complete()).toBe('hello');
    expect(told).toEqual(['success']);
  });

  it('counts a stream when it has ended', async () => {
    const { client, told } = await connected(events([...wire.pieces, wire.last]));
    expect(await client.stream()).toBe('hello');
    expect(told).toEqual(['success']);
  });

  it('counts a stream that the reader leaves by break as a success', async () => {
    const { client, told } = await connected(events(wire.pieces, () => {}));
    expect(await client.stream(2)).toBe('hell');
    expect(told).toEqual(['success']);
  });

  it('counts a stream that breaks off half-way as a failure', async () => {
    const { client, told } = await connected(events(wire.pieces, (response) => response.destroy()));
    expect(await outcomeOf(client.stream())).toBeInstanceOf(Error);
    expect(told).toEqual(['failure']);
  });

  it('keeps away for as long as a 429 asks; the client shows the refusal as the cause of its error', async () => {
    const { client, server, breaker, told } = await connected(json(wire.error('rate_limit_error'), 429, { 'retry-after': '45' }));
    expect(await outcomeOf(client.complete())).toMatchObject({ status: 429 });
    expect(told).toEqual(['failure']);
    expect(breaker.retryAfterMs).toBe(45_000);
    const error = (await outcomeOf(client.complete())) as Error;
    expect(error.constructor.name).toBe('APIConnectionError');
    expect(isCircuitOpenError(error.cause)).toBe(true);
    expect(error.cause).toMatchObject({ limit: 'llm', retryAfterMs: 45_000 });
    expect(server.requests()).toBe(1);
  });

  it('opens after failures, and its error bodies reach the client whole', async () => {
    const { client, server, breaker } = await connected(json(wire.error('api_error'), 500));
    for (let call = 0; call < 5; call++) {
      expect(await outcomeOf(client.complete())).toMatchObject({ status: 500, message: expect.stringContaining('no') });
    }
    expect(breaker.state).toBe('open');
    expect(isCircuitOpenError(((await outcomeOf(client.stream())) as Error).cause)).toBe(true);
    expect(server.requests()).toBe(5);
  });

  it('counts mistakes of the caller as nothing', async () => {
    const { client, told } = await connected(json(wire.error('invalid_request_error'), 400));
    for (let call = 0; call < 3; call++) expect(await outcomeOf(client.complete())).toMatchObject({ status: 400 });
    expect(told).toEqual(['ignored', 'ignored', 'ignored']);
  });

  it("counts the caller's abort as nothing", async () => {
    const { client, server, told } = await connected(() => {});
    const caller = new AbortController();
    const call = outcomeOf(client.complete(caller.signal));
    await until(() => server.requests() === 1, { what: 'the request' });
    caller.abort();
    expect(((await call) as Error).constructor.name).toBe('APIUserAbortError');
    expect(told).toEqual(['ignored']);
  });

  it("counts the client's own timeout as a failure once that is told apart", async () => {
    const { client, told } = await connected(() => {}, 50, 150);
    expect(((await outcomeOf(client.complete())) as Error).constructor.name).toBe('APIConnectionTimeoutError');
    expect(told).toEqual(['failure']);
  });

  it('counts a server that is not there as a failure', async () => {
    const breaker = new CircuitBreaker(llmTraffic());
    const client = connect('http://127.0.0.1:1/', breakerFetch({ breaker }));
    expect(((await outcomeOf(client.complete())) as Error).constructor.name).toBe('APIConnectionError');
    expect(breaker.metrics().failures).toBe(1);
  });

  it('half-open: streams are probes until they end', async () => {
    let finish: (() => void) | undefined;
    const { client, server, clock, breaker } = await connected(json(wire.error('api_error'), 500));
    for (let call = 0; call < 5; call++) await outcomeOf(client.complete());
    clock.advance(30_000);
    server.answer(
      events(wire.pieces, (response) => {
        finish = () => response.end(`data: ${typeof wire.last === 'string' ? wire.last : JSON.stringify(wire.last)}\n\n`);
      }),
    );
    const probe = client.stream();
    await until(() => finish !== undefined, { what: 'the pieces of the first probe' });
    expect(breaker.state).toBe('half-open');
    server.answer(wire.whole);
    await client.complete();
    expect(isCircuitOpenError(((await outcomeOf(client.complete())) as Error).cause)).toBe(true);
    expect(breaker.state).toBe('half-open');
    finish?.();
    expect(await probe).toBe('hello');
    expect(breaker.state).toBe('closed');
  });
});
