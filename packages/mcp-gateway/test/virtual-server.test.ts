import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { type HttpFixture, httpFixture, until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Catalog } from '../src/catalog.ts';
import { pageOf } from '../src/list-page.ts';
import { fitsOneOf } from '../src/name-pattern.ts';
import { VirtualServer } from '../src/virtual-server.ts';
import { call, eventsOf, gatewayOver, keep, refusedWith, toolNames } from './gateway-over.ts';
import { RawClient } from './raw-http.ts';
import { RawModern } from './raw-modern.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

const none = { tools: [], resources: [], resourceTemplates: [], prompts: [] };

describe('a pattern', () => {
  test.each([
    ['read_*', 'read_file', true],
    ['read_*', 'read_', true],
    ['read_*', 'unread_file', false],
    ['*', 'anything\nat all', true],
    ['a.c', 'abc', false],
    ['a*b*c', 'aXbXc', true],
    ['a*b*c', 'acb', false],
    ['ab*ba', 'aba', false],
    ['**', '', true],
    ['', '', true],
    ['', 'x', false],
  ])('%j and %j: %s', (pattern, name, fits) => {
    expect(fitsOneOf([pattern])(name)).toBe(fits);
  });

  test('takes no longer for a name that almost fits many times', () => {
    const fits = fitsOneOf([`${'a*'.repeat(12)}b`]);
    const startedAt = performance.now();
    expect(fits('a'.repeat(100))).toBe(false);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });
});

describe('a virtual server', () => {
  const catalog = new Catalog([
    {
      server: 'files',
      prefix: 'files__',
      catalog: {
        ...none,
        tools: [{ name: 'read', title: 'R' }, { name: 'write' }, { name: 'list' }],
        resources: [{ uri: 'file:///a' }, { uri: 'file:///b' }],
        resourceTemplates: [{ uriTemplate: 'file:///{name}' }],
        prompts: [{ name: 'ask' }],
      },
    },
    { server: 'web', prefix: 'web__', catalog: { ...none, tools: [{ name: 'read' }] } },
  ]);

  test('has what was chosen, in the order of the gateway and under its own names', () => {
    const subset = new VirtualServer({
      tools: [{ name: 'web__read', as: 'fetch' }, 'files__*'],
      prompts: ['*'],
      resources: ['file:///a'],
    }).of(catalog);
    expect(subset.view).toEqual({
      tools: [{ name: 'files__read', title: 'R' }, { name: 'files__write' }, { name: 'files__list' }, { name: 'fetch' }],
      prompts: [{ name: 'files__ask' }],
      resources: [{ uri: 'file:///a' }],
      resourceTemplates: [],
    });
    expect(subset.tool('fetch')).toMatchObject({ server: 'web', name: 'read', known: 'web__read' });
    expect(subset.tool('web__read')).toBeUndefined();
    expect(subset.resource('file:///a')).toBeDefined();
    expect(subset.resource('file:///b')).toBeUndefined();
    expect(subset.template('file:///{name}')).toBeUndefined();
  });

  test('has nothing that was not chosen', () => {
    const subset = new VirtualServer({}).of(catalog);
    expect(subset.view).toEqual(none);
    for (const name of ['files__read', 'read', 'constructor', '__proto__']) expect(subset.tool(name)).toBeUndefined();
  });

  test('gives a name that was chosen on purpose to nothing else', () => {
    const subset = new VirtualServer({ tools: ['*', { name: 'web__read', as: 'files__read' }] }).of(catalog);
    expect(subset.tool('files__read')).toMatchObject({ server: 'web' });
    expect(subset.view.tools.map(({ name }) => name)).toEqual(['files__write', 'files__list', 'files__read']);
  });

  test('of the same catalogue is made once', () => {
    const virtual = new VirtualServer({ tools: ['*'] });
    expect(virtual.of(catalog)).toBe(virtual.of(catalog));
  });
});

describe('a list', () => {
  const view = (count: number) => ({ ...none, tools: Array.from({ length: count }, (_, index) => ({ name: `t${index}` })) });

  test('of up to 1000 entries is one page', () => {
    expect(pageOf(view(1_000), 'tools', undefined)).toEqual({ entries: view(1_000).tools });
  });

  test('of more goes on where its cursor says, to the end', () => {
    const seen: unknown[] = [];
    let cursor: string | undefined;
    do {
      const page = pageOf(view(2_500), 'tools', cursor);
      seen.push(...(page?.entries ?? []));
      cursor = page?.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toEqual(view(2_500).tools);
  });

  test('that has grown meanwhile is neither cut nor repeated', () => {
    const cursor = pageOf(view(1_500), 'tools', undefined)?.nextCursor;
    const grown = { ...none, tools: [{ name: 'new' }, ...view(1_500).tools] };
    expect(pageOf(grown, 'tools', cursor)?.entries[0]).toEqual({ name: 't1000' });
  });

  test.each<[string, unknown]>([
    ['no text', 7],
    ['not one of ours', 'garbage'],
    ['of another list', pageOf({ ...none, prompts: view(1_500).tools }, 'prompts', undefined)?.nextCursor],
    ['of an entry that is gone', Buffer.from('{"list":"tools","after":"gone"}').toString('base64url')],
    ['empty', ''],
  ])('has no page for a cursor that is %s', (_what, cursor) => {
    expect(pageOf(view(1_500), 'tools', cursor)).toBeUndefined();
  });
});

describe('tools that are left out', () => {
  test('are neither listed nor called, also while the server has not answered yet', async () => {
    const server = keep(await httpFixture());
    server.faults.set({ status: 503, times: 1 });
    const search = { url: server.url, includeTools: ['e*', 'count'], excludeTools: ['env'], retry: { maxAttempts: 1 } };
    const gateway = await gatewayOver({ search }, { listTimeoutMs: 50 });
    expect(await refusedWith(call(gateway, 'search__add', { a: 1, b: 2 }))).toMatchObject({ code: 'ERR_UNKNOWN_NAME' });
    await until(async () => (await toolNames(gateway)).length > 0, { what: 'the server is known' });
    expect(await toolNames(gateway)).toEqual(['search__echo', 'search__count']);
    for (const name of ['env', 'add'])
      expect(await refusedWith(call(gateway, `search__${name}`))).toMatchObject({ code: 'ERR_UNKNOWN_NAME' });
    expect(server.executions()).toBe(0);
  });
});

describe('the doors of a gateway', () => {
  let server: HttpFixture;
  let served: ServedGateway;
  beforeAll(async () => {
    server = await httpFixture();
    served = await serveGateway({
      mcpServers: { own: { url: server.url } },
      virtualServers: {
        small: { tools: [{ name: 'own__echo', as: 'say' }, 'own__count'], resources: ['fixture://text'] },
        'b.2': {},
      },
      tokens: [
        { token: 'all', tenant: 'acme' },
        { token: 'guest', tenant: 'acme', user: 'guest', virtualServer: 'small' },
      ],
    });
    await served.gateway.warmUp();
  });
  afterAll(async () => {
    await served[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  const at = (door: string) => served.at(`/mcp${door}`);

  test.each([
    ['with sessions', 'legacy'],
    ['without sessions', 'auto'],
  ] as const)('show each client %s its own part', async (_what, mode) => {
    const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } });
    await client.connect(new StreamableHTTPClientTransport(new URL(at('/small')), { requestInit: { headers: bearer('all') } }));
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['say', 'own__count']);
    expect((await client.listResources()).resources.map(({ uri }) => uri)).toEqual(['fixture://text']);
    expect(await client.callTool({ name: 'say', arguments: { text: 'here' } })).toMatchObject({ content: [{ text: 'here' }] });
    await expect(client.callTool({ name: 'own__echo', arguments: { text: 'x' } })).rejects.toMatchObject({ code: -32_602 });
    await expect(client.readResource({ uri: 'fixture://notes' })).rejects.toThrow();
    await client.close();
  });

  test('count a tool under the name that the gateway gave it', async () => {
    const calls = eventsOf(served.gateway, 'call');
    await new RawModern(at('/small'), bearer('all')).call('say', { text: 'x' });
    expect(calls).toMatchObject([{ name: 'own__echo', counted: 'own__echo' }]);
  });

  test('that are not there, or not his, are closed to a token', async () => {
    const asks = async (door: string, token: string) => (await fetch(at(door), { method: 'POST', headers: bearer(token) })).status;
    expect(await asks('/none', 'all')).toBe(404);
    expect(await asks('/b.2', 'guest')).toBe(404);
    expect(await asks('/small/more', 'all')).toBe(404);
    expect(await asks('/b.2', 'nobody')).toBe(401);
    expect(await asks('/b.2', 'all')).toBe(415); // there is somebody who only did not like the request
  });

  test('show a token of one part nothing else, by whichever door and over plain HTTP', async () => {
    for (const door of ['', '/small']) {
      const guest = await RawClient.connect(at(door), bearer('guest'));
      expect(JSON.stringify(await guest.request('tools/list'))).not.toContain('own__add');
    }
    const listed = await fetch(served.at('/api/mcp/tools'), { headers: bearer('guest') });
    expect(((await listed.json()) as { tools: { name: string }[] }).tools.map(({ name }) => name)).toEqual(['say', 'own__count']);
  });

  test('do not share sessions', async () => {
    const response = await fetch(at('/small'), {
      method: 'POST',
      headers: { ...bearer('all'), 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
      }),
    });
    const session = response.headers.get('mcp-session-id') ?? '';
    expect(session).not.toBe('');
    const elsewhere = await fetch(at(''), { method: 'DELETE', headers: { ...bearer('all'), 'mcp-session-id': session } });
    expect(elsewhere.status).toBe(404);
    const there = await fetch(at('/small'), { method: 'DELETE', headers: { ...bearer('all'), 'mcp-session-id': session } });
    expect(there.ok).toBe(true);
  });
});
