import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Kind, type Row, rotated, spread } from './interleave.ts';
import { publish } from './publish.ts';
import { type Call, httpCall, stdioCall } from './raw-client.ts';

/** One way to call the echo. */
interface Way {
  readonly name: string;
  readonly kind: Kind;
  readonly call: Call;
  /** The process between client and server, where there is one. */
  readonly between?: ChildProcess;
}

/** What one round found of a way. */
interface Found {
  readonly p50Us: number;
  readonly perSecond: number;
  readonly cpuUs: number;
}

const rounds = 9;
const warmUpRounds = 3;
const inSequence = 200;
const atOnce = 32;
const together = 20 * atOnce;

const directHttp = 'direct, HTTP';
const directStdio = 'direct, stdio';
const proxied = 'plain proxy, to HTTP';
const viaHttp = 'tidegate, to HTTP';
const viaStdio = 'tidegate, to stdio';

const echo = fileURLToPath(new URL('echo-server.js', import.meta.url));
const proxy = fileURLToPath(new URL('plain-proxy.js', import.meta.url));
const cli = fileURLToPath(new URL('cli.js', import.meta.resolve('@tidegate/mcp-gateway')));
const profileFolder = process.argv[2];

const folder = mkdtempSync(join(tmpdir(), 'tidegate-bench-'));
const started: ChildProcess[] = [];
try {
  const found = await measure(await ways());
  const rowsOf = (figure: keyof Found, ...names: string[]): Row[] => names.map((name) => rowOf(found, name, figure));
  const added = (name: string, direct: string): Row => {
    const without = rowOf(found, direct, 'p50Us').rounds;
    const { kind, rounds: withIt } = rowOf(found, name, 'p50Us');
    return { name, kind, rounds: withIt.map((value, round) => value - (without[round] as number)) };
  };
  await publish([
    {
      title: 'One call after the other',
      what: `The median of ${inSequence} calls of a tool that echoes, each awaited by a kept-alive client that does nothing else.`,
      unit: 'µs',
      baseline: directHttp,
      rows: rowsOf('p50Us', directHttp, directStdio, proxied, viaHttp, viaStdio),
    },
    {
      title: 'What stands between adds to a call',
      what: 'The median of the row above less that of the direct way to the same server, round by round.',
      unit: 'µs',
      baseline: proxied,
      rows: [added(proxied, directHttp), added(viaHttp, directHttp), added(viaStdio, directStdio)],
      targets: [viaHttp, viaStdio].map((row) => ({ row, figure: 'median', atMost: 250 })),
    },
    {
      title: `${atOnce} calls at once`,
      what: `Calls a second, ${together} calls, ${atOnce} of them always under way. Client, gateway and server share the cores of the machine.`,
      unit: 'calls/s',
      higherIsBetter: true,
      baseline: directHttp,
      rows: rowsOf('perSecond', directHttp, directStdio, proxied, viaHttp, viaStdio),
      targets: [viaHttp, viaStdio].map((row) => ({ row, atLeast: 3_000 })),
    },
    {
      title: 'Processor time of what stands between',
      what: 'All threads of that process, a call, over both ways of calling.',
      unit: 'µs',
      baseline: proxied,
      rows: rowsOf('cpuUs', proxied, viaHttp, viaStdio),
      targets: [viaHttp, viaStdio].map((row) => ({ row, atMost: 250 })),
    },
  ]);
} finally {
  await Promise.all(started.map(end));
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function ways(): Promise<Way[]> {
  const server = start([echo, 'http']);
  const url = await firstLine(server);
  const plain = start([proxy, url]);
  const gateway = startGateway(url);
  const gatewayUrl = await listening(gateway);
  const token = 'bench-token';
  return [
    { name: directHttp, kind: 'limit', call: await httpCall(url, 'echo', undefined) },
    { name: directStdio, kind: 'limit', call: stdioCall(start([echo, 'stdio']), 'echo') },
    { name: proxied, kind: 'limit', call: await httpCall(await firstLine(plain), 'http__echo', undefined), between: plain },
    { name: viaHttp, kind: 'ours', call: await httpCall(gatewayUrl, 'http__echo', token), between: gateway },
    { name: viaStdio, kind: 'ours', call: await httpCall(gatewayUrl, 'stdio__echo', token), between: gateway },
  ];
}

/** The gateway as users start it, with all it does by default; only limits and budget are wider than any of the calls. */
function startGateway(url: string): ChildProcess {
  const config = {
    mcpServers: { http: { url }, stdio: { command: process.execPath, args: [echo, 'stdio'] } },
    tokens: [{ token: 'bench-token', tenant: 'acme' }],
    limits: [{ perMinute: 1_000_000_000, perHour: 1_000_000_000 }],
    budgets: [{ scope: { tenant: 'acme' }, limitUsd: '1000000', period: 'month' }],
    prices: { http__echo: { perCallUsd: '0.0001' }, stdio__echo: { perCallUsd: '0.0001' } },
  };
  const file = join(folder, 'tidegate.json');
  writeFileSync(file, JSON.stringify(config));
  const profiling = profileFolder === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileFolder}`];
  return start([...profiling, cli, 'serve', '--config', file, '--port', '0']);
}

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  started.push(child);
  return child;
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  const [line] = (await once(createInterface({ input: stdout as NodeJS.ReadableStream }), 'line')) as [string];
  return line;
}

/** The address that the gateway tells in its log. */
function listening(gateway: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const log: string[] = [];
    createInterface({ input: gateway.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      log.push(line);
      const url = /"url":"(http[^"]+\/mcp)"/.exec(line)?.[1];
      if (url !== undefined && line.includes('"listening"')) resolve(url);
    });
    gateway.once('exit', (code) => reject(new Error(`the gateway ended with ${code}: ${log.join('\n')}`)));
  });
}

async function measure(all: readonly Way[]): Promise<ReadonlyMap<string, { kind: Kind; found: Found[] }>> {
  const results = new Map(all.map(({ name, kind }) => [name, { kind, found: [] as Found[] }]));
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    for (const at of rotated(all.length, round + warmUpRounds)) {
      const way = all[at] as Way;
      const found = await oneRound(way);
      if (round >= 0) results.get(way.name)?.found.push(found);
    }
  }
  return results;
}

async function oneRound({ call, between }: Way): Promise<Found> {
  const cpuBefore = cpuUsOf(between);
  const times: number[] = [];
  for (let i = 0; i < inSequence; i += 1) {
    const start = performance.now();
    await call();
    times.push((performance.now() - start) * 1_000);
  }
  const start = performance.now();
  const lane = async () => {
    for (let i = 0; i < together / atOnce; i += 1) await call();
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const seconds = (performance.now() - start) / 1_000;
  const cpuUs = (cpuUsOf(between) - cpuBefore) / (inSequence + together);
  return { p50Us: spread(times).median, perSecond: together / seconds, cpuUs };
}

/** Processor time of all threads of a process so far, finer than the clock ticks of `/proc/<pid>/stat`. */
function cpuUsOf(child: ChildProcess | undefined): number {
  if (child === undefined) return 0;
  const threads = readdirSync(`/proc/${child.pid}/task`);
  const ns = threads.map((thread) => Number(readFileSync(`/proc/${child.pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]));
  return ns.reduce((sum, each) => sum + each, 0) / 1_000;
}

function rowOf(found: Awaited<ReturnType<typeof measure>>, name: string, figure: keyof Found): Row {
  const way = found.get(name);
  if (way === undefined) throw new RangeError(`there is no way '${name}'`);
  return { name, kind: way.kind, rounds: way.found.map((each) => each[figure]) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(late);
}
