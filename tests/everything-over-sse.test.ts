import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { createGateway, type Gateway } from '@tidegate/mcp-gateway';
import { startProxy, tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { openToOthers } from './differential/chain.ts';
import { EverythingOverSse } from './everything-over-sse.ts';

const keep = <T extends AsyncDisposable>(thing: T): T => {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
};

type Progress = { progress: number; total?: number | undefined };

const capabilities = { sampling: {}, elicitation: {}, roots: {} };

/** An SDK client that answers what it is asked. */
function askable(): Client {
  const client = new Client({ name: 'test', version: '1.0.0' }, { capabilities, versionNegotiation: { mode: 'legacy' } });
  client.setRequestHandler('sampling/createMessage', async () => ({
    role: 'assistant',
    model: 'none',
    content: { type: 'text', text: '밀물' },
  }));
  client.setRequestHandler('elicitation/create', async () => ({ action: 'accept', content: { name: 'Mina', check: true } }));
  client.setRequestHandler('roots/list', async () => ({ roots: [{ uri: 'file:///srv/tides', name: 'tides' }] }));
  keep({ [Symbol.asyncDispose]: () => client.close() });
  return client;
}

async function through(gateway: Gateway): Promise<Client> {
  const client = askable();
  const fetch = (url: string | URL, init?: RequestInit) => gateway.fetch(new Request(url, init));
  await client.connect(new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }));
  return client;
}

/** What a client sees, hears and is asked, by the names that the server itself uses. */
async function story(client: Client, prefix: string) {
  const call = (name: string, args: Record<string, unknown> = {}, onprogress?: (progress: Progress) => void) =>
    client.callTool({ name: prefix + name, arguments: args }, { ...(onprogress && { onprogress }) });
  const tools = async () => (await client.listTools()).tools.map((tool) => ({ ...tool, name: tool.name.slice(prefix.length) }));
  await until(async () => (await tools()).some(({ name }) => name === 'get-roots-list'), { what: 'the tools for clients with roots' });
  const progress: Progress[] = [];
  return {
    echo: await call('echo', { message: '안녕 🌊\n' }),
    long: await call('trigger-long-running-operation', { duration: 0.2, steps: 4 }, (step) => void progress.push(step)),
    progress: progress.slice(0, 3), // the SDK itself may lose the last, which comes together with the answer
    sampling: await call('trigger-sampling-request', { prompt: 'When is high water?', maxTokens: 20 }),
    elicitation: await call('trigger-elicitation-request'),
    wrong: await call('get-sum', { a: 1, b: 2 }),
    prompt: await client.getPrompt({ name: `${prefix}args-prompt`, arguments: { city: 'Busan' } }),
    resources: await client.listResources(),
    tools: await tools(),
  };
}

test('server-everything over HTTP+SSE says and asks through the gateway what it does without', async () => {
  const server = keep(await EverythingOverSse.start());
  expect(await openToOthers(server.port)).toEqual([]);
  const direct = askable();
  await direct.connect(new SSEClientTransport(new URL(server.url)));
  const expected = await story(direct, '');
  expect(expected.progress).toHaveLength(3);
  expect(JSON.stringify(expected.sampling)).toContain('밀물');
  expect(JSON.stringify(expected.elicitation)).toContain('Mina');

  const network = keep(await startProxy({ port: server.port }));
  const url = `http://127.0.0.1:${network.port}/sse`;
  for (const entry of [{ type: 'sse' as const, url }, { url }]) {
    const dataDir = keep(tempDir('gateway-')).path;
    const gateway = keep(await createGateway({ dataDir, limits: [], mcpServers: { every: entry } }));
    expect(await story(await through(gateway), 'every__')).toStrictEqual(expected);
    await gateway.close();
    await until(() => network.connections === 0, { what: 'the connections to end' });
  }
});

test('server-everything over HTTP+SSE that dies is followed by its successor', async () => {
  const server = keep(await EverythingOverSse.start());
  const dataDir = keep(tempDir('gateway-')).path;
  const mcpServers = { every: { type: 'sse' as const, url: server.url, retry: { initialDelayMs: 1, maxDelayMs: 1 } } };
  const gateway = keep(await createGateway({ dataDir, limits: [], mcpServers }));
  const client = await through(gateway);
  const echo = () => client.callTool({ name: 'every__echo', arguments: { message: 'here' } });
  expect(await echo()).toMatchObject({ content: [{ text: 'Echo: here' }] });
  let steps = 0;
  const onprogress = () => {
    steps += 1;
  };
  const long = { name: 'every__trigger-long-running-operation', arguments: { duration: 25, steps: 100 } };
  const cut = client.callTool(long, { onprogress });
  await until(() => steps > 0, { what: 'the call to be under way' });
  await server.kill();
  expect(await cut).toMatchObject({ isError: true, _meta: { 'io.tidegate/refusal': { code: 'ERR_UPSTREAM_UNAVAILABLE' } } });
  expect(steps).toBeLessThan(90);
  expect(await echo()).toMatchObject({ isError: true });
  await server.start();
  expect(await echo()).toMatchObject({ content: [{ text: 'Echo: here' }] });
});
