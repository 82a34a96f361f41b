import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
// the server itself would listen on every interface of this machine
const loopbackOnly = fileURLToPath(new URL('./loopback-only.mjs', import.meta.url));

/** The npm server `server-everything` over streamable HTTP in a process of its own, on a port that it keeps. */
export class EverythingOverHttp {
  readonly port: number;
  readonly #instance: string;
  #child: ChildProcess | undefined;

  constructor(port: number, instance: string) {
    this.port = port;
    this.#instance = instance;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/mcp`;
  }

  /** Starts the process; resolves once it answers. */
  async start(): Promise<void> {
    const entry = require.resolve('@modelcontextprotocol/server-everything/package.json').replace('package.json', 'dist/index.js');
    const { PATH = '' } = process.env;
    this.#child = spawn(process.execPath, ['--import', loopbackOnly, entry, 'streamableHttp'], {
      env: { PATH, PORT: String(this.port), INSTANCE: this.#instance },
      stdio: 'ignore',
    });
    for (let attempt = 0; attempt < 200; attempt += 1) {
      if (await answers(this.url)) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`server-everything did not answer at ${this.url}`);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

/** A port of the loopback interface that nobody has: the wished one if it is free. */
export async function freePort(wished = 0): Promise<number> {
  const server = createServer();
  const listening = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(wished, '127.0.0.1', () => resolve(true));
  });
  if (!listening) return freePort();
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await fetch(url, { method: 'DELETE' })).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
