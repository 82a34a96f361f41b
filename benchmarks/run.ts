import { type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'tsup';
import { must, pnpm } from '../tests/command.ts';
import { load, type Machine, machine, versionsOf } from './machine.ts';
import { type Measured, markdown, plain, type Table, together } from './report.ts';
import { record } from './results.ts';

/** What is measured for each question, as pnpm selects packages, and beside whom. */
const questions: Readonly<Record<string, { readonly ours: string; readonly rivals: readonly string[] }>> = {
  'circuit-breaker': { ours: '@tidegate/circuit-breaker', rivals: ['cockatiel', 'opossum'] },
  'many-breakers': { ours: '@tidegate/circuit-breaker', rivals: ['cockatiel', 'opossum'] },
  'rate-limit': { ours: '@tidegate/rate-limit', rivals: ['limiter', 'rate-limiter-flexible'] },
  'million-keys': { ours: '@tidegate/rate-limit', rivals: ['limiter', 'rate-limiter-flexible'] },
  'redis-limits': { ours: '@tidegate/rate-limit', rivals: ['ioredis', 'rate-limiter-flexible'] },
  'postgres-limits': { ours: '@tidegate/rate-limit', rivals: ['pg', 'rate-limiter-flexible'] },
  'cost-tracker': { ours: '@tidegate/cost-tracker', rivals: [] },
  gateway: { ours: '@tidegate/mcp-gateway...', rivals: [] },
};

/** Processes a question: what one process happens to be compiled to is not what the next one is. */
const processes = 3;

const root = fileURLToPath(new URL('..', import.meta.url));
const here = fileURLToPath(new URL('.', import.meta.url));
const page = new URL('../BENCHMARKS.md', import.meta.url);

/** What is kept of a run. */
interface Result {
  readonly question: string;
  readonly machine: Machine;
  readonly loadBefore: number;
  readonly loadAfter: number;
  readonly rivals: Record<string, string>;
  readonly tables: readonly Table[];
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { profile: { type: 'string' } } });
const unknown = positionals.find((name) => !(name in questions));
if (unknown !== undefined) {
  console.error(`bench: there is no question '${unknown}'; there are ${Object.keys(questions).join(', ')}`);
  process.exitCode = 2;
} else if (values.profile !== undefined && positionals.join() !== 'gateway') {
  console.error('bench: --profile <folder> is for the process of the gateway: bench gateway --profile <folder>');
  process.exitCode = 2;
} else {
  const asked = positionals.length === 0 ? Object.keys(questions) : positionals;
  await buildAll(asked);
  for (const question of asked) {
    if (values.profile === undefined) await answer(question);
    else await measured(question, resolve(values.profile)); // a profiled process is too slow for its figures to be kept
  }
}

/** Builds what users run, and the questions as plain JavaScript beside it: no loader, no source conditions. */
async function buildAll(asked: readonly string[]): Promise<void> {
  const filters = [...new Set(asked.map((question) => questions[question]?.ours as string))].flatMap((name) => ['--filter', name]);
  console.log('building: the packages are measured as they are published, from their dist, by plain node');
  const [command, args] = pnpm([...filters, 'run', 'build']);
  await must(command, args, { cwd: root });
  await build({
    entry: [...Object.keys(questions), 'echo-server', 'plain-proxy'].map((name) => `${here}${name}.ts`),
    outDir: `${here}dist`,
    format: ['esm'],
    target: 'node20',
    skipNodeModulesBundle: true,
    noExternal: ['@tidegate/test-kit'], // has no dist
    clean: true,
    silent: true,
    config: false,
  });
}

async function answer(question: string): Promise<void> {
  const loadBefore = load();
  const runs: Measured[][] = [];
  while (runs.length < processes) runs.push(await measured(question));
  const result: Result = {
    question,
    machine: machine(),
    loadBefore,
    loadAfter: load(),
    rivals: versionsOf(questions[question]?.rivals ?? []),
    tables: together(runs),
  };
  console.log(`\n${question}: ${circumstances(result)}`);
  for (const table of result.tables) console.log(`\n${plain(table)}`);
  await record(question, result);
  writeFileSync(page, withTables(readFileSync(page, 'utf8'), result));
}

async function measured(question: string, profile?: string): Promise<Measured[]> {
  const args = [`${here}dist/${question}.js`, ...(profile === undefined ? [] : [profile])];
  const options: SpawnOptions = { cwd: here, stdio: ['ignore', 'pipe', 'inherit'] };
  const child = spawn(process.execPath, args, options);
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`bench: '${question}' ended with ${code}`);
  return JSON.parse(said) as Measured[];
}

/** The line under which figures mean something. */
function circumstances({ machine: { cpu, cores, node, system }, loadBefore, loadAfter, rivals, tables }: Result): string {
  const rounds = tables[0]?.rows[0]?.runs.map((run) => run.length).join(' + ') ?? '';
  const versions = Object.entries(rivals).map(([name, version]) => `; ${name} ${version}`);
  const where = `${cpu}, ${cores} cores, ${system}, Node ${node}`;
  return `${where}; load average ${loadBefore} before and ${loadAfter} after; ${rounds} rounds in ${processes} processes${versions.join('')}`;
}

/** The page with the tables of one question written anew between their marks. */
function withTables(text: string, result: Result): string {
  const [open, close] = [`<!-- bench:${result.question} -->`, `<!-- /bench:${result.question} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`bench: BENCHMARKS.md has no place for '${result.question}'`);
  const tables = result.tables.map(markdown).join('\n');
  return `${text.slice(0, start + open.length)}\n\n${circumstances(result)}.\n\n${tables}\n${text.slice(end)}`;
}
