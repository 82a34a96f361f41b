import { PassThrough } from 'node:stream';
import { type TempDir, tempDir, until } from '@tidegate/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createGateway, type Gateway } from '../src/index.ts';
import { askingServer } from './asking-server.ts';
import { initialize } from './raw-http.ts';
import { type ModernOptions, modernMeta } from './raw-modern.ts';

let gateway: Gateway;
let folder: TempDir;

beforeAll(async () => {
  folder = tempDir('stdio-');
  gateway = await createGateway({ mcpServers: { asking: askingServer }, limits: [], dataDir: folder.path });
  await gateway.warmUp();
});
afterAll(async () => {
  await gateway?.close();
  folder?.remove();
});

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number };
}

/** A client at the two ends of a gateway's streams. */
class Ends {
  readonly input = new PassThrough();
  readonly served: Promise<void>;
  #text = '';

  constructor(before: Gateway) {
    const output = new PassThrough().on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
    this.served = before.serveStdio(this.input, output);
  }

  get messages(): Message[] {
    return this.#text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  send(message: object): void {
    this.input.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  }

  request(id: string, method: string, params: object = {}, options: ModernOptions = {}): Promise<Message> {
    this.send({ id, method, params: { _meta: modernMeta(options), ...params } });
    return this.answer(id);
  }

  answer(id: unknown): Promise<Message> {
    return until(() => this.messages.find((message) => message.id === id), { what: `the answer to ${id}` });
  }

  heard(method: string): Promise<Message> {
    return until(() => this.messages.find((message) => message.method === method), { what: `${method} is told` });
  }
}

let ends: Ends;
beforeEach(() => {
  ends = new Ends(gateway);
});
afterEach(async () => {
  ends.input.end();
  await ends.served;
});

const subscriptionId = 'io.modelcontextprotocol/subscriptionId';
const able = { capabilities: { elicitation: {} } };

/** How many calls the server has been told to stop. */
async function cancelledCalls(id: string): Promise<number> {
  const { result } = await ends.request(id, 'tools/call', { name: 'asking__seen' });
  const [content] = (result as { content: { text: string }[] }).content;
  return (JSON.parse(content?.text ?? '[]') as string[]).filter((method) => method === 'notifications/cancelled').length;
}

test('a request that says who it is needs no initialize', async () => {
  const { result } = await ends.request('d', 'server/discover');
  expect(result).toMatchObject({ resultType: 'complete', supportedVersions: expect.arrayContaining(['2026-07-28']) });
  expect((await ends.request('l', 'tools/list')).result).toMatchObject({ resultType: 'complete', ttlMs: 0, cacheScope: 'private' });
});

test('both eras are spoken in one conversation, each to those who ask in it', async () => {
  ends.send(initialize());
  await ends.answer(0);
  ends.send({ id: 'old', method: 'tools/call', params: { name: 'asking__place', arguments: { a: 1 } } });
  expect((await ends.answer('old')).result).toEqual({ content: [{ type: 'text', text: '{"a":1}' }] });
  expect((await ends.request('new', 'tools/call', { name: 'asking__place', arguments: { a: 1 } })).result).toMatchObject({
    resultType: 'complete',
    content: [{ text: '{"a":1}' }],
  });
  expect((await ends.request('ping', 'ping')).error?.code).toBe(-32_601);
});

test('initialize of the revision without it is a method that is not known, and begins nothing', async () => {
  expect((await ends.request('i', 'initialize')).error?.code).toBe(-32_601);
  ends.send({ id: 'old', method: 'ping' });
  expect((await ends.answer('old')).error?.code).toBe(-32_600);
});

test('a wrong envelope is answered with its error', async () => {
  const version = 'io.modelcontextprotocol/protocolVersion';
  expect((await ends.request('a', 'tools/list', { _meta: { [version]: '2026-07-28' } })).error?.code).toBe(-32_602);
  expect((await ends.request('b', 'tools/list', { _meta: { ...modernMeta(), [version]: '2099-01-01' } })).error?.code).toBe(-32_022);
});

test('a question is handed out as a result, and its answer completes the call', async () => {
  const call = { name: 'asking__ask', arguments: {} };
  const { result } = await ends.request('1', 'tools/call', call, able);
  expect(result).toMatchObject({ resultType: 'input_required', inputRequests: { q1: { method: 'elicitation/create' } } });
  const answers = { requestState: result?.['requestState'], inputResponses: { q1: { action: 'decline' } } };
  expect((await ends.request('2', 'tools/call', { ...call, ...answers }, able)).result).toMatchObject({
    resultType: 'complete',
    content: [{ text: '[{"action":"decline"}]' }],
  });
});

test('log messages come before the result, as far as they were asked for', async () => {
  await ends.request('1', 'tools/call', { name: 'asking__log', arguments: { levels: ['error'] } });
  expect(ends.messages).toHaveLength(1);
  await ends.request('2', 'tools/call', { name: 'asking__log', arguments: { levels: ['info', 'error'] } }, { logLevel: 'warning' });
  expect(ends.messages.slice(1)).toMatchObject([{ method: 'notifications/message', params: { level: 'error' } }, { id: '2' }]);
});

test('a call that is taken back has no answer, and the server hears of it', async () => {
  const before = await cancelledCalls('before');
  ends.send({ id: 'hang', method: 'tools/call', params: { _meta: modernMeta(), name: 'asking__hang' } });
  expect((await ends.request('hang', 'tools/list')).error?.code).toBe(-32_600); // an id is taken while its request runs
  ends.send({ method: 'notifications/cancelled', params: { requestId: 'hang' } });
  let asked = 0;
  await until(async () => (await cancelledCalls(`after-${++asked}`)) === before + 1, { what: 'the server has been told to stop' });
  expect(ends.messages.filter(({ id, result }) => id === 'hang' && result !== undefined)).toEqual([]);
});

test('a subscription tells until it is taken back, without an answer', async () => {
  ends.send({ id: 'sub', method: 'subscriptions/listen', params: { _meta: modernMeta(), notifications: { toolsListChanged: true } } });
  expect((await ends.heard('notifications/subscriptions/acknowledged')).params?.['_meta']).toEqual({ [subscriptionId]: 'sub' });
  const told = () => ends.messages.filter(({ method }) => method === 'notifications/tools/list_changed');
  await ends.request('grow', 'tools/call', { name: 'asking__grow' });
  await until(() => told().length === 1, { what: 'the list has changed' });
  expect(told()[0]?.params).toEqual({ _meta: { [subscriptionId]: 'sub' } });
  ends.send({ method: 'notifications/cancelled', params: { requestId: 'sub' } });
  ends.send({ id: 'other', method: 'subscriptions/listen', params: { _meta: modernMeta(), notifications: { toolsListChanged: true } } });
  await ends.request('again', 'tools/call', { name: 'asking__grow' });
  await until(() => told().length === 2, { what: 'the list has changed again' });
  expect(told()[1]?.params).toEqual({ _meta: { [subscriptionId]: 'other' } });
  expect(ends.messages.filter(({ id }) => id === 'sub')).toEqual([]);
});

test.each([
  ['lists', { toolsListChanged: true }],
  ['resources', { resourceSubscriptions: ['asking://one'] }],
])('a subscription to %s ends with a result when the gateway closes', async (_, notifications) => {
  const own = tempDir('stdio-');
  const closing = await createGateway({ mcpServers: { asking: askingServer }, limits: [], dataDir: own.path });
  const other = new Ends(closing);
  other.send({ id: 'sub', method: 'subscriptions/listen', params: { _meta: modernMeta(), notifications } });
  await other.heard('notifications/subscriptions/acknowledged');
  await closing.close();
  await other.served;
  expect((await other.answer('sub')).result).toMatchObject({ resultType: 'complete', _meta: { [subscriptionId]: 'sub' } });
  own.remove();
});
