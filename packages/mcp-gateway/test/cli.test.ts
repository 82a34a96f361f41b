import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { isAlive, type StdioFixture, stdioFixture, type TempDir, tempDir, until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };
import { RawClient } from './raw-http.ts';

const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
const nodeArgs = ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', cli];
const canary = 'canary-93ab';

let folder: TempDir;
let program: StdioFixture;
const running = new Set<ChildProcess>();

beforeAll(() => {
  folder = tempDir('cli-');
  program = stdioFixture({ env: { SECRET: `${canary}-env` } });
  const { command, args, env } = program;
  write('good.json', { mcpServers: { own: { command, args, env } }, port: 0, limits: [] });
  write('tokens.json', {
    mcpServers: { own: { command, args, env } },
    port: 0,
    tokens: [{ token: `\${env:GATE_TOKEN}`, tenant: 'acme' }],
  });
  write('bad.json', { mcpServers: { own: { command: 'no-such-program-here', shell: true } }, dataDir: 'never' });
});
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await program[Symbol.asyncDispose]();
  folder.remove();
});

function write(name: string, content: object): void {
  writeFileSync(join(folder.path, name), JSON.stringify(content));
}

class Run {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(...args: string[]) {
    const env = { ...process.env, GATE_TOKEN: `${canary}-token` };
    this.child = spawn(process.execPath, [...nodeArgs, ...args], { cwd: folder.path, env, stdio: 'pipe' });
    running.add(this.child);
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.exit = new Promise((resolve) => {
      this.child.once('close', (code) => {
        running.delete(this.child);
        resolve(code);
      });
    });
  }

  /** Every line of the log, each of which must be JSON. */
  get log(): Record<string, unknown>[] {
    return this.stderr
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  /** The address it listens at. */
  listening(): Promise<string> {
    const found = () => {
      if (this.child.exitCode !== null) throw new Error(`it ended: ${this.stderr}`);
      return this.log.find(({ event }) => event === 'listening')?.['url'] as string | undefined;
    };
    return until(found, { what: 'the gateway listens', timeoutMs: 20_000 });
  }
}

async function outcome(...args: string[]): Promise<[number | null, string, string]> {
  const run = new Run(...args);
  return [await run.exit, run.stdout, run.stderr];
}

describe.concurrent('ends at once', () => {
  test('--help and --version', async () => {
    const [[helped, help, noise], version] = await Promise.all([outcome('--help'), outcome('--version')]);
    expect([helped, noise]).toEqual([0, '']);
    expect(help).toContain('tidegate serve [--config tidegate.json]');
    expect(help).toContain('Exit codes: 0 clean, 2 usage or configuration, 3 internal error, 130 interrupted.');
    expect(version).toEqual([0, `${manifest.version}\n`, '']);
  });

  test.each<[string[], string]>([
    [[], 'a command is missing'],
    [['start'], "there is no command 'start'"],
    [['serve', 'again'], "unexpected 'again'"],
    [['--verbose'], "Unknown option '--verbose'"],
    [['serve', '--config', 'good.json', '--port', '70000'], "--port must be a whole number from 0 to 65535, not '70000'"],
  ])('usage: %j', async (args, message) => {
    const [code, stdout, stderr] = await outcome(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`tidegate: ${message}`);
    expect(stderr).toContain('tidegate serve [--config tidegate.json]');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('check says that a file is in order, or what is wrong and where', async () => {
    expect(await outcome('check', '-c', 'good.json')).toEqual([0, 'good.json is in order\n', '']);
    expect(await outcome('check', '-c', 'bad.json')).toEqual([2, '', "bad.json:1:56 /mcpServers/own/shell unknown option 'shell'\n"]);
    expect(await outcome('check')).toEqual([2, '', 'tidegate.json there is no such file\n']);
  });

  test('serve says the same and starts nothing', async () => {
    expect(await outcome('serve', '-c', 'bad.json')).toEqual([2, '', "bad.json:1:56 /mcpServers/own/shell unknown option 'shell'\n"]);
    expect(existsSync(join(folder.path, 'never'))).toBe(false);
  });
});

describe('serve', () => {
  test('a port in use and a host for everybody without tokens: one clear line, exit 2, nothing left', async () => {
    const holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    const { port } = holder.address() as AddressInfo;
    const [taken, open] = await Promise.all([
      outcome('serve', '-c', 'good.json', '--port', `${port}`),
      outcome('serve', '-c', 'good.json', '--host', '0.0.0.0'),
    ]);
    holder.close();
    expect(taken.slice(0, 2)).toEqual([2, '']);
    expect(taken[2]).toContain(`tidegate: cannot listen: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`);
    expect(open.slice(0, 2)).toEqual([2, '']);
    expect(open[2]).toContain("tidegate: host '0.0.0.0' can be reached from other machines; that needs tokens in the configuration\n");
    for (const [, , stderr] of [taken, open]) expect(stderr).not.toMatch(/\n\s+at /);
    expect(program.control.pids().filter(isAlive)).toEqual([]);
  });

  test.each<[NodeJS.Signals, number]>([
    ['SIGINT', 130],
    ['SIGTERM', 0],
  ])('%s ends it with %i and all that it started, even in the middle of a call', async (signal, code) => {
    const run = new Run('serve', '-c', 'good.json');
    const client = await RawClient.connect(await run.listening());
    await client.call('own__echo', { text: 'x' });
    const [pid] = program.control.pids().filter(isAlive);
    const hanging = client.call('own__hang').catch(() => 'cut');
    await until(() => program.control.executions('hang') > (signal === 'SIGINT' ? 0 : 1), { what: 'the call has reached the server' });
    run.child.kill(signal);
    expect(await run.exit).toBe(code);
    await hanging;
    expect(pid).toBeDefined();
    expect(program.control.pids().filter(isAlive)).toEqual([]);
    expect(run.stdout).toBe('');
    expect(run.log.map(({ message }) => message)).toContain('no tokens are configured: everybody on this machine is one anonymous tenant');
    for (const line of run.log)
      expect(line).toMatchObject({ time: expect.any(String), level: expect.any(String), message: expect.any(String) });
  });

  test('tokens come from the environment and are in no line of the log', async () => {
    const run = new Run('serve', '-c', 'tokens.json', '--host', '127.0.0.1');
    const url = await run.listening();
    await expect(RawClient.connect(url)).rejects.toThrow('401');
    const client = await RawClient.connect(url, { authorization: `Bearer ${canary}-token` });
    await client.call('own__crash');
    await until(() => run.stderr.includes('"down"'), { what: 'the log tells of the crash' });
    run.child.kill('SIGTERM');
    expect(await run.exit).toBe(0);
    expect(run.stderr).not.toContain(canary);
    expect(run.stderr).not.toContain('anonymous');
  });
});

describe('serve --stdio', () => {
  test('a client of the SDK starts it, calls, and ends it with the end of its input', async () => {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [...nodeArgs, 'serve', '--stdio', '-c', 'good.json'],
      cwd: folder.path,
      stderr: 'ignore',
    });
    const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
    await client.connect(transport);
    const gateway = transport.pid;
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('own__echo');
    expect(await client.callTool({ name: 'own__add', arguments: { a: 2, b: 3 } })).toMatchObject({ content: [{ text: '5' }] });
    await client.close();
    await until(() => !isAlive(gateway ?? 0), { what: 'the gateway has ended' });
    expect(program.control.pids().filter(isAlive)).toEqual([]);
  });

  test.each<[string, (run: Run) => unknown, number]>([
    ['the end of its input', (run) => run.child.stdin?.end(), 0],
    ['SIGINT', (run) => run.child.kill('SIGINT'), 130],
    ['SIGTERM', (run) => run.child.kill('SIGTERM'), 0],
    ['a client that does not read any more', (run) => run.child.stdout?.destroy() && run.child.stdin?.write('{}\n'), 0],
  ])('%s ends it; nothing but the protocol is on its standard output', async (_name, end, code) => {
    const run = new Run('serve', '--stdio', '-c', 'good.json');
    run.child.stdin?.on('error', () => {}).write('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}\nnot JSON\n');
    await until(() => run.stdout.split('\n').length === 3 && run.stderr.includes('"up"'), { what: 'it runs', timeoutMs: 20_000 });
    expect(
      run.stdout
        .split('\n')
        .slice(0, 2)
        .map((line) => JSON.parse(line)),
    ).toMatchObject([{ id: 1, result: {} }, { error: {} }]);
    end(run);
    expect(await run.exit).toBe(code);
    expect(program.control.pids().filter(isAlive)).toEqual([]);
    expect(run.log.length).toBeGreaterThan(0);
  });
});
