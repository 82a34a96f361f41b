import { request as httpRequest } from 'node:http';
import { type HttpFixture, httpFixture, until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exchange, RawClient, type RawReply } from './raw-http.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

let tools: HttpFixture;
let served: ServedGateway;

beforeAll(async () => {
  tools = await httpFixture();
  served = await serveGateway({
    mcpServers: {
      own: { url: tools.url },
      gone: { url: 'http://127.0.0.1:1/mcp', retry: { maxAttempts: 1 }, breaker: { failures: 1_000 } },
    },
    tokens: [
      { token: 'a', tenant: 'acme' },
      { token: 'p', tenant: 'poor' },
      { token: 'o', tenant: 'ops', role: 'operator' },
    ],
    limits: [{ perHour: 1_000 }],
    budgets: [{ name: 'pocket-money', scope: { tenant: 'poor' }, limitUsd: '0.02', period: 'month' }],
    prices: { own__add: { perCallUsd: '0.01' } },
  });
});
afterAll(async () => {
  await served?.[Symbol.asyncDispose]();
  await tools?.close();
});

const json = { 'content-type': 'application/json' };

function call(tool: string, body?: unknown, token = 'a'): Promise<RawReply> {
  return exchange(served.at(`/api/mcp/tools/${tool}`), { method: 'POST', headers: { ...bearer(token), ...json }, body });
}

function problem(reply: RawReply): Record<string, unknown> {
  expect(reply.headers['content-type']).toBe('application/problem+json');
  const body = JSON.parse(reply.text) as Record<string, unknown>;
  expect(body).toMatchObject({
    type: 'about:blank',
    status: reply.status,
    title: expect.any(String),
    code: expect.stringMatching(/^ERR_/),
  });
  return body;
}

describe('a tool is called with its arguments as the body', () => {
  test('and answered with its result', async () => {
    const reply = await call('own__add', { a: 2, b: 3 });
    expect(reply).toMatchObject({ status: 200, headers: { 'content-type': 'application/json' } });
    expect(JSON.parse(reply.text)).toEqual({ content: [{ type: 'text', text: '5' }] });
  });

  test('an error of the tool is a result', async () => {
    const reply = await call('own__fail', { message: 'no' });
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.text)).toEqual({ content: [{ type: 'text', text: 'no' }], isError: true });
  });

  test.each(['', '  \n', '{}'])("without arguments: '%s'", async (body) => {
    expect((await call('own__count', body)).status).toBe(200);
  });

  test.each(['[]', '7', 'null', '"x"', '{', '{"a":1}x', `{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`])(
    "400 for a body that is no JSON object: '%.20s'",
    async (body) => {
      expect(problem(await call('own__echo', body))).toMatchObject({ status: 400, code: 'ERR_BAD_REQUEST' });
    },
  );

  test('400 for a name that is not percent-encoded, and one that is finds its tool', async () => {
    expect(problem(await call('own__%E0%A4%A'))).toMatchObject({ status: 400, code: 'ERR_BAD_REQUEST' });
    expect((await call('own%5F%5Fcount')).status).toBe(200);
    expect(problem(await call('own%2Fcount'))).toMatchObject({ status: 404, title: "there is no tool 'own/count'" });
  });

  test('404 for a tool that does not exist', async () => {
    expect(problem(await call('own__nothing', {}))).toMatchObject({ status: 404, code: 'ERR_UNKNOWN_NAME' });
    expect(problem(await call('', {}))).toMatchObject({ status: 404 });
  });

  test('413 for a body that is too large; the connection is given up', async () => {
    const reply = await call('own__echo', { text: 'x'.repeat(17 * 1024 * 1024) });
    expect(problem(reply)).toMatchObject({ status: 413, code: 'ERR_BAD_REQUEST' });
    expect(reply.headers['connection']).toBe('close');
  });

  test('an endless body is refused while it comes', async () => {
    const request = httpRequest(served.at('/api/mcp/tools/own__echo'), {
      method: 'POST',
      headers: { ...bearer('a'), ...json },
      agent: false,
    });
    const block = Buffer.alloc(1024 * 1024, 'x');
    // whichever is seen first: the answer, or that nobody reads any more
    const end = new Promise((resolve) => {
      request.once('response', (response) => resolve(response.statusCode));
      request.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    });
    const more = () => request.write(block, (error) => error == null && more());
    more();
    expect([413, 'EPIPE', 'ECONNRESET']).toContain(await end);
    request.destroy();
    expect((await call('own__count')).status).toBe(200);
  });

  test('502 for a server that cannot be reached', async () => {
    expect(problem(await call('gone__x', {}))).toMatchObject({ status: 502, code: 'ERR_UPSTREAM_UNAVAILABLE' });
  });

  test("400 for what the server calls the caller's mistake", async () => {
    const client = await RawClient.connect(served.url, bearer('a'));
    tools.addTool('fleeting');
    await until(async () => JSON.stringify(await client.request('tools/list')).includes('own__fleeting'), { what: 'the tool is known' });
    await tools.restart(); // which forgets the tool, but not that the gateway knows it
    expect(problem(await call('own__fleeting', { text: 'x' }))).toMatchObject({
      status: 400,
      code: 'ERR_UPSTREAM_ERROR',
      rpcCode: -32_602,
    });
  });

  test('403 with the sums when the budget is spent, and nothing was called', async () => {
    const executions = () => tools.executions('add');
    expect((await call('own__add', { a: 1, b: 1 }, 'p')).status).toBe(200);
    expect((await call('own__add', { a: 1, b: 1 }, 'p')).status).toBe(200);
    const before = executions();
    const reply = await call('own__add', { a: 1, b: 1 }, 'p');
    expect(problem(reply)).toEqual({
      type: 'about:blank',
      title: expect.stringContaining('pocket-money'),
      status: 403,
      code: 'ERR_BUDGET_EXCEEDED',
      limit: 'pocket-money',
      retryAfterMs: expect.any(Number),
      limitUsd: '0.02',
      spentUsd: '0.02',
      reservedUsd: '0',
      requestedUsd: '0.01',
      resetsAt: expect.stringMatching(/^\d{4}-\d\d-01T00:00:00/),
    });
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    expect(executions()).toBe(before);
    expect((await call('own__count', {}, 'p')).status).toBe(200); // what costs nothing still goes
    expect((await call('own__add', { a: 1, b: 1 })).status).toBe(200); // and what others pay
    const client = await RawClient.connect(served.url, bearer('p'));
    expect((await client.call('own__add', { a: 1, b: 1 })).result).toMatchObject({
      isError: true,
      _meta: { 'io.tidegate/refusal': { code: 'ERR_BUDGET_EXCEEDED', status: 403 } },
    });
  });

  test('429 with the time to wait when the rate is too high', async () => {
    const gateway = await serveGateway({ mcpServers: { own: { url: tools.url } }, limits: [{ perMinute: 1 }] });
    const post = () => exchange(gateway.at('/api/mcp/tools/own__count'), { method: 'POST', headers: json });
    expect((await post()).status).toBe(200);
    const reply = await post();
    const body = problem(reply);
    expect(body).toMatchObject({ status: 429, code: 'ERR_RATE_LIMITED', limit: 'minute' });
    expect(Number(reply.headers['retry-after'])).toBe(Math.ceil(Number(body['retryAfterMs']) / 1_000));
    expect(body['retryAfterMs']).toBeGreaterThan(50_000);
    await gateway[Symbol.asyncDispose]();
  });
});

test('the tools are listed as they are over the protocol', async () => {
  const client = await RawClient.connect(served.url, bearer('a'));
  const reply = await exchange(served.at('/api/mcp/tools'), { headers: bearer('a') });
  expect(JSON.parse(reply.text).tools).toEqual((await client.request('tools/list')).result?.['tools']);
});

test.each([
  ['GET', '/api/mcp/tools/own__echo'],
  ['DELETE', '/api/mcp/tools'],
  ['POST', '/api/mcp/tools/own__echo/again'],
  ['GET', '/api'],
  ['GET', '/mcp/'],
  ['GET', '//mcp'],
  ['GET', '/constructor'],
  ['GET', '/%2e%2e/etc/passwd'],
])('%s %s is nothing', async (method, path) => {
  const { port } = new URL(served.url);
  const reply = await new Promise<number | undefined>((resolve, reject) => {
    httpRequest({ host: '127.0.0.1', port, path, method, agent: false, headers: bearer('a') }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .once('error', reject)
      .end();
  });
  expect(reply).toBe(404);
});

test('a query does not change the page', async () => {
  expect((await exchange(served.at('/healthz?a=b'))).status).toBe(200);
  expect((await exchange(served.at('/metrics?a'), { headers: bearer('o') })).headers['content-type']).toMatch(
    /^text\/plain; version=0\.0\.4/,
  );
});
