import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { LlmEvent } from './fake-llm.ts';
import type { FixtureEvent } from './fixture-toolset.mjs';
import type { HttpFixtureOptions } from './http-fixture.ts';
import { ManagedServer } from './managed-server.ts';

/** A fixture server in a process of its own, which can be killed as the system kills and started again on the same port. */
export interface FixtureProcess<E> extends AsyncDisposable {
  readonly server: ManagedServer;
  /** Everything that its processes did up to now, in order, over all their restarts. */
  events(): E[];
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

async function startFixture<E>(name: string, program: string, path: string, options: object): Promise<FixtureProcess<E>> {
  const child = fileURLToPath(new URL(program, import.meta.url));
  const log = (folder: string): string => join(folder, 'events.jsonl');
  const server = await ManagedServer.start({
    name,
    command: process.execPath,
    args: (port, folder) => ['--import', tsx, child, `${port}`, log(folder), JSON.stringify(options)],
    url: (port) => `http://127.0.0.1:${port}${path}`,
    answers: async (port) => (await fetch(`http://127.0.0.1:${port}/`)).status > 0,
    endSignal: 'SIGTERM',
  });
  const file = log(server.folder);
  return {
    server,
    events: () =>
      existsSync(file)
        ? readFileSync(file, 'utf8')
            .split('\n')
            .slice(0, -1)
            .map((line) => JSON.parse(line) as E)
        : [],
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

/** Starts an {@link HttpFixture} as a process: an MCP server over streamable HTTP that a SIGKILL can end in mid-use. */
export function startHttpFixture(options: Omit<HttpFixtureOptions, 'port' | 'record'> = {}): Promise<FixtureProcess<FixtureEvent>> {
  return startFixture('mcp-http', './fixture-http.ts', '/mcp', options);
}

/** Starts a provider of language models as a process, whose faults are chosen by `seed`; see {@link llmFault}. */
export function startFakeLlm({ seed }: { seed: number }): Promise<FixtureProcess<LlmEvent>> {
  return startFixture('fake-llm', './fake-llm.ts', '/v1', { seed });
}
