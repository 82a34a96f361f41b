import { PassThrough } from 'node:stream';
import { type HttpFixture, httpFixture, type TempDir, tempDir, until } from '@tidegate/test-kit';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createGateway, type Gateway } from '../src/index.ts';
import { initialize } from './raw-http.ts';

let tools: HttpFixture;
let gateway: Gateway;
let folder: TempDir;

beforeAll(async () => {
  folder = tempDir('stdio-');
  tools = await httpFixture({ reply: 'sse' });
  gateway = await createGateway({
    mcpServers: { own: { url: tools.url } },
    tokens: [{ token: 't', tenant: 'first' }],
    limits: [],
    dataDir: folder.path,
  });
});
afterAll(async () => {
  await gateway?.close();
  await tools?.close();
  folder?.remove();
});

/** A client at the two ends of a gateway's streams. */
class Ends {
  readonly input = new PassThrough();
  readonly output = new PassThrough();
  readonly served = gateway.serveStdio(this.input, this.output);
  #text = '';

  constructor() {
    this.output.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString();
    });
  }

  /** What has been written, which must be whole lines of JSON. */
  get messages(): Record<string, unknown>[] {
    if (this.#text !== '') expect(this.#text.endsWith('\n')).toBe(true);
    return this.#text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  send(...messages: unknown[]): void {
    for (const message of messages) this.input.write(`${JSON.stringify(message)}\n`);
  }

  answer(id: unknown): Promise<Record<string, unknown>> {
    return until(() => this.messages.find((message) => message['id'] === id), { what: `the answer to ${id}` });
  }
}

let ends: Ends;
beforeEach(() => {
  ends = new Ends();
});
afterEach(async () => {
  ends.input.end();
  await ends.served;
});

test('a client begins, calls, hears progress, and ends with the end of its input', async () => {
  ends.send(initialize('2025-06-18'), { jsonrpc: '2.0', method: 'notifications/initialized' });
  expect(await ends.answer(0)).toMatchObject({ result: { protocolVersion: '2025-06-18', serverInfo: { name: 'tidegate' } } });
  const params = { name: 'own__slow', arguments: { ms: 4, steps: 2 }, _meta: { progressToken: 'p' } };
  ends.send({ jsonrpc: '2.0', id: 'call', method: 'tools/call', params });
  expect(await ends.answer('call')).toEqual({ jsonrpc: '2.0', id: 'call', result: { content: [{ type: 'text', text: 'slept 4' }] } });
  expect(ends.messages.slice(1, 3)).toMatchObject([
    { method: 'notifications/progress', params: { progressToken: 'p', progress: 1 } },
    { method: 'notifications/progress', params: { progressToken: 'p', progress: 2 } },
  ]);
  ends.input.end();
  await ends.served;
  expect(ends.messages).toHaveLength(4);
});

test('before initialize nothing is answered but by an error, and nothing is told', async () => {
  ends.send({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, { jsonrpc: '2.0', method: 'notifications/cancelled' });
  expect(await ends.answer(1)).toMatchObject({
    error: { code: -32_600, message: 'begin with initialize, or say in _meta which revision this is' },
  });
  expect(ends.messages).toHaveLength(1);
});

test.each([
  ['{"jsonrpc":"2.0",', -32_700, 'the line is not JSON'],
  ['hello', -32_700, 'the line is not JSON'],
  ['[]', -32_600, 'the line is a batch, which this protocol does not have'],
  ['{"jsonrpc":"1.0","id":null,"method":"ping"}', -32_600, 'the line is its member \'jsonrpc\' is not "2.0"'],
  ['{"jsonrpc":"1.0","id":1,"method":"ping"}', -32_600, 'the line is its member \'jsonrpc\' is not "2.0"', 1],
])('%s is answered with an error under the id that it has, if any, and the next line as ever', async (line, code, message, id?: number) => {
  ends.send(initialize());
  ends.input.write(`${line}\n\n  \n`);
  ends.send({ jsonrpc: '2.0', id: 2, method: 'ping' });
  expect(await ends.answer(2)).toEqual({ jsonrpc: '2.0', id: 2, result: {} });
  expect(ends.messages[1]).toEqual({ jsonrpc: '2.0', ...(id !== undefined && { id }), error: { code, message } });
  expect(ends.messages).toHaveLength(3);
});

test('an error of the client that belongs to no request is not answered', async () => {
  ends.send(initialize(), { jsonrpc: '2.0', error: { code: -32_700, message: 'not JSON' } }, { jsonrpc: '2.0', id: 2, method: 'ping' });
  expect(await ends.answer(2)).toEqual({ jsonrpc: '2.0', id: 2, result: {} });
  expect(ends.messages).toHaveLength(2);
});

test('lines may come in pieces or many at once, and one of 17 MB is dropped', async () => {
  const [first, second] = [initialize(), { jsonrpc: '2.0', id: 'ü', method: 'ping' }].map((one) => JSON.stringify(one));
  const bytes = Buffer.from(`${first}\r\n${second}\n`);
  for (const byte of bytes) ends.input.write(Buffer.from([byte]));
  expect(await ends.answer('ü')).toMatchObject({ result: {} });
  ends.input.write(`"${'x'.repeat(17 * 1024 * 1024)}"\n`);
  ends.send({ jsonrpc: '2.0', id: 3, method: 'ping' });
  expect(await ends.answer(3)).toMatchObject({ result: {} });
  expect(ends.messages[2]).toEqual({
    jsonrpc: '2.0',
    error: { code: -32_600, message: 'the client sent a line of more than 16777216 bytes' },
  });
});

test('a call that is taken back has no answer, and the server hears of it', async () => {
  const calls = tools.executions('hang');
  const cancelled = () => tools.events().filter(({ event }) => event === 'cancelled').length;
  const before = cancelled();
  ends.send(initialize(), { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'own__hang' } });
  await until(() => tools.executions('hang') > calls, { what: 'the call has reached the server' });
  ends.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 5 } });
  await until(() => cancelled() > before, { what: 'the server has heard of it' });
  ends.send({ jsonrpc: '2.0', id: 6, method: 'ping' }, { jsonrpc: '2.0', id: 'server?', result: {} });
  await ends.answer(6);
  expect(ends.messages.map(({ id }) => id)).toEqual([0, 6]);
});

test('the end of input takes back what runs', async () => {
  const calls = tools.executions('hang');
  const cancelled = () => tools.events().filter(({ event }) => event === 'cancelled').length;
  const before = cancelled();
  ends.send(initialize(), { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'own__hang' } });
  await until(() => tools.executions('hang') > calls, { what: 'the call has reached the server' });
  ends.input.end();
  await ends.served;
  await until(() => cancelled() > before, { what: 'the server has heard of it' });
});

test('a client that breaks off, at either end, is one that has ended', async () => {
  const calls = tools.executions('hang');
  const cancelled = () => tools.events().filter(({ event }) => event === 'cancelled').length;
  for (const end of ['input', 'output'] as const) {
    const broken = new Ends();
    const before = cancelled();
    const already = tools.executions('hang');
    broken.send(initialize(), { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'own__hang' } });
    await until(() => tools.executions('hang') > already, { what: 'the call has reached the server' });
    broken[end].destroy(Object.assign(new Error('broken pipe'), { code: 'EPIPE' }));
    await broken.served;
    await until(() => cancelled() > before, { what: 'the server has heard of it' });
  }
  expect(tools.executions('hang')).toBe(calls + 2);
});

test('a change of the catalogue is told to a client that has begun', async () => {
  ends.send(initialize());
  await ends.answer(0);
  await until(() => tools.streams > 0, { what: 'the gateway listens to the server' });
  tools.addTool('added');
  await until(() => ends.messages.length === 4, { what: 'three lists have changed' });
  expect(ends.messages.slice(1).map(({ method }) => method)).toEqual([
    'notifications/tools/list_changed',
    'notifications/resources/list_changed',
    'notifications/prompts/list_changed',
  ]);
});
