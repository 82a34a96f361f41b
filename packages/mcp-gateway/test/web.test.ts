import { type HttpFixture, httpFixture, type TempDir, tempDir } from '@tidegate/test-kit';
import { createParser } from 'eventsource-parser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGateway, type Gateway } from '../src/index.ts';
import { BodyTooLarge, mostUnread } from '../src/wire/exchange.ts';
import { webHandler } from '../src/wire/web.ts';
import { initialize, posted } from './raw-http.ts';
import { bearer } from './served-gateway.ts';

let tools: HttpFixture;
let gateway: Gateway;
let folder: TempDir;
let session: Record<string, string>;

beforeAll(async () => {
  folder = tempDir('web-');
  tools = await httpFixture({ reply: 'sse' });
  gateway = await createGateway({
    mcpServers: { own: { url: tools.url } },
    tokens: [{ token: 'a', tenant: 'acme' }],
    limits: [],
    dataDir: folder.path,
  });
  session = await connect();
});
afterAll(async () => {
  await gateway?.close();
  await tools?.close();
  folder?.remove();
});

const address = 'http://localhost:7300/mcp';

function post(body: unknown, headers: Record<string, string> = session): Promise<Response> {
  return gateway.fetch(new Request(address, { method: 'POST', headers: { ...posted, ...headers }, body: JSON.stringify(body) }));
}

async function connect(): Promise<Record<string, string>> {
  const reply = await post(initialize(), bearer('a'));
  expect(reply.status).toBe(200);
  return { ...bearer('a'), 'mcp-session-id': `${reply.headers.get('mcp-session-id')}` };
}

function eventsOf(text: string): unknown[] {
  const events: unknown[] = [];
  createParser({ onEvent: ({ data }) => events.push(JSON.parse(data)) }).feed(text);
  return events;
}

const slow = (id: string) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name: 'own__slow', arguments: { ms: 8, steps: 2 }, _meta: { progressToken: 'mine' } },
});

test('a call is answered with JSON, a notification with 202, a stranger with 401, a wrong host with 403', async () => {
  const reply = await post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'own__add', arguments: { a: 2, b: 3 } } });
  expect(reply.headers.get('content-type')).toBe('application/json');
  expect(await reply.json()).toEqual({ jsonrpc: '2.0', id: 1, result: { content: [{ type: 'text', text: '5' }] } });
  const taken = await post({ jsonrpc: '2.0', method: 'notifications/initialized' });
  expect([taken.status, await taken.text()]).toEqual([202, '']);
  expect((await post(initialize(), {})).status).toBe(401);
  expect((await gateway.fetch(new Request('http://evil.example/mcp', { headers: bearer('a') }))).status).toBe(403);
  expect(
    (await gateway.fetch(new Request('http://localhost/mcp', { headers: { ...bearer('a'), origin: 'https://evil.example' } }))).status,
  ).toBe(403);
  expect((await gateway.fetch(new Request('http://localhost/healthz?x'))).status).toBe(200);
});

test('progress streams', async () => {
  const reply = await post(slow('p'));
  expect(reply.headers.get('content-type')).toBe('text/event-stream');
  expect(eventsOf(await reply.text())).toMatchObject([
    { method: 'notifications/progress', params: { progressToken: 'mine', progress: 1 } },
    { method: 'notifications/progress', params: { progressToken: 'mine', progress: 2 } },
    { id: 'p', result: { content: [{ text: 'slept 8' }] } },
  ]);
});

test('whoever stops reading does not take the call back', async () => {
  const ended = new Promise((resolve) => {
    const remove = gateway.on('call', ({ outcome }) => {
      remove();
      resolve(outcome);
    });
  });
  const reply = await post(slow('given up'));
  await reply.body?.cancel();
  expect(await ended).toBe('ok');
});

test("a session's own stream ends with the session, and one that is cancelled makes room for the next", async () => {
  const own = await connect();
  const listen = () => gateway.fetch(new Request(address, { headers: { ...own, accept: 'text/event-stream' } }));
  const first = await listen();
  expect(first.status).toBe(200);
  expect((await listen()).status).toBe(409);
  await first.body?.cancel();
  const second = await listen();
  expect(second.status).toBe(200);
  const leaving = await gateway.fetch(new Request(address, { method: 'DELETE', headers: own }));
  expect([leaving.status, leaving.headers.get('content-length')]).toEqual([204, null]);
  expect(eventsOf(await second.text())).toEqual([]);
});

test('a body of 17 MB is refused before all of it was made', async () => {
  let made = 0;
  const body = new ReadableStream({
    pull(controller) {
      made += 1;
      controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
      if (made === 100) controller.close();
    },
  });
  const request = new Request(address, { method: 'POST', headers: { ...posted, ...session }, body, duplex: 'half' } as RequestInit);
  expect((await gateway.fetch(request)).status).toBe(413);
  expect(made).toBeLessThan(25);
});

test('a reader that is too far behind is left', async () => {
  let written = 0;
  let closed = 0;
  const fetch = webHandler(async (_request, reply) => {
    const stream = reply.stream(200, {});
    stream.onClose(() => {
      closed += 1;
    });
    while (closed === 0 && written < 4 * mostUnread) {
      stream.write('x'.repeat(100_000));
      written += 100_000;
    }
    stream.write('never');
    stream.end();
    stream.onClose(() => {
      closed += 1;
    });
  });
  const reply = await fetch(new Request('http://localhost/'));
  expect(closed).toBe(2);
  expect((await reply.text()).length).toBe(written);
  expect(written).toBeLessThan(mostUnread + 200_000);
});

test('a handler that fails rejects, and a body that cannot be read is no endless wait', async () => {
  const mistake = new Error('of the handler');
  await expect(webHandler(() => Promise.reject(mistake))(new Request('http://localhost/'))).rejects.toBe(mistake);
  const broken = new ReadableStream({
    pull(controller) {
      controller.error(new Error('cut'));
    },
  });
  const request = new Request(address, { method: 'POST', headers: { ...posted, ...session }, body: broken, duplex: 'half' } as RequestInit);
  expect((await gateway.fetch(request)).status).toBe(400);
  expect(new BodyTooLarge(5).message).toBe('the body is larger than 5 bytes');
});

test('after the end there are no sessions', async () => {
  const own = await createGateway({ mcpServers: {}, dataDir: folder.path });
  const opening = await own.fetch(new Request(address, { method: 'POST', headers: posted, body: JSON.stringify(initialize()) }));
  const headers = { 'mcp-session-id': `${opening.headers.get('mcp-session-id')}`, accept: 'text/event-stream' };
  const stream = await own.fetch(new Request(address, { headers }));
  await own.close();
  await own[Symbol.asyncDispose]();
  expect(eventsOf(await stream.text())).toEqual([]);
  expect((await own.fetch(new Request(address, { headers }))).status).toBe(404);
});
