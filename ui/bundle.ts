import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { build, type Metafile } from 'esbuild';

/** One file of a page, under a name that changes with what it holds. */
export interface PageFile {
  readonly name: string;
  readonly contentType: string;
  readonly text: string;
}

const contentTypes: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
};

/**
 * Bundles a page, `main.tsx` and `icon.svg` of a folder, into files that a server can give out as they are, with the licences of what
 * is inlined beside them.
 */
export async function bundlePage(folder: string): Promise<PageFile[]> {
  const { outputFiles, metafile } = await build({
    entryPoints: [join(folder, 'main.tsx'), join(folder, 'icon.svg')],
    outdir: join(folder, 'built'),
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    absWorkingDir: folder,
    format: 'esm',
    platform: 'browser',
    target: ['chrome115', 'firefox116', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    loader: { '.svg': 'copy' },
    legalComments: 'none',
    tsconfigRaw: {},
    logLevel: 'silent',
  });
  const built = outputFiles.map(({ path, text }) => pageFile(basename(path), text));
  return [...built, hashed('licenses', 'txt', licensesOf(metafile, folder))].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function pageFile(name: string, text: string): PageFile {
  return { name, contentType: contentTypes[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream', text };
}

function hashed(name: string, extension: string, text: string): PageFile {
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 8).toUpperCase();
  return pageFile(`${name}-${hash}.${extension}`, text);
}

function licensesOf({ inputs }: Metafile, folder: string): string {
  const packages = Object.keys(inputs).flatMap((file) => {
    const [, path] = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(join(folder, file)) ?? [];
    return path === undefined ? [] : [path];
  });
  return [...new Set(packages)].sort().map(licenseOf).join('\n\n');
}

function licenseOf(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { name: string; version: string };
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  if (file === undefined || !existsSync(join(folder, file)))
    throw new Error(`${name} is inlined into a page and has no licence in ${dirname(folder)}`);
  return `${name} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}
