import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { isAlive, type ProcessTree, processTree, until } from '@tidegate/test-kit';
import { expect, test } from 'vitest';
import { root } from './workspace.ts';

/** The quickstart as `pnpm start` runs it. */
function start(...args: string[]): { child: ChildProcess; output: () => string; ended: Promise<number | null> } {
  const child = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--disable-warning=ExperimentalWarning',
      '--conditions=@tidegate/source',
      join(root, 'examples/quickstart/main.ts'),
      ...args,
    ],
    { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk);
    });
  }
  return { child, output: () => output, ended: new Promise((resolve) => child.once('close', resolve)) };
}

/** What a run says happened, without what differs from run to run. */
function steps(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => /^(\s+✓|\S)/.test(line))
    .map((line) =>
      line
        .trim()
        .replace(/127\.0\.0\.1:\d+/, '127.0.0.1:…')
        .replace(/\d+ ms/, '… ms')
        .replace(/in \d+ (days|hours|minutes|seconds?)/, 'in …'),
    );
}

test('every step happens, and the README shows what a run prints', { timeout: 60_000 }, async () => {
  const { output, ended } = start('--once');
  expect(await ended, output()).toBe(0);
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  const shown = /```text\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(steps(output())).toEqual(steps(shown));
});

test('without --once it stays up, every editor entry that it prints works, and Ctrl-C leaves nothing behind', {
  timeout: 60_000,
}, async () => {
  const { child, output, ended } = start();
  await until(() => output().includes('stay refused') || child.exitCode !== null, { what: 'the editor entries', timeoutMs: 40_000 });
  const entries = [...output().matchAll(/^ {4}\{\n[\s\S]*?^ {4}\}/gm)].map(([entry]) => JSON.parse(entry) as Entry);
  expect(entries, output()).toHaveLength(3);
  const counts = await Promise.all(entries.map(countTools));
  expect(counts).toEqual([36, 36, 36]);
  const started = pidsOf(processTree(child.pid as number));
  expect(started.length).toBeGreaterThan(4);
  child.kill('SIGINT');
  expect(await ended, output()).toBe(0);
  await until(() => !started.some(isAlive), { what: 'the end of every process that it started' });
});

interface Server {
  url?: string;
  command: string;
  args: string[];
}

/** VS Code has `servers`, the others `mcpServers`. */
type Entry = Record<string, { tidegate: Server }>;

async function countTools(entry: Entry): Promise<number> {
  const [{ url, command, args }] = Object.values(entry).map(({ tidegate }) => tidegate) as [Server];
  const client = new Client({ name: 'editor', version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  await client.connect(url === undefined ? new StdioClientTransport({ command, args }) : new StreamableHTTPClientTransport(new URL(url)));
  const { tools } = await client.listTools();
  await client.close();
  return tools.length;
}

function pidsOf(tree: ProcessTree | undefined): number[] {
  return tree === undefined ? [] : [tree.pid, ...tree.children.flatMap(pidsOf)];
}
