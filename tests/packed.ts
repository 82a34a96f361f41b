import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { must, pnpm } from './command.ts';
import { type Package, packages, root } from './workspace.ts';

const changedAt = (file: string): number => statSync(file).mtimeMs;

function newestInput({ folder }: Package): number {
  const src = join(folder, 'src');
  const ui = join(root, 'ui/src'); // inlined into pages
  const inside = [src, ui].flatMap((from) => readdirSync(from, { recursive: true, encoding: 'utf8' }).map((file) => join(from, file)));
  return Math.max(
    ...[src, join(folder, 'package.json'), join(root, 'tsup.config.ts'), join(root, 'ui/bundle.ts'), ...inside].map(changedAt),
  );
}

function outputsOf({ folder, doors }: Package): string[] {
  const names = doors.map(({ source }) => join(folder, 'dist', source.slice(join(folder, 'src/').length).replace(/\.ts$/, '')));
  return names.flatMap((name) => ['.js', '.cjs', '.d.ts', '.d.cts'].map((extension) => name + extension));
}

function isStale(package_: Package): boolean {
  const outputs = outputsOf(package_);
  return !outputs.every(existsSync) || Math.min(...outputs.map(changedAt)) < newestInput(package_);
}

/**
 * Packs every package into `folder`, exactly as it would be published, and tells where each tarball lies.
 *
 * Builds first what is missing or older than its sources. Builds write into `packages/*\/dist`, so one test file calls this.
 */
export async function packInto(folder: string): Promise<ReadonlyMap<string, string>> {
  const stale = packages.filter(isStale);
  if (stale.length > 0) await must(...pnpm([...stale.flatMap(({ name }) => ['--filter', name]), 'run', 'build']), { cwd: root });
  await must(...pnpm(['-r', '--filter', './packages/*', 'pack', '--pack-destination', folder]), { cwd: root });
  const file = ({ name, manifest }: Package) => `${name.replace('@', '').replace('/', '-')}-${manifest.version}.tgz`;
  return new Map(packages.map((package_) => [package_.name, join(folder, file(package_))]));
}
