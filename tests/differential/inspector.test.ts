import { join } from 'node:path';
import { createGateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { type TempDir, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../command.ts';
import { root } from '../workspace.ts';
import { lasting } from './account.ts';
import { type SubjectName, subjectNames, subjectOf } from './subjects.ts';

const inspectorBin = join(root, 'tests/node_modules/.bin/mcp-inspector');
const subjects = subjectNames.map(subjectOf);

let home: TempDir;
let close: () => Promise<void>;
let through: (...args: readonly string[]) => Promise<Printed>;

/** What the inspector says of an answer, and how it ends. */
interface Printed {
  readonly code: number | null;
  readonly answer: unknown;
}

async function inspector(...args: readonly string[]): Promise<Printed> {
  const { code, stdout, output } = await run(inspectorBin, ['--cli', ...args], { cwd: home.path, env: { HOME: home.path } });
  if (stdout === '') throw new Error(`the inspector printed nothing and ended with ${code}: ${output}`);
  return { code, answer: lasting(JSON.parse(stdout)) };
}

function directly(name: SubjectName, ...args: readonly string[]): Promise<Printed> {
  const { command } = subjects.find((subject) => subject.name === name) as (typeof subjects)[number];
  return inspector(command.command, ...command.args, ...args);
}

beforeAll(async () => {
  home = tempDir('inspector-');
  for (const subject of subjects) subject.reset();
  const mcpServers = Object.fromEntries(subjects.map(({ name, command }) => [name, command]));
  const gateway = await createGateway({ dataDir: join(home.path, 'data'), limits: [], mcpServers });
  const served = await serve(gateway, { port: 0 });
  through = (...args) => inspector(served.url, '--transport', 'http', ...args);
  close = () => served.close();
});
afterAll(async () => {
  await close();
  home.remove();
});

type Entry = { readonly name: string };

/** What the gateway's one list must be: those of the servers that have one in turn, with names that say whose they are. */
async function together(method: string, member: string, names: readonly SubjectName[], prefixed: boolean): Promise<Printed> {
  const printed = await Promise.all(names.map((name) => directly(name, '--method', method)));
  const entries = printed.flatMap(({ answer }, at) =>
    (answer as Record<string, Entry[]>)[member]?.map((entry) => (prefixed ? { ...entry, name: `${names[at]}__${entry.name}` } : entry)),
  );
  return { code: 0, answer: { [member]: entries } };
}

const patience = { timeout: 120_000 };

// most of an inspector's time is spent waiting for its server to end: these run side by side
test.concurrent.each([
  ['tools/list', 'tools', subjectNames, true, 38],
  ['prompts/list', 'prompts', ['everything'], true, 4],
  ['resources/list', 'resources', ['everything', 'memory'], false, 8],
] as const)(
  '%s of four servers through the gateway is to the inspector their lists in turn',
  patience,
  async (method, member, names, prefixed, size) => {
    const expected = await together(method, member, names, prefixed);
    expect((expected.answer as Record<string, unknown[]>)[member]).toHaveLength(size);
    expect(await through('--method', method)).toStrictEqual(expected);
  },
);

const graph = 'entities=[{"name":"Mina","entityType":"user","observations":["바다"]}]';
const thought = ['thought=Neap.', 'nextThoughtNeeded=true', 'thoughtNumber=1', 'totalThoughts=2'];

test.concurrent.each([
  ['everything', 'echo', ['message=밀물 🌊']],
  ['filesystem', 'read_text_file', ['path=/etc/hostname']],
  ['memory', 'create_entities', [graph]],
  ['sequential-thinking', 'sequentialthinking', thought],
] as const)(
  'server-%s answers a call of %s to the inspector through the gateway as it does without',
  patience,
  async (name, tool, args) => {
    const given = ['--tool-arg', ...args];
    const expected = await directly(name, '--method', 'tools/call', '--tool-name', tool, ...given);
    expect(expected.code).toBe(tool === 'read_text_file' ? 5 : 0);
    subjects.find((subject) => subject.name === name)?.reset();
    expect(await through('--method', 'tools/call', '--tool-name', `${name}__${tool}`, ...given)).toStrictEqual(expected);
  },
);
