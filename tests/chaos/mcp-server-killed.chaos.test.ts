import { setTimeout as sleep } from 'node:timers/promises';
import type { CallToolResult, Client } from '@modelcontextprotocol/client';
import { CircuitBreaker, isCircuitOpenError } from '@tidegate/circuit-breaker';
import { mcpTraffic } from '@tidegate/circuit-breaker/classifiers';
import { pipeline, timeout } from '@tidegate/circuit-breaker/policies';
import { createGateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { chaosSeed, isAlive, seededRandom, startHttpFixture, stdioFixture, tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { Crowd, doubles, durations, type Ended, quantile } from './crowd.ts';
import { carriedOut, connected, ProbeCount, textOf, toolOf } from './numbered-calls.ts';

const outages = 4;
const recoverMs = 10_000;

const within = (random: () => number, from: number, to: number) => from + random() * (to - from);

/** A client of the protocol that connects anew after an error, as the calls come. */
class Reconnecting {
  readonly #url: string;
  #client: Promise<Client> | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  async call(name: string, args: Record<string, unknown>, signal: AbortSignal): Promise<string> {
    this.#client ??= connected(this.#url);
    const own = this.#client;
    try {
      const client = await own;
      return textOf((await client.callTool({ name, arguments: args }, { signal })) as CallToolResult);
    } catch (error) {
      if (this.#client === own) await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    await client?.close();
  }
}

test(`a server over HTTP is killed in mid-use: the circuit opens, refuses at once, and closes when it is back (CHAOS_SEED=${chaosSeed})`, {
  timeout: 60_000,
}, async () => {
  const random = seededRandom(chaosSeed); // of the outages alone: callers, who draw in no fixed order, have their own
  const server = await startHttpFixture();
  onTestFinished(() => server[Symbol.asyncDispose]());
  const timeoutMs = 2_000;
  const breaker = new CircuitBreaker({
    name: 'mcp',
    ...mcpTraffic(),
    waitDurationInOpenStateMs: 100,
    maxWaitDurationInOpenStateMs: 300,
    random: seededRandom(chaosSeed + 1),
  });
  const probes = 2; // of mcpTraffic
  const told = { success: 0, failure: 0, ignored: 0, late: 0, rejected: 0, readmitted: 0 };
  for (const event of ['success', 'failure', 'ignored', 'late', 'rejected', 'readmitted'] as const) {
    breaker.on(event, () => {
      told[event] += 1;
    });
  }
  const guarded = pipeline(breaker, timeout({ totalMs: timeoutMs }));
  const connection = new Reconnecting(server.server.url);
  onTestFinished(() => connection.close());
  const admitted: number[] = [];
  const call = (number: number) => {
    const { name, arguments: args } = toolOf(number);
    return guarded.execute(({ signal }) => {
      admitted.push(number);
      return connection.call(name, args, signal);
    });
  };
  const crowd = new Crowd({ callers: 12, random: seededRandom(chaosSeed + 2), pauseMs: 8, most: 20_000, call });
  const counted = new ProbeCount(
    () => carriedOut(server.events()),
    () => admitted.filter((number) => crowd.underWay.has(number)),
  );
  let opened = 0;
  breaker.on('state-change', ({ to }) => {
    if (to === 'open') opened += 1;
    counted.changed(to);
  });

  const pids: number[] = [];
  for (let outage = 0; outage < outages; outage += 1) {
    await sleep(within(random, 150, 450));
    const { opened: before, readmitted } = breaker.metrics();
    pids.push(server.server.pid as number);
    await server.server.kill();
    await until(() => breaker.metrics().opened > before, { what: 'the circuit to open' });
    await sleep(within(random, 100, 500));
    expect(breaker.metrics().readmitted).toBe(readmitted);
    await server.server.restart();
    await until(() => breaker.state === 'closed', { what: 'the circuit to close', timeoutMs: recoverMs });
  }
  await sleep(150);
  await crowd.stop();
  await connection.close();

  const { ended } = crowd;
  const refused = ended.filter(({ error }) => isCircuitOpenError(error));
  const answered = ended.filter(({ error }) => error === undefined);
  const failed = ended.filter(({ error }) => error !== undefined && !isCircuitOpenError(error));
  console.log(
    `${crowd.made} calls: ${answered.length} answered, ${failed.length} failed, ${refused.length} refused ` +
      `(99 % within ${quantile(durations(refused), 0.99).toFixed(2)} ms), ${opened} openings, probes ${counted.phases.join(' ')}`,
  );
  // every call ended once, with an answer that is its own
  expect(doubles(ended.map(({ number }) => number))).toEqual([]);
  expect(ended).toHaveLength(crowd.made);
  for (const { number, value } of answered) expect(value).toBe(toolOf(number).answer);
  // nothing was done twice, and nothing at all of what was refused
  const executed = carriedOut(server.events());
  expect(doubles(executed)).toEqual([]);
  expect(executed).toEqual(expect.arrayContaining(answered.map(({ number }) => number)));
  const refusedNumbers = new Set(refused.map(({ number }) => number));
  expect(executed.filter((number) => refusedNumbers.has(number))).toEqual([]);
  expect(refused.length).toBeGreaterThan(outages * 10);
  expect(quantile(durations(refused), 0.99)).toBeLessThan(timeoutMs / 40);
  // each kill hit calls in the middle, and none waited for its time limit to find out
  expect(failed.length).toBeGreaterThanOrEqual(outages);
  expect(Math.max(...durations(failed))).toBeLessThan(timeoutMs);
  // the numbers of the breaker are those of its callers
  expect(told.rejected).toBe(refused.length);
  expect(told.success + told.failure + told.ignored + told.late).toBe(answered.length + failed.length);
  expect(told.success).toBeLessThanOrEqual(answered.length);
  expect(told.failure + told.ignored).toBeLessThanOrEqual(failed.length);
  expect(breaker.metrics()).toMatchObject({ state: 'closed', rejected: told.rejected, late: told.late, opened, slowCallsInFlight: 0 });
  expect(told.readmitted).toBe(outages);
  expect(breaker.metrics().readmitted).toBe(outages);
  // a half-open circuit let no more through than it may
  expect(counted.phases.length).toBeGreaterThanOrEqual(outages);
  expect(Math.max(...counted.phases)).toBeLessThanOrEqual(probes);

  pids.push(server.server.pid as number);
  await server[Symbol.asyncDispose]();
  expect(new Set(pids).size).toBe(outages + 1);
  expect(pids.filter(isAlive)).toEqual([]);
});

interface ToolEnd {
  readonly text: string;
  /** `ERR_…` where the gateway has no answer. */
  readonly code: string | undefined;
}

function toolEnd(result: CallToolResult): ToolEnd {
  const refusal = result._meta?.['io.tidegate/refusal'] as { code: string } | undefined;
  return { text: textOf(result), code: refusal?.code };
}

/** The samples of a metric of one server, by one label. */
async function metric(url: string, name: string, server: string, by: string): Promise<Record<string, number>> {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const sums: Record<string, number> = {};
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}{`) || !line.includes(`server="${server}"`)) continue;
    const label = new RegExp(`${by}="([^"]*)"`).exec(line)?.[1] ?? '';
    sums[label] = (sums[label] ?? 0) + Number(line.slice(line.lastIndexOf(' ')));
  }
  return sums;
}

function tally(ends: readonly Ended<ToolEnd>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const { value } of ends) if (value?.code !== undefined) sums[value.code] = (sums[value.code] ?? 0) + 1;
  return sums;
}

test(`a program behind the gateway is killed in mid-use: its calls fail fast, it comes back, and no other server is slower (CHAOS_SEED=${chaosSeed})`, {
  timeout: 60_000,
}, async () => {
  const random = seededRandom(chaosSeed + 1);
  const victim = stdioFixture();
  const steady = stdioFixture();
  const remote = await startHttpFixture();
  const data = tempDir('killed-');
  const timeoutMs = 10_000;
  const often = { breaker: { failures: 5, openMs: 200 }, retry: { maxAttempts: 1 }, timeoutMs };
  const program = ({ command, args, env }: typeof victim) => ({ command, args, env, ...often });
  const gateway = await createGateway({
    dataDir: data.path,
    limits: [],
    mcpServers: { victim: program(victim), steady: program(steady), remote: { url: remote.server.url, ...often } },
  });
  const served = await serve(gateway, { port: 0 });
  onTestFinished(async () => {
    await served.close();
    await Promise.all([victim, steady, remote].map((fixture) => fixture[Symbol.asyncDispose]()));
    data.remove();
  });
  await gateway.warmUp();
  const clients = new Map<string, Client>();
  for (const name of ['victim', 'steady', 'remote']) clients.set(name, await connected(served.url));
  const crowds = new Map<string, Crowd<ToolEnd>>();
  for (const [server, client] of clients) {
    const call = async (number: number) => {
      const { name, arguments: args } = toolOf(number);
      return toolEnd((await client.callTool({ name: `${server}__${name}`, arguments: args })) as CallToolResult);
    };
    crowds.set(server, new Crowd({ callers: 5, random: seededRandom(chaosSeed + server.length), pauseMs: 10, most: 10_000, call }));
  }
  const crowdOf = (server: string) => crowds.get(server) as Crowd<ToolEnd>;
  // which of the calls under way are within the gateway cannot be seen from here, but whatever reaches a program that was away is a probe
  const counted = new ProbeCount(
    () => carriedOut(victim.control.events()),
    () => [],
  );
  const states: string[] = [];
  gateway.on('circuit', ({ server, to }) => {
    states.push(`${server} ${to}`);
    if (server === 'victim') counted.changed(to);
  });

  const down: { from: number; to: number }[] = [];
  for (let outage = 0; outage < outages; outage += 1) {
    await sleep(within(random, 150, 400));
    const before = states.length;
    const from = performance.now();
    victim.control.set({ exitAtStart: true }); // the gateway starts it again with the next call: it does not stay
    process.kill(victim.control.pids().at(-1) as number, 'SIGKILL');
    await until(() => states.length > before, { what: 'the circuit to open' });
    await sleep(within(random, 250, 700));
    victim.control.set({});
    await until(() => states.at(-1) === 'victim closed', { what: 'the circuit to close', timeoutMs: recoverMs });
    down.push({ from, to: performance.now() });
  }
  await sleep(300);
  await Promise.all([...crowds.values()].map((crowd) => crowd.stop()));

  const ends = crowdOf('victim').ended;
  const withCode = (code: string) => ends.filter(({ value }) => value?.code === code);
  const refused = withCode('ERR_CIRCUIT_OPEN');
  const lost = withCode('ERR_UPSTREAM_UNAVAILABLE');
  const answered = ends.filter(({ value }) => value !== undefined && value.code === undefined);
  const during = (calls: readonly Ended<ToolEnd>[]) =>
    calls.filter(({ sentAt }) => down.some(({ from, to }) => sentAt >= from && sentAt < to));
  const others = ['steady', 'remote'].map((server) => {
    const all = crowdOf(server).ended;
    const calm = all.filter((call) => !during([call]).length);
    return { server, all, calmMs: quantile(durations(calm), 0.95), downMs: quantile(durations(during(all)), 0.95) };
  });
  console.log(
    `${ends.length} calls: ${answered.length} answered, ${lost.length} lost, ${refused.length} refused ` +
      `(99 % within ${quantile(durations(refused), 0.99).toFixed(1)} ms), probes ${counted.phases.join(' ')}; 95 % of the others within ` +
      others.map(({ server, calmMs, downMs }) => `${server} ${calmMs.toFixed(0)} ms, in an outage ${downMs.toFixed(0)} ms`).join('; '),
  );
  // every call ended once, with an answer that is its own or the reason why there is none
  expect(ends).toHaveLength(crowdOf('victim').made);
  expect(answered.length + lost.length + refused.length).toBe(ends.length);
  for (const { number, value } of answered) expect(value?.text).toBe(toolOf(number).answer);
  const executed = carriedOut(victim.control.events());
  expect(doubles(executed)).toEqual([]);
  expect(executed).toEqual(expect.arrayContaining(answered.map(({ number }) => number)));
  const refusedNumbers = new Set(refused.map(({ number }) => number));
  expect(executed.filter((number) => refusedNumbers.has(number))).toEqual([]);
  expect(refused.length).toBeGreaterThan(outages * 5);
  expect(quantile(durations(refused), 0.99)).toBeLessThan(timeoutMs / 10);
  expect(Math.max(...durations(lost))).toBeLessThan(timeoutMs);
  expect(counted.phases.length).toBeGreaterThanOrEqual(outages);
  expect(Math.max(...counted.phases)).toBeLessThanOrEqual(1); // of the gateway's breaker

  // the gateway's numbers are those of its callers
  const outcomes = await metric(served.url, 'tidegate_calls_total', 'victim', 'outcome');
  expect(outcomes).toEqual({ ok: answered.length, refused: lost.length + refused.length });
  expect(await metric(served.url, 'tidegate_refusals_total', 'victim', 'code')).toEqual(tally(ends));
  const changes = await metric(served.url, 'tidegate_circuit_transitions_total', 'victim', 'to');
  expect(changes).toEqual({
    open: states.filter((state) => state === 'victim open').length,
    'half-open': counted.phases.length,
    closed: outages,
  });

  // the others never noticed
  expect(states.filter((state) => !state.startsWith('victim '))).toEqual([]);
  for (const { server, all, calmMs, downMs } of others) {
    expect(all).toHaveLength(crowdOf(server).made);
    for (const { number, value } of all) expect(value).toEqual({ text: toolOf(number).answer, code: undefined });
    expect(downMs, server).toBeLessThan(2 * calmMs + 100);
  }
  expect(steady.control.pids()).toHaveLength(1);

  for (const client of clients.values()) await client.close();
  await served.close();
  const pids = [...victim.control.pids(), ...steady.control.pids()];
  await until(() => pids.filter(isAlive).length === 0, { what: 'every program to have ended' });
  const { pid = 0 } = remote.server;
  await remote[Symbol.asyncDispose]();
  expect(isAlive(pid)).toBe(false);
});
