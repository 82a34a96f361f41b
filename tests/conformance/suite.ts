import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';
import { root } from '../workspace.ts';
import { openTurnstile } from './turnstile.ts';

/** A revision of the protocol with a frozen set of required scenarios. */
export type Revision = '2025-11-25' | '2026-07-28';

/** How one scenario went, by the checks that the suite wrote down. */
export interface ScenarioResult {
  readonly scenario: string;
  /** `warning`: nothing failed, yet something that should be was not; the suite itself lets that pass. `skipped`: nothing was checked. */
  readonly status: 'passed' | 'warning' | 'failed' | 'skipped';
  /** Each failed or warning check: its name, what it said, and what it saw. */
  readonly failures: readonly string[];
}

export interface SuiteResult {
  /** Scored scenarios whose checks were all met. */
  readonly passed: number;
  /** The other scored scenarios. */
  readonly failed: number;
  /** Checks that were met and were not, over all scenarios, as the suite's own last line has them. */
  readonly checks: { readonly passed: number; readonly failed: number };
  readonly scored: readonly ScenarioResult[];
  /** Scenarios that the suite runs and does not count. */
  readonly unscored: readonly ScenarioResult[];
  /** One line for a log: scenarios and checks. */
  readonly totals: string;
  /** What failed and why, scored first; empty where all passed. */
  readonly report: string;
}

interface Bounds {
  /** Milliseconds after which the run and all it started is ended and fails; 180 000 when absent. */
  readonly timeoutMs?: number;
}

const suites = {
  current: join(root, 'tests/node_modules/@modelcontextprotocol/conformance/dist/index.js'),
  '0.1.16': join(root, 'tests/node_modules/conformance-0-1/dist/index.js'),
};
const loader = new URL('./suite-on-node-20.mjs', import.meta.url).href;

/** Runs what a revision requires of servers against the one at `url`, which must be a loopback address. */
export function runServerSuite({ url, requirements, ...bounds }: { url: string; requirements: Revision } & Bounds): Promise<SuiteResult> {
  return run('current', ['server', '--url', url, '--requirements', requirements], bounds);
}

/** Runs the 30 active scenarios of suite 0.1.16, the stable line, against the server at `url`. */
export function runActiveSuite({ url, ...bounds }: { url: string } & Bounds): Promise<SuiteResult> {
  return run('0.1.16', ['server', '--url', url, '--suite', 'active'], bounds);
}

/**
 * Runs what a revision requires of clients. The shell runs `command` once a scenario, two at a time, with the address of the
 * suite's server as its last argument.
 */
export async function runClientSuite({
  command,
  requirements,
  ...bounds
}: { command: string; requirements: Revision } & Bounds): Promise<SuiteResult> {
  await using turnstile = await openTurnstile(2);
  // Waiting for its turn counts, so that no single run can be held to less than the whole.
  const timeout = String(bounds.timeoutMs ?? DEFAULT_MS);
  return await run(
    'current',
    ['client', '--command', turnstile.admit(command), '--requirements', requirements, '--timeout', timeout],
    bounds,
  );
}

const DEFAULT_MS = 180_000;

async function run(suite: keyof typeof suites, args: string[], { timeoutMs = DEFAULT_MS }: Bounds): Promise<SuiteResult> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const { code, output } = await execute([suites[suite], ...args, '--output-dir', folder], timeoutMs);
    return judge(readChecks(folder, args[0] === 'server' ? 'server-' : ''), output, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function execute(args: string[], timeoutMs: number): Promise<{ code: number | null; output: string }> {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_ENV$|NODE_OPTIONS$|NODE_V8_COVERAGE$)/.test(name));
  const env = { ...Object.fromEntries(inherited), NO_COLOR: '1' };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', loader, ...args], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let late = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const timer = setTimeout(() => {
      late = true;
      endGroup(child.pid);
    }, timeoutMs);
    child.once('error', reject);
    // What the suite started and did not end itself would keep its pipes open: it ends when the suite does.
    child.once('exit', () => endGroup(child.pid));
    child.once('close', (code) => {
      clearTimeout(timer);
      if (late) reject(new Error(`the conformance suite took longer than ${timeoutMs} ms\n${tail(output)}`));
      else resolve({ code, output });
    });
  });
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // Nobody of it lives any more.
  }
}

/** Reads the suite's files and its last words, and refuses to believe it where they do not fit together. */
function judge(checks: Map<string, Check[]>, output: string, code: number | null): SuiteResult {
  const announced = /\((\d+) scenarios\)/.exec(output)?.[1];
  const total = /^Total: (\d+) passed, (\d+) failed/m.exec(output);
  if (announced === undefined || total === null)
    throw new Error(`the conformance suite ended without a result (exit code ${code})\n${tail(output)}`);
  const results = [...output.matchAll(/^[✓✗] (\S+): \d+ passed, \d+ failed/gm)].map(([, scenario = '']) =>
    result(scenario, checks.get(scenario) ?? [{ ...lost, errorMessage: tail(output) }]),
  );
  if (results.length !== Number(announced))
    throw new Error(`${announced} scenarios were announced, ${results.length} were reported\n${tail(output)}`);
  const notScored = new Set([...output.matchAll(/^ {2}[✓✗] (\S+) \(\S+\)$/gm)].map(([, scenario]) => scenario));
  const scored = results.filter(({ scenario }) => !notScored.has(scenario));
  const unscored = results.filter(({ scenario }) => notScored.has(scenario));
  const clean = scored.every(({ status }) => status !== 'failed');
  if ((code === 0) !== clean) throw new Error(`exit code ${code} does not fit what was reported\n${reportOf(scored)}\n${tail(output)}`);
  const passed = scored.filter(({ status }) => status === 'passed').length;
  const tally = { passed: Number(total[1]), failed: Number(total[2]) };
  return {
    passed,
    failed: scored.length - passed,
    checks: tally,
    scored,
    unscored,
    totals: `${passed}/${scored.length} scored scenarios, ${tally.passed}/${tally.passed + tally.failed} checks in ${results.length} scenarios, exit code ${code}`,
    report: reportOf([...scored, ...unscored]),
  };
}

interface Check {
  readonly id: string;
  readonly name: string;
  readonly description?: string;
  readonly status: string;
  readonly errorMessage?: string;
  readonly details?: unknown;
}

const lost: Check = { id: 'no-result', name: 'NoResult', description: 'The scenario left no checks behind', status: 'FAILURE' };

/** The checks of each scenario, from `<prefix><scenario>-<time>/checks.json`. */
function readChecks(folder: string, prefix: string): Map<string, Check[]> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith(`${sep}checks.json`));
  return new Map(
    files.map((file) => {
      const folders = file.split(sep).slice(0, -1).join('/');
      const scenario = folders.replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');
      return [scenario.slice(prefix.length), JSON.parse(readFileSync(join(folder, file), 'utf8')) as Check[]];
    }),
  );
}

function result(scenario: string, checks: Check[]): ScenarioResult {
  const has = (status: string) => checks.some((check) => check.status === status);
  const unmet = checks.filter(({ status }) => status === 'FAILURE' || status === 'WARNING');
  const status = has('FAILURE') ? 'failed' : has('WARNING') ? 'warning' : has('SUCCESS') ? 'passed' : 'skipped';
  return { scenario, status, failures: unmet.map(describe) };
}

const DETAILS_MAX = 1_500;

function describe({ id, name, description, errorMessage, details, status }: Check): string {
  const seen = details === undefined ? '' : `\n      ${JSON.stringify(details).slice(0, DETAILS_MAX)}`;
  return `${status === 'WARNING' ? 'warning ' : ''}${name} (${id}): ${errorMessage ?? description}${seen}`;
}

function reportOf(results: readonly ScenarioResult[]): string {
  const unmet = results.filter(({ failures }) => failures.length > 0);
  return unmet.map(({ scenario, failures }) => [scenario, ...failures.map((failure) => `    ${failure}`)].join('\n')).join('\n');
}

function tail(output: string): string {
  return output.slice(-4_000);
}
