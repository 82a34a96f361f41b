import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'tsup';
import { bundlePage } from './ui/bundle.ts';

type Entry = string | { '@tidegate/source': string };
type Plugin = NonNullable<Extract<Parameters<typeof defineConfig>[0], { esbuildPlugins?: unknown }>['esbuildPlugins']>[number];

/** One recipe for every package: the `exports` map and the published `bin` of its package.json are the only list of entries. */
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, Entry>;
  publishConfig: { bin?: Record<string, string> };
};
const doors = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry['@tidegate/source']]));
const bins = Object.values(manifest.publishConfig.bin ?? {}).map((file) => file.replace('./dist/', './src/').replace(/\.js$/, '.ts'));

/** A module `page-files.ts` bundles the page in `src/page` when it is asked; in what is built, the page stands in its place. */
const page: Plugin = {
  name: 'page',
  setup(build) {
    build.onLoad({ filter: /[/\\]page-files\.ts$/ }, async () => {
      const files = await bundlePage(join(process.cwd(), 'src/page'));
      return { contents: `export const pageFiles = async () => ${JSON.stringify(files)};`, loader: 'js' };
    });
  },
};

export default defineConfig({
  entry: [...doors, ...bins],
  format: ['esm', 'cjs'],
  splitting: true, // one copy of each class across entries, in CommonJS too
  dts: { entry: doors, compilerOptions: { ignoreDeprecations: '6.0' } },
  sourcemap: true,
  clean: true,
  target: 'node20',
  esbuildPlugins: [page],
});
