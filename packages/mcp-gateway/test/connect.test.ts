import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tempDir } from '@tidegate/test-kit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { quickFixture, startHttpFixture } from '../../../tests/conformance/processes.ts';
import type { Answer, JsonObject } from '../src/json-rpc.ts';
import { UpstreamError } from '../src/upstream-error.ts';
import type { EraMemory } from '../src/wire/connect.ts';
import { HttpPipe } from '../src/wire/http-pipe.ts';
import { StdioPipe } from '../src/wire/stdio-pipe.ts';
import { keep } from './gateway-over.ts';
import { discovered, never, type Reply, ScriptedPipe, talkOver, welcome } from './scripted-pipe.ts';

afterEach(() => void vi.useRealTimers());

const methods = ({ sent }: ScriptedPipe) => sent.map((message) => ('method' in message ? message.method : 'response'));

const legacyOnly =
  (probe: Answer | undefined | Error): Reply =>
  ({ method }) => {
    if (method === 'server/discover') return probe;
    return method === 'initialize' ? welcome() : { result: {} };
  };

/** A server that reads lines is given up on when the test says so, not after seconds. */
function impatience(): { end: () => void } {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  return { end: () => setImmediate(() => vi.advanceTimersByTime(3_000)) };
}

describe('a server of 2026-07-28', () => {
  test('is asked what it is, and nothing else', async () => {
    const memory: EraMemory = {};
    const { pipe, connection } = await talkOver(() => new ScriptedPipe('stdio', () => discovered({})), { memory });
    expect(methods(pipe)).toEqual(['server/discover']);
    expect(connection.stateless).toBe(true);
    expect(connection.description).toEqual({ serverInfo: { name: 'new', version: '2' }, capabilities: {}, instructions: 'be kind' });
    expect(memory.era).toBe('modern');
  });

  test('that also speaks older revisions is spoken to in the newest', async () => {
    const both = { result: { ...(discovered() as { result: JsonObject }).result, supportedVersions: ['2025-11-25', '2026-07-28'] } };
    const { pipe, connection } = await talkOver(() => new ScriptedPipe('http', () => both));
    expect(methods(pipe)).not.toContain('initialize');
    expect(connection.stateless).toBe(true);
  });

  test.each([
    ['-32022 that offers this revision', { code: -32_022, message: 'no', data: { supported: ['2026-07-28'] } }],
    ['-32020', { code: -32_020, message: 'no' }],
    ['-32021', { code: -32_021, message: 'no', data: { requiredCapabilities: {} } }],
  ])('that refuses with %s is not asked to initialize', async (_what, error) => {
    const pipe = new ScriptedPipe('stdio', () => ({ error }));
    await expect(talkOver(() => pipe)).rejects.toMatchObject({
      message: "server 'files' refused server/discover: no",
      code: 'ERR_UPSTREAM_PROTOCOL',
      carriedOut: 'no',
    });
    expect(methods(pipe)).not.toContain('initialize');
    expect(pipe.closed).toBe(1);
  });
});

describe('a server of older revisions', () => {
  test.each<[string, Answer]>([
    ['-32601', { error: { code: -32_601, message: 'Method not found' } }],
    ['-32602', { error: { code: -32_602, message: 'not initialized' } }],
    ['-32000', { error: { code: -32_000, message: 'Bad Request: Server not initialized' } }],
    ['-32022 without a common revision', { error: { code: -32_022, message: 'no', data: { supported: ['2025-11-25'] } } }],
    ['-32022 that says nothing more', { error: { code: -32_022, message: 'no' } }],
    ['a result that names no revision', { result: {} }],
    ['a result that names other revisions', { result: { supportedVersions: ['2025-11-25'] } }],
  ])('that answers the probe with %s is initialized in the same pipe', async (_what, answer) => {
    const memory: EraMemory = {};
    const opened: ScriptedPipe[] = [];
    const open = () => {
      opened.push(new ScriptedPipe('stdio', legacyOnly(answer)));
      return opened.at(-1) as ScriptedPipe;
    };
    const { pipe, connection } = await talkOver(open, { memory });
    expect(methods(pipe)).toEqual(['server/discover', 'initialize', 'notifications/initialized']);
    expect(opened).toHaveLength(1);
    expect(pipe.opened).toBe(1);
    expect(connection.stateless).toBe(false);
    expect(connection.description.serverInfo).toEqual({ name: 'old', version: '1' });
    expect(memory.era).toBe('legacy');
  });

  test('that reads lines and says nothing to the probe is initialized after a while', async () => {
    const patience = impatience();
    const reply: Reply = ({ method }) => {
      if (method === 'server/discover') patience.end();
      return method === 'initialize' ? welcome() : undefined;
    };
    const { connection, pipe } = await talkOver(() => new ScriptedPipe('stdio', reply));
    expect(connection.stateless).toBe(false);
    expect(pipe.opened).toBe(1);
    expect(methods(pipe)).toEqual(['server/discover', 'notifications/cancelled', 'initialize', 'notifications/initialized']);
  });

  test('that answers the probe late does not answer initialize with it', async () => {
    const patience = impatience();
    const reply: Reply = (request, pipe) => {
      if (request.method === 'server/discover') patience.end();
      if (request.method !== 'initialize') return undefined;
      const [probe] = pipe.requests('server/discover');
      if (probe !== undefined) pipe.answer(probe, { error: { code: -32_601, message: 'Method not found' } });
      return welcome();
    };
    const { connection } = await talkOver(() => new ScriptedPipe('stdio', reply));
    expect(connection.description.serverInfo).toEqual({ name: 'old', version: '1' });
  });

  test('that was only slow to start is spoken to in its own revision', async () => {
    const patience = impatience();
    const reply: Reply = ({ method }, pipe) => {
      if (method === 'initialize') return { error: { code: -32_601, message: 'Method not found' } };
      if (pipe.requests('server/discover').length > 1) return discovered();
      patience.end();
      return undefined;
    };
    const memory: EraMemory = {};
    const { connection, pipe } = await talkOver(() => new ScriptedPipe('stdio', reply), { memory });
    expect(connection.stateless).toBe(true);
    expect(pipe.opened).toBe(1);
    expect(memory.era).toBe('modern');
  });

  test('that dies of the probe is started again and initialized', async () => {
    const closed: UpstreamError[] = [];
    const opened: ScriptedPipe[] = [];
    const reply: Reply = ({ method }, pipe) => {
      if (method === 'initialize') return welcome();
      pipe.server.closed(new UpstreamError('files', 'ended with exit code 1', { carriedOut: 'perhaps' }));
      return undefined;
    };
    const open = () => {
      opened.push(new ScriptedPipe('stdio', reply));
      return opened.at(-1) as ScriptedPipe;
    };
    const memory: EraMemory = {};
    const { connection } = await talkOver(open, { memory, closed });
    expect(connection.stateless).toBe(false);
    expect(opened.map(methods)).toEqual([['server/discover'], ['initialize', 'notifications/initialized']]);
    expect(opened[0]?.closed).toBe(1);
    expect(closed).toEqual([]);
    expect(memory.era).toBe('legacy');
  });

  test('that dies of everything is started twice and no more', async () => {
    let opened = 0;
    const reply: Reply = (_request, pipe) => {
      pipe.server.closed(new UpstreamError('files', 'ended with exit code 1', { carriedOut: 'perhaps' }));
      return undefined;
    };
    const memory: EraMemory = {};
    const open = () => {
      opened += 1;
      return new ScriptedPipe('stdio', reply);
    };
    await expect(talkOver(open, { memory })).rejects.toThrow("server 'files' ended with exit code 1");
    expect(opened).toBe(2);
    expect(memory.era).toBeUndefined();
  });
});

describe('what is remembered', () => {
  test('spares a server of older revisions the probe', async () => {
    const { pipe } = await talkOver(() => new ScriptedPipe('stdio', legacyOnly(undefined)), { memory: { era: 'legacy' } });
    expect(methods(pipe)).toEqual(['initialize', 'notifications/initialized']);
  });

  test('is corrected where a server has become older', async () => {
    const memory: EraMemory = { era: 'modern' };
    const gone = { error: { code: -32_601, message: 'Method not found' } };
    const { connection } = await talkOver(() => new ScriptedPipe('http', legacyOnly(gone)), { memory });
    expect(connection.stateless).toBe(false);
    expect(memory.era).toBe('legacy');
  });

  test.each<[string, () => Answer | Error]>([
    ['an error', () => ({ error: { code: -32_022, message: 'no', data: { supported: ['2026-07-28'] } } })],
    ['HTTP 400', () => new UpstreamError('files', 'answered with HTTP 400', { carriedOut: 'no', status: 400 })],
  ])('is corrected where a server has become newer and refuses initialize with %s', async (_how, refuse) => {
    const memory: EraMemory = { era: 'legacy' };
    const reply: Reply = ({ method }) => (method === 'initialize' ? refuse() : discovered());
    const { connection } = await talkOver(() => new ScriptedPipe('http', reply), { memory });
    expect(connection.stateless).toBe(true);
    expect(memory.era).toBe('modern');
  });

  test.each<['modern' | 'legacy' | undefined]>([[undefined], ['modern'], ['legacy']])(
    'is left alone (%s) where a refusal says nothing of eras',
    async (era) => {
      for (const status of [401, 403, 429, 500, 503]) {
        const memory: EraMemory = { era };
        const refusal = new UpstreamError('files', `answered with HTTP ${status}`, { carriedOut: 'no', status });
        const pipe = new ScriptedPipe('http', () => refusal);
        await expect(talkOver(() => pipe, { memory })).rejects.toBe(refusal);
        expect(memory.era).toBe(era);
        expect(pipe.sent).toHaveLength(1);
        expect(pipe.closed).toBe(1);
      }
    },
  );

  test('is forgotten where a server of older revisions does not shake hands in time, for it may have changed', async () => {
    const memory: EraMemory = { era: 'legacy' };
    const deadline = new AbortController();
    const pipe = new ScriptedPipe('stdio', () => void setImmediate(() => deadline.abort(new Error('too late'))));
    await expect(talkOver(() => pipe, { memory, signal: deadline.signal })).rejects.toThrow('too late');
    expect(memory.era).toBeUndefined();
    expect(methods(pipe)).toEqual(['initialize']);
  });

  test('is left alone where the time to connect is over', async () => {
    const memory: EraMemory = {};
    const deadline = new AbortController();
    const pipe = new ScriptedPipe('http', () => void setImmediate(() => deadline.abort(new Error('too late'))));
    await expect(talkOver(() => pipe, { memory, signal: deadline.signal })).rejects.toThrow('too late');
    expect(memory.era).toBeUndefined();
    expect(methods(pipe)).toEqual(['server/discover']);
    expect(pipe.closed).toBe(1);
  });
});

describe('over HTTP', () => {
  type Handle = (message: { id?: number; method: string }, response: ServerResponse) => void;

  /** A server that answers every POST as the test says, and anything else with 405. */
  async function answering(handle: Handle): Promise<{ pipe: () => HttpPipe; methods: string[] }> {
    const seen: string[] = [];
    const server = createServer(async (request, response) => {
      if (request.method !== 'POST') return void response.writeHead(405).end();
      let text = '';
      for await (const part of request) text += String(part);
      const message = JSON.parse(text) as { id?: number; method: string };
      seen.push(message.method);
      handle(message, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    keep({
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    return { pipe: () => new HttpPipe('files', { url, headers: {} }), methods: seen };
  }

  const json = (response: ServerResponse, status: number, body: unknown) =>
    void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

  const initialize: Handle = ({ id, method }, response) =>
    method === 'initialize' ? json(response, 200, { jsonrpc: '2.0', id, ...welcome() }) : void response.writeHead(202).end();

  const unready = { jsonrpc: '2.0', id: null, error: { code: -32_000, message: 'Bad Request: Server not initialized' } };
  test.each<[string, number, string, string]>([
    ['400 with -32000 and id null', 400, 'application/json', JSON.stringify(unready)],
    ['400 with text', 400, 'text/plain', 'no session'],
    ['400 with nothing', 400, 'text/plain', ''],
    ['404', 404, 'text/plain', 'not found'],
    ['405', 405, 'text/plain', ''],
    ['406', 406, 'application/json', JSON.stringify(unready)],
    ['415', 415, 'text/plain', ''],
    ['200 with -32601', 200, 'application/json', JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32_601, message: 'no' } })],
    ['202 with nothing', 202, 'text/plain', ''],
    ['200 with what is no JSON', 200, 'application/json', 'hello'],
  ])('a probe that is answered with %s leads to initialize', async (_what, status, type, body) => {
    const server = await answering((message, response) =>
      message.method === 'server/discover'
        ? void response.writeHead(status, { 'content-type': type }).end(body)
        : initialize(message, response),
    );
    const { connection } = await talkOver(server.pipe);
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    expect(server.methods).toEqual(['server/discover', 'initialize', 'notifications/initialized']);
  });

  test.each([401, 403, 429, 500, 502, 503])('HTTP %i to the probe is an error and no evidence', async (status) => {
    const server = await answering((_message, response) => void response.writeHead(status).end());
    const memory: EraMemory = {};
    await expect(talkOver(server.pipe, { memory })).rejects.toMatchObject({ status });
    expect(server.methods).toEqual(['server/discover']);
    expect(memory.era).toBeUndefined();
  });

  test('an error of 2026-07-28 in the body of HTTP 400 is not followed by initialize', async () => {
    const error = { code: -32_020, message: 'Header mismatch' };
    const server = await answering(({ id }, response) => json(response, 400, { jsonrpc: '2.0', id, error }));
    await expect(talkOver(server.pipe)).rejects.toThrow("server 'files' refused server/discover: Header mismatch");
    expect(server.methods).toEqual(['server/discover']);
  });

  test.each([
    ['modern', undefined, true],
    ['modern', 'legacy', true],
    ['legacy', undefined, false],
    ['legacy', 'modern', false],
    ['both', undefined, true],
  ] as const)('a real server that speaks %s, remembered as %s, is understood', async (speaks, era, stateless) => {
    const { url } = keep(await startHttpFixture(speaks));
    const memory: EraMemory = { era };
    const { connection } = await talkOver(() => new HttpPipe('files', { url, headers: {} }), { memory });
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    expect(connection.stateless).toBe(stateless);
    expect(memory.era).toBe(stateless ? 'modern' : 'legacy');
    const answer = await connection.request('tools/list', {}, { signal: never() });
    expect((answer as { result: JsonObject }).result['tools']).not.toHaveLength(0);
  });
});

describe('over stdio', () => {
  test.each([
    ['modern', undefined, true],
    ['modern', 'legacy', true],
    ['legacy', undefined, false],
    ['legacy', 'modern', false],
    ['both', undefined, true],
  ] as const)('a real server that speaks %s, remembered as %s, is understood', async (speaks, era, stateless) => {
    const command = await quickFixture(speaks);
    const { connection } = await talkOver(() => new StdioPipe('files', { ...command, env: {}, cwd: undefined }), { memory: { era } });
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    expect(connection.stateless).toBe(stateless);
    const answer = await connection.request('tools/list', {}, { signal: never() });
    expect((answer as { result: JsonObject }).result['tools']).not.toHaveLength(0);
  });

  test('a real server that crashes at what it does not know is used', async () => {
    const folder = keep(tempDir('crash-')).path;
    const script = `
      const answer = (id, result) => process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id, result }) + '\\n');
      require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
        const { id, method } = JSON.parse(line);
        if (method === 'initialize') answer(id, { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'x', version: '1' } });
        else if (method === 'tools/call') answer(id, { content: [] });
        else if (id !== undefined) throw new Error('unknown method ' + method);
      });`;
    const target = { command: process.execPath, args: ['-e', script], env: {}, cwd: folder };
    const { connection, closed } = await talkOver(() => new StdioPipe('files', target));
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    expect(await connection.request('tools/call', {}, { signal: never() })).toEqual({ result: { content: [] } });
    expect(closed).toEqual([]);
  });
});
