import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { until } from '@tidegate/test-kit';
import { expect } from 'vitest';
import type { Orders } from './spend-worker.ts';

const node = (script: string) => [
  '--conditions=@tidegate/source',
  // Node 22 says that its SQLite is experimental; every other word on stderr fails the test.
  '--disable-warning=ExperimentalWarning',
  '--import',
  import.meta.resolve('tsx'),
  fileURLToPath(new URL(script, import.meta.url)),
];

/** Real processes that share a ledger. */
export class Crowd {
  readonly workers: Worker[] = [];

  start(orders: Orders, under: readonly string[] = []): Worker {
    const worker = new Worker(orders, under);
    this.workers.push(worker);
    return worker;
  }

  /** What all of them have said so far, also those that are gone. */
  said(word: string): string[] {
    return this.workers.flatMap((worker) => worker.said(word));
  }

  end(): void {
    for (const worker of this.workers.splice(0)) worker.child.kill('SIGKILL');
  }
}

/** A real process with its own connection, and the lines it printed. */
export class Worker {
  readonly orders: Orders;
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly #said = new Map<string, string[]>();
  readonly #errors: string[] = [];

  /** `under` is a command that the process is run by. */
  constructor(orders: Orders, under: readonly string[]) {
    this.orders = orders;
    const [command, ...args] = [...under, process.execPath, ...node('./spend-worker.ts'), JSON.stringify(orders)];
    this.child = spawn(command as string, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.ended = once(this.child, 'close');
    if (this.child.stdout) createInterface({ input: this.child.stdout }).on('line', (line) => this.#hear(line));
    this.child.stderr?.on('data', (chunk) => this.#errors.push(String(chunk)));
    this.child.stdin?.on('error', () => {}); // it may have been killed before it could be told
  }

  /** What came after the word in the lines that began with it. */
  said(word: string): readonly string[] {
    return this.#said.get(word) ?? [];
  }

  async ready(): Promise<void> {
    await until(() => this.said('ready').length > 0 || this.#errors.length > 0, { what: 'a worker to open the ledger', timeoutMs: 60_000 });
    expect(this.#errors.join('')).toBe('');
  }

  go(): void {
    this.child.stdin?.write('go\n');
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  async done(): Promise<void> {
    await this.ended;
    expect(this.#errors.join('')).toBe('');
    expect(this.said('done')).toHaveLength(1);
  }

  #hear(line: string): void {
    const [word = '', rest = ''] = line.split(/ (.*)/s, 2);
    const said = this.#said.get(word);
    if (said) said.push(rest);
    else this.#said.set(word, [rest]);
  }
}

/** Lets them all begin at once. */
export async function together(...started: readonly Worker[]): Promise<void> {
  await Promise.all(started.map((worker) => worker.ready()));
  for (const worker of started) worker.go();
}

/** What the counting script finds in a ledger. */
export interface Count {
  rows: { tenant: string; n: number; nano: number }[];
  ids: string[];
  holds: { n: number; nano: number };
  counters: { tenant: string; spent: number; reserved: number }[];
  rollup: { span: number; n: number; nano: number }[];
  crossings: string[];
  integrity: string;
}

/** Counts a ledger in a process of its own. */
export async function count(ledger: string): Promise<Count> {
  const { stdout } = await promisify(execFile)(process.execPath, [...node('./count-ledger.ts'), ledger], { maxBuffer: 2 ** 28 });
  return JSON.parse(stdout) as Count;
}

/** Every row is there once, counted in its counter and in its hour and day. */
export function expectExact(counted: Count, acknowledged: readonly string[]): void {
  const ids = new Set(counted.ids);
  expect(ids.size).toBe(counted.ids.length);
  expect(acknowledged.filter((id) => !ids.has(id))).toEqual([]);
  expect(counted.counters.map(({ tenant, spent }) => [tenant, spent])).toEqual(counted.rows.map(({ tenant, nano }) => [tenant, nano]));
  const all = counted.rows.reduce((sum, { n, nano }) => ({ n: sum.n + n, nano: sum.nano + nano }), { n: 0, nano: 0 });
  expect(counted.rollup.map(({ n, nano }) => ({ n, nano }))).toEqual([all, all]);
  expect(counted.integrity).toBe('ok');
}
