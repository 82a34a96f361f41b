import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freePort, type HttpFixture, type HttpFixtureOptions, httpFixture, startProxy, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { serve } from '../src/node.ts';
import { HttpPipe } from '../src/wire/http-pipe.ts';
import { call, eventsOf, gatewayOver, keep, nextEvent, refusedWith, swift, textOf, tireless, toolNames } from './gateway-over.ts';

async function server(options: HttpFixtureOptions = {}): Promise<HttpFixture> {
  return keep(await httpFixture(options));
}

/** A server that answers as a test says, for what no well-written server does. */
async function answering(listener: RequestListener): Promise<{ url: string; server: Server }> {
  const http = createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  keep({
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`, server: http };
}

/** A server that forgets its first session, and says so with a 400 as the protocol's reference server does. */
async function forgetfulServer(): Promise<{ url: string; methods: string[] }> {
  const methods: string[] = [];
  const results: Record<string, object> = {
    initialize: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'forgetful', version: '1' } },
    'tools/list': { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] },
    'tools/call': { content: [{ type: 'text', text: 'echoed' }] },
  };
  const { url } = await answering(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { id, method = '' } = JSON.parse(Buffer.concat(parts).toString() || '{}') as { id?: number; method?: string };
    methods.push(method);
    const forgotten = method === 'tools/call' && methods.filter((one) => one === method).length === 1;
    const known = results[method];
    const status = known === undefined ? (id === undefined ? 202 : 405) : forgotten ? 400 : 200;
    const error = { code: -32_000, message: 'Bad Request: No valid session ID provided' };
    response.writeHead(status, { 'content-type': 'application/json', 'mcp-session-id': `s${methods.length}` });
    response.end(
      status === 202 || status === 405 ? '' : JSON.stringify({ jsonrpc: '2.0', id, ...(forgotten ? { error } : { result: known }) }),
    );
  });
  return { url, methods };
}

const posts = ({ requests }: HttpFixture, method: string) =>
  requests.filter(({ body }) => (body as { method?: string } | undefined)?.method === method);

const toolCalls = { methods: ['tools/call'] };

describe.each(['json', 'sse'] as const)('answers as %s', (reply) => {
  test('arrive, and what is no ASCII too', async () => {
    const gateway = await gatewayOver({ search: { url: (await server({ reply })).url, ...swift } });
    expect(textOf(await call(gateway, 'search__echo', { text: '안녕 🌊\n\r\n' }))).toBe('안녕 🌊\n\r\n');
    expect(textOf(await call(gateway, 'search__huge', { bytes: 5_000_000 }))).toHaveLength(5_000_000);
  });

  test('above 16 MiB are cut off and fail their own call', async () => {
    const gateway = await gatewayOver({ search: { url: (await server({ reply })).url, ...swift } });
    const refused = await refusedWith(call(gateway, 'search__huge', { bytes: 17 * 1024 * 1024 }));
    expect(refused.message).toBe("server 'search' sent a message of more than 16777216 bytes");
    expect(textOf(await call(gateway, 'search__echo', { text: 'next' }))).toBe('next');
  });

  test('that are cut in the middle fail', async () => {
    const fixture = await server({ reply });
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    fixture.faults.set({ cutMidBody: true, times: 1, ...toolCalls });
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'cut' }))).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(textOf(await call(gateway, 'search__echo', { text: 'whole' }))).toBe('whole');
  });

  test('that are for somebody else fail their call', async () => {
    const gateway = await gatewayOver({ search: { url: (await server({ reply })).url, ...swift } });
    const frame = nextEvent(gateway, 'frame');
    expect(await refusedWith(call(gateway, 'search__wrong_id'))).toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL' });
    expect((await frame).problem).toBe('sent a response that answers no open request');
  });
});

describe('a session that the server has forgotten', () => {
  test('is begun again, once, and the caller does not notice', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    expect(posts(fixture, 'initialize')).toHaveLength(1);
    fixture.faults.forgetSessions();
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
    expect(posts(fixture, 'initialize')).toHaveLength(2);
    expect(fixture.executions('count')).toBe(1);
  });

  test('is begun again once for many calls at the same time', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    fixture.faults.forgetSessions();
    const answers = await Promise.all(Array.from({ length: 20 }, (_, index) => call(gateway, 'search__echo', { text: `${index}` })));
    expect(answers.map(textOf)).toEqual(Array.from({ length: 20 }, (_, index) => `${index}`));
    expect(posts(fixture, 'initialize')).toHaveLength(2);
  });

  test('is known by 400 too, as the reference server says it', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    const retries = eventsOf(gateway, 'retry');
    fixture.faults.set({ status: 400, times: 1, ...toolCalls });
    await refusedWith(call(gateway, 'search__echo', { text: 'again' })); // it does not speak of the session
    expect(posts(fixture, 'initialize')).toHaveLength(1);
    expect(retries).toEqual([]);

    const forgetful = await forgetfulServer();
    const second = await gatewayOver({ search: { url: forgetful.url, ...swift } });
    expect(textOf(await call(second, 'search__echo', { text: 'again' }))).toBe('echoed');
    expect(forgetful.methods.filter((method) => method === 'initialize')).toHaveLength(2);
    expect(forgetful.methods.filter((method) => method === 'tools/call')).toHaveLength(2);
  });

  test('is not begun for ever', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...tireless } });
    await toolNames(gateway);
    fixture.faults.set({ status: 404, ...toolCalls });
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(posts(fixture, 'tools/call')).toHaveLength(6); // three attempts, each once more in a new session
  });

  test('a server that was started again on the same port is greeted again', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
    await fixture.kill();
    await refusedWith(call(gateway, 'search__count'));
    await fixture.restart();
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
  });
});

describe('a server that asks to be left alone', () => {
  const openFor = async (status: number, retryAfter: string) => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    const circuits = eventsOf(gateway, 'circuit');
    fixture.faults.set({ status, retryAfter, ...toolCalls });
    const first = await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    const second = await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    return { first, second, circuits, sent: posts(fixture, 'tools/call').length };
  };

  test.each([
    ['429 and seconds', 429, '120', 120_000],
    ['503 and seconds', 503, '90', 90_000],
    ['429 and a date', 429, new Date(Date.now() + 300_000).toUTCString(), 300_000],
    ['503 and a date', 503, new Date(Date.now() + 600_000).toUTCString(), 600_000],
  ])('by %s is not asked again until then', async (_how, status, retryAfter, ms) => {
    const { first, second, circuits, sent } = await openFor(status, retryAfter);
    expect(first.code).toBe('ERR_UPSTREAM_UNAVAILABLE');
    expect(second.code).toBe('ERR_CIRCUIT_OPEN');
    for (const { retryAfterMs } of [first, second]) {
      expect(retryAfterMs).toBeLessThanOrEqual(ms);
      expect(retryAfterMs).toBeGreaterThan(ms - 30_000);
    }
    expect(sent).toBe(1);
    expect(circuits).toMatchObject([{ server: 'search', from: 'closed', to: 'open' }]);
  });

  test.each(['soon', new Date(Date.now() - 60_000).toUTCString()])('in words that mean nothing (%s) only fails', async (retryAfter) => {
    const { first, sent } = await openFor(429, retryAfter);
    expect(first.retryAfterMs).toBeUndefined();
    expect(sent).toBe(5); // as many failures as open the circuit
  });
});

test('a refusal of one call does not end the calls that run beside it', async () => {
  const fixture = await server({ reply: 'sse' });
  const gateway = await gatewayOver({ search: { url: fixture.url, ...tireless } });
  const downs = eventsOf(gateway, 'server');
  await toolNames(gateway);
  downs.length = 0;
  const slow = call(gateway, 'search__slow', { ms: 400 });
  await until(() => fixture.executions('slow') === 1, { what: 'the slow call to be carried out' });
  for (const status of [429, 413, 403, 302]) {
    fixture.faults.set({ status, times: 3, ...toolCalls });
    expect((await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).message).toContain(`HTTP ${status}`);
  }
  expect(textOf(await slow)).toBe('slept 400');
  expect(downs).toEqual([]);
  expect(posts(fixture, 'initialize')).toHaveLength(1);
});

test('a request that is taken back in the moment in which its answer ends harms nobody', async () => {
  const { url } = await answering((_request, response) =>
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n'),
  );
  const pipe = new HttpPipe('search', { url, headers: {} });
  keep({ [Symbol.asyncDispose]: () => pipe.close() });
  const abort = new AbortController();
  const message = () => abort.abort(new Error('enough'));
  await pipe.open({ message, problem: () => {}, closed: () => {} });
  expect(await pipe.send({ jsonrpc: '2.0', id: 1, method: 'ping' }, abort.signal)).toBe('ended');
  await until(() => abort.signal.aborted, { what: 'the abort' });
});

describe('what is no answer', () => {
  const failing = async (faults: Parameters<HttpFixture['faults']['set']>[0], timeoutMs = 30_000) => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...tireless, timeoutMs } });
    await toolNames(gateway);
    const frames = eventsOf(gateway, 'frame');
    const calls = eventsOf(gateway, 'call');
    fixture.faults.set({ ...faults, ...toolCalls });
    const refused = await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    const problem = calls.at(-1)?.problem;
    fixture.faults.clear();
    expect(textOf(await call(gateway, 'search__echo', { text: 'well again' }))).toBe('well again');
    return { refused, frames, problem };
  };

  test('500 says what the server said, and not too much of it', async () => {
    const { refused, problem } = await failing({ status: 500 });
    expect(refused).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE', message: "server 'search' answered with HTTP 500" });
    expect(problem).toMatch(/^server 'search' answered with HTTP 500; it said: .*refused with 500/); // for the log
  });

  test('garbage', async () => {
    const { refused, frames } = await failing({ garbage: true });
    expect(refused).toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL', message: "server 'search' ended its answer without a result" });
    expect(frames).toEqual([{ server: 'search', problem: 'sent a message that is not JSON', sample: '<html>this is not JSON</html>' }]);
  });

  test('nothing at all, until the time is over', async () => {
    const { refused } = await failing({ hang: true }, 300);
    expect(refused).toMatchObject({ code: 'ERR_TIMEOUT' });
  });

  test('a web page with status 200', async () => {
    const { url } = await answering((_request, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'),
    );
    const gateway = await gatewayOver({ search: { url, ...tireless } });
    expect(await refusedWith(call(gateway, 'search__echo'))).toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL' });
  });

  test('a redirect is not followed, wherever it leads', async () => {
    const fixture = await server();
    const { url } = await answering((_request, response) => response.writeHead(307, { location: fixture.url }).end());
    const gateway = await gatewayOver({ search: { url, headers: { authorization: 'Bearer secret' }, ...tireless } });
    expect((await refusedWith(call(gateway, 'search__echo'))).message).toBe("server 'search' answered with HTTP 307");
    expect(fixture.requests).toEqual([]);
  });

  test('nobody listens', async () => {
    const url = `http://127.0.0.1:${await freePort()}/mcp`;
    const gateway = await gatewayOver({ search: { url, ...tireless } });
    const refused = await refusedWith(call(gateway, 'search__echo'));
    expect(refused).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(refused.message).toMatch(/^server 'search' cannot be reached: .*ECONNREFUSED/);
  });

  test('a connection that is reset', async () => {
    const fixture = await server();
    const proxy = keep(await startProxy({ port: Number(new URL(fixture.url).port) }));
    const gateway = await gatewayOver({ search: { url: `http://127.0.0.1:${proxy.port}/mcp`, ...tireless } });
    await toolNames(gateway);
    const hanging = refusedWith(call(gateway, 'search__hang'));
    await until(() => fixture.executions('hang') === 1, { what: 'the call to be carried out' });
    proxy.cut();
    expect(await hanging).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(textOf(await call(gateway, 'search__echo', { text: 'next' }))).toBe('next');
  });
});

describe('the handshake', () => {
  test('a server that never answers it is given up after connectTimeoutMs', async () => {
    const fixture = await server();
    fixture.faults.set({ hang: true, methods: ['initialize'] });
    const gateway = await gatewayOver({ search: { url: fixture.url, ...tireless } }, { connectTimeoutMs: 100 });
    const refused = await refusedWith(call(gateway, 'search__echo'));
    expect(refused.message).toBe("server 'search' did not answer the handshake within 100 ms");
  });

  test('so is one that never takes its end', async () => {
    const fixture = await server();
    fixture.faults.set({ hang: true, methods: ['notifications/initialized'] });
    const gateway = await gatewayOver({ search: { url: fixture.url, ...tireless, timeoutMs: 10_000 } }, { connectTimeoutMs: 100 });
    expect((await refusedWith(call(gateway, 'search__echo'))).message).toContain('within 100 ms');
    fixture.faults.clear();
    expect(textOf(await call(gateway, 'search__echo', { text: 'greeted' }))).toBe('greeted');
  });
});

describe('headers', () => {
  test('that are configured go with every request; the credentials of clients with none', async () => {
    const fixture = await server();
    const headers = { authorization: 'Bearer upstream-secret', 'x-region': 'seoul' };
    const tokens = [{ token: 'client-secret', tenant: 'acme' }];
    const gateway = await gatewayOver({ search: { url: fixture.url, headers, ...swift } }, { tokens });
    const listening = await serve(gateway, { port: 0 });
    const answer = await fetch(`http://127.0.0.1:${listening.port}/api/mcp/tools/search__echo`, {
      method: 'POST',
      headers: {
        authorization: 'Bearer client-secret',
        'content-type': 'application/json',
        cookie: 'client-secret',
        'x-api-key': 'client-secret',
        'x-forwarded-for': '10.0.0.1',
      },
      body: '{"text":"hello"}',
    });
    expect(answer.status).toBe(200);
    await until(() => fixture.streams === 1, { what: 'the stream of notifications' });
    await listening.close();
    const seen = fixture.requests.map(({ method }) => method);
    expect(new Set(seen)).toEqual(new Set(['POST', 'GET', 'DELETE']));
    for (const request of fixture.requests) expect(request.headers).toMatchObject(headers);
    expect(JSON.stringify(fixture.requests)).not.toContain('client-secret');
    expect(JSON.stringify(fixture.requests)).not.toContain('10.0.0.1');
  });

  test('after the handshake name the session and the revision', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await call(gateway, 'search__echo', { text: 'x' });
    const [probe, first, ...rest] = fixture.requests;
    expect(probe?.headers).toMatchObject({ 'mcp-method': 'server/discover', 'mcp-protocol-version': '2026-07-28' });
    expect(first?.headers['mcp-session-id']).toBeUndefined();
    expect(first?.headers['mcp-protocol-version']).toBeUndefined();
    expect(rest.length).toBeGreaterThan(2);
    for (const { headers } of rest) {
      expect(headers).toMatchObject({ 'mcp-session-id': fixture.sessions[0], 'mcp-protocol-version': '2025-11-25' });
    }
  });
});

describe('closing', () => {
  test('takes leave of the session and leaves no connection', async () => {
    const fixture = await server();
    const proxy = keep(await startProxy({ port: Number(new URL(fixture.url).port) }));
    const gateway = await gatewayOver({ search: { url: `http://127.0.0.1:${proxy.port}/mcp`, ...swift } });
    await toolNames(gateway);
    await until(() => fixture.streams === 1, { what: 'the stream of notifications' });
    await gateway.close();
    expect(fixture.sessions).toEqual([]);
    await until(() => proxy.connections === 0, { what: 'the connections to end' });
  });

  test('does not wait for a server that does not answer the leave', async () => {
    const fixture = await server();
    const gateway = await gatewayOver({ search: { url: fixture.url, ...swift } });
    await toolNames(gateway);
    fixture.faults.set({ hang: true });
    await gateway.close();
    expect(fixture.sessions).toHaveLength(1);
  });
});
