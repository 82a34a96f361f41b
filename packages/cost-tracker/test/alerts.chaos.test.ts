import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chaosSeed, seededRandom, tempDir, until } from '@tidegate/test-kit';
import { Webhook } from 'standardwebhooks';
import { afterAll, afterEach, expect, test } from 'vitest';
import type { PendingAlert } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';
import { AlertReceiver } from './alert-receiver.ts';

const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
const lines = ['warning', 'critical', 'blocked'];
const folder = tempDir();
afterAll(() => folder.remove());
let files = 0;
const nextFile = () => join(folder.path, `alerts-${files++}.db`);

const workers: Worker[] = [];
const receivers: AlertReceiver[] = [];
afterEach(async () => {
  for (const worker of workers.splice(0)) worker.child.kill('SIGKILL');
  for (const receiver of receivers.splice(0)) await receiver[Symbol.asyncDispose]();
});

async function receiver(): Promise<AlertReceiver> {
  const started = await AlertReceiver.start();
  receivers.push(started);
  return started;
}

/** A real process with its own connection to the ledger, and the lines it printed. */
class Worker {
  readonly child: ChildProcess;
  readonly lines: string[] = [];
  readonly ended: Promise<unknown>;
  readonly #errors: string[] = [];

  constructor(...args: string[]) {
    const script = fileURLToPath(new URL('./alert-worker.ts', import.meta.url));
    const node = ['--conditions=@tidegate/source', '--disable-warning=ExperimentalWarning', '--import', import.meta.resolve('tsx'), script];
    this.child = spawn(process.execPath, [...node, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.ended = once(this.child, 'close');
    if (this.child.stdout) createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.child.stderr?.on('data', (chunk) => this.#errors.push(String(chunk)));
    workers.push(this);
  }

  async ready(): Promise<this> {
    await until(() => this.lines.includes('ready') || this.#errors.length > 0, { what: 'a worker to open the ledger', timeoutMs: 60_000 });
    this.clean();
    return this;
  }

  clean(): void {
    expect(this.#errors.join('')).toBe('');
  }

  say(line: string): void {
    this.child.stdin?.write(`${line}\n`);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  async close(): Promise<void> {
    this.say('close');
    await this.ended;
    this.clean();
    expect(this.lines.at(-1)).toBe('done');
  }
}

/** Every crossing that the ledger knows, read through a sink that nobody tells. */
async function crossings(file: string): Promise<PendingAlert[]> {
  const store = sqliteStore(file);
  const found: PendingAlert[] = [];
  try {
    for (;;) {
      const claimed = await store.claimAlerts('witness', Date.now(), Date.now() + 600_000, 100);
      if (claimed.length === 0) return found;
      found.push(...claimed);
      for (const { id } of claimed) await store.endAlert('witness', id, undefined);
    }
  } finally {
    await store.close();
  }
}

const budgetOf = (body: string) => /acme|beta|gamma/.exec(body)?.[0] ?? '';

test('two processes tell two sinks of a jump from 80 % to 112 %: each line once, in order', async () => {
  const file = nextFile();
  const [hook, chat] = [await receiver(), await receiver()];
  const pair = [new Worker(file, secret, hook.url, chat.url), new Worker(file, secret, hook.url, chat.url)];
  for (const worker of pair) await worker.ready();
  pair[0]?.say('spend acme 0.8');
  await until(() => pair[0]?.lines.includes('spent acme 0.8'), { what: 'the first spend', timeoutMs: 20_000 });
  pair[1]?.say('spend acme 0.32');
  pair[0]?.say('spend beta 1.12');
  const all = () => hook.received.length >= 6 && chat.received.length >= 6;
  await until(all, { what: 'both budgets to be told of', timeoutMs: 20_000 });
  for (const worker of pair) await worker.close();
  for (const { received } of [hook, chat]) {
    expect(received).toHaveLength(6);
    for (const name of ['acme', 'beta']) {
      expect(received.filter(({ body }) => budgetOf(body) === name).map(({ level }) => level)).toEqual(lines);
    }
  }
  expect(new Set(hook.ids).size).toBe(6);
  for (const { body, headers } of hook.received) new Webhook(secret).verify(body, headers as Record<string, string>);
});

test('kill -9 in mid-delivery: the other process sends it again with the same id, and nothing is lost', async () => {
  const file = nextFile();
  const hook = await receiver();
  hook.usual = 'never';
  const dies = await new Worker(file, secret, hook.url).ready();
  dies.say('spend acme 1.12');
  await until(() => hook.received.length === 1, { what: 'the first attempt', timeoutMs: 20_000 });
  await dies.kill();
  hook.usual = 204;
  const lives = await new Worker(file, secret, hook.url).ready();
  await until(() => hook.levels.at(-1) === 'blocked', { what: 'everything to be told', timeoutMs: 20_000 });
  await lives.close();
  expect(hook.levels).toEqual(['warning', ...lines]);
  expect(hook.ids[1]).toBe(hook.ids[0]);
  expect(new Set(hook.ids).size).toBe(3);
  expect(hook.received[1]?.body).toBe(hook.received[0]?.body);
});

test(`processes that are killed and receivers that fail at random lose no alert and give each one id (CHAOS_SEED=${chaosSeed})`, async () => {
  const random = seededRandom(chaosSeed);
  const file = nextFile();
  const hook = await receiver();
  const replies = [204, 204, 204, 500, 'cut', 429, 'never'] as const;
  hook.replies.push(...Array.from({ length: 40 }, () => replies[Math.floor(random() * replies.length)] ?? 204));
  let killed = 0;
  for (let round = 0; round < 3; round += 1) {
    const pair = [new Worker(file, secret, hook.url), new Worker(file, secret, hook.url)];
    for (const worker of pair) await worker.ready();
    for (const tenant of ['acme', 'beta', 'gamma']) {
      for (const worker of pair) worker.say(`spend ${tenant} ${(0.1 + random() * 0.3).toFixed(2)}`);
    }
    const seen = hook.received.length;
    const more = Math.floor(random() * 3);
    await until(() => pair.every(({ lines: said }) => said.filter((line) => line.startsWith('spent')).length === 3), {
      what: 'what was spent to be acknowledged',
      timeoutMs: 20_000,
    });
    const expected = (await crossings(file)).length;
    if (expected > 0)
      await until(() => hook.received.length >= seen + Math.min(more, expected), { what: 'some attempts', timeoutMs: 20_000 });
    for (const worker of pair) await worker.kill();
    killed += pair.length;
  }
  hook.replies.length = 0;
  const last = await new Worker(file, secret, hook.url).ready();
  for (const tenant of ['acme', 'beta', 'gamma']) last.say(`spend ${tenant} 1.2`);
  const delivered = () => new Set(hook.received.filter(({ level }) => level === 'blocked').map(({ body }) => budgetOf(body))).size === 3;
  await until(delivered, { what: 'everything to be told', timeoutMs: 60_000 });
  await last.close();
  expect(killed).toBe(6);

  const told = new Map<string, Set<unknown>>();
  for (const { body, level, headers } of hook.received) {
    const line = `${budgetOf(body)} ${level}`;
    told.set(line, (told.get(line) ?? new Set()).add(headers['webhook-id']));
  }
  const expected = ['acme', 'beta', 'gamma'].flatMap((name) => lines.map((level) => `${name} ${level}`));
  expect([...told.keys()].toSorted()).toEqual(expected.toSorted());
  expect([...told.values()].map((ids) => ids.size)).toEqual(expected.map(() => 1));
  for (const name of ['acme', 'beta', 'gamma']) {
    const ranks = hook.received.filter(({ body }) => budgetOf(body) === name).map(({ level }) => lines.indexOf(level));
    expect(ranks).toEqual(ranks.toSorted());
  }
});
