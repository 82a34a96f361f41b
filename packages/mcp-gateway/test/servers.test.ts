import { type HttpFixture, httpFixture, type StdioFixture, stdioFixture, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import type { ServerConfig } from '../src/index.ts';
import { call, clientOf, eventsOf, gatewayOver, keep, nextEvent, refusedWith, swift, textOf, tireless, toolNames } from './gateway-over.ts';

const stdio = (options = {}): StdioFixture => keep(stdioFixture(options));
const http = async (options = {}): Promise<HttpFixture> => keep(await httpFixture(options));
const entry = ({ command, args, env }: StdioFixture): ServerConfig => ({ command, args, env, ...tireless });

const of = (names: string[], server: string) => names.filter((name) => name.startsWith(`${server}__`));

describe('one server that is away', () => {
  test('hides neither its neighbours nor itself for longer than the time for a list', async () => {
    const dead = await http();
    dead.faults.set({ hang: true });
    const gateway = await gatewayOver({ dead: { url: dead.url, ...tireless }, files: entry(stdio()) }, { listTimeoutMs: 150 });
    const client = await clientOf(gateway);
    await until(async () => of(await toolNames(gateway), 'files').length > 0, { what: 'the neighbour is known' });
    const startedAt = performance.now();
    const { tools, _meta } = await client.listTools();
    expect(performance.now() - startedAt).toBeLessThan(3_000); // the server itself would have 30 s
    expect(tools.map(({ name }) => name)).toContain('files__echo');
    expect(_meta).toEqual({ 'io.tidegate/missing': ['dead'] });
    dead.faults.clear();
  });

  test('does not slow down the calls of the others', async () => {
    const dead = await http();
    const gateway = await gatewayOver({ dead: { url: dead.url, ...tireless }, files: entry(stdio()) });
    await toolNames(gateway);
    dead.faults.set({ hang: true });
    const controllers = Array.from({ length: 50 }, () => new AbortController());
    const hanging = controllers.map(({ signal }) => refusedWith(call(gateway, 'dead__echo', { text: 'x' }, signal)));
    expect(textOf(await call(gateway, 'files__echo', { text: 'here' }))).toBe('here');
    for (const controller of controllers) controller.abort(new Error('enough'));
    for (const refused of await Promise.all(hanging)) expect(refused.message).toBe('enough');
  });

  test('keeps the catalogue that was last known of it', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    const before = await toolNames(gateway);
    await server.kill();
    await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    expect(await toolNames(gateway)).toEqual(before);
  });

  test('is told as down once, and as up when it is back', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    const events = eventsOf(gateway, 'server');
    await toolNames(gateway);
    await server.kill();
    await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    await server.restart();
    await call(gateway, 'search__echo', { text: 'x' });
    expect(events.map(({ state }) => state)).toEqual(['up', 'down', 'up']);
    expect(events[1]?.reason).toMatch(/^server 'search' cannot be reached/);
  });
});

describe('a catalogue that changes', () => {
  const carriers: [string, () => Promise<{ config: ServerConfig; ready: () => Promise<unknown> }>][] = [
    ['stdio', async () => ({ config: entry(stdio()), ready: async () => {} })],
    [
      'the stream of an HTTP server',
      async () => {
        const server = await http();
        return { config: { url: server.url, ...tireless }, ready: () => until(() => server.streams > 0, { what: 'the stream' }) };
      },
    ],
  ];

  test.each(carriers)('over %s is asked for again, and clients are told', async (_how, start) => {
    const { config, ready } = await start();
    const gateway = await gatewayOver({ files: config });
    const client = await clientOf(gateway);
    const told = new Promise<void>((resolve) => client.setNotificationHandler('notifications/tools/list_changed', () => resolve()));
    expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain('files__shout');
    await ready();
    await client.callTool({ name: 'files__add_tool', arguments: { name: 'shout' } });
    await told;
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('files__shout');
    expect(textOf(await call(gateway, 'files__shout', { text: 'hey' }))).toBe('hey');
    const removed = nextEvent(gateway, 'catalog');
    await client.callTool({ name: 'files__remove_tool', arguments: { name: 'shout' } });
    await removed;
    expect(await toolNames(gateway)).not.toContain('files__shout');
  });

  test('twice in a row ends as it is, though the first change was being asked for', async () => {
    const server = stdio();
    const gateway = await gatewayOver({ files: entry(server) });
    await toolNames(gateway);
    server.control.set({ slow: 200, methods: ['prompts/list'] });
    await call(gateway, 'files__add_tool', { name: 'first' });
    await call(gateway, 'files__add_tool', { name: 'second' });
    await until(async () => (await toolNames(gateway)).includes('files__second'), { what: 'the second tool' });
    expect(await toolNames(gateway)).toContain('files__first');
  });

  test('without a difference is no news', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    const catalogs = eventsOf(gateway, 'catalog');
    const lists = () => server.requests.filter(({ body }) => (body as { method?: string } | undefined)?.method === 'prompts/list').length;
    await toolNames(gateway);
    await server.kill();
    await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    await server.restart();
    await call(gateway, 'search__echo', { text: 'x' });
    await until(() => lists() === 2, { what: 'the catalogue to be asked for again' });
    await until(() => server.streams === 1, { what: 'the stream' });
    server.addTool('shout');
    await nextEvent(gateway, 'catalog');
    expect(catalogs).toHaveLength(1);
  });

  test('while the server was away shows when it is back, though only one call was let through', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...swift, breaker: { failures: 1, openMs: 50 } } });
    await toolNames(gateway);
    await server.kill();
    await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    await server.restart();
    server.addTool('shout');
    const changed = nextEvent(gateway, 'catalog');
    await until(() => call(gateway, 'search__echo', { text: 'x' }), { what: 'the circuit to let a call through' });
    await changed;
    expect(await toolNames(gateway)).toContain('search__shout');
  });

  test('into a list that the server fails to give stays as it was', async () => {
    const server = await http({ reply: 'sse' });
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    const before = await toolNames(gateway);
    await until(() => server.streams === 1, { what: 'the stream' });
    server.faults.set({ garbage: true, methods: ['prompts/list'] });
    server.addTool('shout');
    await until(() => server.requests.filter(({ body }) => JSON.stringify(body ?? '').includes('prompts/list')).length >= 4, {
      what: 'all attempts to load the catalogue',
    });
    expect(await toolNames(gateway)).toEqual(before);
    server.faults.clear();
    await call(gateway, 'search__echo', { text: 'well again' });
    await until(async () => (await toolNames(gateway)).includes('search__shout'), { what: 'the new tool' });
  });
});

describe('two tenants', () => {
  test('share no conversation with a server', async () => {
    const server = stdio();
    const tokens = ['a', 'b'].map((tenant) => ({ token: `secret-${tenant}`, tenant }));
    const gateway = await gatewayOver({ files: entry(server) }, { tokens });
    const count = (tenant: string) => gateway.callTool({ tenant, role: 'member' }, 'files__count', {});
    expect(textOf(await count('a'))).toBe('1');
    expect(textOf(await count('a'))).toBe('2');
    expect(textOf(await count('b'))).toBe('1');
    expect(server.control.pids()).toHaveLength(2);
  });
});

describe('closing', () => {
  const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

  test('ends what loads, waits for another attempt, or runs', async () => {
    const before = timers();
    const away = await http();
    await away.kill();
    const files = stdio();
    const hanging = await http();
    hanging.faults.set({ hang: true });
    const retry = { maxAttempts: 10, initialDelayMs: 60_000, maxDelayMs: 60_000 };
    const servers = {
      away: { url: away.url, retry, breaker: { failures: 100 } },
      hanging: { url: hanging.url, retry },
      files: entry(files),
    };
    const gateway = await gatewayOver(servers, { listTimeoutMs: 500 });
    await until(async () => (await toolNames(gateway)).includes('files__hang'), { what: 'the server that is well' });
    const running = refusedWith(call(gateway, 'files__hang'));
    const starting = refusedWith(call(gateway, 'hanging__echo'));
    await until(() => files.control.executions('hang') === 1, { what: 'the call to be carried out' });
    await gateway.close();
    for (const refused of await Promise.all([running, starting])) expect(refused).toMatchObject({ code: 'ERR_CLOSED' });
    expect(files.control.events().at(-1)).toMatchObject({ event: 'cancelled', tool: 'hang' });
    expect(timers()).toBeLessThanOrEqual(before);
  });

  test('twice is closing once', async () => {
    const gateway = await gatewayOver({ files: entry(stdio()) });
    expect(gateway.close()).toBe(gateway.close());
    await gateway.close();
  });
});
