import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import { type StdioFixture, type StdioFixtureOptions, stdioFixture, until } from '../src/index.ts';

const running: { child: ChildProcessWithoutNullStreams; fixture: StdioFixture }[] = [];
afterEach(async () => {
  for (const { child, fixture } of running.splice(0)) {
    child.kill('SIGKILL');
    await fixture[Symbol.asyncDispose]();
  }
});

/** The bare protocol, so that the tests see each line as it is written. */
function start(options: StdioFixtureOptions = {}, fixture = stdioFixture(options)) {
  const child = spawn(fixture.command, fixture.args, { env: fixture.env });
  running.push({ child, fixture });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value ?? 'the end';
  const send = (message: object): boolean => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
  const initialize = async (): Promise<unknown> => {
    send({ id: 'init', method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: {} } });
    return JSON.parse(await next());
  };
  const call = (id: number, name: string, args: object = {}, _meta?: object): boolean =>
    send({ id, method: 'tools/call', params: { name, arguments: args, ...(_meta && { _meta }) } });
  return { fixture, child, next, send, initialize, call, exit: once(child, 'exit') };
}

const said = (id: number, text: string): object => ({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });

test('nothing but initialize and ping is answered before initialize', async () => {
  const { send, next, initialize } = start();
  send({ id: 1, method: 'tools/list' });
  expect(JSON.parse(await next())).toMatchObject({ id: 1, error: { code: -32600 } });
  send({ id: 0, method: 'ping' });
  expect(JSON.parse(await next())).toEqual({ jsonrpc: '2.0', id: 0, result: {} });
  expect(await initialize()).toMatchObject({ id: 'init', result: { protocolVersion: '2025-11-25' } });
});

test('slow sends its progress before its answer', async () => {
  const { initialize, call, next } = start();
  await initialize();
  call(1, 'slow', { ms: 8, steps: 2 }, { progressToken: 'p' });
  const progress = (done: number) => ({ method: 'notifications/progress', params: { progressToken: 'p', progress: done, total: 2 } });
  expect(JSON.parse(await next())).toMatchObject(progress(1));
  expect(JSON.parse(await next())).toMatchObject(progress(2));
  expect(JSON.parse(await next())).toEqual(said(1, 'slept 8'));
});

test('garbage, two answers and a wrong id do what they say', async () => {
  const { initialize, call, next } = start();
  await initialize();
  call(1, 'garbage');
  expect(await next()).toBe('Listening on port 3000 ...');
  expect(await next()).toBe('data: {"jsonrpc": broken');
  expect(await next()).toBe('');
  expect(JSON.parse(await next())).toEqual(said(1, 'after the garbage'));
  call(2, 'two_answers');
  expect(JSON.parse(await next())).toEqual(said(2, 'first'));
  expect(JSON.parse(await next())).toEqual(said(2, 'second'));
  call(3, 'wrong_id');
  expect(JSON.parse(await next())).toMatchObject({ id: 'not-3' });
  call(4, 'echo', { text: 'no answer to 3 in between' });
  expect(JSON.parse(await next())).toEqual(said(4, 'no answer to 3 in between'));
});

test('crash ends the process in the middle of the call, and the log survives it', async () => {
  const first = start();
  await first.initialize();
  first.call(1, 'crash');
  expect(await first.exit).toEqual([70, null]);
  expect(await first.next()).toBe('the end');
  const second = start({}, first.fixture);
  await second.initialize();
  second.call(1, 'count');
  expect(JSON.parse(await second.next())).toEqual(said(1, '1'));
  const { control } = first.fixture;
  expect(control.executions('crash')).toBe(1);
  expect(control.executions()).toBe(2);
  expect(control.pids()).toEqual([first.child.pid, second.child.pid]);
});

test('halfline writes half a message and ends', async () => {
  const { initialize, call, next, exit } = start();
  await initialize();
  call(1, 'halfline');
  const half = await next();
  expect(half).toMatch(/^\{"jsonrpc"/);
  expect(() => JSON.parse(half)).toThrow();
  await exit;
});

test('env shows the process environment, and only what was given', async () => {
  const { initialize, call, next } = start({ env: { SECRET: 'sesame' } });
  await initialize();
  call(1, 'env', { names: ['SECRET', 'HOME'] });
  expect(JSON.parse(await next())).toEqual(said(1, JSON.stringify({ SECRET: 'sesame', HOME: null })));
});

test('faults are switched while the process runs', async () => {
  const { fixture, initialize, call, send, next } = start();
  fixture.control.set({ hang: true, methods: ['tools/call'] });
  await initialize();
  call(1, 'count');
  send({ id: 2, method: 'ping' });
  expect(JSON.parse(await next())).toMatchObject({ id: 2 });
  fixture.control.set({ garbage: true });
  send({ id: 3, method: 'ping' });
  expect(await next()).toBe('this is not JSON');
  expect(JSON.parse(await next())).toMatchObject({ id: 3 });
  fixture.control.set({ slow: 20, methods: ['tools/call'] });
  call(4, 'echo', { text: 'late' });
  send({ id: 5, method: 'ping' });
  expect(JSON.parse(await next())).toMatchObject({ id: 5 });
  expect(JSON.parse(await next())).toEqual(said(4, 'late'));
  expect(fixture.control.executions('count')).toBe(0);
});

test('a server that exits at its start answers nothing', async () => {
  const fixture = stdioFixture();
  fixture.control.set({ exitAtStart: true });
  const { exit, next } = start({}, fixture);
  expect(await exit).toEqual([71, null]);
  expect(await next()).toBe('the end');
  expect(fixture.control.pids()).toHaveLength(1);
});

test('the end of the input ends it, unless it is stubborn', async () => {
  const polite = start();
  await polite.initialize();
  polite.call(1, 'slow', { ms: 600_000 });
  await until(() => polite.fixture.control.executions('slow') === 1, { what: 'the call to run' });
  polite.child.stdin.end();
  expect(await polite.exit).toEqual([0, null]);
  const stubborn = start({ stubborn: true });
  await stubborn.initialize();
  stubborn.child.stdin.end();
  stubborn.child.kill('SIGTERM');
  await until(() => stubborn.fixture.control.events().some(({ event }) => event === 'refused-to-end'), { what: 'the ignored SIGTERM' });
  expect(stubborn.child.exitCode).toBeNull();
  stubborn.child.kill('SIGKILL');
  expect(await stubborn.exit).toEqual([null, 'SIGKILL']);
});

test('disposing removes its files', async () => {
  const fixture = stdioFixture();
  const log = fixture.env['MCP_FIXTURE_LOG'] ?? '';
  expect(existsSync(log)).toBe(true);
  await fixture[Symbol.asyncDispose]();
  expect(existsSync(log)).toBe(false);
});
