import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FixtureEvent } from './fixture-toolset.mjs';
import { tempDir } from './temp-dir.ts';

export type { FixtureEvent } from './fixture-toolset.mjs';

/** What a stdio fixture does wrong; several may be on at once. */
export interface StdioFaults {
  /** The process exits before it reads anything (code 71). */
  exitAtStart?: boolean;
  /** Messages are read and never answered. */
  hang?: boolean;
  /** Milliseconds before a message is handled. */
  slow?: number;
  /** A line that is not JSON before each answer. */
  garbage?: boolean;
  /** Only these JSON-RPC methods are hit by `hang`, `slow` and `garbage`; all when absent. */
  methods?: string[];
}

export interface StdioFixtureOptions {
  /** The name in `serverInfo`. */
  name?: string;
  /** Tools and prompts in one page of their list; everything in one page when absent. */
  pageSize?: number;
  /** Ends neither at SIGTERM nor at the end of its input: only SIGKILL ends it. */
  stubborn?: boolean;
  /** Further environment variables. */
  env?: Record<string, string>;
}

/** The hand on the processes that were started from one command line, over all their restarts. */
export interface StdioControl {
  /** Replaces the faults; processes that run feel it with the next message. `{}` heals. */
  set(faults: StdioFaults): void;
  /** Everything the processes did, in order. */
  events(): FixtureEvent[];
  /** How often a tool (any tool when absent) was executed. */
  executions(tool?: string): number;
  /** The process ids in the order of their starts, with those that have ended. */
  pids(): number[];
}

export interface StdioFixture extends AsyncDisposable {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly control: StdioControl;
}

const child = fileURLToPath(new URL('./fixture-stdio.mjs', import.meta.url));

/**
 * A command line that starts an MCP server over stdio. Nothing runs until somebody starts it; who starts it ends it.
 * Disposing removes the fixture's own files.
 */
export function stdioFixture({ env = {}, ...options }: StdioFixtureOptions = {}): StdioFixture {
  const folder = tempDir('mcp-');
  const log = join(folder.path, 'log.jsonl');
  const faults = join(folder.path, 'faults.json');
  writeFileSync(log, '');
  writeFileSync(faults, '{}');
  return {
    command: process.execPath,
    args: [child],
    env: { ...env, MCP_FIXTURE_OPTIONS: JSON.stringify(options), MCP_FIXTURE_LOG: log, MCP_FIXTURE_CONTROL: faults },
    control: control(log, faults),
    [Symbol.asyncDispose]: async () => folder.remove(),
  };
}

function control(log: string, faults: string): StdioControl {
  const events = (): FixtureEvent[] =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as FixtureEvent);
  return {
    events,
    set(next) {
      // By rename, so that a process never reads half of it.
      writeFileSync(`${faults}.next`, JSON.stringify(next));
      renameSync(`${faults}.next`, faults);
    },
    executions: (tool) => events().filter(({ event, tool: name }) => event === 'call' && (tool === undefined || tool === name)).length,
    pids: () => events().flatMap(({ event, pid }) => (event === 'start' && pid !== undefined ? [pid] : [])),
  };
}
