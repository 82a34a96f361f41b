import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { afterEach, describe, expect, test } from 'vitest';
import { type FixtureEvent, HttpFixture, httpFixture, type StdioFixture, stdioFixture, until } from '../src/index.ts';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
  for (const thing of opened.splice(0).reverse()) await thing[Symbol.asyncDispose]();
});

function keep<T extends AsyncDisposable>(thing: T): T {
  opened.push(thing);
  return thing;
}

type Fixture = HttpFixture | StdioFixture;

async function connect(fixture: Fixture): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  const { command, args, env } = fixture as StdioFixture;
  await client.connect(
    fixture instanceof HttpFixture
      ? new StreamableHTTPClientTransport(new URL(fixture.url), { reconnectionOptions: NO_RECONNECTION })
      : new StdioClientTransport({ command, args, env, stderr: 'inherit' }),
  );
  keep({ [Symbol.asyncDispose]: () => client.close() });
  return client;
}

const NO_RECONNECTION = { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 0 };

const textOf = (result: { content: { type: string; text?: string }[] }): string | undefined => result.content[0]?.text;
const executions = (fixture: Fixture, tool?: string): number =>
  fixture instanceof HttpFixture ? fixture.executions(tool) : fixture.control.executions(tool);

const eventsOf = (fixture: Fixture): FixtureEvent[] => (fixture instanceof HttpFixture ? fixture.events() : fixture.control.events());

const carriers: [string, (options: { pageSize?: number; name?: string }) => Promise<Fixture>][] = [
  ['stdio', async (options) => keep(stdioFixture(options))],
  ['http json', async (options) => keep(await httpFixture({ ...options, reply: 'json' }))],
  ['http sse', async (options) => keep(await httpFixture({ ...options, reply: 'sse' }))],
];

describe.each(carriers)('over %s', (_carrier, start) => {
  test('the SDK client connects, lists and calls', async () => {
    const client = await connect(await start({ name: 'weather' }));
    expect(client.getServerVersion()).toEqual({ name: 'weather', version: '1.0.0' });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(expect.arrayContaining(['echo', 'add', 'slow', 'structured']));
    expect(textOf(await client.callTool({ name: 'echo', arguments: { text: '안녕' } }))).toBe('안녕');
    expect(textOf(await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } }))).toBe('5');
    expect(await client.callTool({ name: 'fail' })).toMatchObject({ isError: true });
    expect((await client.callTool({ name: 'structured', arguments: { city: 'Seoul' } })).structuredContent).toEqual({
      city: 'Seoul',
      degrees: 21.5,
    });
    await expect(client.callTool({ name: 'no_such_tool' })).rejects.toMatchObject({ code: -32602 });
  });

  test('lists come in pages, each tool once', async () => {
    const fixture = await start({ pageSize: 5 });
    const client = await connect(fixture);
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const answer = await client.request({ method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
      expect(answer.tools.length).toBeLessThanOrEqual(5);
      names.push(...answer.tools.map(({ name }) => name));
      cursor = answer.nextCursor;
    } while (cursor !== undefined);
    expect(names.length).toBeGreaterThan(10);
    expect(new Set(names).size).toBe(names.length);
    await expect(client.request({ method: 'tools/list', params: { cursor: '999' } })).rejects.toMatchObject({ code: -32602 });
  });

  test('resources, templates and prompts are served', async () => {
    const client = await connect(await start({}));
    const first = await client.request({ method: 'resources/list', params: {} });
    expect(first.resources).toHaveLength(2);
    const second = await client.request({ method: 'resources/list', params: { cursor: first.nextCursor } });
    expect([...first.resources, ...second.resources].map(({ name }) => name)).toEqual(['text', 'blob', 'notes']);
    expect((await client.listResourceTemplates()).resourceTemplates[0]?.uriTemplate).toBe('fixture://item/{id}');
    expect((await client.readResource({ uri: 'fixture://item/7' })).contents[0]).toMatchObject({ text: 'item 7' });
    expect((await client.readResource({ uri: 'fixture://blob' })).contents[0]).toMatchObject({ blob: 'AAEC/w==' });
    await expect(client.readResource({ uri: 'fixture://nothing' })).rejects.toThrow('Resource not found');
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toEqual(['greet', 'plain']);
    const { messages } = await client.getPrompt({ name: 'greet', arguments: { name: 'Mina' } });
    expect(messages[0]?.content).toMatchObject({ text: 'Say hello to Mina.' });
  });

  test('every execution is counted, in the server and from outside', async () => {
    const fixture = await start({});
    const client = await connect(fixture);
    expect(textOf(await client.callTool({ name: 'count' }))).toBe('1');
    expect(textOf(await client.callTool({ name: 'count' }))).toBe('2');
    await client.callTool({ name: 'echo', arguments: { text: 'x' } });
    expect(executions(fixture, 'count')).toBe(2);
    expect(executions(fixture)).toBe(3);
  });

  test('a huge answer arrives whole', async () => {
    const client = await connect(await start({}));
    expect(textOf(await client.callTool({ name: 'huge', arguments: { bytes: 2_000_000 } }))).toHaveLength(2_000_000);
  });

  test('a tool added at run time is announced, listed and callable', async () => {
    const fixture = await start({});
    const client = await connect(fixture);
    const changed = new Promise((resolve) => client.setNotificationHandler('notifications/tools/list_changed', resolve));
    if (fixture instanceof HttpFixture) await until(() => fixture.streams === 1, { what: 'the GET stream' });
    await client.callTool({ name: 'add_tool', arguments: { name: 'late' } });
    await changed;
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('late');
    expect(textOf(await client.callTool({ name: 'late', arguments: { text: 'here' } }))).toBe('here');
  });

  test('a cancelled call stops', async () => {
    const fixture = await start({});
    const client = await connect(fixture);
    const abort = new AbortController();
    const call = client.callTool({ name: 'slow', arguments: { ms: 60_000 } }, { signal: abort.signal });
    const failed = expect(call).rejects.toThrow();
    await until(() => executions(fixture, 'slow') === 1, { what: 'the call to run' });
    abort.abort();
    await failed;
    await until(() => eventsOf(fixture).some(({ event, tool }) => event === 'cancelled' && tool === 'slow'), { what: 'the cancellation' });
  });
});
