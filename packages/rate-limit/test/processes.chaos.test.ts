import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type ManagedServer, requireServer, startPostgres, startRedis } from '@tidegate/test-kit';
import { afterEach, describe, expect, test } from 'vitest';

const processes = 8;
const perSecond = 1_000;
const burst = 200;
const forMs = 3_000;

/** How far the moment of an arrival may lie from that of its admission, on a machine that is busy with ten processes. */
const transitMs = 100;

const children: ChildProcess[] = [];
const servers: ManagedServer[] = [];
const targets: Server[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const target of targets.splice(0)) target.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

/** Counts what arrives, and when, and does nothing else. */
async function startTarget(): Promise<{ port: number; arrivals: number[] }> {
  const arrivals: number[] = [];
  const target = createServer((socket) => {
    socket.on('data', (chunk) => {
      const now = performance.now();
      for (let i = 0; i < chunk.length; i++) arrivals.push(now);
    });
    socket.on('error', () => {});
  });
  target.listen(0, '127.0.0.1');
  await once(target, 'listening');
  targets.push(target);
  return { port: (target.address() as { port: number }).port, arrivals };
}

interface Admitted {
  readonly count: number;
  readonly seconds: number;
}

/** Eight processes share one limit for a while; `meanwhile` may harm the server. */
async function share(server: ManagedServer, lease: boolean, meanwhile: () => Promise<void> = async () => {}): Promise<Admitted> {
  servers.push(server);
  const { port, arrivals } = await startTarget();
  const orders = JSON.stringify({ url: server.url, target: port, lease, perSecond, burst, forMs });
  const script = fileURLToPath(new URL('./limit-worker.ts', import.meta.url));
  const workers = Array.from({ length: processes }, () => {
    const child = spawn(process.execPath, ['--conditions=@tidegate/source', '--import', import.meta.resolve('tsx'), script, orders], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  });
  await Promise.all(workers.map((child) => once(child.stdout as NodeJS.ReadableStream, 'data')));
  const ended = workers.map((child) => once(child, 'exit'));
  for (const child of workers) child.stdin?.write('go\n');
  await meanwhile();
  const codes = await Promise.all(ended);
  expect(codes.map(([code]) => code)).toEqual(workers.map(() => 0));
  return { count: arrivals.length, seconds: ((arrivals.at(-1) ?? 0) - (arrivals[0] ?? 0)) / 1_000 };
}

function expectWithin({ count, seconds }: Admitted, bursts: number): void {
  expect(count).toBeLessThanOrEqual(bursts * burst + perSecond * (seconds + transitMs / 1_000));
}

function expectUsed({ count, seconds }: Admitted): void {
  expect(count / (burst + perSecond * seconds)).toBeGreaterThanOrEqual(0.95);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.each([
  { name: 'Redis', kind: 'redis' as const, start: () => startRedis() },
  { name: 'Postgres', kind: 'postgres' as const, start: () => startPostgres() },
])('eight processes on one $name', ({ kind, start }) => {
  test.runIf(requireServer(kind)).each([{ lease: false }, { lease: true }])(
    'admit no more than burst + rate · t together, and nearly all of it (leases: $lease)',
    { timeout: 60_000 },
    async ({ lease }) => {
      const admitted = await share(await start(), lease);
      expectWithin(admitted, 1);
      expectUsed(admitted);
    },
  );
});

describe('a Redis that is killed in mid-load', () => {
  test.runIf(requireServer('redis')).each([
    { what: 'that keeps nothing: one burst more', lease: false, args: [], bursts: 2 },
    { what: 'that keeps nothing: one burst more, with leases', lease: true, args: [], bursts: 2 },
    {
      what: 'that acknowledges what is on disk: no burst more',
      lease: false,
      args: ['--appendonly', 'yes', '--appendfsync', 'always'],
      bursts: 1,
    },
    {
      what: 'that acknowledges what is on disk: no burst more, with leases',
      lease: true,
      args: ['--appendonly', 'yes', '--appendfsync', 'always'],
      bursts: 1,
    },
  ])('$what', { timeout: 60_000 }, async ({ lease, args, bursts }) => {
    const server = await startRedis({ args });
    const admitted = await share(server, lease, async () => {
      await pause(forMs / 3);
      await server.kill();
      await server.restart();
    });
    expectWithin(admitted, bursts);
  });
});
