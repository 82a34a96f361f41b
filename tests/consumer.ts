import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import { must } from './command.ts';
import { type Package, packages, root } from './workspace.ts';

/** How a project can import a package: as an ES module or as CommonJS in Node, or through a bundler. */
export const kinds = ['esm', 'cjs', 'bundler'] as const;
export type Kind = (typeof kinds)[number];

type Resolution = 'nodenext' | 'bundler';

const programs: Record<Kind, { file: string; resolution: Resolution }> = {
  esm: { file: 'esm.mts', resolution: 'nodenext' },
  cjs: { file: 'cjs.cts', resolution: 'nodenext' },
  bundler: { file: 'bundler.ts', resolution: 'bundler' },
};

/** What one door gives at run time: the names it exports, and which of them are the same value behind the package's first door. */
export type Doors = Readonly<Record<string, { readonly names: readonly string[]; readonly shared: readonly string[] }>>;

function programOf({ doors }: Package, kind: Kind): string {
  const imports = doors.map(({ specifier }, index) =>
    kind === 'cjs' ? `import door${index} = require('${specifier}');` : `import * as door${index} from '${specifier}';`,
  );
  const entries = doors.map(({ specifier }, index) => `  '${specifier}': door${index},`);
  return `${imports.join('\n')}
const doors: Record<string, Record<string, unknown>> = {
${entries.join('\n')}
};
const [first = {}] = Object.values(doors);
const seen = Object.entries(doors).map(([specifier, door]) => {
  const names = Object.keys(door).sort();
  return [specifier, { names, shared: names.filter((name) => door[name] === first[name]) }];
});
console.log(JSON.stringify(Object.fromEntries(seen)));
`;
}

const strictest = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false };
const runtime = { target: 'ES2022', lib: ['ES2022'], types: ['node'], rootDir: '.', outDir: 'out' };

async function writeProgram(folder: string, package_: Package, kind: Kind): Promise<void> {
  await writeFile(join(folder, programs[kind].file), programOf(package_, kind));
}

async function writeProject(folder: string, resolution: Resolution): Promise<void> {
  const module = resolution === 'bundler' ? 'ESNext' : 'NodeNext';
  const files = Object.values(programs).filter((program) => program.resolution === resolution);
  const compilerOptions = { ...strictest, ...runtime, module, moduleResolution: resolution };
  const config = { compilerOptions, files: files.map(({ file }) => file) };
  await writeFile(join(folder, `tsconfig.${resolution}.json`), JSON.stringify(config));
}

function siblingsOf({ manifest }: Package): string[] {
  return packages.map(({ name }) => name).filter((name) => manifest.dependencies?.[name] !== undefined);
}

/** An empty project of a user that has one package installed from its tarball, beside what that package itself depends on. */
export class Consumer {
  readonly folder: string;
  readonly #package: Package;
  readonly #compiled = new Map<Resolution, Promise<void>>();
  readonly #opened = new Map<Kind, Promise<Doors>>();

  private constructor(folder: string, package_: Package) {
    this.folder = folder;
    this.#package = package_;
  }

  /** Makes the project and installs into it; no package may run a script of its own while it is installed. */
  static async install(folder: string, package_: Package, tarballs: ReadonlyMap<string, string>): Promise<Consumer> {
    await mkdir(folder, { recursive: true });
    const wanted = [package_.name, ...siblingsOf(package_)].map((name) => [name, `file:${tarballs.get(name)}`]);
    const manifest = { name: 'consumer', private: true, type: 'module', dependencies: Object.fromEntries(wanted) };
    await writeFile(join(folder, 'package.json'), JSON.stringify(manifest));
    const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
    await must('npm', ['install', '--prefix', folder, ...quiet], { cwd: folder });
    const types = join(folder, 'node_modules/@types');
    if (existsSync(join(types, 'node'))) throw new Error(`${package_.name} brings @types/node into its user's project`);
    await mkdir(types, { recursive: true });
    await symlink(await realpath(join(root, 'node_modules/@types/node')), join(types, 'node'));
    await Promise.all(kinds.map((kind) => writeProgram(folder, package_, kind)));
    await Promise.all([writeProject(folder, 'nodenext'), writeProject(folder, 'bundler')]);
    return new Consumer(folder, package_);
  }

  /** Compiles the program of one kind, types of libraries included, bundles it where that is the kind, and runs it. */
  open(kind: Kind): Promise<Doors> {
    const opened = this.#opened.get(kind) ?? this.#compileAndRun(kind);
    this.#opened.set(kind, opened);
    return opened;
  }

  async #compileAndRun(kind: Kind): Promise<Doors> {
    const { file, resolution } = programs[kind];
    const compiling = this.#compiled.get(resolution) ?? this.#compile(resolution);
    this.#compiled.set(resolution, compiling);
    await compiling;
    const compiled = join(this.folder, 'out', file.replace(/ts$/, 'js'));
    const program = kind === 'bundler' ? await this.#bundle(compiled) : compiled;
    return JSON.parse((await must(process.execPath, [program], { cwd: this.folder })).stdout) as Doors;
  }

  async #compile(resolution: Resolution): Promise<void> {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    await must(process.execPath, [compiler, '-p', `tsconfig.${resolution}.json`], { cwd: this.folder });
  }

  async #bundle(entry: string): Promise<string> {
    const outfile = join(this.folder, 'out/bundle.mjs');
    // CommonJS libraries inside an ES module still ask for Node's own modules by `require`
    const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
    // as Vite, Rollup and webpack do, unlike esbuild, a library's ES module goes before its CommonJS
    const mainFields = ['module', 'main'];
    await build({ entryPoints: [entry], outfile, banner, mainFields, bundle: true, platform: 'node', format: 'esm', logLevel: 'silent' });
    return outfile;
  }

  /** The names of installed packages that ask to run a script when they are installed. */
  async scripted(): Promise<string[]> {
    const modules = join(this.folder, 'node_modules');
    const files = (await readdir(modules, { recursive: true })).filter((file) =>
      /(^|node_modules\/)(@[^/]+\/)?[^/@]+\/package\.json$/.test(file),
    );
    const asking = await Promise.all(files.map((file) => asksForScript(join(modules, file))));
    return [...new Set(asking.filter((name) => name !== undefined))].sort();
  }

  /** The installed package's own package.json, as its user gets it. */
  async manifest(): Promise<Package['manifest']> {
    return JSON.parse(await readFile(join(this.folder, 'node_modules', this.#package.name, 'package.json'), 'utf8'));
  }
}

async function asksForScript(file: string): Promise<string | undefined> {
  const { name, scripts = {}, gypfile } = JSON.parse(await readFile(file, 'utf8'));
  const asks = ['preinstall', 'install', 'postinstall'].some((script) => scripts[script] !== undefined);
  // npm runs node-gyp by itself where it finds this file
  const compiles = gypfile !== false && existsSync(join(file, '../binding.gyp'));
  return asks || compiles ? name : undefined;
}
