import { type ChildProcess, spawn } from 'node:child_process';
import type { RpcMessage } from '../json-rpc.ts';
import { UnreachableError, UpstreamError } from '../upstream-error.ts';
import { takeFrame } from './frame.ts';
import { Lines, sampleOf } from './lines.ts';
import { largestMessage, type Pipe, type PipeListener } from './pipe.ts';

/** A server that is a child process. */
export interface StdioTarget {
  /** The program: a path, or a name that the PATH has. */
  readonly command: string;
  /** Its arguments; no shell reads them. */
  readonly args: readonly string[];
  /** Beside these only a short list of harmless names, PATH and HOME among them, reaches the server. */
  readonly env: Readonly<Record<string, string>>;
  /** The folder it is started in. */
  readonly cwd: string | undefined;
}

/** The environment that every server gets; nothing else of the gateway's own reaches it. */
export const inheritedNames =
  process.platform === 'win32'
    ? [
        'APPDATA',
        'HOMEDRIVE',
        'HOMEPATH',
        'LOCALAPPDATA',
        'PATH',
        'PROCESSOR_ARCHITECTURE',
        'SYSTEMDRIVE',
        'SYSTEMROOT',
        'TEMP',
        'USERNAME',
        'USERPROFILE',
      ]
    : ['HOME', 'LANG', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'TMPDIR', 'USER'];

const stderrKept = 2_000;

/** How long a server may take to end by itself, first after its input has ended, then after SIGTERM, in ms. */
const patience = { inputEnded: 1_000, terminated: 1_000 };

/** Newline-delimited messages over the standard streams of a child process in a group of its own. */
export class StdioPipe implements Pipe {
  readonly #server: string;
  readonly #target: StdioTarget;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  #stderr = '';
  #closing = false;

  constructor(server: string, target: StdioTarget) {
    this.#server = server;
    this.#target = target;
  }

  /** The process that runs the server, while it runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async open(listener: PipeListener): Promise<void> {
    const { command, args, env, cwd } = this.#target;
    const child = spawn(command, args, { env: { ...inherited(), ...env }, cwd, stdio: 'pipe', detached: process.platform !== 'win32' });
    this.#child = child;
    this.#read(child, listener);
    // what a server started and left would hold its output open, and live on
    child.once('exit', () => killGroup(child, 'SIGKILL'));
    this.#exited = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        groups.delete(child);
        resolve();
        if (!this.#closing) listener.closed(this.#ended(code, signal));
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', () => {
        groups.add(child);
        resolve();
      });
      child.once('error', (cause) => {
        reject(new UpstreamError(this.#server, `could not be started: ${cause.message}`, { carriedOut: 'no', cause }));
      });
    });
  }

  send(message: RpcMessage): Promise<'sent'> {
    return new Promise((resolve, reject) => {
      const input = this.#child?.stdin;
      const fail = () => reject(new UnreachableError(this.#server, 'does not run'));
      if (!input?.writable) return fail();
      input.write(`${JSON.stringify(message)}\n`, (error) => (error ? fail() : resolve('sent')));
    });
  }

  readonly cancelsByClosing = false;

  negotiated(): void {}

  async close(): Promise<void> {
    this.#closing = true;
    const child = this.#child;
    if (child === undefined) return;
    child.stdin?.end();
    if (!(await this.#exitsWithin(patience.inputEnded))) {
      killGroup(child, 'SIGTERM');
      if (!(await this.#exitsWithin(patience.terminated))) killGroup(child, 'SIGKILL');
    }
    await this.#exited;
  }

  #read(child: ChildProcess, listener: PipeListener): void {
    const lines = new Lines(
      largestMessage,
      (line) => takeFrame(line, 'line', listener),
      (problem) => listener.problem(problem),
    );
    child.stdout?.on('data', (chunk: Buffer) => lines.push(chunk));
    child.stdout?.once('end', () => lines.finish());
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-stderrKept);
    });
    // a server that ends while it is written to: its end is told by 'close'
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => {});
  }

  #ended(code: number | null, signal: string | null): UpstreamError {
    const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
    const last = this.#stderr.trim().split('\n').at(-1) ?? '';
    return new UpstreamError(this.#server, how, { carriedOut: 'perhaps', detail: sampleOf(last) });
  }

  #exitsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, ms, false);
    });
    return Promise.race([this.#exited.then(() => true), late]).finally(() => clearTimeout(timer));
  }
}

function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of inheritedNames) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

// Groups of their own do not get the terminal's Ctrl-C; whatever ends this process must end them too.
const groups = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of groups) killGroup(child, 'SIGKILL');
});

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // the whole group has ended already
  }
}
