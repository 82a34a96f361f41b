import { readFileSync } from 'node:fs';
import { defineConfig } from 'tsup';

type Entry = string | { '@tidegate/source': string };

/** One recipe for every package: the `exports` map and the published `bin` of its package.json are the only list of entries. */
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, Entry>;
  publishConfig: { bin?: Record<string, string> };
};
const doors = Object.values(manifest.exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry['@tidegate/source']]));
const bins = Object.values(manifest.publishConfig.bin ?? {}).map((file) => file.replace('./dist/', './src/').replace(/\.js$/, '.ts'));

export default defineConfig({
  entry: [...doors, ...bins],
  format: ['esm', 'cjs'],
  splitting: true, // one copy of each class across entries, in CommonJS too
  dts: { entry: doors, compilerOptions: { ignoreDeprecations: '6.0' } },
  sourcemap: true,
  clean: true,
  target: 'node20',
});
