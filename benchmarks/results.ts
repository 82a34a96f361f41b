import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { must, pnpm } from '../tests/command.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Keeps a result as `results/<name>.json`, in the form that the linter wants of every file. */
export async function record(name: string, result: object): Promise<void> {
  const file = `benchmarks/results/${name}.json`;
  mkdirSync(`${root}benchmarks/results`, { recursive: true });
  writeFileSync(`${root}${file}`, JSON.stringify(result, undefined, 2));
  const [command, args] = pnpm(['exec', 'biome', 'format', '--write', file]);
  await must(command, args, { cwd: root });
}
