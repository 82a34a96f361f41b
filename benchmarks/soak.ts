import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startVitest } from 'vitest/node';
import { load, machine } from './machine.ts';
import { record } from './results.ts';

// Runs the property tests of the packages a hundred times as long as an ordinary run does: `soak [package…] [--seed n]`.

const root = fileURLToPath(new URL('..', import.meta.url));
const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: 'string' } } });
const packages = readdirSync(`${root}packages`).filter((name) => hasModels(name));
const unknown = positionals.find((name) => !packages.includes(name));
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
// the tests read it too; setting it makes a soak shorter or longer
process.env['TIDEGATE_RUNS'] ??= '100';
const times = Number(process.env['TIDEGATE_RUNS']);

const problem =
  (unknown !== undefined && `'${unknown}' is none of ${packages.join(', ')}`) ||
  (!Number.isInteger(seed) && `--seed must be a whole number, not '${values.seed}'`) ||
  (!(times > 0) && `TIDEGATE_RUNS must be a number above 0, not '${process.env['TIDEGATE_RUNS']}'`);
if (problem) {
  console.error(`soak: ${problem}`);
  process.exitCode = 2;
} else {
  await soak(positionals.length === 0 ? packages : positionals);
}

function hasModels(name: string): boolean {
  const folder = `${root}packages/${name}/test`;
  return existsSync(folder) && readdirSync(folder).some((file) => file.endsWith('.model.test.ts'));
}

async function soak(names: readonly string[]): Promise<void> {
  process.env['TIDEGATE_SEED'] = String(seed);
  console.log(`soak: ${names.join(', ')}; ${times} times the usual runs of each property; seed ${seed}`);
  const loadBefore = load();
  const filters = names.map((name) => `packages/${name}/test/`);
  const vitest = await startVitest('test', [...filters], {
    root,
    watch: false,
    include: ['packages/*/test/**/*.model.test.ts'],
    setupFiles: ['benchmarks/soak-setup.ts'],
    testTimeout: 6 * 3_600_000,
  });
  const properties = vitest.state.getTestModules().flatMap((module) =>
    [...module.children.allTests()].map((test) => ({
      file: module.relativeModuleId,
      property: test.fullName,
      state: test.result().state,
      ...(test.result().state === 'failed' && { errors: test.result().errors?.map(({ message }) => message) }),
      ...(test.meta().figures && { figures: test.meta().figures }),
      seconds: Math.round((test.diagnostic()?.duration ?? 0) / 100) / 10,
    })),
  );
  const unhandled = vitest.state.getUnhandledErrors().map((error) => String(error instanceof Error ? error.message : error));
  await vitest.close();
  if (properties.length === 0) throw new Error('soak: no property was tried');
  const result = { packages: names, times, seed, machine: machine(), loadBefore, loadAfter: load(), properties, unhandled };
  await record('soak', result);
}
