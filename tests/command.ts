import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { root } from './workspace.ts';

/** How a command ended and all it said, standard output and errors in the order they came. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly stdout: string;
}

/** What a command may be told beside its arguments. */
export interface Surroundings {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

// A command must run as in a user's shell: not as part of the test runner that started it.
function plainEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV$|NODE_OPTIONS$|NODE_V8_COVERAGE$)/.test(name));
  return { ...Object.fromEntries(inherited), NO_COLOR: '1', FORCE_COLOR: '0' };
}

/** Runs a command to its end; never rejects for an exit code. */
export function run(command: string, args: readonly string[], { cwd, env = {} }: Surroundings): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...plainEnvironment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output, stdout }));
  });
}

/** Runs a command that must succeed; its output is the error when it does not. */
export async function must(command: string, args: readonly string[], surroundings: Surroundings): Promise<Ended> {
  const ended = await run(command, args, surroundings);
  if (ended.code !== 0) throw new Error(`${command} ${args.join(' ')} exited ${ended.code}\n${ended.output}`);
  return ended;
}

/** A command line of pnpm: the one on the path where pnpm runs these tests, else the version the root package.json names. */
export function pnpm(args: readonly string[]): [command: string, args: string[]] {
  // a test must never reinstall the workspace it runs in
  const rest = ['--config.verify-deps-before-run=false', ...args];
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  if (folders.some((folder) => existsSync(join(folder, 'pnpm')))) return ['pnpm', rest];
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { packageManager: string };
  return ['npx', ['-y', packageManager, ...rest]];
}
