import { type HttpFixture, httpFixture, stdioFixture, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Access, type AccessOptions, isLoopback } from '../src/access.ts';
import { createGateway } from '../src/index.ts';
import { serve } from '../src/node.ts';
import { exchange, posted, RawClient } from './raw-http.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

/** What comes of a request with these headers: the tenant, or status and code. */
function admitted(headers: Record<string, string>, options: Partial<AccessOptions> = {}): string {
  const access = new Access({ tokens: [], allowedHosts: [], allowedOrigins: [], ...options });
  const given: Record<string, string> = { host: 'localhost', ...headers };
  const admission = access.admit({
    method: 'GET',
    query: '',
    path: '/mcp',
    header: (name) => given[name],
    body: async () => '',
  });
  return 'principal' in admission ? admission.principal.tenant : `${admission.status} ${admission.code}`;
}

describe('Host', () => {
  test.each(['localhost', 'LOCALHOST:7300', '127.0.0.1', '127.0.0.1:7300', '127.9.9.9', '[::1]', '[::1]:80'])(
    '%s is this machine',
    (host) => {
      expect(admitted({ host })).toBe('default');
    },
  );

  test.each([
    '',
    'evil.example',
    'evil.example:7300',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'evil-localhost',
    '192.168.0.7',
    '0.0.0.0',
    '[::]',
    '[2001:db8::1]:80',
    'localhost:80:80',
    '::ffff:127.0.0.1',
  ])("'%s' is refused", (host) => {
    expect(admitted({ host })).toBe('403 ERR_HOST');
  });

  test('of another name is let in where it is named, or where every name is', () => {
    expect(admitted({ host: 'Gate.Example:8080' }, { allowedHosts: ['gate.EXAMPLE'] })).toBe('default');
    expect(admitted({ host: 'other.example' }, { allowedHosts: ['gate.example'] })).toBe('403 ERR_HOST');
    expect(admitted({ host: 'other.example' }, { allowedHosts: ['*'] })).toBe('default');
    expect(admitted({ host: 'localhost' }, { allowedHosts: ['gate.example'] })).toBe('default');
  });
});

describe('Origin', () => {
  test.each(['http://localhost', 'http://localhost:3000', 'https://127.0.0.1:8443', 'http://[::1]:5173'])(
    '%s is this machine',
    (origin) => {
      expect(admitted({ origin })).toBe('default');
    },
  );

  test.each([
    '',
    'null',
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost@evil.example',
    'file://',
  ])("'%s' is refused", (origin) => {
    expect(admitted({ origin })).toBe('403 ERR_ORIGIN');
  });

  test('of another page is let in where it is named, and only that', () => {
    const allowedOrigins = ['https://App.example'];
    expect(admitted({ origin: 'https://app.example' }, { allowedOrigins })).toBe('default');
    expect(admitted({ origin: 'http://app.example' }, { allowedOrigins })).toBe('403 ERR_ORIGIN');
    expect(admitted({ origin: 'https://app.example:444' }, { allowedOrigins })).toBe('403 ERR_ORIGIN');
  });
});

describe('Authorization', () => {
  const tokens: AccessOptions['tokens'] = [
    { token: 'alpha-token', principal: { tenant: 'alpha', role: 'member' } },
    { token: 'beta-token', principal: { tenant: 'beta', role: 'operator' } },
  ];

  test.each([
    ['Bearer alpha-token', 'alpha'],
    ['bearer beta-token', 'beta'],
    ['BEARER  beta-token', 'beta'],
  ])("'%s' is %s", (authorization, tenant) => {
    expect(admitted({ authorization }, { tokens })).toBe(tenant);
  });

  test.each([
    '',
    'alpha-token',
    'Basic alpha-token',
    'Bearer',
    'Bearer ',
    'Bearer alpha-toke',
    'Bearer alpha-token2',
    'Bearer ALPHA-TOKEN',
    'Bearer alpha-token beta-token',
  ])("'%s' is nobody", (authorization) => {
    expect(admitted({ authorization }, { tokens })).toBe('401 ERR_UNAUTHORIZED');
  });

  test('does not make up for a wrong host or page', () => {
    expect(admitted({ authorization: 'Bearer alpha-token', host: 'evil.example' }, { tokens })).toBe('403 ERR_HOST');
    expect(admitted({ authorization: 'Bearer alpha-token', origin: 'https://evil.example' }, { tokens })).toBe('403 ERR_ORIGIN');
  });
});

test('only addresses of this machine are loopback', () => {
  for (const host of ['localhost', '127.0.0.1', '::1']) expect(isLoopback(host)).toBe(true);
  for (const host of ['', '0.0.0.0', '::', '10.0.0.1', '1127.0.0.1', '127.0.0.1.x', 'x']) expect(isLoopback(host)).toBe(false);
});

describe('without tokens', () => {
  test.each(['0.0.0.0', '::', '192.0.2.1', 'example.com'])('a gateway is not served at %s', async (host) => {
    await using folder = tempDir('open-');
    const gateway = await createGateway({ mcpServers: {}, dataDir: folder.path });
    await expect(serve(gateway, { port: 0, host })).rejects.toThrow(
      new RangeError(`host '${host}' can be reached from other machines; that needs tokens in the configuration`),
    );
  });

  test('it is served on this machine to the one anonymous operator', async () => {
    await using open = await serveGateway({ mcpServers: {} });
    expect(open.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/mcp$/);
    expect(open.gateway.open).toBe(true);
    expect((await exchange(open.at('/metrics'))).status).toBe(200);
    const answer = await open.gateway.callTool({ tenant: 'default', role: 'member' }, 'none', {}).catch((error: unknown) => error);
    expect(answer).toMatchObject({ code: 'ERR_UNKNOWN_NAME' });
  });
});

describe('a served gateway with tokens', () => {
  const canary = 'canary-7c1f';
  let tools: HttpFixture;
  let served: ServedGateway;
  const program = stdioFixture({ env: { PROGRAM_SECRET: `${canary}-env` } });
  const news: string[] = [];

  beforeAll(async () => {
    tools = await httpFixture();
    const { command, args, env } = program;
    served = await serveGateway({
      mcpServers: {
        web: { url: tools.url, headers: { authorization: `Bearer ${canary}-header` } },
        program: { command, args, env },
        gone: {
          url: `http://127.0.0.1:1/mcp?key=${canary}-query`,
          headers: { 'x-key': `${canary}-gone` },
          retry: { maxAttempts: 1 },
          breaker: { failures: 1_000 },
        },
      },
      tokens: [
        { token: `${canary}-alpha`, tenant: 'alpha' },
        { token: `${canary}-beta`, tenant: 'beta' },
        { token: `${canary}-operator`, tenant: 'ops', role: 'operator' },
      ],
    });
    for (const event of ['circuit', 'server', 'frame', 'call', 'retry', 'fallback', 'budget', 'collision', 'catalog', 'fault'] as const) {
      served.gateway.on(event, (payload) => {
        const error = 'error' in payload ? payload.error : undefined;
        news.push(JSON.stringify(payload), error instanceof Error ? `${error.stack}` : String(error));
      });
    }
  });
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
    await tools?.close();
    await program[Symbol.asyncDispose]();
  });

  const paths: [string, string][] = [
    ['GET', '/mcp'],
    ['POST', '/mcp'],
    ['DELETE', '/mcp'],
    ['GET', '/metrics'],
    ['GET', '/api/metrics/summary'],
    ['GET', '/api/mcp/tools'],
    ['POST', '/api/mcp/tools/web__echo'],
    ['GET', '/no/such/page'],
    ['GET', '/'],
    ['POST', '/healthz'],
  ];

  test.each(paths)('%s %s is closed to everybody without a token', async (method, path) => {
    for (const headers of [{}, bearer('wrong'), { authorization: `Basic ${canary}-alpha` }, { cookie: `token=${canary}-alpha` }]) {
      const reply = await exchange(served.at(path), { method, headers: { ...posted, ...headers } });
      expect(reply).toMatchObject({
        status: 401,
        headers: { 'www-authenticate': 'Bearer realm="tidegate"', 'content-type': 'application/problem+json' },
      });
      expect(JSON.parse(reply.text)).toMatchObject({ code: 'ERR_UNAUTHORIZED', status: 401 });
    }
  });

  test.each(['token', 'access_token', 'authorization'])('a token in the address counts for nothing: ?%s', async (name) => {
    expect((await exchange(served.at(`/mcp?${name}=${canary}-alpha`), { method: 'POST', headers: posted })).status).toBe(401);
  });

  test.each(paths)('%s %s is closed to web pages of elsewhere and to names that are not ours, even with a token', async (method, path) => {
    for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }]) {
      const reply = await exchange(served.at(path), { method, headers: { ...posted, ...bearer(`${canary}-alpha`), ...headers } });
      expect(reply.status).toBe(403);
      expect(reply.headers).not.toHaveProperty('access-control-allow-origin');
    }
  });

  test('/healthz is open and says nothing', async () => {
    expect(await exchange(served.at('/healthz'))).toMatchObject({ status: 200, text: '{"status":"ok"}' });
  });

  test("tenants have processes and counters of their own, and see their own calls' numbers only", async () => {
    const alpha = await RawClient.connect(served.url, bearer(`${canary}-alpha`));
    const beta = await RawClient.connect(served.url, bearer(`${canary}-beta`));
    for (const count of ['1', '2', '3']) {
      expect((await alpha.call('program__count')).result).toMatchObject({ content: [{ text: count }] });
    }
    expect((await beta.call('program__count')).result).toMatchObject({ content: [{ text: '1' }] });
    const summary = async (token: string) =>
      JSON.parse((await exchange(served.at('/api/metrics/summary'), { headers: bearer(token) })).text);
    expect((await summary(`${canary}-alpha`)).calls).toEqual([
      expect.objectContaining({ tenant: 'alpha', name: 'program__count', calls: 3 }),
    ]);
    expect((await summary(`${canary}-beta`)).totals).toMatchObject({ calls: 1, errors: 0, refused: 0 });
    const all = await summary(`${canary}-operator`);
    expect(all.totals.calls).toBe(4);
    const metrics = (token: string) => exchange(served.at('/metrics'), { headers: bearer(token) });
    expect(JSON.parse((await metrics(`${canary}-alpha`)).text)).toMatchObject({ status: 403, code: 'ERR_FORBIDDEN' });
    expect((await metrics(`${canary}-operator`)).text).toMatch(
      /tidegate_calls_total\{[^}]*tenant="alpha"[^}]*name="program__count"[^}]*outcome="ok"[^}]*\} 3\n/,
    );
  });

  test("what the client proves itself with never reaches a server, and a server's own secret does", async () => {
    const alpha = await RawClient.connect(served.url, { ...bearer(`${canary}-alpha`), cookie: `c=${canary}-cookie` });
    await alpha.call('web__echo', { text: 'x' });
    const seen = JSON.stringify(tools.requests);
    expect(seen).toContain(`Bearer ${canary}-header`);
    for (const secret of ['alpha', 'beta', 'operator', 'cookie', 'env']) expect(seen).not.toContain(`${canary}-${secret}`);
  });

  test('no secret is in any answer, event or number', async () => {
    const alpha = await RawClient.connect(served.url, bearer(`${canary}-alpha`));
    const said = [
      JSON.stringify(await alpha.request('tools/list')),
      JSON.stringify(await alpha.call('gone__anything')),
      JSON.stringify(await alpha.request('resources/read', { uri: 'nowhere://x' })),
      (await exchange(served.at('/api/mcp/tools/gone__x'), { method: 'POST', headers: bearer(`${canary}-alpha`), body: {} })).text,
      (await exchange(served.at('/metrics'), { headers: bearer(`${canary}-operator`) })).text,
      (await exchange(served.at('/api/metrics/summary'), { headers: bearer(`${canary}-operator`) })).text,
      (await exchange(served.at('/mcp'), { headers: { ...bearer(`${canary}-alpha`), origin: 'https://evil.example' } })).text,
    ];
    expect(said[1]).toContain('ERR_UPSTREAM_UNAVAILABLE');
    expect(news.length).toBeGreaterThan(4);
    expect([...said, ...news].filter((text) => text.includes(canary))).toEqual([]);
  });
});
