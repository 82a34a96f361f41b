import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { guard } from './guard.ts';
import { isAlive, type ProcessTree, processTree } from './process-tree.ts';
import { type TempDir, tempDir } from './temp-dir.ts';
import { until } from './until.ts';

/** How one kind of server is started, asked and ended. */
export interface ServerRecipe {
  readonly name: string;
  readonly command: string;
  readonly args: (port: number, folder: string) => string[];
  readonly url: (port: number) => string;
  readonly answers: (port: number) => Promise<boolean>;
  /** Ends it cleanly and soon. */
  readonly endSignal: NodeJS.Signals;
  /** The user to run as, where the server refuses to run as root. */
  readonly user?: { uid: number; gid: number } | undefined;
  /** Before the first start. */
  readonly prepare?: (folder: string) => Promise<void>;
  /** After the end, for what a SIGKILL leaves outside the folder. */
  readonly sweep?: (folder: string) => void;
}

const START_TIMEOUT_MS = 30_000;
const END_TIMEOUT_MS = 10_000;
const PORT_ATTEMPTS = 3;

/** A real server of one test file, on the loopback address with a data folder of its own. */
export class ManagedServer implements AsyncDisposable {
  #recipe: ServerRecipe;
  #folder: TempDir;
  #port: number;
  #child: ChildProcess | undefined;
  #guard: ChildProcess | undefined;
  #paused = false;

  private constructor(recipe: ServerRecipe, folder: TempDir, port: number) {
    this.#recipe = recipe;
    this.#folder = folder;
    this.#port = port;
  }

  /** Resolves when the server answers its own protocol. */
  static async start(recipe: ServerRecipe): Promise<ManagedServer> {
    const server = new ManagedServer(recipe, tempDir(`${recipe.name}-`), await freePort());
    try {
      await recipe.prepare?.(server.folder);
      await server.#startOnFreePort();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return this.#recipe.url(this.#port);
  }

  /** The data folder; gone after `stop`. */
  get folder(): string {
    return this.#folder.path;
  }

  /** Undefined while it is killed. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** SIGKILL to the server and all it started; resolves when they are gone. The data folder stays as it was found. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    // Stopped first, so that it starts nothing while it is looked at.
    signal(child.pid, 'SIGSTOP');
    const family = descendants(child.pid);
    signal(-child.pid, 'SIGKILL');
    for (const pid of family) signal(pid, 'SIGKILL');
    await this.#ended(child, family);
  }

  /** Kills what runs and starts again on the same port and data. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#start();
  }

  /** SIGSTOP to all its processes: connections stay open and nothing answers. */
  pause(): void {
    if (this.pid === undefined) throw new Error(`${this.#recipe.name} does not run`);
    this.#paused = true;
    signal(this.pid, 'SIGSTOP');
    for (const pid of descendants(this.pid)) signal(pid, 'SIGSTOP');
  }

  /** Ends `pause`. */
  resume(): void {
    if (this.pid === undefined || !this.#paused) return;
    this.#paused = false;
    for (const pid of descendants(this.pid)) signal(pid, 'SIGCONT');
    signal(this.pid, 'SIGCONT');
  }

  /** Ends the server, cleanly where it can, and removes the data folder. May be called again. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child?.pid !== undefined) {
      this.resume();
      const family = descendants(child.pid);
      signal(child.pid, this.#recipe.endSignal);
      await this.#ended(child, family).catch(() => this.kill());
    }
    this.#recipe.sweep?.(this.folder);
    this.#folder.remove();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #startOnFreePort(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#start();
      } catch (error) {
        // Somebody else may have taken the port between its choice and its use.
        if (attempt === PORT_ATTEMPTS) throw error;
        this.#port = await freePort();
      }
    }
  }

  async #start(): Promise<void> {
    const { name, command, args, user, answers } = this.#recipe;
    const log = openSync(join(this.folder, 'log'), 'w');
    const child = spawn(command, args(this.#port, this.folder), {
      cwd: this.folder,
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, LC_ALL: 'C' },
      ...user,
    });
    closeSync(log);
    await once(child, 'spawn');
    child.unref();
    this.#child = child;
    this.#paused = false;
    this.#guard = guard('kill -s KILL -- "-$1"; rm -rf "$2"', `${child.pid}`, this.folder);
    const gone = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await until(async () => gone() || (await answers(this.#port)), { timeoutMs: START_TIMEOUT_MS, what: `${name} to answer` });
    if (!gone()) return;
    await this.#ended(child, []);
    throw new Error(`${name} did not start: ${readFileSync(join(this.folder, 'log'), 'utf8').slice(0, 2_000)}`);
  }

  async #ended(child: ChildProcess, family: number[]): Promise<void> {
    const gone = (): boolean => (child.exitCode !== null || child.signalCode !== null) && !family.some(isAlive);
    await until(gone, { timeoutMs: END_TIMEOUT_MS, what: `${this.#recipe.name} to end` });
    this.#guard?.kill('SIGKILL');
    this.#guard = undefined;
    this.#child = undefined;
  }
}

function descendants(pid: number): number[] {
  const below = ({ children }: ProcessTree): number[] => children.flatMap((child) => [child.pid, ...below(child)]);
  const tree = processTree(pid);
  return tree ? below(tree) : [];
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    // It ended by itself in the meantime.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
