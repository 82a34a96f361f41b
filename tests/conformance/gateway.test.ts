import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGateway, type Gateway, type GatewayConfig } from '@tidegate/mcp-gateway';
import { type Served, serve } from '@tidegate/mcp-gateway/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FrameEra } from './frames.ts';
import { prefixed, startLoopback } from './loopback.ts';
import { peculiar } from './peculiar.ts';
import { quickFixture, startHttpFixture } from './processes.ts';
import { runActiveSuite, runServerSuite, type SuiteResult } from './suite.ts';
import { teed, Wire } from './wire.ts';

const scored = { '2025-11-25': 30, '2026-07-28': 37 } as const;
const passed: number[] = [];
const wire = new Wire();

/** A gateway in front of one fixture, and what ends both. */
async function gatewayBefore(server: GatewayConfig['mcpServers'][string], more: Partial<GatewayConfig> = {}): Promise<Served> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidegate-conformance-'));
  const gateway = await createGateway({ mcpServers: { fixture: server }, limits: [], dataDir, ...more });
  await gateway.warmUp();
  await knowAskable(gateway, more.tokens?.[0]?.token);
  const served = await serve(gateway, { port: 0 });
  return { ...served, close: () => served.close().then(() => rm(dataDir, { recursive: true })) };
}

/**
 * Has the server started for clients that can be asked, too: one check of the suite gives a call 600 ms for its first message, and on a
 * busy machine a process takes longer to begin.
 */
async function knowAskable(gateway: Gateway, token = ''): Promise<void> {
  const prefix = 'io.modelcontextprotocol/';
  const clientCapabilities = { elicitation: {} };
  const clientInfo = { name: 'warm-up', version: '1' };
  const _meta = {
    [`${prefix}protocolVersion`]: '2026-07-28',
    [`${prefix}clientInfo`]: clientInfo,
    [`${prefix}clientCapabilities`]: clientCapabilities,
  };
  const headers = {
    authorization: `Bearer ${token}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': '2026-07-28',
    'mcp-method': 'tools/list',
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } });
  const response = await gateway.fetch(new Request('http://127.0.0.1/mcp', { method: 'POST', headers, body }));
  expect(await response.json()).toHaveProperty('result');
}

function expectAll({ passed: count, scored: rows, report }: SuiteResult, of: number): void {
  expect(
    rows.filter(({ status }) => status !== 'passed'),
    report,
  ).toEqual([]);
  expect(count).toBe(of);
}

describe.each<[string, FrameEra, 'stdio' | 'http']>([
  ['a server with sessions over stdio', 'legacy', 'stdio'],
  ['a server without sessions over stdio', 'modern', 'stdio'],
  ['a server with sessions over HTTP', 'legacy', 'http'],
  ['a server without sessions over HTTP', 'modern', 'http'],
])('the official suite through a gateway before %s', (_, era, transport) => {
  let end: () => Promise<void>;
  let url: string;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tidegate-wire-'));
    const fixture = transport === 'http' ? await startHttpFixture(era) : undefined;
    const upstream = fixture && (await startLoopback({ target: fixture.url, tap: wire.http('server', era) }));
    const server = upstream === undefined ? teed(await quickFixture(era), folder) : { url: upstream.url };
    const served = await gatewayBefore({ ...server, prefix: '' });
    const downstream = await startLoopback({ target: served.url, tap: wire.http('client') });
    url = downstream.url;
    end = async () => {
      await served.close();
      await downstream[Symbol.asyncDispose]();
      await upstream?.[Symbol.asyncDispose]();
      await fixture?.[Symbol.asyncDispose]();
      wire.stdio('server', folder, era);
      await rm(folder, { recursive: true });
    };
  });

  afterAll(() => end());

  test.each(['2025-11-25', '2026-07-28'] as const)('passes every scored scenario of %s', { timeout: 120_000 }, async (requirements) => {
    const result = await runServerSuite({ url, requirements });
    passed.push(result.passed);
    expectAll(result, scored[requirements]);
  });

  test('passes every active scenario of the stable suite', { timeout: 120_000 }, async () => {
    expectAll(await runActiveSuite({ url }), 30);
  });
});

test('with tokens and name prefixes, seen through a loopback that adds the header and maps the names', { timeout: 240_000 }, async () => {
  for (const era of ['legacy', 'modern'] as const) {
    const folder = await mkdtemp(join(tmpdir(), 'tidegate-wire-'));
    const fixture = teed(await quickFixture(era), folder);
    const served = await gatewayBefore({ ...fixture, prefix: 'fx-' }, { tokens: [{ token: 'secret', tenant: 'acme' }] });
    const headers = { authorization: 'Bearer secret' };
    const loopback = await startLoopback({ target: served.url, headers, names: prefixed('fx-'), tap: wire.http('client') });
    for (const requirements of ['2025-11-25', '2026-07-28'] as const) {
      expectAll(await runServerSuite({ url: loopback.url, requirements }), scored[requirements]);
    }
    await loopback[Symbol.asyncDispose]();
    await served.close();
    wire.stdio('server', folder, era);
    await rm(folder, { recursive: true });
  }
});

test('the four cells of client and server come to 134 of 134, over either transport', () => {
  expect(passed).toEqual([30, 37, 30, 37, 30, 37, 30, 37]);
});

test('every frame on both hops is valid by the schema of its era, but for what the suite and the fixture get wrong on purpose', () => {
  console.log(wire.totals);
  expect(wire.misfits.filter(({ sender }) => sender === 'gateway')).toEqual([]);
  expect(wire.without(peculiar)).toEqual({ misfits: [], unused: [] });
  for (const hop of ['client', 'server'] as const) {
    for (const era of ['legacy', 'modern'] as const) {
      for (const direction of ['to-server', 'to-client'] as const) expect(wire.count(hop, era, direction)).toBeGreaterThan(200);
    }
  }
});
