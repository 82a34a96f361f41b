import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort, until } from '@tidegate/test-kit';
import { root } from './workspace.ts';

// the server itself would listen on every interface of this machine
const loopbackOnly = pathToFileURL(join(root, 'examples/quickstart/loopback-only.mjs')).href;

// what a killed test run leaves must end by itself: its input ends then
const whileWeLive = `data:text/javascript,${encodeURIComponent("process.stdin.on('close', () => process.exit()).resume()")}`;

const entry = join(root, 'tests/node_modules/@modelcontextprotocol/server-everything/dist/index.js');

/** The npm server `server-everything` over HTTP+SSE in a process of its own, on a port that it keeps. */
export class EverythingOverSse implements AsyncDisposable {
  readonly port: number;
  #child: ChildProcess | undefined;

  private constructor(port: number) {
    this.port = port;
  }

  static async start(): Promise<EverythingOverSse> {
    const server = new EverythingOverSse(await freePort());
    await server.start();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/sse`;
  }

  async start(): Promise<void> {
    const { PATH = '' } = process.env;
    this.#child = spawn(process.execPath, ['--import', whileWeLive, '--import', loopbackOnly, entry, 'sse'], {
      env: { PATH, PORT: `${this.port}` },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const answers = async () => {
      await (await fetch(this.url, { method: 'DELETE' })).arrayBuffer();
      return true;
    };
    await until(answers, { timeoutMs: 60_000, what: 'server-everything to answer' });
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
