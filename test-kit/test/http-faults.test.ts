import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type HttpFixture, type HttpFixtureOptions, httpFixture, until } from '../src/index.ts';

const opened: HttpFixture[] = [];
afterEach(async () => {
  for (const fixture of opened.splice(0)) await fixture.close();
});

async function start(options: HttpFixtureOptions = {}): Promise<HttpFixture> {
  const fixture = await httpFixture(options);
  opened.push(fixture);
  return fixture;
}

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };

function post(fixture: HttpFixture, message: object, session?: string, signal?: AbortSignal): Promise<Response> {
  return fetch(fixture.url, {
    method: 'POST',
    headers: { ...HEADERS, ...(session !== undefined && { 'mcp-session-id': session }) },
    body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    ...(signal && { signal }),
  });
}

async function initialize(fixture: HttpFixture): Promise<string> {
  const response = await post(fixture, { id: 0, method: 'initialize', params: { protocolVersion: '2025-11-25' } });
  await response.text();
  return response.headers.get('mcp-session-id') ?? '';
}

const call = (fixture: HttpFixture, session: string, name: string, args: object = {}): Promise<Response> =>
  post(fixture, { id: 1, method: 'tools/call', params: { name, arguments: args } }, session);

const ping = (fixture: HttpFixture, session: string): Promise<Response> => post(fixture, { id: 9, method: 'ping' }, session);

async function statuses(fixture: HttpFixture, session: string, count: number): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push((await ping(fixture, session)).status);
  return all;
}

test('a session is issued at initialize, asked for, and ends with DELETE', async () => {
  const fixture = await start();
  expect((await post(fixture, { id: 1, method: 'ping' })).status).toBe(400);
  expect((await ping(fixture, 'unknown')).status).toBe(404);
  const session = await initialize(fixture);
  expect(fixture.sessions).toEqual([session]);
  expect((await ping(fixture, session)).status).toBe(200);
  expect((await fetch(fixture.url, { method: 'DELETE', headers: { 'mcp-session-id': session } })).status).toBe(200);
  expect((await ping(fixture, session)).status).toBe(404);
});

test('a notification is accepted with 202, a bad request refused', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  expect((await post(fixture, { method: 'notifications/initialized' }, session)).status).toBe(202);
  expect((await fetch(fixture.url, { method: 'PUT' })).status).toBe(405);
  expect((await fetch(`${fixture.url}/other`)).status).toBe(404);
  expect((await fetch(fixture.url, { method: 'POST', headers: HEADERS, body: 'not JSON' })).status).toBe(400);
  expect((await fetch(fixture.url, { method: 'POST', headers: { accept: '*/*' }, body: '{}' })).status).toBe(406);
  expect((await fetch(fixture.url, { headers: { 'mcp-session-id': session, 'mcp-protocol-version': '1999-01-01' } })).status).toBe(400);
});

test('the requests are recorded with method, headers and parsed body', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  await call(fixture, session, 'echo', { text: 'hi' });
  expect(fixture.requests).toHaveLength(2);
  expect(fixture.requests[1]).toMatchObject({
    method: 'POST',
    headers: { 'mcp-session-id': session },
    body: { method: 'tools/call', params: { name: 'echo', arguments: { text: 'hi' } } },
  });
});

test('a status with Retry-After hits so many requests and executes nothing', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  fixture.faults.set({ status: 429, retryAfter: '7', times: 2 });
  const refused = await call(fixture, session, 'count');
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '7']);
  expect(await statuses(fixture, session, 3)).toEqual([429, 200, 200]);
  expect(fixture.executions()).toBe(0);
});

test('flap counts requests up and down, and clear ends it', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  fixture.faults.set({ flap: [2, 1, 1, 2] });
  expect(await statuses(fixture, session, 8)).toEqual([200, 200, 503, 200, 503, 503, 200, 200]);
  fixture.faults.set({ flap: [0, 1], status: 500 });
  expect(await statuses(fixture, session, 2)).toEqual([500, 500]);
  fixture.faults.clear();
  expect(await statuses(fixture, session, 2)).toEqual([200, 200]);
});

test('only the named methods are hit', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  fixture.faults.set({ status: 500, methods: ['tools/call'] });
  expect((await ping(fixture, session)).status).toBe(200);
  expect((await call(fixture, session, 'echo', { text: 'x' })).status).toBe(500);
});

test('garbage is a 200 that is not JSON', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  fixture.faults.set({ garbage: true });
  const response = await call(fixture, session, 'count');
  expect(response.status).toBe(200);
  await expect(response.json()).rejects.toThrow(SyntaxError);
  expect(fixture.executions()).toBe(0);
});

test.each(['json', 'sse'] as const)('cutMidBody executes, then breaks off the answer (%s)', async (reply) => {
  const fixture = await start({ reply });
  const session = await initialize(fixture);
  fixture.faults.set({ cutMidBody: true });
  const response = await call(fixture, session, 'count');
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow('terminated');
  expect(fixture.executions('count')).toBe(1);
});

test('hang takes the request and says nothing; slow says it later', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  fixture.faults.set({ hang: true });
  const abort = new AbortController();
  const hanging = post(fixture, { id: 1, method: 'ping' }, session, abort.signal);
  const ended = expect(hanging).rejects.toThrow();
  await until(() => fixture.requests.length === 2, { what: 'the request to arrive' });
  fixture.faults.set({ slow: 30 });
  const before = performance.now();
  expect((await ping(fixture, session)).status).toBe(200);
  expect(performance.now() - before).toBeGreaterThanOrEqual(29);
  abort.abort();
  await ended;
});

test('forgotten sessions answer 404 and their streams end', async () => {
  const fixture = await start();
  const session = await initialize(fixture);
  const stream = await fetch(fixture.url, { headers: { ...HEADERS, 'mcp-session-id': session } });
  expect(fixture.streams).toBe(1);
  fixture.faults.forgetSessions();
  await expect(stream.text()).rejects.toThrow('terminated');
  expect((await ping(fixture, session)).status).toBe(404);
  expect((await ping(fixture, await initialize(fixture))).status).toBe(200);
});

test.each(['json', 'sse'] as const)('progress comes before the answer where the reply has room for it (%s)', async (reply) => {
  const fixture = await start({ reply });
  const session = await initialize(fixture);
  const params = { name: 'slow', arguments: { ms: 4, steps: 2 }, _meta: { progressToken: 1 } };
  const body = await (await post(fixture, { id: 1, method: 'tools/call', params }, session)).text();
  expect(body.match(/notifications\/progress/g)?.length ?? 0).toBe(reply === 'sse' ? 2 : 0);
  expect(body).toContain('slept 4');
});

test('kill cuts what runs; restart listens on the same port without memory', async () => {
  const fixture = await start();
  const { url } = fixture;
  const session = await initialize(fixture);
  await call(fixture, session, 'count');
  fixture.addTool('late');
  const hanging = expect(call(fixture, session, 'hang')).rejects.toThrow();
  await until(() => fixture.executions('hang') === 1, { what: 'the call to run' });
  await fixture.kill();
  await hanging;
  await expect(fetch(url)).rejects.toThrow();
  await fixture.restart();
  expect(fixture.url).toBe(url);
  expect((await ping(fixture, session)).status).toBe(404);
  const again = await initialize(fixture);
  expect(await (await call(fixture, again, 'count')).text()).toContain('"text":"1"');
  expect(await (await call(fixture, again, 'late')).text()).toContain('Unknown tool');
  expect(fixture.executions('count')).toBe(2);
});

test.each(['json', 'sse'] as const)('crash and halfline end the server (%s)', async (reply) => {
  const fixture = await start({ reply });
  await expect(call(fixture, await initialize(fixture), 'crash')).rejects.toThrow();
  await until(() => !fixture.up, { what: 'the crash' });
  await fixture.restart();
  const half = await call(fixture, await initialize(fixture), 'halfline');
  await expect(half.text()).rejects.toThrow('terminated');
  await until(() => !fixture.up, { what: 'the crash' });
});

test('close frees the port', async () => {
  const fixture = await start();
  const port = Number(new URL(fixture.url).port);
  await initialize(fixture);
  await fixture.close();
  await fixture.close();
  const [error] = await once(connect(port, '127.0.0.1'), 'error');
  expect(error).toMatchObject({ code: 'ECONNREFUSED' });
});
