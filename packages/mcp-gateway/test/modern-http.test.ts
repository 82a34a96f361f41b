import { type HttpFixture, httpFixture, until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askingServer } from './asking-server.ts';
import { posted } from './raw-http.ts';
import { type ModernOptions, modernHeaders, modernMeta, RawModern, textIn } from './raw-modern.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

let tools: HttpFixture;
let served: ServedGateway;
let client: RawModern;

beforeAll(async () => {
  tools = await httpFixture({ reply: 'sse' });
  served = await serveGateway({
    mcpServers: { tools: { url: tools.url }, asking: askingServer },
    tokens: [{ token: 'token-of-acme', tenant: 'acme' }],
  });
  await served.gateway.warmUp();
  client = new RawModern(served.url, bearer('token-of-acme'));
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await tools?.close();
});

const echo = { name: 'tools__echo', arguments: { text: 'hi' } };

/** A call that its client takes back when the signal says so. */
function posting(url: string, name: string, args: object, options: ModernOptions, signal: AbortSignal): Promise<Response | 'gone'> {
  const headers = { ...posted, ...client.headers, ...modernHeaders('tools/call', name) };
  const body = JSON.stringify(client.body('tools/call', { name, arguments: args }, options));
  return fetch(url, { method: 'POST', headers, body, signal }).catch(() => 'gone');
}

/** Status and error code of a POST with just these headers. */
async function refusal(body: object, headers: Record<string, string>) {
  const { status, text } = await client.post(body, headers);
  const { id, error } = JSON.parse(text) as { id: unknown; error?: { code: number; data?: unknown } };
  expect(id).toBe((body as { id?: unknown }).id);
  return { status, code: error?.code, ...(error?.data !== undefined && { data: error.data }) };
}

describe('the headers of a request', () => {
  test.each([
    ['no revision', { 'mcp-method': 'tools/call', 'mcp-name': echo.name }],
    ['another revision than the body', { ...modernHeaders('tools/call', echo.name), 'mcp-protocol-version': '2025-11-25' }],
    ['no method', { 'mcp-protocol-version': '2026-07-28', 'mcp-name': echo.name }],
    ['another method', modernHeaders('tools/list', echo.name)],
    ['the method in other letters', modernHeaders('TOOLS/CALL', echo.name)],
    ['no name', modernHeaders('tools/call')],
    ['another name', modernHeaders('tools/call', 'tools__add')],
    ['the name in other letters', modernHeaders('tools/call', 'TOOLS__ECHO')],
    ['a name in broken base64', modernHeaders('tools/call', '=?base64?dG9vbHNfX2VjaG8?=')],
  ])('are refused where they say %s, and nothing is called', async (_, headers) => {
    const before = tools.executions('echo');
    expect(await refusal(client.body('tools/call', echo), headers)).toEqual({ status: 400, code: -32_020 });
    expect(tools.executions('echo')).toBe(before);
  });

  test('are refused where the body names its revision with what cannot be told as text', async () => {
    const _meta = { 'io.modelcontextprotocol/protocolVersion': { toString: 1 }, 'io.modelcontextprotocol/clientCapabilities': {} };
    const body = client.body('tools/list', { _meta });
    expect(await refusal(body, modernHeaders('tools/list'))).toEqual({ status: 400, code: -32_020 });
  });

  test('are taken as the body says it, the name in base64 too', async () => {
    expect(textIn(await client.call('tools__echo', { text: 'hi' }))).toBe('hi');
    const encoded = `=?base64?${Buffer.from(echo.name).toString('base64')}?=`;
    expect(textIn(await client.call('tools__echo', { text: 'hi' }, { headers: { 'mcp-name': encoded } }))).toBe('hi');
  });

  test('repeat the address of a resource and the name of a prompt', async () => {
    const read = client.body('resources/read', { uri: 'fixture://text' });
    expect(await refusal(read, modernHeaders('resources/read', 'fixture://notes'))).toEqual({ status: 400, code: -32_020 });
    const get = client.body('prompts/get', { name: 'tools__plain' });
    expect(await refusal(get, modernHeaders('prompts/get'))).toEqual({ status: 400, code: -32_020 });
  });

  test.each(['2099-01-01', 'latest'])('and body may agree on a revision that is not spoken: %s', async (version) => {
    const _meta = { ...modernMeta(), 'io.modelcontextprotocol/protocolVersion': version };
    const headers = { ...modernHeaders('tools/list'), 'mcp-protocol-version': version };
    expect(await refusal(client.body('tools/list', { _meta }), headers)).toEqual({
      status: 400,
      code: -32_022,
      data: { supported: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'], requested: version },
    });
  });
});

describe('the envelope of a request', () => {
  const envelope = modernMeta() as Record<string, unknown>;
  const without = (member: string) => Object.fromEntries(Object.entries(envelope).filter(([key]) => !key.endsWith(member)));

  test.each([
    ['no _meta', undefined],
    ['an empty one', {}],
    ['one that is no object', 'meta'],
    ['one without a revision', without('protocolVersion')],
    ['one without capabilities', without('clientCapabilities')],
    ['one whose capabilities are no object', { ...envelope, 'io.modelcontextprotocol/clientCapabilities': [] }],
  ])('with %s is refused', async (_, _meta) => {
    expect(await refusal(client.body('tools/list', { _meta }), modernHeaders('tools/list'))).toEqual({ status: 400, code: -32_602 });
  });

  test('needs no name of the client', async () => {
    const reply = await client.post(client.body('tools/list', { _meta: without('clientInfo') }), modernHeaders('tools/list'));
    expect(reply.status).toBe(200);
  });
});

test.each(['no/such/method', 'initialize', 'ping', 'logging/setLevel', 'resources/subscribe', 'resources/unsubscribe'])(
  'a method that this revision does not have is not found: %s',
  async (method) => {
    expect(await refusal(client.body(method), modernHeaders(method))).toEqual({ status: 404, code: -32_601 });
  },
);

test('a notification is taken and says nothing', async () => {
  const body = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { _meta: modernMeta(), requestId: 1 } };
  expect(await client.post(body, modernHeaders('notifications/cancelled'))).toMatchObject({ status: 202, text: '' });
});

test('no session begins', async () => {
  const { headers } = await client.post(client.body('server/discover'), modernHeaders('server/discover'));
  expect(headers['mcp-session-id']).toBeUndefined();
});

const serverInfo = { 'io.modelcontextprotocol/serverInfo': { name: 'tidegate', title: 'Tidegate', version: expect.any(String) } };

test('server/discover tells the revisions, what the gateway can do, and who it is', async () => {
  expect(await client.request('server/discover')).toEqual({
    jsonrpc: '2.0',
    id: expect.any(Number),
    result: {
      resultType: 'complete',
      supportedVersions: ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'],
      capabilities: {
        tools: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        prompts: { listChanged: true },
        completions: {},
        logging: {},
      },
      ttlMs: 0,
      cacheScope: 'private',
      _meta: serverInfo,
    },
  });
});

test.each([
  ['tools/list', 'tools', 'tools__echo'],
  ['prompts/list', 'prompts', 'tools__plain'],
  ['resources/list', 'resources', 'text'],
  ['resources/templates/list', 'resourceTemplates', 'item'],
])('%s says how long and for whom it may be kept, and who made it', async (method, member, name) => {
  const { result } = await client.request(method);
  expect(result).toMatchObject({ resultType: 'complete', ttlMs: 0, cacheScope: 'private', _meta: serverInfo });
  expect(result?.[member]).toContainEqual(expect.objectContaining({ name }));
});

test('a read resource says so too; a prompt and the result of a tool do not', async () => {
  const read = await client.request('resources/read', { uri: 'fixture://text' });
  expect(read.result).toEqual({
    contents: [{ uri: 'fixture://text', mimeType: 'text/plain', text: 'text of the fixture' }],
    resultType: 'complete',
    ttlMs: 0,
    cacheScope: 'private',
    _meta: serverInfo,
  });
  const got = await client.request('prompts/get', { name: 'tools__plain' });
  expect(Object.keys(got.result ?? {}).sort()).toEqual(['_meta', 'messages', 'resultType']);
  expect((await client.call('tools__add', { a: 1, b: 2 })).result).toEqual({
    content: [{ type: 'text', text: '3' }],
    resultType: 'complete',
    _meta: serverInfo,
  });
});

test('a resource that does not exist is a wrong parameter, as is a tool', async () => {
  expect((await client.request('resources/read', { uri: 'fixture://nothing' })).error).toMatchObject({ code: -32_602 });
  expect((await client.call('tools__nothing')).error).toMatchObject({ code: -32_602 });
});

test("the server hears nothing of the client's envelope", async () => {
  const before = tools.requests.length;
  await client.request('tools/call', { ...echo, _meta: { ...modernMeta(), 'com.example/mine': 1 } });
  const sent = tools.requests.slice(before).map(({ body }) => (body as { params: { _meta?: unknown } }).params);
  expect(sent).toEqual([{ name: 'echo', arguments: { text: 'hi' }, _meta: { 'com.example/mine': 1 } }]);
});

describe('a call', () => {
  test("streams its progress under the client's token, then its result", async () => {
    const params = { name: 'tools__slow', arguments: { ms: 4, steps: 2 } };
    const stream = await client.stream('tools/call', params, { progressToken: 'mine' });
    expect(stream.headers['content-type']).toBe('text/event-stream');
    expect(await stream.rest()).toMatchObject([
      { method: 'notifications/progress', params: { progressToken: 'mine', progress: 1, total: 2 } },
      { method: 'notifications/progress', params: { progressToken: 'mine', progress: 2, total: 2 } },
      { id: expect.any(Number), result: { resultType: 'complete', content: [{ text: 'slept 4' }] } },
    ]);
  });

  test.each([
    [undefined, []],
    ['debug', ['debug', 'warning', 'error']],
    ['warning', ['warning', 'error']],
    ['emergency', []],
    ['loud', []],
  ])('hears log messages only as far as it asks for them: %s', async (logLevel, heard) => {
    const params = { name: 'asking__log', arguments: { levels: ['debug', 'warning', 'error'] } };
    const stream = await client.stream('tools/call', params, logLevel === undefined ? {} : { logLevel });
    if (heard.length === 0) expect(stream.headers['content-type']).toBe('application/json');
    else
      expect((await stream.rest()).slice(0, -1)).toMatchObject(
        heard.map((level) => ({ method: 'notifications/message', params: { level } })),
      );
    stream.cut();
  });

  test('is taken back when its client goes away, whether its answer has begun or not', async () => {
    const cancelled = () => tools.events().filter(({ event }) => event === 'cancelled').length;
    const [calls, before] = [tools.executions('slow'), cancelled()];
    const begun = await client.stream(
      'tools/call',
      { name: 'tools__slow', arguments: { ms: 60_000, steps: 20_000 } },
      { progressToken: 1 },
    );
    await begun.next();
    begun.cut();
    await until(() => cancelled() === before + 1, { what: 'the server has heard of the first' });
    const abort = new AbortController();
    const silent = posting(client.url, 'tools__slow', { ms: 60_000, steps: 1 }, {}, abort.signal);
    await until(() => tools.executions('slow') === calls + 2, { what: 'the second has reached the server' });
    abort.abort();
    expect(await silent).toBe('gone');
    await until(() => cancelled() === before + 2, { what: 'the server has heard of the second' });
  });

  test('is not made for a client that went away while its headers were looked at', async () => {
    const late = await serveGateway({ mcpServers: { late: { url: tools.url } } });
    try {
      const texts = () =>
        tools.events().flatMap(({ event, arguments: args }) => (event === 'call' ? [(args as { text?: string }).text] : []));
      const [calls, requests] = [texts().length, tools.requests.length];
      tools.faults.set({ slow: 100, methods: ['tools/list'] });
      const abort = new AbortController();
      const impatient = posting(late.url, 'late__echo', { text: 'first' }, { capabilities: { roots: {} } }, abort.signal);
      await until(() => tools.requests.length > requests, { what: 'the gateway asks the server what it has' });
      abort.abort();
      expect(await impatient).toBe('gone');
      const patient = new RawModern(late.url).call('late__echo', { text: 'second' }, { capabilities: { roots: {} } });
      expect(textIn(await patient)).toBe('second');
      expect(texts().slice(calls)).toEqual(['second']);
    } finally {
      tools.faults.clear();
      await late[Symbol.asyncDispose]();
    }
  });
});

describe('parameters that headers repeat', () => {
  const place = (args: object, headers: Record<string, string>) => client.call('asking__place', args, { headers });
  const whole = { region: 'us-west1', inside: { count: 42, dry: true } };
  const said = { 'mcp-param-region': 'us-west1', 'mcp-param-count': '42', 'mcp-param-dry': 'true' };

  test('are taken where both say the same', async () => {
    expect(JSON.parse(textIn(await place(whole, said)))).toEqual(whole);
    expect(JSON.parse(textIn(await place(whole, { ...said, 'mcp-param-count': '42.0' })))).toEqual(whole);
    const korean = { region: '서울' };
    expect(JSON.parse(textIn(await place(korean, { 'mcp-param-region': '=?base64?7ISc7Jq4?=' })))).toEqual(korean);
  });

  test('need no header where they are absent or null, and headers that nothing asks for say nothing', async () => {
    expect(JSON.parse(textIn(await place({}, {})))).toEqual({});
    expect(JSON.parse(textIn(await place({}, { 'mcp-param-other': 'x' })))).toEqual({});
    expect(JSON.parse(textIn(await place({ region: null }, { 'mcp-param-other': 'x' })))).toEqual({ region: null });
  });

  test.each([
    ['one is missing', whole, { 'mcp-param-region': 'us-west1', 'mcp-param-dry': 'true' }],
    ['a text differs', whole, { ...said, 'mcp-param-region': 'us-west2' }],
    ['a text differs in its letters', whole, { ...said, 'mcp-param-region': 'US-west1' }],
    ['a number differs', whole, { ...said, 'mcp-param-count': '43' }],
    ['a number is none', whole, { ...said, 'mcp-param-count': '0x2a' }],
    ['a truth differs', whole, { ...said, 'mcp-param-dry': 'false' }],
    ['one says what the body does not', { inside: { count: 42, dry: true } }, said],
    ['one says what is null in the body', { ...whole, region: null }, { ...said, 'mcp-param-region': 'null' }],
    ['its base64 is broken', whole, { ...said, 'mcp-param-region': '=?base64?dXM?=' }],
  ])('are refused where %s', async (_, args, headers) => {
    const body = client.body('tools/call', { name: 'asking__place', arguments: args });
    expect(await refusal(body, { ...modernHeaders('tools/call', 'asking__place'), ...headers })).toEqual({ status: 400, code: -32_020 });
  });
});
