import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative } from 'node:path';
import { build } from 'esbuild';
import ts from 'typescript';
import { beforeAll, describe, expect, test } from 'vitest';
import { must } from './command.ts';
import { type Package, packages, readManifest, root } from './workspace.ts';

/** The only files that may know a sibling, and which: see "Who may know whom" in ARCHITECTURE.md. */
const mayKnow: Readonly<Record<string, readonly string[]>> = {
  'packages/mcp-gateway/src/compose.ts': ['@tidegate/circuit-breaker', '@tidegate/rate-limit', '@tidegate/cost-tracker'],
  'packages/traceability/src/specs.ts': ['@tidegate/spec-schema'],
};

/** Libraries that only the benchmarks and the tests of the whole set may compare with. */
const rivals = ['opossum', 'cockatiel', 'rate-limiter-flexible', 'limiter', 'bottleneck', 'p-retry', 'p-throttle', 'mitata', 'tinybench'];

/** Clients of the databases that limits and ledgers are compared on: both sides are given them. */
const clients = ['ioredis', 'pg', '@types/pg', '@photostructure/sqlite'];

/** What the root entry of a leaf may load beside Node's own modules. */
const rootMayLoad: Readonly<Record<string, readonly string[]>> = { 'spec-schema': ['eventemitter3', 'p-limit', 'zod', 'yaml'] };
const leafMayLoad = ['eventemitter3', 'p-limit'];

const isLeaf = ({ short }: Package) => short !== 'mcp-gateway' && short !== 'traceability';
const isTestFile = (file: string) => /\.test\.ts$/.test(file) || /^(packages\/[^/]+\/test|tests|test-kit|benchmarks)\//.test(file);
const packageNameOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');

interface Import {
  readonly file: string;
  readonly name: string;
}

async function importsOfRepository(): Promise<Import[]> {
  const listed = await must('git', ['ls-files', '-co', '--exclude-standard', '*.ts', '*.tsx', '*.mts', '*.cts', '*.js', '*.mjs', '*.cjs'], {
    cwd: root,
  });
  const files = listed.stdout.split('\n').filter((file) => file !== '' && existsSync(join(root, file)));
  return files.flatMap((file) => {
    const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true);
    const foreign = importedFiles.map(({ fileName }) => fileName).filter((name) => !name.startsWith('.') && !isBuiltin(name));
    return foreign.map((name) => ({ file, name: packageNameOf(name) }));
  });
}

let imports: readonly Import[];

beforeAll(async () => {
  imports = await importsOfRepository();
});

const broken = (rule: (each: Import) => boolean) => imports.filter(rule).map(({ file, name }) => `${file} imports ${name}`);

describe('who may know whom', () => {
  test('sources were read', () => {
    const inSources = imports.filter(({ file }) => /^packages\/[^/]+\/src\//.test(file));
    expect(inSources.length).toBeGreaterThan(0);
  });

  test('packages meet only where they are composed', () => {
    const meets = ({ file, name }: Import) => /^packages\/[^/]+\/src\//.test(file) && name.startsWith('@tidegate/');
    expect(broken((each) => meets(each) && !mayKnow[each.file]?.includes(each.name))).toEqual([]);
  });

  test('a package declares the siblings it composes and no other', () => {
    const declared = packages.flatMap(({ short, manifest }) => {
      const all = { ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.optionalDependencies };
      const siblings = Object.keys(all).filter((name) => name.startsWith('@tidegate/'));
      const allowed = Object.entries(mayKnow).flatMap(([file, names]) => (file.startsWith(`packages/${short}/`) ? names : []));
      return siblings.filter((name) => !allowed.includes(name)).map((name) => `${short} depends on ${name}`);
    });
    expect(declared).toEqual([]);
  });

  test('the test kit is known to test files and benchmarks alone', () => {
    expect(broken(({ file, name }) => name === '@tidegate/test-kit' && !isTestFile(file))).toEqual([]);
  });

  test('rivals are known to benchmarks and the tests of the whole set alone', () => {
    expect(broken(({ file, name }) => rivals.includes(name) && !/^(benchmarks|tests)\//.test(file))).toEqual([]);
    const manifests = [...packages.map(({ folder }) => folder), join(root, 'examples'), join(root, 'test-kit'), root];
    const declared = manifests.flatMap((folder) => {
      const { dependencies, devDependencies, peerDependencies } = readManifest(join(folder, 'package.json'));
      return Object.keys({ ...dependencies, ...devDependencies, ...peerDependencies }).filter((name) => rivals.includes(name));
    });
    expect(declared).toEqual([]);
  });

  test('every rival the benchmarks compare with is on the list', () => {
    const { dependencies, devDependencies } = readManifest(join(root, 'benchmarks/package.json'));
    const others = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !name.startsWith('@tidegate/'));
    expect(others.filter((name) => !rivals.includes(name) && !clients.includes(name))).toEqual([]);
  });
});

/** The foreign packages an entry loads at once, and all that it could ever load, through every file it reaches. */
async function loadedBy(entry: string): Promise<{ atOnce: string[]; ever: string[] }> {
  const { metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    logLevel: 'silent',
  });
  const ever = new Set<string>();
  const atOnce = new Set<string>();
  const visited = new Set<string>();
  const visit = (file: string, lazily: boolean): void => {
    const step = `${file} ${lazily}`;
    if (visited.has(step)) return;
    visited.add(step);
    for (const { path, kind, external } of metafile.inputs[file]?.imports ?? []) {
      const later = lazily || kind === 'dynamic-import';
      if (!external) visit(path, later);
      else if (!isBuiltin(path)) for (const names of later ? [ever] : [ever, atOnce]) names.add(packageNameOf(path));
    }
  };
  visit(relative(root, entry), false);
  return { atOnce: [...atOnce], ever: [...ever] };
}

describe.each(packages.filter(isLeaf))('the root entry of $name', ({ short, doors }) => {
  test('loads little, and never telemetry', async () => {
    const { atOnce, ever } = await loadedBy(doors[0]?.source ?? expect.fail('no root entry'));
    const allowed = rootMayLoad[short] ?? leafMayLoad;
    expect(atOnce.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(ever).not.toContain('@opentelemetry/api');
    expect(ever).not.toContain('prom-client');
  });
});

test('the core of the gateway reaches no sibling', async () => {
  const core = packages.flatMap(({ doors }) => doors).find(({ specifier }) => specifier === '@tidegate/mcp-gateway/core');
  const { ever } = await loadedBy(core?.source ?? expect.fail('the gateway has no core'));
  expect(ever.filter((name) => name.startsWith('@tidegate/'))).toEqual([]);
});
