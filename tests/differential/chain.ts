import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { freePort, tempDir, until } from '@tidegate/test-kit';
import { root } from '../workspace.ts';
import type { Subject } from './subjects.ts';

/** A foreign bridge in a process of its own. */
export interface Bridge extends AsyncDisposable {
  readonly url: URL;
  readonly port: number;
}

interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

const installed = (path: string) => join(root, 'tests/node_modules', path);

// supergateway itself would listen on every interface of this machine and has no option for it
const loopbackOnly = pathToFileURL(join(root, 'examples/quickstart/loopback-only.mjs')).href;

// what a killed test run leaves must end by itself: its input ends then
const whileWeLive = `data:text/javascript,${encodeURIComponent("process.stdin.on('close', () => process.exit()).resume()")}`;

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const cli = fileURLToPath(new URL('../../packages/mcp-gateway/src/cli.ts', import.meta.url));

async function answers(url: URL): Promise<boolean> {
  await (await fetch(url, { method: 'DELETE' })).arrayBuffer();
  return true;
}

/** Starts a program that serves streamable HTTP; it and what it started end with it. */
async function start(name: string, port: number, args: readonly string[]): Promise<Bridge> {
  // a group of its own, so that what it started can be ended even if it forgets it
  const child = spawn(process.execPath, ['--import', whileWeLive, ...args], { detached: true, stdio: 'pipe' });
  const exit = once(child, 'exit');
  let said = '';
  const hear = (text: Buffer) => {
    said += text;
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const gone = () => child.exitCode !== null || child.signalCode !== null;
  const end = async () => {
    if (!gone()) child.kill('SIGTERM');
    const late = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 8_000);
    await exit;
    clearTimeout(late);
  };
  const url = new URL(`http://127.0.0.1:${port}/mcp`);
  try {
    await until(async () => gone() || (await answers(url)), { timeoutMs: 60_000, what: `${name} to answer` });
    if (gone()) throw new Error(`${name} ended: ${said}`);
  } catch (error) {
    await end();
    throw error;
  }
  return { url, port, [Symbol.asyncDispose]: end };
}

/** mcp-proxy in front of a server over stdio. */
export async function mcpProxy({ command, args }: Command, options: readonly string[] = []): Promise<Bridge> {
  const port = await freePort();
  const program = installed('mcp-proxy/dist/bin/mcp-proxy.mjs');
  const where = ['--host', '127.0.0.1', '--port', `${port}`, '--server', 'stream'];
  return start('mcp-proxy', port, [program, ...where, ...options, '--', command, ...args]);
}

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

/** supergateway in front of a server over stdio, of which it starts one for each session. */
export async function supergateway({ command, args }: Command): Promise<Bridge> {
  const port = await freePort();
  const program = installed('supergateway/dist/index.js');
  const options = ['--outputTransport', 'streamableHttp', '--stateful', '--port', `${port}`];
  const line = [command, ...args].map(quoted).join(' ');
  return start('supergateway', port, ['--import', loopbackOnly, program, '--stdio', line, ...options]);
}

/** Which of this machine's other addresses can be connected to at this port. */
export async function openToOthers(port: number): Promise<string[]> {
  const outside = Object.values(networkInterfaces()).flatMap((each = []) => each.filter(({ internal, scopeid }) => !internal && !scopeid));
  // on Linux, who listens everywhere listens here too, even where there is no network
  const others = [...outside.map(({ address }) => address), ...(process.platform === 'linux' ? ['127.0.0.2'] : [])];
  const reached = await Promise.all(
    others.map(async (address) => {
      const socket = connect(port, address);
      const opened = await once(socket, 'connect').then(
        () => true,
        () => false,
      );
      socket.destroy();
      return opened ? [address] : [];
    }),
  );
  return reached.flat();
}

/** A command line of the gateway in front of one server, which it serves over its standard streams. */
export function tidegate(subject: Subject, url: URL): Command {
  const { path } = tempDir('chained-');
  const config = join(path, 'tidegate.json');
  writeFileSync(config, JSON.stringify({ mcpServers: { [subject.name]: { url: url.href } }, limits: [], dataDir: join(path, 'data') }));
  const args = ['--import', tsx, '--conditions=@tidegate/source', cli, 'serve', '--stdio', '--config', config];
  return { command: process.execPath, args };
}
