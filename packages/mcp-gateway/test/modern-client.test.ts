import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { quickFixture, startHttpFixture } from '../../../tests/conformance/processes.ts';
import type { Answer, JsonObject, RpcRequest } from '../src/json-rpc.ts';
import { HttpPipe } from '../src/wire/http-pipe.ts';
import { StdioPipe } from '../src/wire/stdio-pipe.ts';
import { keep } from './gateway-over.ts';
import { discovered, never, type Reply, ScriptedPipe, talkOver, testClient } from './scripted-pipe.ts';

const protocol = (name: string) => `io.modelcontextprotocol/${name}`;

const talk = (kind: 'http' | 'stdio', reply: Reply = () => undefined, capabilities: JsonObject = { tools: {} }) =>
  talkOver(
    () =>
      new ScriptedPipe(kind, (request, pipe) => (request.method === 'server/discover' ? discovered(capabilities) : reply(request, pipe))),
  );

const done: Answer = { result: { resultType: 'complete', content: [] } };
const metaOf = ({ params = {} }: RpcRequest) => params['_meta'] as JsonObject;

describe('every request', () => {
  test('says in which revision, for whom and what it can be asked', async () => {
    const { pipe, connection } = await talk('stdio', () => done);
    const client = testClient({ capabilities: { elicitation: { form: {} } }, logLevel: 'info' });
    await connection.request('tools/call', { name: 'x' }, { signal: never(), client });
    await connection.request('tools/list', {}, { signal: never() });
    expect(pipe.requests().map(metaOf)).toEqual([
      {
        [protocol('protocolVersion')]: '2026-07-28',
        [protocol('clientInfo')]: { name: 'tidegate', version: '1' },
        [protocol('clientCapabilities')]: {},
      },
      {
        [protocol('protocolVersion')]: '2026-07-28',
        [protocol('clientInfo')]: { name: 'tidegate', version: '1' },
        [protocol('clientCapabilities')]: { elicitation: { form: {} } },
        [protocol('logLevel')]: 'info',
      },
      {
        [protocol('protocolVersion')]: '2026-07-28',
        [protocol('clientInfo')]: { name: 'tidegate', version: '1' },
        [protocol('clientCapabilities')]: {},
      },
    ]);
  });

  test('has the protocol’s members of its own and everybody else’s as they came', async () => {
    const { pipe, connection } = await talk('stdio', () => done);
    const foreign = Object.fromEntries(
      ['protocolVersion', 'clientInfo', 'clientCapabilities', 'serverInfo', 'logLevel', 'subscriptionId'].map((name) => [
        protocol(name),
        'forged',
      ]),
    );
    const kept = {
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=b',
      baggage: 'user=1',
      'com.example/x': { deep: [1, null] },
      'io.modelcontextprotocol/unknown': true,
    };
    await connection.request(
      'tools/call',
      { name: 'x', extra: 1, _meta: { ...foreign, ...kept } },
      { signal: never(), client: testClient() },
    );
    const { params } = pipe.requests('tools/call')[0] as RpcRequest;
    expect(params).toEqual({
      name: 'x',
      extra: 1,
      _meta: {
        ...kept,
        [protocol('protocolVersion')]: '2026-07-28',
        [protocol('clientInfo')]: { name: 'tidegate', version: '1' },
        [protocol('clientCapabilities')]: {},
      },
    });
  });

  test('maps the progress token of its client there and back', async () => {
    const { pipe, connection } = await talk('http');
    const clients = [testClient(), testClient()];
    for (const client of clients) {
      connection.request('tools/call', { _meta: { progressToken: 'p' } }, { signal: never(), client }).catch(() => {});
    }
    const calls = pipe.requests('tools/call');
    const tokens = calls.map((call) => metaOf(call)['progressToken']);
    expect(new Set([...tokens, 'p']).size).toBe(3);
    pipe.server.message({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: tokens[1], progress: 1 } });
    expect(clients.map(({ told }) => told)).toEqual([
      [],
      [{ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } }],
    ]);
  });
});

describe('headers', () => {
  const headersFor = async (method: string, params: JsonObject, tool?: JsonObject) => {
    const { pipe, connection } = await talk('http', () => done);
    await connection.request(method, params, { signal: never(), ...(tool && { tool }) });
    return pipe.headers.at(-1);
  };

  test.each<[string, JsonObject, JsonObject]>([
    ['tools/list', { name: 'x' }, {}],
    ['tools/call', { name: 'echo' }, { 'mcp-name': 'echo' }],
    ['prompts/get', { name: 'greet' }, { 'mcp-name': 'greet' }],
    ['resources/read', { uri: 'file:///a' }, { 'mcp-name': 'file:///a' }],
    ['tools/call', { name: 'Hello, 世界' }, { 'mcp-name': '=?base64?SGVsbG8sIOS4lueVjA==?=' }],
    ['tools/call', { name: ' padded ' }, { 'mcp-name': '=?base64?IHBhZGRlZCA=?=' }],
    ['tools/call', { name: 'line1\nline2' }, { 'mcp-name': '=?base64?bGluZTEKbGluZTI=?=' }],
    ['tools/call', { name: '=?base64?literal?=' }, { 'mcp-name': '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=' }],
  ])('of %s with %j repeat the revision, the method and the name', async (method, params, more) => {
    expect(await headersFor(method, params)).toEqual({ 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...more });
  });

  const tool = {
    inputSchema: {
      type: 'object',
      properties: {
        region: { type: 'string', 'x-mcp-header': 'Region' },
        count: { type: 'integer', 'x-mcp-header': 'Count' },
        dry: { type: 'boolean', 'x-mcp-header': 'Dry' },
        inner: { type: 'object', properties: { zone: { type: 'string', 'x-mcp-header': 'Zone' } } },
        plain: { type: 'string' },
      },
    },
  };

  test('repeat the parameters that the tool names', async () => {
    const args = { region: 'us-west1', count: -7, dry: false, inner: { zone: '서울' }, plain: 'secret' };
    expect(await headersFor('tools/call', { name: 'x', arguments: args }, tool)).toMatchObject({
      'mcp-param-region': 'us-west1',
      'mcp-param-count': '-7',
      'mcp-param-dry': 'false',
      'mcp-param-zone': `=?base64?${Buffer.from('서울').toString('base64')}?=`,
    });
  });

  test('leave out what is null or missing', async () => {
    const headers = await headersFor('tools/call', { name: 'x', arguments: { region: null } }, tool);
    expect(Object.keys(headers ?? {}).sort()).toEqual(['mcp-method', 'mcp-name', 'mcp-protocol-version']);
  });

  test.each([
    ['stdio', { result: done }],
    ['http', { refused: "server 'files' offers a tool that cannot be called: x-mcp-header of /n is not on a string, integer or boolean" }],
  ] as const)('over %s decide whether a tool with a broken annotation can be called', async (kind, expected) => {
    const { connection } = await talk(kind, () => done);
    const broken = { inputSchema: { type: 'object', properties: { n: { type: 'number', 'x-mcp-header': 'N' } } } };
    const answer = connection.request('tools/call', { name: 'x', arguments: { n: 1 } }, { signal: never(), tool: broken });
    const outcome = await answer.then(
      (result) => ({ result }),
      (error: Error) => ({ refused: error.message }),
    );
    expect(outcome).toEqual(expected);
  });

  test.each([
    ['stdio', ['good', 'broken'], 0],
    ['http', ['good'], 1],
  ] as const)('over %s decide whether such a tool is listed, each by itself', async (kind, names, count) => {
    const good = { name: 'good', inputSchema: { type: 'object' } };
    const broken = { name: 'broken', inputSchema: { type: 'object', properties: { n: { type: 'number', 'x-mcp-header': 'N' } } } };
    const { connection, problems } = await talk(kind, () => ({ result: { resultType: 'complete', tools: [good, broken] } }));
    const listed = (await connection.request('tools/list', {}, { signal: never() })) as { result: { tools: JsonObject[] } };
    expect(listed.result.tools.map(({ name }) => name)).toEqual(names);
    expect(problems.filter(({ problem }) => problem.includes('x-mcp-header of /n'))).toHaveLength(count);
  });

  test('are accepted by a real server, the parameters’ among them', async () => {
    const { url } = keep(await startHttpFixture('modern'));
    const { connection } = await talkOver(() => new HttpPipe('files', { url, headers: {} }));
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    const listed = (await connection.request('tools/list', {}, { signal: never() })) as { result: { tools: JsonObject[] } };
    const mirrored = listed.result.tools.filter((each) => JSON.stringify(each).includes('x-mcp-header'));
    expect(mirrored.length).toBeGreaterThan(0);
    for (const offered of mirrored) {
      const params = { name: offered['name'], arguments: { region: 'Zürich', count: 1 } };
      expect(await connection.request('tools/call', params, { signal: never(), tool: offered })).toHaveProperty('result');
      expect(await connection.request('tools/call', params, { signal: never() })).toMatchObject({ error: { code: -32_020 } });
    }
  });
});

describe('an interim result', () => {
  const question = (message: string) => ({ method: 'elicitation/create', params: { message } });
  const asks = (inputRequests: JsonObject | undefined, requestState?: string): Answer => ({
    result: { resultType: 'input_required', ...(inputRequests && { inputRequests }), ...(requestState !== undefined && { requestState }) },
  });

  test('reaches a client that takes interim results untouched', async () => {
    const interim = asks({ a: question('?') }, 'state');
    const { pipe, connection } = await talk('http', () => interim);
    const client = testClient({ modern: true, capabilities: { elicitation: {} } });
    expect(await connection.request('tools/call', { name: 'x' }, { signal: never(), client })).toEqual(interim);
    expect(client.asked).toEqual([]);
    expect(pipe.requests('tools/call')).toHaveLength(1);
  });

  test('of an extension is no result for a client with a session', async () => {
    const { connection } = await talk('http', () => ({ result: { resultType: 'task', taskId: 't' } }));
    const answer = (modern: boolean) =>
      connection.request('tools/call', { name: 'x' }, { signal: never(), client: testClient({ modern }) });
    expect(await answer(true)).toEqual({ result: { resultType: 'task', taskId: 't' } });
    await expect(answer(false)).rejects.toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL', message: expect.stringContaining("'task'") });
  });

  test('is answered by asking any other client, side by side, and calling again under a new id', async () => {
    const state = ' {"not": "ours"}\u0000é== ';
    const { pipe, connection } = await talk('stdio', ({ params = {} }) =>
      params['inputResponses'] === undefined ? asks({ a: question('A'), b: question('B') }, state) : done,
    );
    const waiting: ((answer: Answer) => void)[] = [];
    const client = testClient({ capabilities: { elicitation: {} } }, () => new Promise((resolve) => waiting.push(resolve)));
    const params = { name: 'x', arguments: { n: 1 }, _meta: { progressToken: 'p', traceparent: 't' } };
    const answer = connection.request('tools/call', params, { signal: never(), client });
    await until(() => waiting.length === 2, { what: 'both questions' });
    expect(client.asked).toEqual([question('A'), question('B')]);
    waiting[1]?.({ result: { action: 'decline' } });
    waiting[0]?.({ result: { action: 'accept', content: { x: 1 } } });
    expect(await answer).toEqual(done);
    const [first, second] = pipe.requests('tools/call') as [RpcRequest, RpcRequest];
    expect(second.id).not.toBe(first.id);
    expect(second.params).toEqual({
      ...first.params,
      _meta: { ...metaOf(first), progressToken: second.id },
      inputResponses: { a: { action: 'accept', content: { x: 1 } }, b: { action: 'decline' } },
      requestState: state,
    });
  });

  test('without state is answered without any, though the one before had some', async () => {
    const rounds = [asks({ a: question('A') }, 'one'), asks({ b: question('B') }), done];
    const { pipe, connection } = await talk('http', () => rounds.shift());
    const client = testClient({ capabilities: { elicitation: {} } });
    expect(await connection.request('tools/call', { name: 'x' }, { signal: never(), client })).toEqual(done);
    const [, second, third] = pipe.requests('tools/call');
    expect(second?.params).toMatchObject({ requestState: 'one', inputResponses: { a: { action: 'accept' } } });
    expect(third?.params).not.toHaveProperty('requestState');
    expect(Object.keys(third?.params?.['inputResponses'] as object)).toEqual(['b']);
  });

  test('that asks nothing is followed by the call with its state', async () => {
    const rounds = [asks(undefined, 'later'), done];
    const { pipe, connection } = await talk('http', () => rounds.shift());
    expect(await connection.request('tools/call', { name: 'x' }, { signal: never(), client: testClient() })).toEqual(done);
    expect(pipe.requests('tools/call')[1]?.params).toMatchObject({ requestState: 'later' });
  });

  test('is answered without what the client does not answer or nobody could ask', async () => {
    const rounds = [asks({ a: question('A'), b: question('B'), odd: 'what', none: {} }), done];
    const { pipe, connection } = await talk('http', () => rounds.shift());
    const client = testClient({ capabilities: { elicitation: {} } }, ({ params }) =>
      params['message'] === 'A' ? { error: { code: -1, message: 'no' } } : { result: { action: 'cancel' } },
    );
    expect(await connection.request('tools/call', { name: 'x' }, { signal: never(), client })).toEqual(done);
    expect(pipe.requests('tools/call')[1]?.params?.['inputResponses']).toEqual({ b: { action: 'cancel' } });
  });

  test('again and again is an end to it', async () => {
    const { pipe, connection } = await talk('http', () => asks({ a: question('A') }));
    const client = testClient({ capabilities: { elicitation: {} } });
    await expect(connection.request('tools/call', { name: 'x' }, { signal: never(), client })).rejects.toMatchObject({
      message: "server 'files' asked for input 20 times and gave no result",
      code: 'ERR_UPSTREAM_PROTOCOL',
      carriedOut: 'perhaps',
    });
    expect(pipe.requests('tools/call')).toHaveLength(20);
  });

  test('is not answered where the call was taken back while the client was asked', async () => {
    const controller = new AbortController();
    const { pipe, connection } = await talk('stdio', () => asks({ a: question('A') }));
    const client = testClient({ capabilities: { elicitation: {} } }, () => {
      controller.abort(new Error('enough'));
      return { result: { action: 'accept' } };
    });
    await expect(connection.request('tools/call', { name: 'x' }, { signal: controller.signal, client })).rejects.toThrow('enough');
    expect(pipe.requests('tools/call')).toHaveLength(1);
  });

  test.each([
    ['test_input_required_result_multi_round', /^Ann likes Ann$/],
    ['test_input_required_result_multiple_inputs', /\(Ann\)$/],
    ['test_input_required_result_tampered_state', /^state-ok/],
  ])('of a real server (%s) leads to its result', async (name, expected) => {
    const { connection } = await talkOver(() => new StdioPipe('files', stdioTarget));
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    const client = testClient({ capabilities: { elicitation: { form: {} }, sampling: {}, roots: {} } }, ({ method }) => {
      if (method === 'roots/list') return { result: { roots: [] } };
      if (method === 'sampling/createMessage') return { result: { role: 'assistant', model: 'm', content: { type: 'text', text: 'Hi' } } };
      return { result: { action: 'accept', content: { name: 'Ann', color: 'Ann', ok: true } } };
    });
    const answer = (await connection.request('tools/call', { name, arguments: {} }, { signal: never(), client })) as {
      result: { content: { text: string }[] };
    };
    expect(answer.result.content[0]?.text).toMatch(expected);
  });
});

const stdioTarget = { ...(await quickFixture('modern')), env: {}, cwd: undefined };

describe('taking a request back', () => {
  test('is told over stdio', async () => {
    const { pipe, connection } = await talk('stdio');
    const controller = new AbortController();
    const answer = connection.request('tools/call', { name: 'x' }, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(answer).rejects.toThrow('enough');
    const { id } = pipe.requests('tools/call')[0] as RpcRequest;
    expect(pipe.notifications('notifications/cancelled').map(({ params }) => params?.['requestId'])).toEqual([id]);
  });

  test('over HTTP is the end of its own request and no message', async () => {
    const open: IncomingMessage[] = [];
    const seen: string[] = [];
    const ended: string[] = [];
    const server = createServer(async (request, response) => {
      let text = '';
      for await (const part of request) text += String(part);
      const { id, method } = JSON.parse(text) as RpcRequest;
      seen.push(method);
      if (method === 'server/discover') {
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, ...discovered() }));
        return;
      }
      open.push(request);
      response.once('close', () => ended.push(String(request.headers['mcp-name'])));
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    keep({
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    const { connection } = await talkOver(() => new HttpPipe('files', { url, headers: {} }));
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    const controller = new AbortController();
    const back = connection.request('tools/call', { name: 'back' }, { signal: controller.signal });
    connection.request('tools/call', { name: 'stays' }, { signal: never() }).catch(() => {});
    await until(() => open.length === 2, { what: 'both calls' });
    controller.abort(new Error('enough'));
    await expect(back).rejects.toThrow('enough');
    await until(() => ended.length > 0, { what: 'the end of the request' });
    expect(ended).toEqual(['back']);
    expect(seen).toEqual(['server/discover', 'tools/call', 'tools/call']);
  });
});

describe('listening', () => {
  const all = { tools: { listChanged: true }, prompts: { listChanged: true }, resources: { listChanged: true, subscribe: true } };
  const filters = (pipe: ScriptedPipe) => pipe.requests('subscriptions/listen').map(({ params }) => params?.['notifications']);

  test.each<[JsonObject, JsonObject[]]>([
    [all, [{ toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true }]],
    [{ tools: { listChanged: true }, prompts: {} }, [{ toolsListChanged: true }]],
    [{ tools: {} }, []],
    [{}, []],
  ])('begins with what a server of %j tells', async (capabilities, expected) => {
    const { pipe } = await talk('stdio', () => undefined, capabilities);
    expect(filters(pipe)).toEqual(expected);
  });

  test('begins anew with the resources that are watched, and ends what was before', async () => {
    const { pipe, connection } = await talk('stdio', () => undefined, { tools: { listChanged: true }, resources: { subscribe: true } });
    await connection.watch(new Set(['test://a', 'test://b']));
    await connection.watch(new Set());
    expect(filters(pipe)).toEqual([
      { toolsListChanged: true },
      { toolsListChanged: true, resourceSubscriptions: ['test://a', 'test://b'] },
      { toolsListChanged: true },
    ]);
    const [first, second] = pipe.requests('subscriptions/listen');
    expect(pipe.notifications('notifications/cancelled').map(({ params }) => params?.['requestId'])).toEqual([first?.id, second?.id]);
  });

  test('is begun again when the server has ended it, and what may have changed meanwhile is asked for', async () => {
    const { pipe, notifications, connection } = await talk('stdio', () => undefined, { tools: { listChanged: true } });
    const [first] = pipe.requests('subscriptions/listen');
    pipe.server.message({ jsonrpc: '2.0', id: first?.id as number, result: { resultType: 'complete' } });
    await until(() => filters(pipe).length === 2, { what: 'the next stream' });
    expect(notifications.map(({ method }) => method)).toEqual(['notifications/tools/list_changed']);
    await connection.close();
    expect(filters(pipe)).toHaveLength(2);
  });

  test('is not begun again where the server has no such thing', async () => {
    const { pipe } = await talk('stdio', () => undefined, { tools: { listChanged: true } });
    const [first] = pipe.requests('subscriptions/listen');
    pipe.server.message({ jsonrpc: '2.0', id: first?.id as number, error: { code: -32_601, message: 'Method not found' } });
    await new Promise((resolve) => setTimeout(resolve, 1_200)); // longer than the wait for the next
    expect(filters(pipe)).toHaveLength(1);
  });

  test('hands notifications on without the protocol’s own members, and keeps its own business to itself', async () => {
    const { pipe, notifications, problems } = await talk('stdio', () => undefined, all);
    const said = (method: string, params: JsonObject) => pipe.server.message({ jsonrpc: '2.0', method, params });
    const own = { [protocol('subscriptionId')]: 2 };
    said('notifications/subscriptions/acknowledged', { notifications: {}, _meta: own });
    said('notifications/tools/list_changed', { _meta: own });
    said('notifications/resources/updated', { uri: 'test://a', _meta: { ...own, 'com.example/x': 1 } });
    said('notifications/cancelled', { requestId: 2 });
    said('notifications/progress', { progressToken: 7, progress: 1 });
    expect(notifications).toEqual([
      { jsonrpc: '2.0', method: 'notifications/tools/list_changed', params: {} },
      { jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri: 'test://a', _meta: { 'com.example/x': 1 } } },
    ]);
    expect(problems).toEqual([]);
  });

  test('hears of changes at a real server', async () => {
    const { url } = keep(await startHttpFixture('modern'));
    const { connection, notifications } = await talkOver(() => new HttpPipe('files', { url, headers: {} }));
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    const { result } = (await connection.request('tools/list', {}, { signal: never() })) as { result: { tools: { name: string }[] } };
    const changing = result.tools.find(({ name }) => /change|trigger|toggle/.test(name) && /tool/.test(name))?.name;
    await until(
      async () => {
        await connection.request('tools/call', { name: changing, arguments: {} }, { signal: never() });
        return notifications.some(({ method }) => method === 'notifications/tools/list_changed');
      },
      { what: 'news of the tools' },
    );
  });
});

describe('a log message', () => {
  const message = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: 'private' } } as const;

  test('over HTTP reaches the client whose request it came with, and nobody else', async () => {
    const { pipe, connection, notifications } = await talk('http');
    const [one, two] = [testClient({ logLevel: 'info' }), testClient({ logLevel: 'debug' })];
    for (const client of [one, two]) connection.request('tools/call', { name: 'x' }, { signal: never(), client }).catch(() => {});
    pipe.server.message(message, pipe.requests('tools/call')[0]?.id);
    expect(one.told).toEqual([message]);
    expect(two.told).toEqual([]);
    expect(notifications).toEqual([]);
  });

  test('over stdio reaches the one client that asked for log messages', async () => {
    const { pipe, connection, notifications } = await talk('stdio');
    const [wants, silent] = [testClient({ logLevel: 'info' }), testClient()];
    for (const client of [wants, silent]) connection.request('tools/call', { name: 'x' }, { signal: never(), client }).catch(() => {});
    pipe.server.message(message);
    expect(wants.told).toEqual([message]);
    expect(silent.told).toEqual([]);
    expect(notifications).toEqual([]);
  });

  test('over stdio reaches nobody where it could be about the request of one or of another', async () => {
    const { pipe, connection, notifications } = await talk('stdio');
    const clients = [testClient({ logLevel: 'info' }), testClient({ logLevel: 'info' })];
    for (const client of clients) connection.request('tools/call', { name: 'x' }, { signal: never(), client }).catch(() => {});
    pipe.server.message(message);
    expect(clients.flatMap(({ told }) => told)).toEqual([]);
    expect(notifications).toEqual([]);
  });

  test('that its client did not ask for reaches nobody', async () => {
    const { pipe, connection, notifications } = await talk('http');
    const client = testClient();
    connection.request('tools/call', { name: 'x' }, { signal: never(), client }).catch(() => {});
    pipe.server.message(message, pipe.requests('tools/call')[0]?.id);
    expect(client.told).toEqual([]);
    expect(notifications).toEqual([]);
  });
});

describe('what the server must not do', () => {
  test('a request of its own is a problem and gets no answer', async () => {
    const { pipe, problems } = await talk('stdio');
    const before = pipe.sent.length;
    pipe.server.message({ jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: {} });
    expect(problems).toEqual([{ problem: 'sent a request, sampling/createMessage, which this revision does not have', sample: '' }]);
    expect(pipe.sent).toHaveLength(before);
  });

  test('an answer to nothing is a problem', async () => {
    const { pipe, problems } = await talk('stdio');
    pipe.server.message({ jsonrpc: '2.0', id: 99, result: {} });
    expect(problems).toEqual([{ problem: 'sent a response that answers no open request', sample: 'id 99' }]);
  });
});
