// Runs the whole suite on every Node that is promised: `pnpm test:nodes`, or `pnpm test:nodes 20 24` for some of them.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { must } from './command.ts';
import { root } from './workspace.ts';

const promised = ['20', '22', '24', '26'];
const totalsLine = /^(\d+) passed, (\d+) failed, (\d+) skipped$/;

interface Outcome {
  readonly version: string;
  readonly totals: string;
  readonly passed: boolean;
}

/** The folder of a Node of this major version, from npm's `node` package; kept from run to run. */
async function install(major: string): Promise<string> {
  const folder = join(root, 'node_modules/.cache/node', major);
  mkdirSync(folder, { recursive: true });
  await must('npm', ['install', '--prefix', folder, '--ignore-scripts=false', '--no-audit', '--no-fund', `node@${major}`], { cwd: folder });
  return join(folder, 'node_modules/node/bin');
}

/** The suite with this Node first on the path; its output passes through, its totals are read from the plain last line. */
function runSuite(bin: string): Promise<{ totals: string; passed: boolean }> {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH']}` };
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const child = spawn(join(bin, 'node'), [vitest, 'run'], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] });
  let totals = 'no totals';
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text);
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    totals = lines.findLast((line) => totalsLine.test(line)) ?? totals;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ totals, passed: code === 0 && totalsLine.exec(totals)?.[2] === '0' }));
  });
}

async function tryNode(major: string): Promise<Outcome> {
  const bin = await install(major);
  const version = (await must(join(bin, 'node'), ['--version'], { cwd: root })).stdout.trim();
  process.stdout.write(`\nnode --version: ${version}\n`);
  return { version, ...(await runSuite(bin)) };
}

const asked = process.argv.slice(2);
const unknown = asked.filter((major) => !promised.includes(major));
if (unknown.length > 0) {
  process.stderr.write(`not a promised Node: ${unknown.join(', ')} (promised: ${promised.join(', ')})\n`);
  process.exit(2);
}

const outcomes: Outcome[] = [];
for (const major of asked.length > 0 ? asked : promised) outcomes.push(await tryNode(major));
const rows = outcomes.map(({ version, totals, passed }) => `${version.padEnd(10)} ${totals}${passed ? '' : '  FAILED'}`);
process.stdout.write(`\n${rows.join('\n')}\n`);
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
