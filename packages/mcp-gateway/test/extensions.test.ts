import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventsOf } from './gateway-over.ts';
import { RawClient } from './raw-http.ts';
import { RawModern, textIn } from './raw-modern.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

const server = fileURLToPath(new URL('./task-server.mjs', import.meta.url));
const extension = 'io.modelcontextprotocol/tasks';
const withTasks = { capabilities: { extensions: { [extension]: {} } } };

let served: ServedGateway;
let mina: RawModern;
beforeAll(async () => {
  served = await serveGateway({
    mcpServers: { one: { command: process.execPath, args: [server, 'one'] }, two: { command: process.execPath, args: [server, 'two'] } },
    prices: { '*': { perCallUsd: '0.5' } },
    limits: [{ perHour: 1_000, burst: 3 }],
    tokens: [
      { token: 'mina', tenant: 'acme', user: 'mina' },
      { token: 'jun', tenant: 'acme', user: 'jun' },
      { token: 'other', tenant: 'other', user: 'mina' },
    ],
  });
  await served.gateway.warmUp();
  mina = new RawModern(served.url, bearer('mina'));
});
afterAll(() => served[Symbol.asyncDispose]());

const about = (client: RawModern, method: string, taskId: unknown, more: object = {}) =>
  client.request(method, { taskId, ...more }, withTasks);
const begun = async (client: RawModern, tool: string) =>
  (await client.call(tool, {}, withTasks)).result as { taskId: string; status: string };

describe('a task', () => {
  test('is asked for, told something and taken back at the server that has it, though another uses the same name', async () => {
    const [one, two] = [await begun(mina, 'one__work'), await begun(mina, 'two__work')];
    expect(one).toMatchObject({ resultType: 'task', status: 'working', ttlMs: 60_000 });
    expect(one.taskId).not.toBe('task-1');
    const updated = await about(mina, 'tasks/update', one.taskId, { inputResponses: { a: { action: 'accept' } } });
    expect(updated.result).toMatchObject({ resultType: 'complete' });
    expect((await about(mina, 'tasks/cancel', two.taskId)).result).toMatchObject({ resultType: 'complete' });
    expect((await about(mina, 'tasks/get', one.taskId)).result).toMatchObject({
      taskId: one.taskId,
      status: 'completed',
      result: { content: [{ text: 'one done: {"a":{"action":"accept"}}' }] },
    });
    expect((await about(mina, 'tasks/get', two.taskId)).result).toMatchObject({ taskId: two.taskId, status: 'cancelled' });
  });

  test('is nothing to anybody else, and neither is a name that was made up or changed', async () => {
    const { taskId } = await begun(new RawModern(served.url, bearer('other')), 'one__work');
    const none = { code: -32_602, message: "'taskId' names no task of yours" };
    for (const token of ['mina', 'jun'])
      expect((await about(new RawModern(served.url, bearer(token)), 'tasks/get', taskId)).error).toEqual(none);
    for (const name of ['task-1', `${taskId.slice(0, -2)}AA`, '', 7, undefined])
      expect((await about(mina, 'tasks/get', name)).error).toEqual(none);
  });

  test('costs what its call costs, however often it is asked for', async () => {
    const jun = new RawModern(served.url, bearer('jun'));
    const calls = eventsOf(served.gateway, 'call');
    const { taskId } = await begun(jun, 'two__work');
    for (let i = 0; i < 10; i += 1) expect((await about(jun, 'tasks/get', taskId)).result).toMatchObject({ status: 'working' });
    expect(calls.map(({ kind }) => kind)).toEqual(['tool', ...Array.from({ length: 10 }, () => 'task')]);
  });

  test('is not begun for a client that does not know of tasks', async () => {
    expect((await mina.call('one__work', {})).result).toMatchObject({ resultType: 'complete', content: [{ text: 'one at once' }] });
    const legacy = await RawClient.connect(served.url, bearer('mina'));
    expect(await legacy.request('tools/call', { name: 'one__work', arguments: {}, task: { ttl: 1 } })).toMatchObject({
      result: { content: [{ text: 'one at once' }] },
    });
    expect(await legacy.request('tasks/get', { taskId: 'task-1' })).toMatchObject({ error: { code: -32_602 } });
    const seen = JSON.parse(textIn(await mina.call('one__seen', {}))) as { task?: unknown }[];
    expect(seen.filter(({ task }) => task !== undefined)).toEqual([]);
  });
});

describe('what servers offer beyond the protocol', () => {
  test('is told to clients of both eras, tasks only to those of the next', async () => {
    const { result } = await mina.request('server/discover', {});
    expect(result?.['capabilities']).toMatchObject({ extensions: { [extension]: {}, 'io.modelcontextprotocol/ui': { from: 'one' } } });
    const response = await fetch(served.url, {
      method: 'POST',
      headers: { ...bearer('mina'), 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
      }),
    });
    const welcome = (await response.json()) as { result: { capabilities: { extensions: unknown } } };
    expect(welcome.result.capabilities.extensions).toEqual({ 'io.modelcontextprotocol/ui': { from: 'one' } });
  });

  test('passes through: a tool keeps the page that shows it, and the page arrives', async () => {
    const listed = (await mina.request('tools/list', {})).result?.['tools'] as { name: string; _meta: unknown }[];
    expect(listed.find(({ name }) => name === 'two__work')?._meta).toEqual({ ui: { resourceUri: 'ui://two/page' } });
    const read = await mina.request('resources/read', { uri: 'ui://two/page' });
    expect(read.result?.['contents']).toEqual([
      { uri: 'ui://two/page', mimeType: 'text/html;profile=mcp-app', text: '<p>', _meta: { ui: { csp: {} } } },
    ]);
  });
});
