import { Agent } from 'node:http';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { GatewayConfig } from '@tidegate/mcp-gateway';
import { httpFixture, isAlive, startProxy, stdioFixture, tempDir, until } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { fetchThrough, observe } from './gateway-process.ts';
import type { Holdings } from './observed-gateway.ts';

const warmUps = 20;
const cycles = 200;
/** Least squares over so many cycles at the end. */
const measured = 100;
const mostBytesACycle = 20_000;

/** An SDK client that connects, listens, calls, and in the middle of another call is gone without a word. */
async function shortLife(url: string, number: number, { executions }: { executions: () => number }): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const client = new Client({ name: `client-${number}`, version: '1.0.0' }, { versionNegotiation: { mode: 'legacy' } });
  const reconnectionOptions = { initialReconnectionDelay: 1, maxReconnectionDelay: 1, reconnectionDelayGrowFactor: 1, maxRetries: 0 };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch: fetchThrough(agent), reconnectionOptions }));
  for (const server of ['program', 'address']) {
    const { content } = await client.callTool({ name: `${server}__echo`, arguments: { text: `${number}` } });
    expect(content).toEqual([{ type: 'text', text: `${number}` }]);
  }
  const unfinished = client.callTool({ name: 'address__slow', arguments: { ms: 20 } });
  unfinished.catch(() => {});
  await until(() => executions() > number, { what: 'the unfinished call to be carried out' });
  agent.destroy();
  await client.close();
}

/** Growth by each step, by least squares. */
function slope(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const up = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0);
  return up / values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
}

const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, count) => sum + count, 0);

const shown = ({ files, children, resources }: Holdings) => ({ files, children, resources });

test('killed clients and killed servers leave nothing behind', { timeout: 120_000 }, async () => {
  const program = stdioFixture();
  const address = await httpFixture();
  const network = await startProxy({ port: Number(new URL(address.url).port) });
  const data = tempDir('leaks-');
  onTestFinished(async () => {
    await network.close();
    await address.close();
    await program[Symbol.asyncDispose]();
    data.remove();
  });
  const { command, args, env } = program;
  // No client says goodbye. A gateway keeps such a session until it was idle for half an hour, so that this one may just keep all.
  const config: GatewayConfig = {
    dataDir: data.path,
    limits: [],
    maxSessions: warmUps + cycles,
    mcpServers: {
      program: { command, args, env, breaker: { failures: 1_000_000 }, retry: { initialDelayMs: 1 }, idempotent: ['echo'] },
      address: { url: `http://127.0.0.1:${network.port}/mcp` },
    },
  };
  const { url, holdings, close } = await observe(config);
  const slowCalls = { executions: () => address.executions('slow') };
  /** Once nothing runs and idle connections are gone: of those to the HTTP server, only the stream of its notifications is left. */
  const atRest = async () => {
    await until(() => network.connections <= 1, { what: 'idle connections to end', timeoutMs: 15_000 });
    const resting = async () => {
      const held = await holdings();
      return (held.resources['Timeout'] ?? 0) === 0 && held;
    };
    return until(resting, { what: 'the gateway to come to rest', timeoutMs: 15_000 });
  };
  const cycle = async (number: number) => {
    await shortLife(url, number, slowCalls);
    const pid = program.control.pids().at(-1) as number;
    process.kill(pid, 'SIGKILL');
    await until(() => !isAlive(pid), { what: 'the server to be gone' });
  };

  for (let number = 0; number < warmUps; number += 1) await cycle(number);
  const before = await atRest();
  const bytes: number[] = [];
  for (let number = warmUps; number < warmUps + cycles; number += 1) {
    await cycle(number);
    bytes.push((await holdings()).bytes);
  }
  const after = await atRest();
  expect(shown(after)).toEqual(shown(before));

  const growth = slope(bytes.slice(-measured));
  console.log(
    `${cycles} cycles: ${total(before.files)} → ${total(after.files)} open files, ${before.children} → ${after.children} child processes, ` +
      `resources ${JSON.stringify(before.resources)} → ${JSON.stringify(after.resources)}, ` +
      `${Math.round(growth)} bytes a cycle over the last ${measured} (kept sessions included)`,
  );
  expect(growth).toBeLessThanOrEqual(mostBytesACycle);

  await expect(shortLife(url, cycles, slowCalls)).rejects.toThrow(/503|sessions are open/); // all the sessions that it keeps are taken
  expect(await close()).toBe(0);
  for (const pid of program.control.pids()) expect(isAlive(pid)).toBe(false);
});
