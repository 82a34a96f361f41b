import { request as httpRequest } from 'node:http';
import { type HttpFixture, httpFixture, ManualClock, stdioFixture, until } from '@tidegate/test-kit';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Gateway, type GatewayParts, type Guard, Listeners, type ServerEntry } from '../src/core.ts';
import { serve } from '../src/node.ts';
import { exchange, initialize, posted, RawClient, type RawReply } from './raw-http.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

let tools: HttpFixture;
let served: ServedGateway;
let client: RawClient;

beforeAll(async () => {
  tools = await httpFixture({ reply: 'sse' });
  served = await serveGateway({
    mcpServers: { tools: { url: tools.url } },
    tokens: [
      { token: 'token-of-acme', tenant: 'acme' },
      { token: 'token-of-mina', tenant: 'acme', user: 'mina' },
      { token: 'token-of-beta', tenant: 'beta' },
    ],
  });
  client = await RawClient.connect(served.url, bearer('token-of-acme'));
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await tools?.close();
});

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

/** A gateway without servers, of parts that a test chooses. */
async function serveParts(parts: Partial<GatewayParts>): Promise<{ url: string; gateway: Gateway; events: Listeners }> {
  const events = new Listeners();
  const gateway = new Gateway({
    servers: [],
    access: { tokens: [], allowedHosts: [], allowedOrigins: [] },
    stages: [],
    times: { listMs: 1_000, connectMs: 1_000 },
    sessions: { most: 100, idleMs: 1_000 },
    waiting: { ttlMs: 60_000, most: 10 },
    events,
    now: () => performance.now(),
    version: '0.0.0',
    onClose: async () => {},
    ...parts,
  });
  const { url, close } = await serve(gateway, { port: 0 });
  opened.push({ [Symbol.asyncDispose]: close });
  return { url, gateway, events };
}

const ping = { jsonrpc: '2.0', id: 'p', method: 'ping' };

function refusal({ status, text }: RawReply): unknown {
  const { jsonrpc, id, error } = JSON.parse(text) as { jsonrpc: string; id: unknown; error: { code: number } };
  expect(jsonrpc).toBe('2.0');
  return { status, ...(id !== undefined && { id }), code: error.code };
}

describe('a session', () => {
  test('begins with initialize, which agrees on the revision that the client asked for or the newest', async () => {
    const opening = await exchange(served.url, {
      method: 'POST',
      headers: { ...posted, ...bearer('token-of-acme') },
      body: initialize('2025-03-26'),
    });
    expect(opening.status).toBe(200);
    expect(opening.headers['mcp-session-id']).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(JSON.parse(opening.text)).toEqual({
      jsonrpc: '2.0',
      id: 0,
      result: {
        protocolVersion: '2025-03-26',
        serverInfo: { name: 'tidegate', title: 'Tidegate', version: expect.any(String) },
        capabilities: {
          tools: { listChanged: true },
          resources: { listChanged: true, subscribe: true },
          prompts: { listChanged: true },
          completions: {},
          logging: {},
        },
      },
    });
    const newer = await client.post(initialize('2099-01-01'));
    expect(JSON.parse(newer.text)).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
    expect(newer.headers['mcp-session-id']).not.toBe(opening.headers['mcp-session-id']);
  });

  test('is named by every request but the first: 400 without, 404 for one that is not known', async () => {
    const headers = bearer('token-of-acme');
    const nameless = new RawClient(served.url, headers);
    expect(refusal(await nameless.post(ping))).toEqual({ status: 400, id: 'p', code: -32_600 });
    expect(refusal(await nameless.notify('notifications/initialized'))).toEqual({ status: 400, code: -32_600 });
    expect(refusal(await nameless.leave())).toEqual({ status: 400, code: -32_600 });
    expect(refusal(await exchange(served.url, { headers: { accept: 'text/event-stream', ...headers } }))).toMatchObject({ status: 400 });
    const stranger = new RawClient(served.url, { ...headers, 'mcp-session-id': '00000000-0000-4000-8000-000000000000' });
    expect(refusal(await stranger.post(ping))).toEqual({ status: 404, id: 'p', code: -32_600 });
    expect(refusal(await stranger.leave())).toMatchObject({ status: 404 });
  });

  test.each(['token-of-beta', 'token-of-mina'])('of somebody else is as unknown as none: %s', async (token) => {
    const thief = new RawClient(served.url, { ...client.headers, ...bearer(token) });
    const never = new RawClient(served.url, { ...bearer(token), 'mcp-session-id': 'never' });
    expect(await thief.post(ping)).toMatchObject({ status: 404, text: (await never.post(ping)).text });
    expect((await thief.leave()).status).toBe(404);
    expect((await thief.listen()).status).toBe(404);
    expect((await client.post(ping)).status).toBe(200);
  });

  test('ends with DELETE, which ends what runs in it and its stream', async () => {
    const leaving = await RawClient.connect(served.url, bearer('token-of-acme'));
    const stream = await leaving.listen();
    const running = leaving.postForStream({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'tools__hang' } });
    const before = tools.executions('hang');
    await until(() => tools.executions('hang') > before, { what: 'the call has reached the server' });
    const left = await leaving.leave();
    expect(left).toMatchObject({ status: 204, text: '' });
    expect(left.headers).not.toHaveProperty('content-length');
    expect(await (await running).rest()).toEqual([]);
    await stream.ended;
    expect((await leaving.post(ping)).status).toBe(404);
    expect((await leaving.leave()).status).toBe(404);
  });

  test('is one of at most so many; the next is told to come back later', async () => {
    const { url } = await serveParts({ sessions: { most: 2, idleMs: 60_000 } });
    const first = await RawClient.connect(url);
    await RawClient.connect(url);
    const third = await first.post(initialize());
    expect(refusal(third)).toMatchObject({ status: 503 });
    expect(third.headers).toMatchObject({ 'retry-after': '10' });
    expect(third.headers).not.toHaveProperty('mcp-session-id');
    await first.leave();
    await RawClient.connect(url);
  });

  test('that is idle for too long makes room; one with a stream or a running request stays', async () => {
    const clock = new ManualClock();
    let asked = false;
    let giveUp = (_error: Error): void => {};
    const away = new Promise<never>((_resolve, reject) => {
      giveUp = reject;
    });
    const guard: Guard = { execute: (fn, { signal }) => fn({ signal }) };
    const server: ServerEntry = {
      name: 'away',
      prefix: 'away__',
      connect: () => () => {
        asked = true;
        return away;
      },
      guard: { repeatable: guard, once: guard, state: () => 'closed' },
      repeatable: () => false,
    };
    const { url } = await serveParts({
      servers: [server],
      times: { listMs: 60_000, connectMs: 60_000 },
      sessions: { most: 10, idleMs: 1_000 },
      now: () => clock.now(),
    });
    const idle = await RawClient.connect(url);
    const used = await RawClient.connect(url);
    const listening = await RawClient.connect(url);
    const busy = await RawClient.connect(url);
    const stream = await listening.listen();
    const list = busy.request('tools/list');
    await until(() => asked, { what: 'the list is being made' });
    clock.advance(1_000);
    expect((await used.post(ping)).status).toBe(200);
    await RawClient.connect(url); // exactly at the bound nothing has gone yet
    clock.advance(1);
    await RawClient.connect(url);
    expect((await idle.post(ping)).status).toBe(404);
    expect((await used.post(ping)).status).toBe(200);
    expect((await listening.post(ping)).status).toBe(200);
    giveUp(new Error('given up'));
    expect((await list).result).toEqual({ tools: [], _meta: { 'io.tidegate/missing': ['away'] } });
    expect((await busy.post(ping)).status).toBe(200);
    stream.cut();
  });
});

describe('the request', () => {
  test.each<[string, Record<string, string>, number]>([
    ['neither of the two types', { accept: 'text/html' }, 406],
    ['no event stream', { accept: 'application/json' }, 406],
    ['no JSON', { accept: 'text/event-stream' }, 406],
    ['anything', { accept: '*/*' }, 200],
    ['families of types', { accept: 'application/*, text/*' }, 200],
    ['another content type', { 'content-type': 'text/plain' }, 415],
    ['no content type', { 'content-type': '' }, 415],
    ['a character set', { 'content-type': 'application/json; charset=utf-8' }, 200],
    ['a revision that is spoken', { 'mcp-protocol-version': '2025-06-18' }, 200],
    ['a revision that is not', { 'mcp-protocol-version': '1999-01-01' }, 400],
  ])('%s', async (_name, headers, status) => {
    expect((await client.post(ping, headers)).status).toBe(status);
  });

  test('without an Accept header accepts everything', async () => {
    const { accept: _accept, ...headers } = { ...posted, ...client.headers };
    expect((await exchange(served.url, { method: 'POST', headers, body: ping })).status).toBe(200);
  });

  test.each(['PUT', 'PATCH', 'OPTIONS'])('%s is not allowed', async (method) => {
    const reply = await exchange(served.url, { method, headers: client.headers });
    expect(refusal(reply)).toMatchObject({ status: 405 });
    expect(reply.headers['allow']).toBe('GET, POST, DELETE');
  });

  test.each<[what: string, body: string, code: number, id?: unknown]>([
    ['nothing', '', -32_700],
    ['half of it', '{"jsonrpc":"2.0","id":1,"method":', -32_700],
    ['bytes that are no text', '\u0000\u0001', -32_700],
    ['a text', '"ping"', -32_600],
    ['null', 'null', -32_600],
    ['a batch', JSON.stringify([ping]), -32_600],
    ['an empty batch', '[]', -32_600],
    ['another JSON-RPC', '{"jsonrpc":"1.0","id":1,"method":"ping"}', -32_600, 1],
    ['a method that is no text', '{"jsonrpc":"2.0","id":1,"method":7}', -32_600, 1],
    ['parameters in a list', '{"jsonrpc":"2.0","id":"1","method":"ping","params":[]}', -32_600, '1'],
    ['the id null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', -32_600],
    ['a broken id', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32_600],
    ['neither method nor result', '{"jsonrpc":"2.0","id":1}', -32_600, 1],
    ['a result that is none', '{"jsonrpc":"2.0","id":1,"result":[]}', -32_600],
    ['depth without end', '['.repeat(1_000_000), -32_700],
    [
      'a depth that nobody needs',
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
      -32_600,
      1,
    ],
  ])('%s is refused, under its own id where it has one', async (_name, body, code, id) => {
    expect(refusal(await client.post(body))).toEqual({ status: 400, ...(id !== undefined && { id }), code });
  });

  test('of odd but right JSON is answered, and its id comes back as it was', async () => {
    for (const id of [0, -1, '', 'ü💡', Number.MAX_SAFE_INTEGER, 'x'.repeat(10_000)]) {
      const reply = await client.post({ jsonrpc: '2.0', id, method: 'ping', params: { __proto__: null, constructor: 1 }, extra: true });
      expect(JSON.parse(reply.text)).toEqual({ jsonrpc: '2.0', id, result: {} });
    }
    const args = JSON.parse('{"text":"\\ud800 __proto__","__proto__":{"polluted":true}}');
    expect((await client.call('tools__echo', args)).result).toMatchObject({ content: [{ text: '\ud800 __proto__' }] });
    expect({}).not.toHaveProperty('polluted');
  });

  test('of 17 MB is refused before it is read, one of 15 MB is not', async () => {
    const big = (bytes: number) => ({ ...ping, params: { text: 'x'.repeat(bytes) } });
    expect((await client.post(big(15_000_000))).status).toBe(200);
    const refused = await client.post(big(17 * 1024 * 1024));
    expect(refusal(refused)).toMatchObject({ status: 413 });
    expect((await client.post(ping)).status).toBe(200);
  });

  test('that breaks off in the middle of its body harms nobody', async () => {
    const request = httpRequest(served.url, { method: 'POST', headers: { ...posted, ...client.headers, 'content-length': '1000' } });
    const failed = new Promise((resolve) => request.once('error', resolve));
    await new Promise((resolve) => request.write('{"jsonrpc":', resolve));
    request.destroy(new Error('gone'));
    await failed;
    expect((await client.post(ping)).status).toBe(200);
  });

  test('that is a notification or a response is taken without an answer', async () => {
    expect(await client.notify('notifications/initialized')).toMatchObject({ status: 202, text: '' });
    expect(await client.notify('notifications/of/tomorrow')).toMatchObject({ status: 202, text: '' });
    expect(await client.notify('notifications/cancelled', { requestId: 'of nothing' })).toMatchObject({ status: 202, text: '' });
    expect(await client.post({ jsonrpc: '2.0', id: 9, result: {} })).toMatchObject({ status: 202, text: '' });
  });
});

describe('the answer', () => {
  test('is JSON where nothing comes before it', async () => {
    const reply = await client.post({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { name: 'tools__add', arguments: { a: 2, b: 3 } },
    });
    expect(reply.headers['content-type']).toBe('application/json');
    expect(JSON.parse(reply.text)).toEqual({ jsonrpc: '2.0', id: 7, result: { content: [{ type: 'text', text: '5' }] } });
  });

  test("is an event stream where progress comes first, with the client's own token", async () => {
    const stream = await client.postForStream({
      jsonrpc: '2.0',
      id: 8,
      method: 'tools/call',
      params: { name: 'tools__slow', arguments: { ms: 4, steps: 2 }, _meta: { progressToken: 'mine' } },
    });
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' });
    const progress = (done: number) => ({
      jsonrpc: '2.0',
      method: 'notifications/progress',
      params: { progressToken: 'mine', progress: done, total: 2 },
    });
    expect(await stream.rest()).toEqual([
      progress(1),
      progress(2),
      { jsonrpc: '2.0', id: 8, result: { content: [{ type: 'text', text: 'slept 4' }] } },
    ]);
  });

  test('two calls at once with the same progress token do not get each other’s progress', async () => {
    const other = await RawClient.connect(served.url, bearer('token-of-acme'));
    const call = (steps: number) => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'tools__slow', arguments: { ms: 6, steps }, _meta: { progressToken: 1 } },
    });
    const streams = await Promise.all([client.postForStream(call(2)), other.postForStream(call(3))]);
    const [two, three] = await Promise.all(streams.map((stream) => stream.rest()));
    expect(two).toHaveLength(3);
    expect(three).toHaveLength(4);
  });

  test('does not come for a call that the client takes back; the server hears of it', async () => {
    const cancelled = () => tools.events().filter(({ event, tool }) => event === 'cancelled' && tool === 'hang').length;
    const [before, calls] = [cancelled(), tools.executions('hang')];
    const running = client.post({ jsonrpc: '2.0', id: 'taken back', method: 'tools/call', params: { name: 'tools__hang' } });
    await until(() => tools.executions('hang') > calls, { what: 'the call has reached the server' });
    await client.notify('notifications/cancelled', { requestId: 'taken back', reason: 'changed my mind' });
    expect(await running).toMatchObject({ status: 200, text: '' });
    await until(() => cancelled() > before, { what: 'the server has heard of it' });
  });

  test('to a second request of an id that is still running is an error; the first is not disturbed', async () => {
    const calls = tools.executions('hang');
    const first = client.post({ jsonrpc: '2.0', id: 'twice', method: 'tools/call', params: { name: 'tools__hang' } });
    await until(() => tools.executions('hang') > calls, { what: 'the call has reached the server' });
    const second = await client.post({ jsonrpc: '2.0', id: 'twice', method: 'ping' });
    expect(JSON.parse(second.text)).toMatchObject({ id: 'twice', error: { code: -32_600 } });
    const other = await RawClient.connect(served.url, bearer('token-of-acme'));
    expect(JSON.parse((await other.post({ jsonrpc: '2.0', id: 'twice', method: 'ping' })).text)).toMatchObject({ result: {} });
    await client.notify('notifications/cancelled', { requestId: 'twice' });
    await first;
    expect(JSON.parse((await client.post({ jsonrpc: '2.0', id: 'twice', method: 'ping' })).text)).toMatchObject({ result: {} });
  });

  test('is made even when the client has gone away, which does not mean that it takes the call back', async () => {
    const calls = tools.executions('slow');
    const cancelled = tools.events().filter(({ event }) => event === 'cancelled').length;
    const ended = new Promise((resolve) => {
      const remove = served.gateway.on('call', (event) => {
        if (event.name !== 'tools__slow') return;
        remove();
        resolve(event.outcome);
      });
    });
    const stream = await client.postForStream({
      jsonrpc: '2.0',
      id: 'gone',
      method: 'tools/call',
      params: { name: 'tools__slow', arguments: { ms: 40 }, _meta: { progressToken: 2 } },
    });
    stream.cut();
    expect(await ended).toBe('ok');
    expect(tools.executions('slow')).toBe(calls + 1);
    expect(tools.events().filter(({ event }) => event === 'cancelled')).toHaveLength(cancelled);
    expect((await client.post(ping)).status).toBe(200);
  });
});

describe('the stream of what the gateway says unasked', () => {
  test('tells every session of the tenant whose servers changed, and no other tenant', async () => {
    const program = stdioFixture();
    opened.push(program);
    const { command, args, env } = program;
    const gateway = await serveGateway({
      mcpServers: { local: { command, args, env } },
      tokens: [
        { token: 'a', tenant: 'acme' },
        { token: 'b', tenant: 'beta' },
      ],
    });
    opened.push(gateway);
    const [first, second, beta] = await Promise.all(['a', 'a', 'b'].map((token) => RawClient.connect(gateway.url, bearer(token))));
    if (!first || !second || !beta) throw new Error('no sessions');
    const heard = await Promise.all([first.listen(), second.listen()]);
    const unheard = await beta.listen();
    const names = async (client: RawClient) => JSON.stringify((await client.request('tools/list')).result);
    expect(await names(beta)).not.toContain('local__added');
    await first.call('local__add_tool', { name: 'added' });
    for (const stream of heard) {
      for (const list of ['tools', 'resources', 'prompts']) {
        expect(await stream.next()).toEqual({ jsonrpc: '2.0', method: `notifications/${list}/list_changed` });
      }
    }
    expect(await names(second)).toContain('"local__added"');
    expect(await names(beta)).not.toContain('local__added');
    expect((await first.call('local__count')).result).toMatchObject({ content: [{ text: '1' }] });
    expect((await beta.call('local__count')).result).toMatchObject({ content: [{ text: '1' }] });
    expect(new Set(program.control.pids()).size).toBe(2);
    await gateway.gateway.close();
    expect(await unheard.rest()).toEqual([]);
  });

  test('is one a session: 409 for a second while the first is open', async () => {
    const listener = await RawClient.connect(served.url, bearer('token-of-acme'));
    const first = await listener.listen();
    expect(first.status).toBe(200);
    expect((await listener.listen()).status).toBe(409);
    first.cut();
    const again = await until(
      async () => {
        const stream = await listener.listen();
        return stream.status === 200 && stream;
      },
      { what: 'the gateway has seen the first one go' },
    );
    again.cut();
  });

  test('is for those who accept one', async () => {
    expect((await client.listen({ accept: 'application/json' })).status).toBe(406);
  });

  test('ends, as do running calls, when the gateway closes', async () => {
    const { url, gateway } = await serveParts({});
    const stream = await (await RawClient.connect(url)).listen();
    await gateway.close();
    await stream.ended;
  });
});

test('a fault of the gateway tells the client nothing and its listener everything', async () => {
  const secret = new Error('the password is hunter2');
  const { url, events } = await serveParts({
    sessions: {
      get most(): number {
        throw secret;
      },
      idleMs: 1,
    },
  });
  const faults: unknown[] = [];
  events.on('fault', ({ error }) => faults.push(error));
  const reply = await exchange(url, { method: 'POST', headers: posted, body: initialize() });
  expect(reply).toMatchObject({ status: 500, headers: { 'content-type': 'application/problem+json' } });
  expect(JSON.parse(reply.text)).toMatchObject({ code: 'ERR_INTERNAL', status: 500 });
  expect(reply.text).not.toContain('hunter2');
  expect(faults).toEqual([secret]);
});
