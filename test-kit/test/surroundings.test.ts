import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { childrenOf, freePort, isAlive, processTree, seededRandom, tempDir, until } from '../src/index.ts';

test('processTree shows a process with what it started, and nothing after its end', async () => {
  const parent = spawn(process.execPath, ['-e', `require('node:child_process').spawn('sleep', ['1000']); setInterval(() => {}, 1e6)`], {
    detached: true,
  });
  const pid = parent.pid ?? 0;
  try {
    const [child = 0] = await until(() => childrenOf(pid).length === 1 && childrenOf(pid), { what: 'the grandchild' });
    await until(() => processTree(child)?.command === 'sleep 1000', { what: 'the grandchild to become sleep' });
    expect(processTree(pid)).toMatchObject({ pid, children: [{ pid: child, command: 'sleep 1000', children: [] }] });
    expect(childrenOf(process.pid)).toContain(pid);
    expect(isAlive(child)).toBe(true);
    process.kill(-pid, 'SIGKILL');
    await once(parent, 'exit');
    await until(() => !isAlive(child), { what: 'the grandchild to end' });
    expect(processTree(pid)).toBeUndefined();
    expect(childrenOf(pid)).toEqual([]);
  } finally {
    if (parent.exitCode === null && parent.signalCode === null) process.kill(-pid, 'SIGKILL');
  }
});

test('until resolves with the first truthy answer', async () => {
  let asked = 0;
  expect(await until(() => (++asked === 3 ? 'third' : ''), { what: 'three' })).toBe('third');
  const flaky = () => {
    if (++asked < 6) throw new Error('not yet');
    return asked;
  };
  expect(await until(flaky, { what: 'six' })).toBe(6);
});

test('until says in vain for what it waited, and why', async () => {
  const why = new Error('still down');
  const failing = until(() => Promise.reject(why), { what: 'the moon', timeoutMs: 20 });
  await expect(failing).rejects.toThrow('waited 20 ms in vain for: the moon');
  await expect(failing).rejects.toMatchObject({ cause: why });
});

test('freePort can be listened on', async () => {
  const server = createServer().listen(await freePort(), '127.0.0.1');
  await once(server, 'listening');
  server.close();
});

test('a tempDir is gone with its contents once removed', async () => {
  const dir = tempDir();
  writeFileSync(join(dir.path, 'file'), 'x');
  await dir[Symbol.asyncDispose]();
  expect(existsSync(dir.path)).toBe(false);
  dir.remove();
});

test.each(['process.exit(0)', "process.kill(process.pid, 'SIGKILL')"])('a tempDir that nobody removed is gone after %s', async (end) => {
  const module = new URL('../src/temp-dir.ts', import.meta.url).href;
  const script = `import(${JSON.stringify(module)}).then(({ tempDir }) => console.log(tempDir().path)).then(() => process.stdin.once('data', () => ${end}))`;
  const child = spawn(process.execPath, ['--import', 'tsx', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const path = String((await once(child.stdout, 'data'))[0]).trim();
  expect(existsSync(path)).toBe(true);
  child.stdin.write('end\n');
  await once(child, 'exit');
  await until(() => !existsSync(dirname(path)), { what: 'the folder and its root to go' });
});

test('seededRandom repeats itself for the same seed only, within [0, 1)', () => {
  const draw = (seed: number) => Array.from({ length: 1_000 }, seededRandom(seed));
  expect(draw(42)).toEqual(draw(42));
  expect(draw(42)).not.toEqual(draw(43));
  expect(draw(7).every((value) => value >= 0 && value < 1)).toBe(true);
  const mean = draw(7).reduce((sum, value) => sum + value) / 1_000;
  expect(mean).toBeGreaterThan(0.45);
  expect(mean).toBeLessThan(0.55);
});
