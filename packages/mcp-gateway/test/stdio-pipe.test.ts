import { chmodSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, isAlive, type StdioFixture, type StdioFixtureOptions, stdioFixture, tempDir, until } from '@tidegate/test-kit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { ServerConfig } from '../src/index.ts';
import { inheritedNames } from '../src/wire/stdio-pipe.ts';
import { call, eventsOf, gatewayOver, keep, nextEvent, refusedWith, textOf, tireless, toolNames } from './gateway-over.ts';

function server(options: StdioFixtureOptions = {}): StdioFixture {
  return keep(stdioFixture(options));
}

function entry({ command, args, env }: StdioFixture): ServerConfig {
  return { command, args, env, ...tireless };
}

/** The same server, started by a shell that first starts something else and writes its process id into `file`. */
function withCompanion(fixture: StdioFixture, file: string): ServerConfig {
  const script = 'sleep 1000 & echo $! > "$FILE"; exec "$@"';
  const { command, args, env } = fixture;
  return { command: '/bin/sh', args: ['-c', script, 'sh', command, ...args], env: { ...env, FILE: file }, ...tireless };
}

const pidIn = (file: string) => until(() => Number(readFileSync(file, 'utf8')), { what: 'the process id of the companion' });

describe('what a server writes', () => {
  test('lines that are no messages are told, and the answer between them arrives', async () => {
    const gateway = await gatewayOver({ files: entry(server()) });
    const frames = eventsOf(gateway, 'frame');
    expect(textOf(await call(gateway, 'files__garbage'))).toBe('after the garbage');
    expect(frames).toEqual([
      { server: 'files', problem: 'sent a line that is not JSON', sample: 'Listening on port 3000 ...' },
      { server: 'files', problem: 'sent a line that is not JSON', sample: 'data: {"jsonrpc": broken' },
    ]);
  });

  test('of two answers the first counts, and the second is told', async () => {
    const gateway = await gatewayOver({ files: entry(server()) });
    const frame = nextEvent(gateway, 'frame');
    expect(textOf(await call(gateway, 'files__two_answers'))).toBe('first');
    expect(await frame).toMatchObject({ server: 'files', problem: 'sent a response that answers no open request' });
  });

  test('an answer to a request that nobody made is told, and the call ends by its time limit', async () => {
    const fixture = server();
    const gateway = await gatewayOver({ files: { ...entry(fixture), timeoutMs: 300 } });
    await toolNames(gateway);
    const frame = nextEvent(gateway, 'frame');
    const refused = refusedWith(call(gateway, 'files__wrong_id'));
    expect((await frame).problem).toBe('sent a response that answers no open request');
    expect(await refused).toMatchObject({ code: 'ERR_TIMEOUT' });
  });

  test('an answer of 10 MB arrives whole; one above 16 MiB fails its own call at once and no other', async () => {
    const gateway = await gatewayOver({ files: entry(server()) });
    expect(textOf(await call(gateway, 'files__huge', { bytes: 10_000_000 }))).toHaveLength(10_000_000);
    const frames = eventsOf(gateway, 'frame');
    const slow = call(gateway, 'files__slow', { ms: 300 });
    expect(await refusedWith(call(gateway, 'files__huge', { bytes: 17 * 1024 * 1024 }))).toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL' });
    expect(frames).toHaveLength(1);
    expect(frames[0]?.problem).toBe('sent a line of more than 16777216 bytes');
    expect(frames[0]?.sample.length).toBeLessThanOrEqual(201);
    expect(textOf(await slow)).toBe('slept 300');
  });

  test('half a line before the end is told, its call fails, and the next one starts the server again', async () => {
    const fixture = server();
    const gateway = await gatewayOver({ files: entry(fixture) });
    const frames = eventsOf(gateway, 'frame');
    expect(await refusedWith(call(gateway, 'files__halfline'))).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(frames.map(({ problem }) => problem)).toEqual(['ended in the middle of a line']);
    expect(fixture.control.executions('halfline')).toBe(1);
    expect(textOf(await call(gateway, 'files__echo', { text: 'back' }))).toBe('back');
    expect(fixture.control.pids()).toHaveLength(2);
  });
});

describe('a server that ends in the middle of a call', () => {
  test('takes its own calls with it and nobody else, and is started by the next call', async () => {
    const crashing = server();
    const gateway = await gatewayOver({ files: entry(crashing), search: entry(server()) });
    await toolNames(gateway);
    const down = nextEvent(gateway, 'server', ({ state }) => state === 'down');
    const others = [call(gateway, 'files__hang'), call(gateway, 'files__slow', { ms: 60_000 })].map(refusedWith);
    const neighbour = call(gateway, 'search__slow', { ms: 200 });
    await until(() => crashing.control.executions() === 2, { what: 'both calls to be carried out' });
    const crash = await refusedWith(call(gateway, 'files__crash'));
    expect(crash).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE', message: "server 'files' ended with exit code 70" });
    for (const other of await Promise.all(others)) expect(other).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(await down).toMatchObject({ server: 'files', tenant: 'default' });
    expect(textOf(await neighbour)).toBe('slept 200');
    expect(textOf(await call(gateway, 'files__echo', { text: 'again' }))).toBe('again');
  });

  test('leaves nothing that it started itself', async () => {
    const file = join(keep(tempDir()).path, 'pid');
    const gateway = await gatewayOver({ files: withCompanion(server(), file) });
    await toolNames(gateway);
    const companion = await pidIn(file);
    expect(isAlive(companion)).toBe(true);
    expect(await refusedWith(call(gateway, 'files__crash'))).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    await until(() => !isAlive(companion), { what: 'the companion to end' });
  });

  test('killed from outside, it is started again', async () => {
    const fixture = server();
    const gateway = await gatewayOver({ files: entry(fixture) });
    await toolNames(gateway);
    const down = nextEvent(gateway, 'server', ({ state }) => state === 'down');
    process.kill(fixture.control.pids()[0] as number, 'SIGKILL');
    expect(await down).toMatchObject({ reason: "server 'files' was ended by SIGKILL" });
    expect(textOf(await call(gateway, 'files__echo', { text: 'again' }))).toBe('again');
  });

  test('its last words on stderr say why', async () => {
    const command = join(keep(tempDir()).path, 'server.sh');
    writeFileSync(command, '#!/bin/sh\necho starting >&2\necho "no such database: memory.db" >&2\nexit 3\n');
    chmodSync(command, 0o755);
    const gateway = await gatewayOver({ files: { command, ...tireless } });
    const calls = eventsOf(gateway, 'call');
    const why = 'ended with exit code 3; it said: no such database: memory.db';
    const refusals: string[] = [];
    // a server that ends before it is written to is told by the failed write, if that comes first
    const told = async () => {
      refusals.push((await refusedWith(call(gateway, 'files__echo'))).message);
      return calls.at(-1)?.problem?.includes(why) === true;
    };
    await until(told, { what: why });
    expect(refusals.join()).not.toContain('memory.db'); // for the log, not for clients
  });
});

describe('closing', () => {
  test('a server ends with its input, by itself', async () => {
    const fixture = server();
    const gateway = await gatewayOver({ files: entry(fixture) });
    await toolNames(gateway);
    const [pid] = fixture.control.pids();
    expect(childrenOf(process.pid)).toContain(pid);
    await gateway.close();
    expect(isAlive(pid as number)).toBe(false);
  });

  test('one that ignores the end of its input and SIGTERM is killed with everything it started', async () => {
    const file = join(keep(tempDir()).path, 'pid');
    const fixture = server({ stubborn: true });
    const gateway = await gatewayOver({ files: withCompanion(fixture, file) });
    await toolNames(gateway);
    const companion = await pidIn(file);
    await gateway.close();
    expect(fixture.control.events().map(({ event }) => event)).toContain('refused-to-end');
    expect(isAlive(fixture.control.pids()[0] as number)).toBe(false);
    await until(() => !isAlive(companion), { what: 'the companion to end' });
  });

  test('one that obeys leaves its companions to be killed too', async () => {
    const file = join(keep(tempDir()).path, 'pid');
    const gateway = await gatewayOver({ files: withCompanion(server(), file) });
    await toolNames(gateway);
    const companion = await pidIn(file);
    await gateway.close();
    await until(() => !isAlive(companion), { what: 'the companion to end' });
  });
});

describe('the environment', () => {
  test('only the inherited names and the configured variables reach the server', async () => {
    vi.stubEnv('TIDEGATE_TEST_SECRET', 'hunter2');
    vi.stubEnv('NODE_OPTIONS', '');
    onTestFinished(() => void vi.unstubAllEnvs());
    const fixture = server({ env: { GREETING: 'hello' } });
    const gateway = await gatewayOver({ files: entry(fixture) });
    const names = ['TIDEGATE_TEST_SECRET', 'NODE_OPTIONS', 'VITEST', 'GREETING', ...inheritedNames];
    const seen = JSON.parse(textOf(await call(gateway, 'files__env', { names })));
    expect(seen).toEqual({
      TIDEGATE_TEST_SECRET: null,
      NODE_OPTIONS: null,
      VITEST: null,
      GREETING: 'hello',
      ...Object.fromEntries(inheritedNames.map((name) => [name, process.env[name] ?? null])),
    });
  });

  test.runIf(process.platform === 'linux')('no variable of the gateway is in the memory of the server', async () => {
    vi.stubEnv('TIDEGATE_TEST_SECRET', 'hunter2');
    onTestFinished(() => void vi.unstubAllEnvs());
    const fixture = server();
    const gateway = await gatewayOver({ files: entry(fixture) });
    await toolNames(gateway);
    const environment = readFileSync(`/proc/${fixture.control.pids()[0]}/environ`, 'utf8').split('\0').filter(Boolean);
    const names = environment.map((variable) => variable.slice(0, variable.indexOf('=')));
    expect(names.sort()).toEqual([...inheritedNames.filter((name) => process.env[name] !== undefined), ...Object.keys(fixture.env)].sort());
  });

  test('configured variables go before inherited ones', async () => {
    const gateway = await gatewayOver({ files: entry(server({ env: { LANG: 'ko_KR.UTF-8' } })) });
    expect(JSON.parse(textOf(await call(gateway, 'files__env', { names: ['LANG'] })))).toEqual({ LANG: 'ko_KR.UTF-8' });
  });
});

describe('a server that cannot be started', () => {
  test('because its folder is gone: the call says so, the gateway closes', async () => {
    const cwd = join(keep(tempDir()).path, 'gone');
    mkdirSync(cwd);
    const gateway = gatewayOver({ files: { ...entry(server()), cwd }, search: entry(server()) });
    rmdirSync(cwd);
    const error = await refusedWith(call(await gateway, 'files__echo'));
    expect(error).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(error.message).toMatch(/^server 'files' could not be started: /);
    expect(textOf(await call(await gateway, 'search__echo', { text: 'here' }))).toBe('here');
    await (await gateway).close();
  });

  test('because it ends at once: its tools are missing and its neighbour is there', async () => {
    const fixture = server();
    fixture.control.set({ exitAtStart: true });
    const gateway = await gatewayOver({ files: entry(fixture), search: entry(server()) });
    expect(await toolNames(gateway)).toContain('search__echo');
    expect(await refusedWith(call(gateway, 'files__echo'))).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    fixture.control.set({});
    expect(await toolNames(gateway)).toContain('files__echo');
    expect(textOf(await call(gateway, 'files__echo', { text: 'up' }))).toBe('up');
  });
});
