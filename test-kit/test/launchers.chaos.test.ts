import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import {
  childrenOf,
  isAlive,
  type LaunchOptions,
  type ManagedServer,
  processTree,
  requireServer,
  type ServerName,
  startNats,
  startPostgres,
  startRedis,
  until,
} from '../src/index.ts';
import { natsAnswers, postgresAnswers, redisAnswers } from '../src/server-readiness.ts';

interface Kind {
  name: ServerName;
  start: (options?: LaunchOptions) => Promise<ManagedServer>;
  answers: (port: number) => Promise<boolean>;
  protocol: string;
}

const postgres: Kind = { name: 'postgres', start: startPostgres, answers: postgresAnswers, protocol: 'postgres:' };
const kinds: Kind[] = [
  { name: 'redis', start: startRedis, answers: redisAnswers, protocol: 'redis:' },
  { name: 'nats', start: startNats, answers: natsAnswers, protocol: 'nats:' },
  postgres,
];

const started: ManagedServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

async function launch(kind: Kind): Promise<ManagedServer> {
  const server = await kind.start();
  started.push(server);
  return server;
}

function family(pid: number | undefined): number[] {
  const tree = pid === undefined ? undefined : processTree(pid);
  return tree ? [tree.pid, ...tree.children.flatMap((child) => family(child.pid))] : [];
}

/** System V shared memory segments, which outlive their process; only Linux shows them as a file. */
const segments = (): string[] =>
  existsSync('/proc/sysvipc/shm')
    ? readFileSync('/proc/sysvipc/shm', 'utf8')
        .split('\n')
        .map((line) => line.trim().split(/\s+/)[1] ?? '')
    : [];

const segmentOf = ({ folder }: ManagedServer): string | undefined =>
  readFileSync(`${folder}/data/postmaster.pid`, 'utf8').split('\n')[6]?.trim().split(/\s+/)[1];

describe.each(kinds.filter(({ name }) => requireServer(name)))('$name', (kind) => {
  test('answers when started; stop leaves no process, no folder, no port', async () => {
    const server = await launch(kind);
    expect(await kind.answers(server.port)).toBe(true);
    const url = new URL(server.url);
    expect([url.protocol, url.hostname, Number(url.port)]).toEqual([kind.protocol, '127.0.0.1', server.port]);
    const { folder } = server;
    const pids = family(server.pid);
    expect(pids.length).toBeGreaterThan(0);
    await server.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(existsSync(folder)).toBe(false);
    expect((await once(connect(server.port, '127.0.0.1'), 'error'))[0]).toMatchObject({ code: 'ECONNREFUSED' });
    await server.stop();
  });

  test('kill ends every process at once; restart comes back on the same port and folder', async () => {
    const server = await launch(kind);
    const { port, folder, pid } = server;
    const pids = family(pid);
    await server.kill();
    expect(pids.filter(isAlive)).toEqual([]);
    expect(server.pid).toBeUndefined();
    expect(existsSync(folder)).toBe(true);
    await server.restart();
    expect([server.port, server.folder]).toEqual([port, folder]);
    expect(server.pid).not.toBe(pid);
    expect(await kind.answers(port)).toBe(true);
  });

  test('pause keeps connections open and unanswered until resume', async () => {
    const server = await launch(kind);
    server.pause();
    expect(await kind.answers(server.port)).toBe(false);
    server.resume();
    await until(() => kind.answers(server.port), { what: 'an answer after resume' });
  });

  test('a paused or killed server is stopped without a rest', async () => {
    const paused = await launch(kind);
    const killed = await launch(kind);
    const pids = [...family(paused.pid), ...family(killed.pid)];
    paused.pause();
    await paused.stop();
    await killed.kill();
    await killed.stop();
    expect(pids.filter(isAlive)).toEqual([]);
    expect([paused.folder, killed.folder].filter(existsSync)).toEqual([]);
  });

  test('a server that cannot start says why and leaves no folder', async () => {
    await expect(kind.start({ args: ['--no-such-option'] })).rejects.toThrow(/did not start: .*no.such.option/is);
  });
});

test.runIf(requireServer('postgres'))('a killed Postgres leaves no shared memory after stop', async () => {
  const server = await startPostgres();
  started.push(server);
  const segment = segmentOf(server) ?? '';
  expect(segments()).toContain(segment);
  await server.kill();
  await server.stop();
  expect(segments()).not.toContain(segment);
});

describe.skipIf(!requireServer('postgres'))('the backends of Postgres, each in a process group of its own', () => {
  test('are killed in the middle of a query', async () => {
    const server = await launch(postgres);
    const client = await session(server.port);
    client.write(query('SELECT count(*) FROM generate_series(1, 1e12)'));
    const busy = await until(() => childrenOf(server.pid ?? 0).find((pid) => commandOf(pid).endsWith('SELECT')), { what: 'the query' });
    await server.kill();
    expect(isAlive(busy)).toBe(false);
    client.destroy();
  });

  test('are paused with the server', async () => {
    const server = await launch(postgres);
    const client = await session(server.port);
    server.pause();
    // a stop is sent at once and happens when the process is next scheduled
    await until(() => family(server.pid).every((pid) => stateOf(pid) === 'T'), { what: 'every process to stop' });
    client.write(query('SELECT 1'));
    server.resume();
    expect(String(await once(client, 'data'))).toContain('SELECT 1');
    client.destroy();
  });
});

test.runIf(requireServer('redis'))('data that Redis was told to keep survives a kill', async () => {
  const server = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
  started.push(server);
  expect(await redis(server.port, 'SET k v\r\n')).toBe('+OK\r\n');
  await server.restart();
  expect(await redis(server.port, 'GET k\r\n')).toBe('$1\r\nv\r\n');
});

test.runIf(requireServer('redis'))('the server and its folder go with the process that started it, even by SIGKILL', async () => {
  const module = new URL('../src/launchers.ts', import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then(async ({ startRedis }) => {
    const { pid, folder } = await startRedis();
    console.log(JSON.stringify({ pid, folder }));
    setInterval(() => {}, 1e6);
  })`;
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(child.stdout, 'data');
  const { pid, folder } = JSON.parse(String(line));
  expect([isAlive(pid), existsSync(folder)]).toEqual([true, true]);
  child.kill('SIGKILL');
  await until(() => !isAlive(pid) && !existsSync(folder), { what: 'the server and its folder to go' });
});

async function redis(port: number, command: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(command);
  const [reply] = await once(socket, 'data');
  socket.destroy();
  return String(reply);
}

const commandOf = (pid: number): string => processTree(pid)?.command ?? '';
const stateOf = (pid: number): string =>
  process.platform === 'linux'
    ? (/^State:\s*(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.toUpperCase() ?? '')
    : execFileSync('ps', ['-o', 'stat=', '-p', `${pid}`], { encoding: 'utf8' }).slice(0, 1);

/** A message of the Postgres protocol: its type, then its length with the length itself. */
function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const query = (sql: string): Buffer => message('Q', Buffer.from(`${sql}\0`));

async function session(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(message('', Buffer.from('\0\x03\0\0user\0postgres\0\0', 'latin1')));
  let heard = '';
  const hear = (chunk: Buffer): void => {
    heard += chunk.toString('latin1');
  };
  socket.on('data', hear);
  await until(() => heard.endsWith('Z\0\0\0\x05I'), { what: 'Postgres to be ready for a query' });
  socket.off('data', hear);
  return socket;
}
