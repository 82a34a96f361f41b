import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Client, StreamableHTTPClientTransport, type Transport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { createGateway } from '@tidegate/mcp-gateway';
import { tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { root } from './workspace.ts';

type Arguments = Record<string, unknown>;

/** Somebody who speaks to one server, directly or through the gateway, where its names carry a prefix. */
interface Peer {
  readonly client: Client;
  readonly prefix: string;
  /** The progress that has arrived since it was last taken. */
  readonly takeProgress: () => unknown[];
}

interface Subject {
  /** Variables of its environment, beside the path. */
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[];
  /** Brings the folder into the state that the calls begin with. */
  readonly reset: () => void;
  /** Valid arguments of every tool, in the order in which they are called. */
  readonly tools: readonly (readonly [name: string, args: Arguments])[];
  readonly prompts: Readonly<Record<string, Record<string, string>>>;
  /** Resources beyond the listed ones: what the templates expand to. */
  readonly resources: readonly string[];
  readonly completions: readonly Parameters<Client['complete']>[0][];
}

const keep = <T extends AsyncDisposable>(thing: T): T => {
  onTestFinished(() => thing[Symbol.asyncDispose]());
  return thing;
};

async function peerOver(transport: Transport, prefix: string): Promise<Peer> {
  const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' }, capabilities: {} });
  keep({ [Symbol.asyncDispose]: () => client.close() });
  await client.connect(transport);
  // taken from the wire: the client forgets a progress handler before the last notification has reached it
  const progress: unknown[] = [];
  const receive = transport.onmessage;
  transport.onmessage = (message, extra) => {
    if ('method' in message && message.method === 'notifications/progress') {
      const { progressToken: _own, ...told } = message.params ?? {};
      progress.push(told);
    }
    receive?.(message, extra);
  };
  return { client, prefix, takeProgress: () => progress.splice(0) };
}

/** The same command line for both: `env -i` gives the server these variables in this order and no others. */
function commandOf(name: string, { env, args }: Subject) {
  const variables = Object.entries({ PATH: process.env['PATH'] ?? '', ...env }).map(([key, value]) => `${key}=${value}`);
  return { command: 'env', args: ['-i', ...variables, join(root, 'tests/node_modules/.bin', `mcp-server-${name}`), ...args] };
}

function direct(name: string, subject: Subject): Promise<Peer> {
  return peerOver(new StdioClientTransport({ ...commandOf(name, subject), stderr: 'ignore' }), '');
}

async function throughGateway(name: string, subject: Subject): Promise<Peer> {
  const dataDir = keep(tempDir('gateway-')).path;
  const gateway = keep(await createGateway({ dataDir, limits: [], mcpServers: { [name]: commandOf(name, subject) } }));
  const fetch = (url: string | URL, init?: RequestInit) => gateway.fetch(new Request(url, init));
  return peerOver(new StreamableHTTPClientTransport(new URL('http://127.0.0.1/mcp'), { fetch }), `${name}__`);
}

type Outcome = { readonly result: unknown } | { readonly error: unknown };

async function outcomeOf(promise: Promise<unknown>): Promise<Outcome> {
  try {
    return { result: withoutClock(await promise) };
  } catch (error) {
    const { code, message, data } = error as { code: number; message: string; data: unknown };
    return { error: withoutClock({ code, message, data }) };
  }
}

const clockText = [
  /\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} \d{2} \d{4} \d{2}:\d{2}:\d{2} GMT[+-]\d{4} \([^)]*\)/g,
  /\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?Z/g,
  /\b\d{1,2}:\d{2}:\d{2}(?: [AP]M)?/g,
];

/** The same with dates and times of day masked, in base64 too. */
function withoutClock(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) return value.map((entry) => withoutClock(entry));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, entry]) => [name, withoutClock(entry, name)]));
  }
  if (typeof value !== 'string') return value;
  const text = key === 'blob' ? Buffer.from(value, 'base64').toString('latin1') : value;
  return clockText.reduce((masked, pattern) => masked.replace(pattern, '<clock>'), text);
}

const unprefixed = <T extends { name: string }>(entries: T[], prefix: string) =>
  entries.map((entry) => {
    expect(entry.name.startsWith(prefix)).toBe(true);
    return { ...entry, name: entry.name.slice(prefix.length) };
  });

async function lists({ client, prefix }: Peer, { resources, prompts }: { resources: boolean; prompts: boolean }) {
  return {
    tools: unprefixed((await client.listTools()).tools, prefix),
    resources: resources ? (await client.listResources()).resources : [],
    templates: resources ? (await client.listResourceTemplates()).resourceTemplates : [],
    prompts: prompts ? unprefixed((await client.listPrompts()).prompts, prefix) : [],
  };
}

/** Calls a tool without the client's own checks of what it may call, and notes the progress. */
async function callTool({ client, prefix, takeProgress }: Peer, name: string, args: Arguments) {
  const onprogress = () => {};
  const params = { name: prefix + name, arguments: args };
  const outcome = await outcomeOf(client.request({ method: 'tools/call', params }, { onprogress }));
  return { name, outcome, progress: takeProgress() };
}

/** Asks a server everything that it offers and writes down what it answers. */
async function account(peer: Peer, subject: Subject, offers: { resources: boolean; prompts: boolean }) {
  const { client, prefix } = peer;
  const before = await lists(peer, offers);
  const read = [];
  for (const uri of [...before.resources.map((resource) => resource.uri), ...subject.resources]) {
    read.push([uri, await outcomeOf(client.readResource({ uri }))]);
  }
  const prompts = [];
  for (const { name } of before.prompts) {
    prompts.push([name, await outcomeOf(client.getPrompt({ name: prefix + name, arguments: subject.prompts[name] ?? {} }))]);
  }
  const completions = [];
  for (const { ref, ...rest } of subject.completions) {
    const named = ref.type === 'ref/prompt' ? { ...ref, name: prefix + ref.name } : ref;
    completions.push(await outcomeOf(client.complete({ ref: named, ...rest })));
  }
  const calls = [];
  for (const [name, args] of subject.tools) calls.push(await callTool(peer, name, args));
  return { before, read, prompts, completions, calls };
}

async function compare(name: string, subject: Subject) {
  subject.reset();
  const directly = await direct(name, subject);
  const { resources, prompts } = directly.client.getServerCapabilities() ?? {};
  const offers = { resources: resources !== undefined, prompts: prompts !== undefined };
  const expected = await account(directly, subject, offers);
  const expectedAfter = await lists(directly, offers);
  subject.reset();
  const through = await throughGateway(name, subject);
  const seen = await account(through, subject, offers);
  expect(subject.tools.map(([tool]) => tool).sort()).toEqual(expected.before.tools.map((tool) => tool.name).sort());
  expect(seen).toEqual(expected);
  // what the calls themselves added to the lists follows by notification
  const caughtUp = async () => isDeepStrictEqual(await lists(through, offers), expectedAfter);
  await until(caughtUp, { what: 'the same lists after the calls' });
  return expected;
}

const folder = () => keep(tempDir('server-')).path;

test('server-everything through the gateway is server-everything', async () => {
  const home = folder();
  const account = await compare('everything', {
    args: ['stdio'],
    env: { HOME: home, GREETING: '안녕', EMPTY: '' },
    reset: () => {},
    tools: [
      ['echo', { message: 'hello 안녕 🌊' }],
      ['get-annotated-message', { messageType: 'error', includeImage: true }],
      ['get-env', {}],
      ['get-resource-links', { count: 4 }],
      ['get-resource-reference', { resourceType: 'Blob', resourceId: 2 }],
      ['get-structured-content', { location: 'Chicago' }],
      ['get-sum', { a: 1.5, b: -2 }],
      ['get-tiny-image', {}],
      ['gzip-file-as-resource', { name: 'hello.gz', data: 'data:text/plain,hello', outputType: 'resourceLink' }],
      ['toggle-simulated-logging', {}],
      ['toggle-subscriber-updates', {}],
      ['trigger-long-running-operation', { duration: 1, steps: 4 }],
      ['simulate-research-query', { topic: 'tides' }],
    ],
    prompts: {
      'args-prompt': { city: 'Busan', state: 'KR' },
      'completable-prompt': { department: 'Engineering', name: 'Alice' },
      'resource-prompt': { resourceType: 'Text', resourceId: '3' },
    },
    resources: ['demo://resource/dynamic/text/7', 'demo://resource/dynamic/blob/8', 'demo://resource/dynamic/text/none'],
    completions: [
      { ref: { type: 'ref/prompt', name: 'completable-prompt' }, argument: { name: 'department', value: 'E' } },
      {
        ref: { type: 'ref/prompt', name: 'completable-prompt' },
        argument: { name: 'name', value: '' },
        context: { arguments: { department: 'Sales' } },
      },
      { ref: { type: 'ref/resource', uri: 'demo://resource/dynamic/text/{resourceId}' }, argument: { name: 'resourceId', value: '1' } },
    ],
  });
  expect(account.before.tools).toHaveLength(13);
  expect(account.read).toHaveLength(10);
  expect(account.prompts).toHaveLength(4);
  expect(account.calls.find(({ name }) => name === 'trigger-long-running-operation')?.progress).toHaveLength(4);
  const failed = account.calls.filter(({ outcome }) => 'error' in outcome || (outcome.result as { isError?: boolean }).isError === true);
  expect(failed.map(({ name }) => name)).toEqual(['simulate-research-query']); // it must be called as a task, which this client does not offer
});

test('server-filesystem through the gateway is server-filesystem', async () => {
  const path = folder();
  const at = (...names: string[]) => join(path, ...names);
  const account = await compare('filesystem', {
    args: [path],
    env: { HOME: path },
    reset: () => {
      rmSync(at('docs'), { recursive: true, force: true });
      mkdirSync(at('docs', 'deep'), { recursive: true });
      writeFileSync(at('docs', 'a.txt'), 'one\ntwo\n셋\n');
      writeFileSync(at('docs', 'dot.png'), Buffer.from([137, 80, 78, 71]));
    },
    tools: [
      ['read_file', { path: at('docs', 'a.txt') }],
      ['read_text_file', { path: at('docs', 'a.txt'), tail: 2 }],
      ['read_media_file', { path: at('docs', 'dot.png') }],
      ['read_multiple_files', { paths: [at('docs', 'a.txt'), at('docs', 'none.txt')] }],
      ['write_file', { path: at('docs', 'b.txt'), content: 'new' }],
      ['edit_file', { path: at('docs', 'b.txt'), edits: [{ oldText: 'new', newText: 'newer' }] }],
      ['create_directory', { path: at('docs', 'made') }],
      ['list_directory', { path: at('docs') }],
      ['list_directory_with_sizes', { path: at('docs'), sortBy: 'size' }],
      ['directory_tree', { path: at('docs') }],
      ['move_file', { source: at('docs', 'b.txt'), destination: at('docs', 'deep', 'c.txt') }],
      ['search_files', { path: at('docs'), pattern: '**/*.txt' }],
      ['get_file_info', { path: at('docs', 'a.txt') }],
      ['list_allowed_directories', {}],
    ],
    prompts: {},
    resources: [],
    completions: [],
  });
  expect(account.calls).toHaveLength(14);
  for (const { outcome } of account.calls) expect(outcome).not.toMatchObject({ result: { isError: true } });
});

test('server-memory through the gateway is server-memory', async () => {
  const path = folder();
  const file = join(path, 'memory.jsonl');
  const account = await compare('memory', {
    args: [],
    env: { HOME: path, MEMORY_FILE_PATH: file },
    reset: () => rmSync(file, { force: true }),
    tools: [
      ['create_entities', { entities: ['Mina', 'Tidegate', 'old'].map((name) => ({ name, entityType: 'thing', observations: ['seen'] })) }],
      [
        'create_relations',
        {
          relations: [
            { from: 'Mina', to: 'Tidegate', relationType: 'uses' },
            { from: 'Mina', to: 'old', relationType: 'had' },
          ],
        },
      ],
      ['add_observations', { observations: [{ entityName: 'Mina', contents: ['바다를 좋아한다', 'late'] }] }],
      ['delete_observations', { deletions: [{ entityName: 'Mina', observations: ['late'] }] }],
      ['delete_relations', { relations: [{ from: 'Mina', to: 'old', relationType: 'had' }] }],
      ['delete_entities', { entityNames: ['old'] }],
      ['read_graph', {}],
      ['search_nodes', { query: '바다' }],
      ['open_nodes', { names: ['Tidegate'] }],
    ],
    prompts: {},
    resources: [],
    completions: [],
  });
  expect(account.calls).toHaveLength(9);
  for (const { outcome } of account.calls) expect(outcome).not.toMatchObject({ result: { isError: true } });
});
