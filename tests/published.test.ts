import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from './command.ts';
import { Consumer, kinds } from './consumer.ts';
import { packInto } from './packed.ts';
import { type Package, packages } from './workspace.ts';

/** Packages that name an install script and need none of it, each with the reason; the last test holds the reason true. */
const harmlessScripts = new Map([['@photostructure/sqlite', 'its script only looks for the prebuilt binary that its own tarball carries']]);

let folder: string;
let tarballs: ReadonlyMap<string, string>;
const consumers = new Map<string, Promise<Consumer>>();

function tarballOf({ name }: Package): string {
  return tarballs.get(name) ?? expect.fail(`${name} was not packed`);
}

function installed(package_: Package): Promise<Consumer> {
  const known = consumers.get(package_.name) ?? Consumer.install(join(folder, package_.short), package_, tarballs);
  consumers.set(package_.name, known);
  return known;
}

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'tidegate-published-')));
  tarballs = await packInto(folder);
}, 180_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test('there are packages to publish', () => expect(packages.length).toBeGreaterThan(0));

describe.each(packages)('$name as published', (package_) => {
  test('publint and are-the-types-wrong have nothing to say', async () => {
    const bytes = await readFile(tarballOf(package_));
    const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(bytes).buffer }, strict: true });
    expect(messages.map((message) => formatMessage(message, pkg, { color: false }))).toEqual([]);

    const checked = await checkPackage(createPackageFromTarballData(bytes));
    expect(checked.types, 'has types').toBeTruthy();
    const problems = 'problems' in checked ? checked.problems : [];
    expect(problems.filter((problem) => !('resolutionKind' in problem) || problem.resolutionKind !== 'node10')).toEqual([]);
  }, 60_000);

  test('installs alone, and nothing it depends on needs an install script', async () => {
    const consumer = await installed(package_);
    expect((await consumer.scripted()).filter((name) => !harmlessScripts.has(name))).toEqual([]);
    expect(JSON.stringify(await consumer.manifest())).not.toContain('workspace:');
  }, 120_000);

  test.each(kinds)(
    'every door opens for a user of %s',
    async (kind) => {
      const consumer = await installed(package_);
      const doors = await consumer.open(kind);
      expect(Object.keys(doors)).toEqual(package_.doors.map(({ specifier }) => specifier));
      const [first] = Object.values(doors);
      for (const [specifier, { names, shared }] of Object.entries(doors)) {
        expect(names, `${specifier} exports something`).not.toEqual([]);
        // one copy of each class, whichever door it comes through: `instanceof` holds
        expect(shared, specifier).toEqual(names.filter((name) => first?.names.includes(name)));
      }
      expect(doors, 'CommonJS, ES modules and bundles offer the same').toEqual(await consumer.open('esm'));
    },
    120_000,
  );

  const bins = Object.keys(package_.manifest.publishConfig?.bin ?? {});
  if (bins.length === 0) return;
  test('its commands start from the tarball', async () => {
    const consumer = await installed(package_);
    const { version } = await consumer.manifest();
    for (const bin of bins) {
      const command = join(consumer.folder, 'node_modules/.bin', bin);
      expect((await must(command, ['--version'], { cwd: consumer.folder })).stdout).toContain(version);
      expect((await must(command, ['--help'], { cwd: consumer.folder })).stdout).toContain(bin);
    }
  }, 60_000);
});

test.each(['module', 'commonjs'])(
  'the page of usage comes out of the tarball (%s)',
  async (type) => {
    const { folder: cwd } = await installed(packages.find(({ short }) => short === 'cost-tracker') ?? expect.fail('no cost-tracker'));
    const load = type === 'module' ? "await import('@tidegate/cost-tracker/http')" : "require('@tidegate/cost-tracker/http')";
    const program = `(async () => {
    const page = (${load}).usagePage();
    const get = (name) => page(new Request('http://127.0.0.1/usage/' + name));
    const shell = await (await get('')).text();
    const names = [...shell.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, name]) => name);
    const files = await Promise.all(names.map(async (name) => [(await get(name)).status, (await (await get(name)).text()).length > 100]));
    console.log(JSON.stringify(files));
  })();`;
    const { stdout } = await must(process.execPath, [`--input-type=${type}`, '--eval', program], { cwd });
    expect(JSON.parse(stdout)).toEqual(Array(3).fill([200, true]));
  },
  120_000,
);

test('the SQLite fallback works although its install script never ran', async () => {
  const { folder: cwd } = await installed(packages.find(({ short }) => short === 'mcp-gateway') ?? expect.fail('no gateway'));
  const program = `
    import { DatabaseSync } from '@photostructure/sqlite';
    console.log(new DatabaseSync(':memory:').prepare('SELECT 6 * 7 AS answer').get().answer);`;
  expect((await must(process.execPath, ['--input-type=module', '--eval', program], { cwd })).stdout).toBe('42\n');
}, 120_000);
