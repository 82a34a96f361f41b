import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tempDir, until } from '@tidegate/test-kit';
import { afterAll, afterEach, expect, test } from 'vitest';

const folder = tempDir();
const workers: Worker[] = [];
let files = 0;
const nextFile = () => join(folder.path, `shared-${files++}.db`);

afterEach(() => {
  for (const worker of workers.splice(0)) worker.child.kill('SIGKILL');
});
afterAll(() => folder.remove());

const node = (script: string) => [
  '--conditions=@tidegate/source',
  // Node 22 says that its SQLite is experimental; every other word on stderr fails the test.
  '--disable-warning=ExperimentalWarning',
  '--import',
  import.meta.resolve('tsx'),
  fileURLToPath(new URL(script, import.meta.url)),
];

/** A real process with its own connection, and the lines it printed. */
class Worker {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<unknown>;
  readonly #errors: string[] = [];

  constructor(...args: (string | number)[]) {
    this.child = spawn(process.execPath, [...node('./spend-worker.ts'), ...args.map(String)], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.ended = once(this.child, 'close');
    if (this.child.stdout) createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.child.stderr?.on('data', (chunk) => this.#errors.push(String(chunk)));
    workers.push(this);
  }

  said(word: string): string[] {
    return this.lines.filter((line) => line.split(' ')[0] === word).map((line) => line.slice(word.length + 1));
  }

  async ready(): Promise<void> {
    await until(() => this.said('ready').length > 0 || this.#errors.length > 0, { what: 'a worker to open the ledger', timeoutMs: 20_000 });
    expect(this.#errors.join('')).toBe('');
  }

  go(): void {
    this.child.stdin?.write('go\n');
  }

  async done(): Promise<void> {
    await this.ended;
    expect(this.#errors.join('')).toBe('');
    expect(this.said('done')).toHaveLength(1);
  }
}

interface Count {
  rows: { n: number; nano: number };
  ids: string[];
  holds: { n: number; nano: number };
  counters: { spent: number; reserved: number }[];
  integrity: { integrity_check: string };
}

async function count(file: string): Promise<Count> {
  const { stdout } = await promisify(execFile)(process.execPath, [...node('./count-ledger.ts'), file]);
  return JSON.parse(stdout) as Count;
}

async function together(...started: Worker[]): Promise<void> {
  await Promise.all(started.map((worker) => worker.ready()));
  for (const worker of started) worker.go();
}

test('four processes with 100 calls each fill one budget to its line and never pass it; each threshold is told once among them', async () => {
  const file = nextFile();
  const crowd = Array.from({ length: 4 }, () => new Worker(file, 100, '0.004', 'settle'));
  await together(...crowd);
  await Promise.all(crowd.map((worker) => worker.done()));

  const settled = crowd.flatMap((worker) => worker.said('settled'));
  const counted = await count(file);
  // 275 × 0.004 = 1.1, the blocked threshold of a limit of 1.
  expect(counted).toMatchObject({
    rows: { n: 275, nano: 1_100_000_000 },
    holds: { n: 0, nano: 0 },
    counters: [{ spent: 1_100_000_000, reserved: 0 }],
    integrity: { integrity_check: 'ok' },
  });
  expect(counted.ids.toSorted()).toEqual(settled.toSorted());
  expect(crowd.flatMap((worker) => worker.said('refused'))).toHaveLength(125);
  expect(crowd.flatMap((worker) => worker.said('threshold')).toSorted()).toEqual(['blocked', 'critical', 'warning']);

  const restarted = new Worker(file, 1, '0.5', 'record');
  await together(restarted);
  await restarted.done();
  expect(restarted.said('threshold')).toEqual([]);
});

test('holds of a process that died count until they expire, and never let the others past the line', async () => {
  const file = nextFile();
  const keeper = new Worker(file, 50, '0.004', 'keep');
  await together(keeper);
  await until(() => keeper.said('reserved').length === 50, { what: 'the holds to be acknowledged' });
  keeper.child.kill('SIGKILL');
  await keeper.ended;

  const crowd = [new Worker(file, 200, '0.004', 'settle'), new Worker(file, 200, '0.004', 'settle')];
  await together(...crowd);
  await Promise.all(crowd.map((worker) => worker.done()));
  expect(await count(file)).toMatchObject({
    rows: { n: 225 },
    holds: { n: 50, nano: 200_000_000 },
    counters: [{ spent: 900_000_000, reserved: 200_000_000 }],
  });
});

test('kill -9 at any moment loses no acknowledged row and counts none twice', async () => {
  const file = nextFile();
  const acknowledged: string[] = [];
  for (const rows of [1, 400]) {
    const pair = [new Worker(file, 'for-ever', '0.000001', 'record'), new Worker(file, 'for-ever', '0.000001', 'record')];
    await together(...pair);
    for (const worker of pair) {
      await until(() => worker.said('recorded').length >= rows, { what: `${rows} acknowledged rows`, timeoutMs: 15_000 });
      worker.child.kill('SIGKILL');
    }
    await Promise.all(pair.map((worker) => worker.ended));
    acknowledged.push(...pair.flatMap((worker) => worker.said('recorded')));
  }
  const counted = await count(file);
  const ids = new Set(counted.ids);
  expect(acknowledged.length).toBeGreaterThanOrEqual(2 * 401);
  expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  expect(ids.size).toBe(counted.rows.n);
  expect(counted.rows.nano).toBe(counted.rows.n * 1_000);
  expect(counted.counters).toEqual([{ spent: counted.rows.nano, reserved: 0 }]);
  expect(counted.integrity.integrity_check).toBe('ok');
});
