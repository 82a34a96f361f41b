import { fileURLToPath } from 'node:url';
import { tempDir } from '@tidegate/test-kit';
import { onTestFinished, test } from 'vitest';
import { createGateway, type Gateway } from '../src/index.ts';
import { Caller } from './caller.ts';
import { judge, mutate, patience, randomOf, seed } from './lane.ts';
import { listening, plainLegacy, plainModern } from './plain-server.ts';

const lanes = 48;
const script = fileURLToPath(new URL('./mutating-server.ts', import.meta.url));
const node = ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', script];
const cells = ['legacy', 'modern'].flatMap((era) => ['stdio', 'http'].map((transport) => [era, transport] as const));
/** Impatient, and with circuits that never open: what is measured is each call. */
const eager = {
  timeoutMs: 400,
  totalTimeoutMs: 1_500,
  retry: { maxAttempts: 2, initialDelayMs: 1, maxDelayMs: 1 },
  breaker: { failures: 1e6 },
};

/** A gateway before servers of each era and transport that get everything wrong, and healthy ones. */
async function started(): Promise<Gateway> {
  const folder = tempDir('frames-');
  onTestFinished(() => folder.remove());
  const started = await Promise.all(
    cells.map(async ([era, transport]) => {
      if (transport === 'stdio')
        return [`${era}-stdio`, { command: process.execPath, args: [...node, era, 'stdio', String(seed)], ...eager }] as const;
      const server = await listening([...node, era, 'http', String(seed)]);
      onTestFinished(() => server[Symbol.asyncDispose]());
      return [`${era}-http`, { url: server.url, ...eager }] as const;
    }),
  );
  const plain = await plainLegacy();
  onTestFinished(() => plain[Symbol.asyncDispose]());
  const mcpServers = { ...Object.fromEntries(started), legacy: { url: plain.url }, modern: plainModern };
  const gateway = await createGateway({ mcpServers, limits: [], connectTimeoutMs: 3_000, dataDir: folder.path });
  onTestFinished(() => gateway.close());
  await gateway.warmUp();
  return gateway;
}

test(
  'whatever servers answer, every call ends in time and rightly, other servers are heard, and memory stays as it is',
  patience,
  async ({ task }) => {
    const gateway = await started();
    const callers = new Map<number, Caller>();
    let steps = 0;
    const mutation = await mutate(lanes, async (lane) => {
      const caller = callers.get(lane) ?? new Caller(gateway, randomOf(lane), lane % 3);
      callers.set(lane, caller);
      steps += 1;
      if (steps % 25 === 0) await caller.healthy(steps % 50 === 0 ? 'legacy' : 'modern');
      return caller.step(cells[steps % cells.length]?.join('-') as string);
    });
    judge(task, mutation, Caller.totals(callers.values()));
  },
);
