import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { until } from '@tidegate/test-kit';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type MeterFetchOptions, type ModelRequest, meterFetch } from '../src/fetch.ts';
import { type CostTracker, isBudgetExceededError, isStoreError, memoryStore } from '../src/index.ts';
import {
  chatUsageChunk,
  chatWire,
  events,
  eventText,
  geminiWire,
  json,
  type LlmAnswer,
  llmServer,
  messagesWire,
  responsesWire,
  type Wire,
} from './llm-server.ts';
import { flatPrices, meteredTracker, wireUsd } from './metered-tracker.ts';

const chat = { model: 'm', max_tokens: 50, messages: [{ role: 'user', content: 'hello' }] };
const chatPath = '/v1/chat/completions';
const post = (body: unknown, init: RequestInit = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: typeof body === 'string' ? body : JSON.stringify(body),
  ...init,
});

async function metered(answer: LlmAnswer, options: Partial<MeterFetchOptions> = {}, limitUsd = '1000') {
  const server = await llmServer(answer);
  const tracked = meteredTracker({ limitUsd });
  const fetched = meterFetch({ tracker: tracked.tracker, ...options });
  const call = (path: string, init: RequestInit) => tracked.asAcme(() => fetched(`${server.url}${path}`, init));
  return { server, call, fetched, ...tracked };
}

describe('what is a call of a model', () => {
  const shapes: [path: string, body: object, wire: Wire][] = [
    ['/openai/deployments/m/chat/completions?api-version=1', { ...chat, model: undefined }, chatWire],
    ['/v1/completions', { model: 'm', prompt: 'hello', max_tokens: 50 }, chatWire],
    ['/v1/responses', { model: 'm', input: 'hello' }, responsesWire],
    ['/v1/messages', { model: 'm', max_tokens: 50, messages: [] }, messagesWire],
    ['/v1beta/models/m:generateContent', { contents: [{ parts: [{ text: 'hello' }] }] }, geminiWire],
    ['/v1/projects/p/locations/l/publishers/google/models/m:generateContent', { contents: [] }, geminiWire],
  ];
  it.each(shapes)('a POST to %s', async (path, body, wire) => {
    const { call, rows } = await metered(json(wire.whole));
    expect(await (await call(path, post(body))).json()).toEqual(wire.whole);
    const usage = { inputTokens: 80, cacheReadTokens: 20, outputTokens: 10 };
    expect(await rows()).toMatchObject([{ model: 'm', servedModel: 'm-1', nano: 182_000, costSource: 'priced', usage }]);
  });

  it('embeddings, which answer no tokens', async () => {
    const whole = { object: 'list', model: 'e-1', data: [{ embedding: [0.1], index: 0 }], usage: { prompt_tokens: 8, total_tokens: 8 } };
    const { call, rows } = await metered(json(whole));
    await (await call('/v1/embeddings', post({ model: 'e', input: 'hello' }))).json();
    expect(await rows()).toMatchObject([{ model: 'e', servedModel: 'e-1', nano: 8_000, usage: { inputTokens: 8 } }]);
  });

  const others: [string, RequestInit][] = [
    ['/v1/models', { method: 'GET' }],
    ['/v1/responses/r1', { method: 'GET' }],
    ['/v1/responses/r1/cancel', post({})],
    ['/v1/messages/count_tokens', post({ model: 'm', messages: [] })],
    ['/v1/messages/batches', post({ requests: [] })],
    ['/v1beta/models/m:countTokens', post({ contents: [] })],
    ['/v1/audio/speech', post({ model: 'm', input: 'hello' })],
    [chatPath, { method: 'GET' }],
    [chatPath, post('not JSON')],
    [chatPath, post({ messages: [] })],
  ];
  it.each(others)('nothing else: %s', async (path, init) => {
    const answer = new Response('{}');
    const seen: unknown[] = [];
    const inner = async (...args: unknown[]) => {
      seen.push(...args);
      return answer;
    };
    const { tracker, asAcme, rows } = meteredTracker();
    const url = `http://provider.test${path}`;
    expect(await asAcme(() => meterFetch({ tracker, fetch: inner })(url, init))).toBe(answer);
    expect(seen).toEqual([url, init]);
    expect(seen[1]).toBe(init);
    expect(await rows()).toEqual([]);
  });

  it('in whatever form its body is', async () => {
    const bytes = new TextEncoder().encode(JSON.stringify(chat));
    const bodies: (() => Partial<RequestInit> & { duplex?: 'half' })[] = [
      () => ({ body: bytes }),
      () => ({ body: new Blob([bytes]) }),
      () => ({ body: new Blob([bytes]).stream(), duplex: 'half' }),
    ];
    const { call, server, rows } = await metered(json(chatWire.whole));
    for (const body of bodies) await (await call(chatPath, { method: 'POST', ...body() })).text();
    expect(server.requests.map(({ body }) => body)).toEqual([chat, chat, chat]);
    expect(await rows()).toHaveLength(3);
  });

  it('as a Request, and one whose body is changed', async () => {
    const { server, fetched, asAcme, rows } = await metered(events(chatWire.stream));
    const request = new Request(`${server.url}${chatPath}`, post({ ...chat, stream: true }));
    const text = await asAcme(async () => (await fetched(request)).text());
    expect(text).toBe(eventText(chatWire.stream.filter((event) => event !== chatUsageChunk)));
    expect(server.requests[0]?.body).toMatchObject({ ...chat, stream_options: { include_usage: true } });
    expect(await rows()).toMatchObject([{ nano: 182_000 }]);
  });

  it('a body that is there only once, and no call of a model, arrives all the same', async () => {
    const { call, server } = await metered(json({}));
    const init = { method: 'POST', body: new Blob(['{"no":"model"}']).stream(), duplex: 'half' } as RequestInit;
    await (await call(chatPath, init)).text();
    expect(server.requests[0]?.body).toEqual({ no: 'model' });
  });
});

describe('a stream of chat completions', () => {
  const streamed = { ...chat, stream: true };

  it('that does not ask for its usage is made to, and does not see it; every other byte is the same', async () => {
    for (const options of [undefined, { include_obfuscation: false }, { include_usage: false }, null]) {
      const { call, server, rows } = await metered(events(chatWire.stream));
      const response = await call(chatPath, post({ ...streamed, stream_options: options }));
      expect(await response.text()).toBe(eventText(chatWire.stream.filter((event) => event !== chatUsageChunk)));
      expect(server.requests[0]?.body).toEqual({ ...streamed, stream_options: { ...options, include_usage: true } });
      expect(await rows()).toMatchObject([{ nano: 182_000, costSource: 'priced' }]);
    }
  });

  it('that asks for its usage is sent and answered as it is', async () => {
    const { call, server, rows } = await metered(events(chatWire.stream));
    const body = JSON.stringify({ ...streamed, stream_options: { include_usage: true } }, null, 2);
    expect(await (await call(chatPath, post(body))).text()).toBe(eventText(chatWire.stream));
    expect(server.requests[0]?.headers['content-length']).toBe(String(body.length));
    expect(await rows()).toMatchObject([{ nano: 182_000 }]);
  });

  it('is not made to where nobody may ask, and estimated then', async () => {
    const asked: ModelRequest[] = [];
    const { call, server, rows } = await metered(events(chatWire.stream.filter((event) => event !== chatUsageChunk)), {
      askForUsage: (request) => {
        asked.push(request);
        return false;
      },
    });
    await (await call(chatPath, post(streamed))).text();
    expect(server.requests[0]?.body).toEqual(streamed);
    expect(asked).toMatchObject([{ api: 'openai-chat', model: 'm', body: streamed }]);
    expect(await rows()).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 2, inputTokens: expect.any(Number) } }]);
  });

  it('is not asked of Mistral, which refuses the question', async () => {
    const sent: unknown[] = [];
    const { tracker } = meteredTracker();
    const inner: typeof fetch = async (_, init) => {
      sent.push(init?.body);
      return new Response(eventText(chatWire.stream), { headers: { 'content-type': 'text/event-stream' } });
    };
    await (await meterFetch({ tracker, fetch: inner })('https://api.mistral.ai/v1/chat/completions', post(streamed))).text();
    expect(sent).toEqual([JSON.stringify(streamed)]);
  });

  it('that tells its usage so far with every event is worth the last', async () => {
    const growing = [1, 2, 3].map((tokens) => ({
      ...{ model: 'm-1', choices: [{ index: 0, delta: { content: 'x' }, finish_reason: tokens === 3 ? 'stop' : null }] },
      usage: { prompt_tokens: 5, completion_tokens: tokens, total_tokens: 5 + tokens },
    }));
    const { call, rows } = await metered(events([...growing, '[DONE]']));
    await (await call(chatPath, post(streamed))).text();
    expect(await rows()).toMatchObject([{ costSource: 'priced', usage: { inputTokens: 5, outputTokens: 3 } }]);
  });

  it('left before the last of them is partial', async () => {
    const growing = {
      model: 'm-1',
      choices: [{ delta: { content: 'x' } }],
      usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
    };
    const { call, rows } = await metered(events([growing], () => {}));
    const reader = ((await call(chatPath, post(streamed))).body as ReadableStream).getReader();
    await reader.read();
    await reader.cancel();
    await until(async () => (await rows()).length === 1, { what: 'the row' });
    expect(await rows()).toMatchObject([{ costSource: 'partial', usage: { inputTokens: 5, outputTokens: 1 } }]);
  });

  it('whose error is its first word costs nothing', async () => {
    const { call, rows, status } = await metered(events([{ error: { message: 'overloaded' } }]));
    await (await call(chatPath, post(streamed))).text();
    expect(await rows()).toEqual([]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('is never taken for more than it may answer', async () => {
    const long = chatWire.stream.slice(0, 1).map((event) => ({ ...(event as object), choices: [{ delta: { content: 'x'.repeat(900) } }] }));
    const { call, rows } = await metered(events(long, (response) => response.destroy()));
    await expect((await call(chatPath, post(streamed))).text()).rejects.toThrow();
    expect(await rows()).toMatchObject([{ costSource: 'partial', success: false, usage: { outputTokens: 50 } }]);
  });
});

describe('a stream of Gemini', () => {
  const body = { contents: [{ parts: [{ text: 'hello' }] }], generationConfig: { maxOutputTokens: 50 } };

  it('as events', async () => {
    const { call, rows } = await metered(events(geminiWire.stream));
    const response = await call('/v1beta/models/m:streamGenerateContent?alt=sse', post(body));
    expect(await response.text()).toBe(eventText(geminiWire.stream));
    expect(await rows()).toMatchObject([{ nano: 182_000, costSource: 'priced' }]);
  });

  it('as a list', async () => {
    const { call, rows } = await metered(json(geminiWire.stream));
    expect(await (await call('/v1beta/models/m:streamGenerateContent', post(body))).json()).toEqual(geminiWire.stream);
    expect(await rows()).toMatchObject([{ nano: 182_000, costSource: 'priced' }]);
  });

  it('as a list that breaks off', async () => {
    const half = JSON.stringify(geminiWire.stream).slice(0, -10);
    const { call, rows } = await metered((response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write(half, () => response.destroy());
    });
    await expect((await call('/v1beta/models/m:streamGenerateContent', post(body))).text()).rejects.toThrow();
    expect(await rows()).toMatchObject([{ costSource: expect.stringMatching(/partial|estimated/), success: false }]);
  });

  it('that is left is worth what it told by then', async () => {
    const { call, rows } = await metered(events(geminiWire.stream.slice(0, 1), () => {}));
    const response = await call('/v1beta/models/m:streamGenerateContent?alt=sse', post(body));
    const reader = (response.body as ReadableStream).getReader();
    await reader.read();
    await reader.cancel();
    await until(async () => (await rows()).length === 1, { what: 'the row' });
    expect(await rows()).toMatchObject([{ costSource: 'partial', usage: { inputTokens: 80, cacheReadTokens: 20, outputTokens: 4 } }]);
  });
});

describe('an answer', () => {
  it('is the object that fetch gave, read in whichever way', async () => {
    const ways: ((response: Response) => Promise<unknown>)[] = [
      (response) => response.json(),
      (response) => response.text(),
      async (response) => new TextDecoder().decode(await response.arrayBuffer()),
      async (response) => (await response.blob()).text(),
      async (response) => new TextDecoder().decode(await (await response.blob()).arrayBuffer()),
      async (response) => new Response(response.body).text(),
      async (response) => {
        const copy = response.clone();
        return Promise.all([response.text(), copy.text()]);
      },
    ];
    for (const way of ways) {
      const { tracker, asAcme, rows, status } = meteredTracker();
      const text = JSON.stringify(chatWire.whole);
      const answer = new Response(text, { headers: { 'content-type': 'application/json' } });
      const response = await asAcme(() => meterFetch({ tracker, fetch: async () => answer })(`http://p.test${chatPath}`, post(chat)));
      expect(response).toBe(answer);
      expect(response).toBeInstanceOf(Response);
      expect([[text, text], text, chatWire.whole]).toContainEqual(await way(response));
      expect(response.bodyUsed).toBe(true);
      await expect(response.text()).rejects.toThrow(TypeError);
      expect(await rows()).toMatchObject([{ nano: 182_000 }]);
      expect(await status()).toMatchObject({ spentUsd: wireUsd, reservedUsd: '0' });
    }
  });

  it('that is no JSON fails as it would have', async () => {
    const { call, rows } = await metered((response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('<html>'));
    await expect((await call(chatPath, post(chat))).json()).rejects.toThrow(SyntaxError);
    expect(await rows()).toMatchObject([{ costSource: 'estimated' }]);
  });

  it('without a body is estimated by the most', async () => {
    const { call, rows } = await metered((response) => void response.writeHead(200, { 'content-length': '0' }).end());
    expect(await (await call(chatPath, post(chat))).text()).toBe('');
    expect(await rows()).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 50 } }]);
  });

  it('that nobody reads gives its hold back when it is garbage', async () => {
    setFlagsFromString('--expose_gc');
    const collect = runInNewContext('gc') as () => void;
    onTestFinished(() => setFlagsFromString('--no-expose_gc'));
    const { call, rows, status } = await metered(json(chatWire.whole));
    await (async () => void (await call(chatPath, post(chat))).status)();
    await until(
      async () => {
        collect();
        return (await status()).reservedUsd === '0';
      },
      { what: 'the hold to end' },
    );
    expect(await rows()).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 50 } }]);
  });

  it('is left as soon as its signal aborts, though nobody reads it', async () => {
    const caller = new AbortController();
    const { call, rows, status } = await metered(events(chatWire.stream.slice(0, 2), () => {}));
    await call(chatPath, post({ ...chat, stream: true }, { signal: caller.signal }));
    caller.abort();
    await until(async () => (await rows()).length === 1, { what: 'the row' });
    expect(await rows()).toMatchObject([{ costSource: 'partial' }]);
    expect(await status()).toMatchObject({ reservedUsd: '0' });
  });

  it('costs what the provider says that it cost', async () => {
    const usage = { ...(chatWire.whole['usage'] as object), cost: 0.00123 };
    const { call, rows } = await metered(json({ ...chatWire.whole, usage }));
    await (await call(chatPath, post(chat))).json();
    expect(await rows()).toMatchObject([
      { nano: 1_230_000, costSource: 'reported', usage: { inputTokens: 80, cacheReadTokens: 20, outputTokens: 10 } },
    ]);
  });

  it('of a response that goes on in the background costs what it may cost', async () => {
    const { call, rows } = await metered(json({ id: 'r1', object: 'response', model: 'm-1', status: 'queued', usage: null, output: [] }));
    await (await call('/v1/responses', post({ model: 'm', input: 'hello', max_output_tokens: 70, background: true }))).json();
    expect(await rows()).toMatchObject([{ costSource: 'estimated', usage: { outputTokens: 70 } }]);
  });

  it('that refuses and is not read is let go of with its body', async () => {
    const { call, rows, status } = await metered(json({ error: {} }, 429));
    const response = await call(chatPath, post(chat));
    expect(response.status).toBe(429);
    await response.body?.cancel();
    await until(async () => (await status()).reservedUsd === '0', { what: 'the hold to end' });
    expect(await rows()).toEqual([]);
  });
});

describe('what is reserved', () => {
  const reserved: Parameters<CostTracker['reserve']>[0][] = [];
  const recorder = (): Pick<CostTracker, 'reserve'> => ({
    reserve: async (options) => {
      reserved.push(options);
      return { id: 'x', amountUsd: '0', settle: async () => {}, release: async () => {} };
    },
  });
  const askedFor = async (url: string, body: object, options: Partial<MeterFetchOptions> = {}) => {
    reserved.length = 0;
    const inner = async () => new Response(null, { status: 204 });
    await meterFetch({ tracker: recorder(), fetch: inner, ...options })(url, post(body));
    return reserved[0];
  };

  it('by the limits that the call names, for all its answers', async () => {
    const openai = 'https://api.openai.com/v1/chat/completions';
    expect(await askedFor(openai, { ...chat, n: 3 })).toMatchObject({ provider: 'openai', maxOutputTokens: 150 });
    expect(await askedFor(openai, { ...chat, max_completion_tokens: 70 })).toMatchObject({ maxOutputTokens: 70 });
    expect(await askedFor(openai, { model: 'm' })).toMatchObject({ maxOutputTokens: 16_384 });
    expect(await askedFor(openai, { model: 'm', max_tokens: -1 }, { maxOutputTokens: 9 })).toMatchObject({ maxOutputTokens: 9 });
    const gemini = 'https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent';
    const config = { maxOutputTokens: 5, candidateCount: 2 };
    expect(await askedFor(gemini, { contents: [], generationConfig: config })).toMatchObject({
      ...{ model: 'gemini-2.5-pro', provider: 'google', maxOutputTokens: 10 },
    });
  });

  it('in the tier and region that it asks for', async () => {
    expect(await askedFor('https://api.openai.com/v1/responses', { model: 'm', service_tier: 'flex' })).toMatchObject({
      serviceTier: 'flex',
    });
    const messages = 'https://api.anthropic.com/v1/messages';
    expect(await askedFor(messages, { model: 'm', speed: 'fast', inference_geo: 'us' })).toMatchObject({
      serviceTier: 'fast',
      region: 'us',
    });
    expect(await askedFor(messages, { model: 'm', service_tier: 'standard_only' })).not.toHaveProperty('serviceTier');
  });

  it('of the provider that the options say', async () => {
    expect(await askedFor('http://proxy.test/v1/responses', { model: 'm' })).not.toHaveProperty('provider');
    expect(await askedFor('http://proxy.test/v1/responses', { model: 'm' }, { provider: 'azure' })).toMatchObject({ provider: 'azure' });
    const provider = ({ model }: ModelRequest) => (model === 'm' ? 'groq' : undefined);
    expect(await askedFor('https://api.openai.com/v1/responses', { model: 'm' }, { provider })).toMatchObject({ provider: 'groq' });
    expect(await askedFor('https://api.openai.com/v1/responses', { model: 'x' }, { provider })).toMatchObject({ provider: 'openai' });
  });

  it('a lower limit is no lower than the provider takes', async () => {
    const min = { minOutputTokens: 1 };
    expect(await askedFor('https://p.test/v1/responses', { model: 'm', max_output_tokens: 100 }, min)).toMatchObject({
      minOutputTokens: 16,
    });
    const thinking = { type: 'enabled', budget_tokens: 1_024 };
    expect(await askedFor('https://p.test/v1/messages', { model: 'm', max_tokens: 4_000, thinking }, min)).toMatchObject({
      minOutputTokens: 1_025,
    });
  });
});

describe('a lower limit', () => {
  it.each([
    ['/v1/chat/completions', { model: 'm', messages: [] }, { max_completion_tokens: 100 }, chatWire],
    ['/v1/chat/completions', { model: 'm', messages: [], max_tokens: 500 }, { max_tokens: 100 }, chatWire],
    ['/v1/chat/completions', { model: 'm', messages: [], max_tokens: 500, n: 2 }, { max_tokens: 50, n: 2 }, chatWire],
    ['/v1/messages', { model: 'm', messages: [], max_tokens: 500 }, { max_tokens: 100 }, messagesWire],
    ['/v1/responses', { model: 'm', input: 'x' }, { max_output_tokens: 100 }, responsesWire],
    ['/v1beta/models/m:generateContent', { contents: [] }, { generationConfig: { maxOutputTokens: 100 } }, geminiWire],
  ])('is written into %s %j', async (path, body, limit, wire) => {
    const { call, server } = await metered(json(wire.whole), { minOutputTokens: 10, inputTokens: () => 0 }, '0.001');
    await (await call(path, post(body))).json();
    expect(server.requests[0]?.body).toEqual({ ...body, ...limit });
  });

  it('is not written where the call fits', async () => {
    const { call, server } = await metered(json(chatWire.whole), { minOutputTokens: 10 });
    const body = JSON.stringify(chat, null, 3);
    await (await call(chatPath, post(body))).json();
    expect(server.requests[0]?.headers['content-length']).toBe(String(body.length));
  });

  it('that would be too low is a refusal', async () => {
    const { call, server } = await metered(json(chatWire.whole), { minOutputTokens: 40, inputTokens: () => 0 }, '0.0003');
    expect(isBudgetExceededError(await call(chatPath, post(chat)).catch((error: unknown) => error))).toBe(true);
    expect(server.requests).toEqual([]);
  });
});

describe('when the ledger fails', () => {
  it('nothing is sent that could not be reserved, in either way to refuse', async () => {
    for (const refuse of ['throw', 'response'] as const) {
      const { call, tracker, server } = await metered(json(chatWire.whole), { refuse });
      await tracker.close();
      expect(isStoreError(await call(chatPath, post(chat)).catch((error: unknown) => error))).toBe(true);
      expect(server.requests).toEqual([]);
    }
  });

  it('an answer is the caller’s all the same, and onError is told', async () => {
    const told: unknown[] = [];
    const broken = { ...memoryStore(), saveUsage: () => Promise.reject(new Error('disk full')) };
    const { tracker, asAcme } = meteredTracker({ store: broken });
    for (const onError of [(error: unknown) => void told.push(error), () => expect.fail('thrown by onError')]) {
      const inner = async () => new Response(JSON.stringify(chatWire.whole));
      const fetched = meterFetch({ tracker, fetch: inner, onError });
      expect(await (await asAcme(() => fetched(`http://p.test${chatPath}`, post(chat)))).json()).toEqual(chatWire.whole);
    }
    expect(told).toMatchObject([{ message: 'disk full' }]);
  });

  it('where nobody is told, the process is warned', async () => {
    const warnings: Error[] = [];
    const hear = (warning: Error) => warnings.push(warning);
    process.on('warning', hear);
    onTestFinished(() => void process.off('warning', hear));
    const { tracker, asAcme } = meteredTracker({ store: { ...memoryStore(), saveUsage: () => Promise.reject(new Error('disk full')) } });
    const fetched = meterFetch({ tracker, fetch: async () => new Response('{}') });
    await (await asAcme(() => fetched(`http://p.test${chatPath}`, post(chat)))).text();
    await until(() => warnings.length > 0, { what: 'the warning' });
    expect(warnings).toMatchObject([{ code: 'TIDEGATE_NOT_SETTLED', message: expect.stringContaining('disk full') }]);
  });
});

it('a call pays for the scope it was made in, whoever reads its answer', async () => {
  const { server, fetched, tracker } = await metered(json(chatWire.whole));
  const ask = (user: string) => tracker.withScope({ tenant: 'acme', user }, () => fetched(`${server.url}${chatPath}`, post(chat)));
  const [ours, theirs] = await Promise.all([ask('mina'), ask('jun')]);
  await tracker.withScope({ tenant: 'other', user: 'eve' }, () => Promise.all([ours?.text(), theirs?.text()]));
  expect((await tracker.rows()).map(({ dimensions: { tenant, user } }) => `${tenant} ${user}`).sort()).toEqual(['acme jun', 'acme mina']);
});

it('durations are told by the clock it is given, to the end of the answer', async () => {
  let now = 1_000;
  const { call, tracker } = await metered(json(chatWire.whole), { clock: { now: () => now } });
  const response = await call(chatPath, post(chat));
  now = 1_250;
  await response.text();
  expect((await tracker.rows())[0]?.durationMs).toBe(250);
});

it.each<[Record<string, unknown>, string]>([
  [{ tracker: {} }, 'meterFetch: tracker must have the method reserve'],
  [{ refuse: 'no' }, 'meterFetch: refuse must be one of throw, response, not "no"'],
  [{ fetch: 1 }, 'meterFetch: fetch must be a function, not 1'],
  [{ askForUsage: 'yes' }, 'meterFetch: askForUsage must be a function, not yes'],
  [{ inputTokens: 5 }, 'meterFetch: inputTokens must be a function, not 5'],
  [{ provider: 5 }, 'meterFetch: provider must be a function, not 5'],
  [{ onError: 5 }, 'meterFetch: onError must be a function, not 5'],
  [{ maxOutputTokens: Number.NaN }, 'meterFetch: maxOutputTokens must be a number from 0 to 1000000000, not NaN'],
  [{ minOutputTokens: -1 }, 'meterFetch: minOutputTokens must be a number from 0 to 1000000000, not -1'],
  [{ allowance: { images: 1 } }, 'allowance.images is unknown; known are image, reference'],
  [{ allowance: { image: -1 } }, 'allowance.image must be a number from 0 to 1000000000, not -1'],
  [{ unanswered: 'free' }, 'meterFetch: unanswered must be one of estimate, release, not "free"'],
  [{ clock: {} }, 'meterFetch: clock must have the method now'],
  [{ retries: 1 }, 'meterFetch.retries is unknown'],
])('refuses %j', (options, message) => {
  const { tracker } = meteredTracker({ prices: flatPrices });
  expect(() => meterFetch({ tracker, ...options } as MeterFetchOptions)).toThrow(RangeError);
  expect(() => meterFetch({ tracker, ...options } as MeterFetchOptions)).toThrow(message);
});

it('what inputTokens throws is the caller’s, and what it counts wrongly a RangeError', async () => {
  const failing = await metered(json(chatWire.whole), {
    inputTokens: () => {
      throw new Error('no tokenizer');
    },
  });
  await expect(failing.call(chatPath, post(chat))).rejects.toThrow('no tokenizer');
  const wrong = await metered(json(chatWire.whole), { inputTokens: async () => Number.NaN });
  await expect(wrong.call(chatPath, post(chat))).rejects.toThrow(RangeError);
  expect(await wrong.status()).toMatchObject({ reservedUsd: '0' });
});
