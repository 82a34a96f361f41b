import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

/** What a fixture speaks: the sessions of 2025-11-25 alone, the requests of 2026-07-28 alone, or whichever it is spoken to in. */
export type FixtureEra = 'legacy' | 'modern' | 'both';

export interface HttpFixtureProcess extends AsyncDisposable {
  /** Where it listens on the loopback address. */
  readonly url: string;
  readonly pid: number;
}

const main = fileURLToPath(new URL('./fixture/main.ts', import.meta.url));
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

const driver = fileURLToPath(new URL('./client-driver.ts', import.meta.url));

/** What the suite's client mode runs: a gateway as the client of the suite's server. It takes no path with spaces. */
export const clientDriverCommand = [process.execPath, '--import', tsx, '--conditions=@tidegate/source', driver].join(' ');

/** A command line of the fixture over stdio; who starts it ends it. */
export function stdioFixtureCommand(era: FixtureEra): { command: string; args: string[] } {
  return { command: process.execPath, args: ['--import', tsx, main, '--era', era, '--stdio'] };
}

/** Starts the fixture over streamable HTTP; disposing ends the process. */
export async function startHttpFixture(era: FixtureEra): Promise<HttpFixtureProcess> {
  const child = spawn(process.execPath, ['--import', tsx, main, '--era', era, '--port', '0'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exit = once(child, 'exit');
  const early = exit.then(([code, signal]) => Promise.reject(new Error(`the fixture ended before it listened: ${code ?? signal}`)));
  early.catch(() => {});
  const [url] = (await Promise.race([once(createInterface(child.stdout), 'line'), early])) as [string];
  return {
    url,
    pid: child.pid as number,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exit;
    },
  };
}

let bundled: Promise<string> | undefined;

/** A command line of the fixture over stdio that starts as fast as an installed server does: bundled once, nothing to transpile. */
export async function quickFixture(era: FixtureEra): Promise<{ command: string; args: string[] }> {
  bundled ??= bundle();
  return { command: process.execPath, args: [await bundled, '--era', era, '--stdio'] };
}

async function bundle(): Promise<string> {
  const outfile = join(mkdtempSync(join(tmpdir(), 'tidegate-fixture-')), 'fixture.mjs');
  const banner = { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" };
  await build({ entryPoints: [main], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20', banner, logLevel: 'error' });
  // what it reads lies beside it
  cpSync(dirname(main), dirname(outfile), { recursive: true, filter: (file) => !file.endsWith('.ts') });
  process.once('exit', () => rmSync(dirname(outfile), { recursive: true, force: true }));
  return outfile;
}
