import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type TempDir, tempDir } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import manifest from '../package.json' with { type: 'json' };

const cli = fileURLToPath(new URL('../src/replay-cli.ts', import.meta.url));
const nodeArgs = ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', cli];
const began = Date.UTC(2026, 0, 15, 12);

let folder: TempDir;
beforeAll(() => {
  folder = tempDir('replay-');
  const breaker = (options: object) => JSON.stringify({ policies: { anthropic: { circuitBreaker: options }, search: { retry: {} } } });
  write('strict.json', breaker({ slidingWindow: { type: 'consecutive', failures: 2 }, waitDurationInOpenStateMs: 1000 }));
  write('lax.json', breaker({}));
  write('<&"\'>.json', breaker({ waitDurationInOpenStateMs: 1 }));
  write('wrong.json', breaker({ failureRateThreshold: 50 }));
  write('calls.ndjson', hour(0));
});
afterAll(() => folder.remove());

function write(name: string, content: string): void {
  writeFileSync(join(folder.path, name), content);
}

/** A call each second for an hour, of which every minute's third ten seconds fail. */
function hour(rejected: number): string {
  const call = (second: number) => ({
    name: second % 20 === 19 ? 'search' : 'anthropic',
    startMs: began + second * 1000,
    durationMs: 40 + (second % 7),
    outcome: second < rejected ? 'rejected' : second % 60 >= 20 && second % 60 < 30 ? 'failure' : 'success',
  });
  return Array.from({ length: 3600 }, (_, second) => `${JSON.stringify(call(second))}\n`).join('');
}

function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...nodeArgs, ...args], { cwd: folder.path, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
}

const strict = ['--policy', 'strict.json', '--name', 'anthropic'];

describe('tidegate-replay', () => {
  test('prints a table of at most 100 columns', async () => {
    const { code, stdout, stderr } = await run('calls.ndjson', ...strict, '-p', 'lax.json');
    expect([code, stderr]).toEqual([0, '']);
    // strict.json by hand: of ten failures a second apart the 2nd, 4th, 6th, 8th and 10th open, and each opening refuses one call
    expect(stdout).toMatchInlineSnapshot(`
      "3 420 calls in 3 598 040 ms, 600 failures, from 2026-01-15T12:00:00.000Z
      180 of other names were left out

                                    strict.json   lax.json
      calls admitted                      3 120        483
      calls refused                         300      2 937
        good calls refused                   60      2 425
        failures avoided                    240        512
      failures let through                  360         88
      times opened                          300         52
      time open, ms                     300 000  3 090 996
      time open, % of the trace             8.3       85.9
      first failure to opening, ms          994      3 997
      probes                                300         51
      "
    `);
  });

  test('as many policies as there are, in blocks', async () => {
    const many = Array.from({ length: 20 }, (_, index) => `a-policy-with-a-long-name-${index}.json`);
    for (const name of many) write(name, readFileSync(join(folder.path, 'lax.json'), 'utf8'));
    const { stdout } = await run('calls.ndjson', '-n', 'anthropic', ...many.flatMap((name) => ['-p', name]));
    const lines = stdout.split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(
      lines
        .filter((line) => line.startsWith('times opened'))
        .join(' ')
        .match(/\b52\b/g),
    ).toHaveLength(20);
    expect((await run('calls.ndjson', '-n', 'anthropic', ...many.flatMap((name) => ['-p', name]), '-p', 'lax.json')).code).toBe(2);
  });

  test('prints JSON', async () => {
    const { code, stdout } = await run('calls.ndjson', ...strict, '--format', 'json');
    const report = JSON.parse(stdout);
    expect(code).toBe(0);
    expect(report).toMatchObject({
      version: 1,
      trace: { calls: 3420, otherNames: 180, fromMs: began },
      policies: [{ label: 'strict.json', opened: 300 }],
    });
  });

  test('draws a picture of its own, of bounded size and with escaped names', async () => {
    write('long.ndjson', Array.from({ length: 30 }, () => hour(0)).join(''));
    const all = ['<&"\'>.json', 'strict.json', 'lax.json'].flatMap((name) => ['-p', name]);
    const { code, stdout } = await run('long.ndjson', ...all, '-n', 'anthropic', '-f', 'svg', '-o', 'out.svg');
    const svg = readFileSync(join(folder.path, 'out.svg'), 'utf8');
    expect([code, stdout]).toEqual([0, '']);
    expect(svg.length).toBeLessThan(200_000);
    expect(svg).toContain('&lt;&amp;&quot;&#39;&gt;.json');
    expect(svg).toContain('prefers-color-scheme:dark');
    expect(svg).not.toMatch(/href|url\(|<script|undefined|NaN/);
    expect(svg.match(/class="open" d=/g)).toHaveLength(3);
  });

  test('tells calls that were refused when they were recorded, and those of which nothing is known', async () => {
    write('rejected.ndjson', `{"dropped":12}\n${hour(600)}`);
    const { stdout } = await run('rejected.ndjson', ...strict);
    expect(stdout).toContain('570 were refused when they were recorded: their outcome is unknown and counts as nothing');
    expect(stdout).toContain('12 more were not recorded');
    expect(stdout).toMatch(/unknown outcome, admitted +570$/m);
  });

  test('a trace that is being written is read as far as it is whole', async () => {
    write('growing.ndjson', `\ufeff${hour(0)}\n\r\n{"name":"anthropic","startMs":17684`);
    expect((await run('growing.ndjson', ...strict)).stdout).toContain('3 420 calls');
    write('growing.ndjson', hour(0).trimEnd());
    expect((await run('growing.ndjson', ...strict)).stdout).toContain('3 420 calls');
  });

  test('a line that is no call is an error with its place', async () => {
    write('bad.ndjson', '{"startMs":1,"durationMs":1,"outcome":"success"}\n{"startMs":1,"durationMs":1,outcome:1}\n');
    expect(await run('bad.ndjson', ...strict)).toEqual({ code: 4, stdout: '', stderr: 'bad.ndjson:2:29 not JSON: InvalidSymbol\n' });
  });

  test('lines may hold more than this version knows, and be in any order', async () => {
    const lines = hour(0).trimEnd().split('\n');
    const shuffled = lines
      .map((line, index) => [(index * 7919) % lines.length, line.replace('{', '{"trace":{"id":"x"},')] as const)
      .sort(([a], [b]) => a - b);
    write('shuffled.ndjson', `${shuffled.map(([, line]) => line).join('\n')}\n`);
    const [sorted, other] = await Promise.all([run('calls.ndjson', ...strict), run('shuffled.ndjson', ...strict)]);
    expect(other).toEqual(sorted);
  });

  const refused: [string[], number, string][] = [
    [[], 2, 'a trace is missing'],
    [['calls.ndjson'], 2, 'a --policy is missing'],
    [['calls.ndjson', 'more.ndjson', ...strict], 2, "unexpected 'more.ndjson'"],
    [['calls.ndjson', ...strict, '--now'], 2, "Unknown option '--now'"],
    [['calls.ndjson', ...strict, '--format', 'toString'], 2, "--format must be table, json, svg, not 'toString'"],
    [['calls.ndjson', ...strict, '-p', 'strict.json'], 2, '--policy strict.json is given twice'],
    [['calls.ndjson', '-p', 'strict.json'], 2, 'strict.json has anthropic, search: pick one by --name'],
    [['calls.ndjson', '-p', 'strict.json', '-n', 'antropic'], 2, "strict.json has no policy 'antropic'; it has anthropic, search"],
    [['calls.ndjson', '-p', 'strict.json', '-n', 'search'], 2, 'the policy of strict.json has no circuitBreaker'],
    [['calls.ndjson', '-p', 'wrong.json', '-n', 'anthropic'], 2, 'wrong.json:1:45 /policies/anthropic/circuitBreaker/failureRateThreshold'],
    [['calls.ndjson', '-p', 'missing.json', '-n', 'anthropic'], 2, 'missing.json there is no such file'],
    [['calls.ndjson', ...strict, '-o', 'no/such/folder'], 2, '--out cannot be written'],
    [['missing.ndjson', ...strict], 4, 'missing.ndjson there is no such file'],
    [['folder', ...strict], 4, 'folder is not a regular file'],
  ];
  test('what it cannot do, it says and exits with a code of its own', async () => {
    mkdirSync(join(folder.path, 'folder'), { recursive: true });
    for (let at = 0; at < refused.length; at += 2) {
      const two = refused.slice(at, at + 2).map(async ([args, exit, message]) => {
        const { code, stdout, stderr } = await run(...args);
        expect([args, code, stdout]).toEqual([args, exit, '']);
        expect(stderr).toContain(message);
      });
      await Promise.all(two);
    }
  });

  test('a trace of several names asks for one, where each file has a single policy', async () => {
    write('single.json', '{"policies":{"x":{"circuitBreaker":{}}}}');
    expect(await run('calls.ndjson', '-p', 'single.json')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('calls of anthropic, search'),
    });
  });

  test('says its version and its use', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, stdout: `${manifest.version}\n` });
    const { code, stdout } = await run('--help');
    expect([code, stdout]).toEqual([0, expect.stringContaining('tidegate-replay calls.ndjson --policy a.json')]);
  });
});
