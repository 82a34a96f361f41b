import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { type HttpFixture, httpFixture, until } from '@tidegate/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Gateway, type GatewayParts, Listeners, type Stage } from '../src/core.ts';
import type { CallEvent } from '../src/index.ts';
import { serve } from '../src/node.ts';
import { RawClient } from './raw-http.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

const fixtures: HttpFixture[] = [];
let served: ServedGateway;
let raw: RawClient;

beforeAll(async () => {
  for (let index = 0; index < 4; index += 1) fixtures.push(await httpFixture({ reply: 'sse' }));
  const [own, custom, bare, other] = fixtures.map(({ url }) => url);
  if (!own || !custom || !bare || !other) throw new Error('no fixtures');
  served = await serveGateway({
    mcpServers: {
      own: { url: own },
      custom: { url: custom, prefix: 'x.' },
      bare: { url: bare, prefix: '' },
      other: { url: other, prefix: '' },
      gone: { url: 'http://127.0.0.1:1/mcp', retry: { maxAttempts: 1 }, breaker: { failures: 1_000 } },
    },
    limits: [],
    listTimeoutMs: 2_000,
  });
  raw = await RawClient.connect(served.url);
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  for (const fixture of fixtures) await fixture.close();
});

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

async function sdkClient(url: string, headers = {}): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  opened.push({ [Symbol.asyncDispose]: () => client.close() });
  return client;
}

async function sdkClientV1(url: string): Promise<ClientV1> {
  const client = new ClientV1({ name: 'test', version: '1.0.0' });
  await client.connect(new TransportV1(new URL(url)) as Transport);
  opened.push({ [Symbol.asyncDispose]: () => client.close() });
  return client;
}

describe.each<[string, (url: string) => Promise<Client | ClientV1>]>([
  ['v2', sdkClient],
  ['v1', sdkClientV1],
])('the SDK client %s', (_version, connect) => {
  test('sees every server as one, calls, reads, gets, and hears progress', async () => {
    const client = (await connect(served.url)) as Client;
    expect(client.getServerVersion()).toMatchObject({ name: 'tidegate' });
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(['own__echo', 'own__add']);
    expect(names).toEqual(expect.arrayContaining(['x.echo', 'echo', 'structured']));
    expect(await client.callTool({ name: 'x.add', arguments: { a: 2, b: 3 } })).toMatchObject({ content: [{ type: 'text', text: '5' }] });
    expect((await client.callTool({ name: 'own__structured', arguments: { city: 'Seoul' } })).structuredContent).toEqual({
      city: 'Seoul',
      degrees: 21.5,
    });
    expect(await client.callTool({ name: 'own__fail', arguments: { message: 'no' } })).toMatchObject({
      isError: true,
      content: [{ text: 'no' }],
    });
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(['fixture://text', 'fixture://blob', 'fixture://notes']);
    expect((await client.listResourceTemplates()).resourceTemplates).toEqual([
      { uriTemplate: 'fixture://item/{id}', name: 'item', mimeType: 'text/plain' },
    ]);
    expect(await client.readResource({ uri: 'fixture://item/7' })).toMatchObject({ contents: [{ text: 'item 7' }] });
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual([
      'own__greet',
      'own__plain',
      'x.greet',
      'x.plain',
      'greet',
      'plain',
    ]);
    expect(await client.getPrompt({ name: 'x.greet', arguments: { name: 'Mina' } })).toMatchObject({
      messages: [{ content: { text: 'Say hello to Mina.' } }],
    });
    const heard: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => heard.push(progress);
    const call = { name: 'own__slow', arguments: { ms: 6, steps: 3 } };
    await ((client as unknown as ClientV1 | Client) instanceof ClientV1
      ? (client as unknown as ClientV1).callTool(call, undefined, { onprogress })
      : client.callTool(call, { onprogress }));
    expect(heard).toEqual([1, 2, 3]);
    await expect(client.callTool({ name: 'own__nothing' })).rejects.toMatchObject({ code: -32_602 });
  });
});

describe('names', () => {
  test('that two servers offer are shown once, of the one that is configured first, and the event says so', async () => {
    const collisions: unknown[] = [];
    const [bare, other] = [fixtures[2], fixtures[3]];
    const gateway = await serveGateway({
      mcpServers: { bare: { url: `${bare?.url}`, prefix: '' }, other: { url: `${other?.url}`, prefix: '' } },
    });
    opened.push(gateway);
    gateway.gateway.on('collision', (event) => collisions.push(event));
    const client = await RawClient.connect(gateway.url);
    const { tools } = (await client.request('tools/list')).result as { tools: { name: string }[] };
    expect(new Set(tools.map(({ name }) => name)).size).toBe(tools.length);
    expect(collisions).toContainEqual({ name: 'echo', holder: 'bare', other: 'other' });
    const before = other?.executions();
    await client.call('echo', { text: 'x' });
    expect(other?.executions()).toBe(before);
  });

  test('have the same order in every list', async () => {
    const lists = await Promise.all([1, 2, 3].map(() => raw.request('tools/list')));
    expect(new Set(lists.map(({ result }) => JSON.stringify(result))).size).toBe(1);
  });

  test('of a server that is away are missing, and the list says which', async () => {
    for (const list of ['tools/list', 'resources/list', 'resources/templates/list', 'prompts/list']) {
      expect((await raw.request(list)).result).toMatchObject({ _meta: { 'io.tidegate/missing': ['gone'] } });
    }
  });

  test('of a server that is away are answered with what is wrong with the server', async () => {
    const { result } = await raw.call('gone__anything');
    expect(result).toMatchObject({
      isError: true,
      _meta: { 'io.tidegate/refusal': { code: 'ERR_UPSTREAM_UNAVAILABLE', status: 502 } },
    });
    expect(JSON.stringify(result)).toContain("server 'gone' cannot be reached");
  });

  test.each<[string, string, object, string]>([
    ['tool', 'tools/call', { name: 'own__nothing' }, "there is no tool 'own__nothing'"],
    ['tool of a server that does not exist', 'tools/call', { name: 'nobody__echo' }, "there is no tool 'nobody__echo'"],
    ['tool without its prefix', 'tools/call', { name: 'x.own__echo' }, "there is no tool 'x.own__echo'"],
    ['prompt', 'prompts/get', { name: 'own__echo' }, "there is no prompt 'own__echo'"],
    ['completion', 'completion/complete', { ref: { type: 'ref/prompt', name: 'none' }, argument: {} }, "there is no completion 'none'"],
  ])('an unknown %s is the mistake of the client', async (_what, method, params, message) => {
    expect((await raw.request(method, params)).error).toEqual({
      code: -32_602,
      message,
      data: { code: 'ERR_UNKNOWN_NAME', status: 404 },
    });
  });

  test('an unknown resource has the code that the revision gives it', async () => {
    expect((await raw.request('resources/read', { uri: 'nowhere://x' })).error).toEqual({
      code: -32_002,
      message: "there is no resource 'nowhere://x'",
      data: { code: 'ERR_UNKNOWN_NAME', status: 404, uri: 'nowhere://x' },
    });
  });

  test.each(['no/such', 'tools/', 'constructor', '', 'sampling/createMessage', 'initialize/', 'server/discover', 'tasks/list'])(
    "the method '%s' is not known",
    async (method) => {
      expect((await raw.request(method)).error).toEqual({ code: -32_601, message: `method ${method} is not known` });
    },
  );
});

describe('parameters of the wrong type', () => {
  test.each<[string, object, string]>([
    ['tools/call', {}, "'name' must be a string"],
    ['tools/call', { name: 7 }, "'name' must be a string"],
    ['tools/call', { name: 'own__echo', arguments: [] }, "'arguments' must be an object"],
    ['tools/call', { name: 'own__echo', arguments: null }, "'arguments' must be an object"],
    ['tools/call', { name: 'own__echo', arguments: 'x' }, "'arguments' must be an object"],
    ['resources/read', { uri: ['x'] }, "'uri' must be a string"],
    ['prompts/get', { name: null }, "'name' must be a string"],
    ['completion/complete', {}, "'ref' must be an object"],
    ['completion/complete', { ref: { type: 'ref/prompt' } }, "'name' must be a string"],
    ['completion/complete', { ref: { type: 'ref/resource' } }, "'uri' must be a string"],
  ])('%s %j', async (method, params, message) => {
    expect((await raw.request(method, params)).error).toEqual({ code: -32_602, message });
  });
});

describe('what reaches the server', () => {
  const received = (method: string) =>
    fixtures[0]?.requests.flatMap(({ body }) => {
      const message = body as { method?: string; params?: Record<string, unknown> } | undefined;
      return message?.method === method ? [message.params] : [];
    });

  test("is the request with the server's own name and everything else as it was", async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const ended: CallEvent[] = [];
    const remove = served.gateway.on('call', (event) => ended.push(event));
    const params = { name: 'own__echo', arguments: { text: 'x', deep: [{ a: null }] }, _meta: { traceparent, 'x/y': 1 }, unknown: {} };
    await raw.request('tools/call', { ...params, task: {} }); // tasks are not offered to clients with sessions
    remove();
    expect(received('tools/call')?.at(-1)).toEqual({ ...params, name: 'echo' });
    expect(ended).toEqual([
      {
        tenant: 'default',
        kind: 'tool',
        name: 'own__echo',
        counted: 'own__echo',
        server: 'own',
        traceId: '0af7651916cd43dd8448eb211c80319c',
        durationMs: expect.any(Number),
        outcome: 'ok',
      },
    ]);
  });

  test('has a trace id of its own where the client sent none that can be read', async () => {
    const ids: string[] = [];
    const remove = served.gateway.on('call', ({ traceId }) => ids.push(traceId));
    for (const traceparent of [undefined, 'nonsense', '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01']) {
      await raw.request('tools/call', { name: 'own__add', arguments: { a: 1, b: 1 }, _meta: { traceparent } });
    }
    remove();
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(ids).size).toBe(3);
  });

  test('a completion goes to the server of its prompt or template, under its name there', async () => {
    const argument = { name: 'name', value: 'M' };
    await raw.request('completion/complete', { ref: { type: 'ref/prompt', name: 'own__greet' }, argument });
    await raw.request('completion/complete', { ref: { type: 'ref/resource', uri: 'fixture://item/{id}' }, argument });
    await raw.request('completion/complete', { ref: { type: 'ref/resource', uri: 'fixture://text' }, argument });
    expect(received('completion/complete')).toEqual([
      { ref: { type: 'ref/prompt', name: 'greet' }, argument },
      { ref: { type: 'ref/resource', uri: 'fixture://item/{id}' }, argument },
      { ref: { type: 'ref/resource', uri: 'fixture://text' }, argument },
    ]);
  });
});

describe('a refusal', () => {
  test('of a tool call is a result that a model can read; of anything else an error that says when to come back', async () => {
    const [own] = fixtures;
    const gateway = await serveGateway({ mcpServers: { own: { url: `${own?.url}` } }, limits: [{ perHour: 2 }] });
    opened.push(gateway);
    const client = await sdkClient(gateway.url);
    const refused = async (fn: () => Promise<unknown>) => {
      await fn();
      await fn();
      return fn();
    };
    const result = await refused(() => client.callTool({ name: 'own__structured', arguments: { city: 'x' } }));
    expect(result).toMatchObject({
      isError: true,
      content: [
        {
          type: 'text',
          text: expect.stringMatching(/^The call was not completed: .*\(ERR_RATE_LIMITED\)\. Try again in (29|30) minutes, not before\.$/),
        },
      ],
      _meta: { 'io.tidegate/refusal': { code: 'ERR_RATE_LIMITED', status: 429, retryAfterMs: expect.any(Number) } },
    });
    const ofError = { code: -32_603, data: { code: 'ERR_RATE_LIMITED', status: 429, retryAfterMs: expect.any(Number) } };
    await expect(refused(() => client.readResource({ uri: 'fixture://text' }))).rejects.toMatchObject(ofError);
    await expect(refused(() => client.getPrompt({ name: 'own__plain' }))).rejects.toMatchObject(ofError);
    await expect(client.listTools()).resolves.toBeDefined(); // a list is never refused
  });

  test('is per tool and tenant', async () => {
    const [own] = fixtures;
    const gateway = await serveGateway({
      mcpServers: { own: { url: `${own?.url}` } },
      limits: [{ perHour: 1 }],
      tokens: [
        { token: 'a', tenant: 'acme' },
        { token: 'b', tenant: 'beta' },
      ],
    });
    opened.push(gateway);
    const acme = await RawClient.connect(gateway.url, bearer('a'));
    const beta = await RawClient.connect(gateway.url, bearer('b'));
    const isRefused = async (client: RawClient, tool: string) => (await client.call(tool, { text: 'x' })).result?.['_meta'] !== undefined;
    expect(await isRefused(acme, 'own__echo')).toBe(false);
    expect(await isRefused(acme, 'own__echo')).toBe(true);
    expect(await isRefused(acme, 'own__fail')).toBe(false);
    expect(await isRefused(beta, 'own__echo')).toBe(false);
  });

  test('for a fault of the gateway tells the client nothing of it, and the listener all', async () => {
    const fault = new Error('the password is hunter2');
    const faults: unknown[] = [];
    const events = new Listeners();
    events.on('fault', ({ error }) => faults.push(error));
    const broken: Stage = () => Promise.reject(fault);
    const client = await clientOf({ events, stages: [broken] });
    const answers = [await client.call('s__t'), await client.request('prompts/get', { name: 's__p' })];
    expect(answers[0]?.result).toMatchObject({ isError: true, _meta: { 'io.tidegate/refusal': { code: 'ERR_INTERNAL', status: 500 } } });
    expect(answers[1]?.error).toMatchObject({ code: -32_603, data: { code: 'ERR_INTERNAL', status: 500 } });
    expect(JSON.stringify(answers)).not.toContain('hunter2');
    expect(faults).toEqual([fault, fault]);
  });

  test('a listener that throws changes nothing and is told of', async () => {
    const events = new Listeners();
    const faults: unknown[] = [];
    const mistake = new Error('of the listener');
    events.on('fault', ({ error }) => faults.push(error));
    events.on('fault', () => {
      throw new Error('of the last listener');
    });
    events.on('call', () => {
      throw mistake;
    });
    const client = await clientOf({ events, stages: [async () => ({ result: { content: [] } })] });
    expect((await client.call('s__t')).result).toEqual({ content: [] });
    expect(faults).toEqual([mistake]);
  });
});

/** A client of a gateway whose one server, `s`, is always away, so that the stages alone decide. */
async function clientOf(parts: Pick<GatewayParts, 'events' | 'stages'>): Promise<RawClient> {
  const guard: GatewayParts['servers'][number]['guard']['once'] = { execute: (fn, { signal }) => fn({ signal }) };
  const gateway = new Gateway({
    servers: [
      {
        name: 's',
        prefix: 's__',
        connect: () => () => Promise.reject(new Error('away')),
        guard: { once: guard, repeatable: guard, state: () => 'closed' },
        repeatable: () => false,
      },
    ],
    access: { tokens: [], allowedHosts: [], allowedOrigins: [] },
    times: { listMs: 100, connectMs: 100 },
    sessions: { most: 10, idleMs: 1_000 },
    waiting: { ttlMs: 60_000, most: 10 },
    now: () => performance.now(),
    version: '0.0.0',
    onClose: async () => {},
    ...parts,
  });
  const { url, close } = await serve(gateway, { port: 0 });
  opened.push({ [Symbol.asyncDispose]: close });
  return RawClient.connect(url);
}

test('a server that comes back is in the lists again, and everybody hears of it', async () => {
  const late = await httpFixture();
  opened.push(late);
  await late.kill();
  const gateway = await serveGateway({
    mcpServers: { late: { url: late.url, retry: { maxAttempts: 1 }, breaker: { failures: 1_000 } } },
  });
  opened.push(gateway);
  const client = await RawClient.connect(gateway.url);
  expect((await client.request('tools/list')).result).toEqual({ tools: [], _meta: { 'io.tidegate/missing': ['late'] } });
  await late.restart();
  const list = await until(
    async () => {
      const { result } = await client.request('tools/list');
      return result?.['_meta'] === undefined && JSON.stringify(result);
    },
    { what: 'the server is in the list' },
  );
  expect(list).toContain('late__echo');
  expect((await client.call('late__add', { a: 1, b: 1 })).result).toEqual({ content: [{ type: 'text', text: '2' }] });
});
