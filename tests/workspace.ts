import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

type Door = string | { '@tidegate/source': string };

/** What the whole-set tests read of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, Door>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly publishConfig?: { readonly bin?: Readonly<Record<string, string>> };
  readonly typedocOptions?: { readonly entryPoints?: readonly string[] };
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** A way into a package: what a user imports, and the source file behind it. */
export interface Entry {
  readonly specifier: string;
  readonly source: string;
}

/** A published package as it lies in the repository. */
export interface Package {
  readonly name: string;
  /** The last part of its name, which is its folder's name too. */
  readonly short: string;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly doors: readonly Entry[];
}

/** The repository's folder. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Reads a package.json. */
export function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, 'utf8')) as Manifest;
}

function doorsOf({ name, exports = {} }: Manifest, folder: string): Entry[] {
  return Object.entries(exports).flatMap(([path, door]) =>
    typeof door === 'string' ? [] : [{ specifier: name + path.slice(1), source: join(folder, door['@tidegate/source']) }],
  );
}

function readPackage(short: string): Package {
  const folder = join(root, 'packages', short);
  const manifest = readManifest(join(folder, 'package.json'));
  return { name: manifest.name, short, folder, manifest, doors: doorsOf(manifest, folder) };
}

/** Every published package: whatever stands under `packages/` with a package.json. */
export const packages: readonly Package[] = readdirSync(join(root, 'packages'))
  .filter((short) => existsSync(join(root, 'packages', short, 'package.json')))
  .map(readPackage);

/** Every file of a package's `src`, absolute. */
export function sourcesOf({ folder }: Package): string[] {
  const src = join(folder, 'src');
  if (!existsSync(src)) return [];
  return readdirSync(src, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
    .sort();
}
