import { existsSync } from 'node:fs';
import { appendFile, cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ended, must, pnpm, run } from './command.ts';
import { root } from './workspace.ts';

/** One package stands for all: the rules that must catch a fault are the same for each. */
const home = 'packages/circuit-breaker';
/** The copy keeps the root's configuration, that package, its test kit, what the recipe of builds bundles pages with, and of the tests what checks a published package. */
const kept = /^(?:[^/]+|(?:packages\/circuit-breaker|test-kit|ui)\/.+|tests\/(?:package\.json|[\w-]+(?<!\.test)\.ts|published\.test\.ts))$/;

let copy: string;

async function copyRepository(): Promise<string> {
  const target = await realpath(await mkdtemp(join(tmpdir(), 'tidegate-faults-')));
  const { stdout } = await must('git', ['ls-files', '-co', '--exclude-standard'], { cwd: root });
  for (const file of stdout.split('\n').filter((name) => kept.test(name) && existsSync(join(root, name)))) {
    await mkdir(dirname(join(target, file)), { recursive: true });
    await cp(join(root, file), join(target, file));
  }
  await symlink(join(root, 'node_modules'), join(target, 'node_modules'));
  // their links lead to the root's node_modules by relative paths, which the copy has too
  for (const folder of [home, 'test-kit', 'tests', 'ui']) {
    await cp(join(root, folder, 'node_modules'), join(target, folder, 'node_modules'), { recursive: true, verbatimSymlinks: true });
  }
  return target;
}

beforeAll(async () => {
  copy = await copyRepository();
});

afterAll(() => rm(copy, { recursive: true, force: true }));

const commands = {
  lint: ['lint'],
  'api-docs': ['api-docs'],
  'published check': ['exec', 'vitest', 'run', 'tests/published.test.ts', '-t', 'publint'],
} as const;

function execute(command: keyof typeof commands): Promise<Ended> {
  return run(...pnpm(commands[command]), { cwd: copy });
}

interface Fault {
  readonly fault: string;
  readonly file: string;
  readonly command: keyof typeof commands;
  readonly message: RegExp;
  /** Changes the file, which may not exist yet. */
  readonly plant: (file: string) => Promise<void>;
}

const faults: readonly Fault[] = [
  {
    fault: 'an undeclared import of a sibling',
    file: 'src/planted.ts',
    command: 'lint',
    message: /planted\.ts[\s\S]*noUndeclaredDependencies[\s\S]*@tidegate\/rate-limit/,
    plant: (file) => writeFile(file, "import { RateLimiter } from '@tidegate/rate-limit';\n\nexport const planted = RateLimiter;\n"),
  },
  {
    fault: 'an undocumented export',
    file: 'src/index.ts',
    command: 'api-docs',
    message: /planted .*does not have any documentation/,
    plant: (file) => appendFile(file, 'export const planted = 1;\n'),
  },
  {
    fault: 'a floating promise',
    file: 'src/planted.ts',
    command: 'lint',
    message: /planted\.ts[\s\S]*noFloatingPromises/,
    plant: (file) => writeFile(file, 'async function later(): Promise<void> {}\n\nexport function planted(): void {\n  later();\n}\n'),
  },
  {
    fault: 'a wrong path of types',
    file: 'package.json',
    command: 'published check',
    message: /nowhere\.d\.ts.* does not exist/,
    plant: async (file) => writeFile(file, (await readFile(file, 'utf8')).replace('./dist/index.d.ts', './dist/nowhere.d.ts')),
  },
];

describe('a clean copy', () => {
  test.each(Object.keys(commands) as (keyof typeof commands)[])(
    'passes %s',
    async (command) => {
      const { code, output } = await execute(command);
      expect(code, output).toBe(0);
    },
    120_000,
  );
});

describe('a planted fault', () => {
  test.each(faults)(
    '$fault fails $command',
    async ({ file, command, message, plant }) => {
      const path = join(copy, home, file);
      const before = existsSync(path) ? await readFile(path) : undefined;
      await plant(path);
      try {
        const { code, output } = await execute(command);
        expect(code, output).not.toBe(0);
        expect(output).toMatch(message);
      } finally {
        await (before === undefined ? rm(path) : writeFile(path, before));
      }
    },
    120_000,
  );
});
