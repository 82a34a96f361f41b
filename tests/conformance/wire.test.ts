import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { tempDir, until } from '@tidegate/test-kit';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { root } from '../workspace.ts';
import type { FrameEra } from './frames.ts';
import { peculiar } from './peculiar.ts';
import { quickFixture } from './processes.ts';
import { type Schema, sampleOf } from './sample-of.ts';
import { teed, Wire } from './wire.ts';

const eras = ['legacy', 'modern'] as const;
const cells = eras.flatMap((client) => eras.map((server) => [client, server] as const));
const cli = fileURLToPath(new URL('packages/mcp-gateway/src/cli.ts', `file://${root}/`));
const folder = tempDir('wire-');
const wire = new Wire();

afterAll(() => folder.remove());

type Arguments = Record<string, unknown>;

/** A client that answers whatever it is asked, over stdio before a gateway that has its server over stdio; every line is kept. */
async function connected(clientEra: FrameEra, serverEra: FrameEra): Promise<{ client: Client; end: () => Promise<void> }> {
  const own = join(folder.path, `${clientEra}-${serverEra}`);
  const [toClient, toServer] = [join(own, 'client'), join(own, 'server')];
  for (const path of [toClient, toServer]) mkdirSync(path, { recursive: true });
  const fixture = { ...teed(await quickFixture(serverEra), toServer), prefix: '' };
  const config = join(own, 'tidegate.json');
  writeFileSync(config, JSON.stringify({ mcpServers: { fixture }, limits: [], dataDir: join(own, 'data') }));
  const args = ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', cli, 'serve', '--stdio', '--config', config];
  const mode = clientEra === 'modern' ? { pin: '2026-07-28' } : ('legacy' as const);
  const capabilities = { elicitation: {}, sampling: {}, roots: {} };
  const client = new Client({ name: 'wire', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { name: 'Ada', color: 'green', ok: true } }));
  client.setRequestHandler('sampling/createMessage', () => ({ role: 'assistant', model: 'm', content: { type: 'text', text: 'Bonjour' } }));
  client.setRequestHandler('roots/list', () => ({ roots: [{ uri: 'file:///home' }] }));
  await client.connect(new StdioClientTransport({ ...teed({ command: process.execPath, args }, toClient), stderr: 'ignore' }));
  return {
    client,
    end: async () => {
      await client.close();
      wire.stdio('client', toClient);
      wire.stdio('server', toServer, serverEra);
    },
  };
}

/** Uses everything that is offered; what fails is an answer too. */
async function useAll(client: Client): Promise<number> {
  const { tools } = await client.listTools();
  const { prompts } = await client.listPrompts();
  const { resources } = await client.listResources();
  await client.listResourceTemplates();
  const uses = [
    ...tools.map(
      ({ name, inputSchema }) =>
        () =>
          client.callTool({ name, arguments: sampleOf(inputSchema as Schema, 'required') as Arguments }, { onprogress: () => {} }),
    ),
    ...prompts.map(
      ({ name, arguments: named = [] }) =>
        () =>
          client.getPrompt({ name, arguments: Object.fromEntries(named.map((argument) => [argument.name, 'test://example'])) }),
    ),
    ...['test://no-such-resource', ...resources.map(({ uri }) => uri)].map((uri) => () => client.readResource({ uri })),
    () => client.complete({ ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' }, argument: { name: 'arg1', value: 'p' } }),
    () => client.callTool({ name: 'no_such_tool' }),
  ];
  let succeeded = 0;
  // one after the other: over stdio nothing says whose call a server's question belongs to
  for (const use of uses) {
    await use().then(
      () => (succeeded += 1),
      () => {},
    );
  }
  return succeeded;
}

/** Hears of changes, and takes a call back. */
async function listenAndCancel(client: Client, era: FrameEra, serverEra: FrameEra): Promise<void> {
  const heard: string[] = [];
  client.setNotificationHandler('notifications/tools/list_changed', () => void heard.push('tools'));
  client.setNotificationHandler('notifications/resources/updated', () => void heard.push('resource'));
  const uri = 'test://watched-resource';
  if (era === 'legacy') await client.subscribeResource({ uri });
  else await client.listen({ toolsListChanged: true, resourceSubscriptions: [uri] });
  await client.callTool({ name: 'test_trigger_tool_change' });
  await until(() => heard.includes('tools'), { what: 'the tools have changed' });
  const taken = new AbortController();
  const call = client.callTool({ name: 'test_tool_with_progress' }, { signal: taken.signal, onprogress: () => taken.abort() });
  await expect(call).rejects.toThrow();
  await client.callTool({ name: 'test_trigger_resource_update' });
  // a process that is started for clients which can be asked is not the one in which resources are watched for all
  if (era === 'modern' && serverEra === 'legacy') return;
  await until(() => heard.includes('resource'), { what: 'the resource has changed' });
}

test.each(cells)('a %s client over stdio uses everything that a %s server over stdio offers', { timeout: 60_000 }, async (...cell) => {
  const { client, end } = await connected(...cell);
  const before = wire.count();
  expect(await useAll(client)).toBeGreaterThan(25);
  await listenAndCancel(client, ...cell);
  await end();
  expect(wire.count() - before).toBeGreaterThan(100);
});

test('every frame of it, on both hops, is valid by the schema of its era', () => {
  console.log(wire.totals);
  const { misfits } = wire.without(peculiar);
  expect(misfits).toEqual([]);
  for (const hop of ['client', 'server'] as const) {
    for (const era of eras) {
      for (const direction of ['to-server', 'to-client'] as const) expect(wire.count(hop, era, direction)).toBeGreaterThan(50);
    }
  }
});

describe('a wire', () => {
  const version = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} };
  const call = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
  const listing = { tools: [] };
  let seen: Wire;
  beforeEach(() => {
    seen = new Wire();
  });

  /** What is wrong with an answer to a request of this era. */
  function answered(era: FrameEra, answer: object, headers = {}): readonly string[] {
    const request = era === 'modern' ? { ...call, params: { _meta: version } } : call;
    seen.http('client')(headers, JSON.stringify(request))(JSON.stringify({ jsonrpc: '2.0', id: 7, ...answer }));
    return seen.misfits.flatMap(({ problems }) => problems);
  }

  test('holds an answer against the method and the era of its request', () => {
    expect(answered('legacy', { result: listing })).toEqual([]);
    expect(answered('modern', { result: { ...listing, resultType: 'complete', ttlMs: 0, cacheScope: 'private' } })).toEqual([]);
    expect(answered('modern', { result: listing })).not.toEqual([]);
    expect(seen.misfits).toMatchObject([{ hop: 'client', sender: 'gateway', era: 'modern', subject: 'answer to tools/list' }]);
    expect(seen.count('client', 'gateway')).toBe(3);
  });

  test('sees an answer to nothing, and what is no frame at all', () => {
    expect(answered('legacy', { id: 8, result: listing })).toEqual(['answers no request']);
    seen.http('client')({}, 'not JSON');
    expect(seen.misfits[1]).toMatchObject({ sender: 'peer', problems: ['not a JSON object'] });
  });

  test('knows a question of the server by its session', () => {
    const tap = seen.http('client');
    const headers = { 'mcp-session-id': 's' };
    const form = { message: 'Name?', requestedSchema: { type: 'object', properties: {} } };
    tap(headers, '')(JSON.stringify({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: form }));
    tap(headers, JSON.stringify({ jsonrpc: '2.0', id: 'q', result: { action: 'accept', content: {} } }));
    expect(seen.misfits).toEqual([]);
    tap(headers, JSON.stringify({ jsonrpc: '2.0', id: 'q', result: { action: 'perhaps' } }));
    expect(seen.misfits).toMatchObject([{ sender: 'peer', subject: 'answer to elicitation/create' }]);
  });

  test('excuses what peers are known to send, never the gateway, and tells of excuses that nothing needed', () => {
    const exception = { hop: 'client', subject: 'ping', problem: /not of/, why: '' } as const;
    seen.http('client')({}, JSON.stringify({ ...call, method: 'ping', params: { _meta: version } }));
    expect(seen.without([exception])).toEqual({ misfits: [], unused: [] });
    const own = { hop: 'client', subject: 'answer to tools/list', problem: /./, why: '' } as const;
    answered('modern', { result: listing });
    expect(seen.without([exception, own])).toMatchObject({ misfits: [{ sender: 'gateway' }], unused: [own] });
  });
});
