import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGateway, type GatewayConfig } from '@tidegate/mcp-gateway';
import { type Served, serve } from '@tidegate/mcp-gateway/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prefixed, startLoopback } from './loopback.ts';
import { type FixtureEra, quickFixture, startHttpFixture } from './processes.ts';
import { runActiveSuite, runServerSuite, type SuiteResult } from './suite.ts';

const scored = { '2025-11-25': 30, '2026-07-28': 37 } as const;
const passed: number[] = [];

/** A gateway in front of one fixture, and what ends both. */
async function gatewayBefore(server: GatewayConfig['mcpServers'][string], more: Partial<GatewayConfig> = {}): Promise<Served> {
  const dataDir = await mkdtemp(join(tmpdir(), 'tidegate-conformance-'));
  const gateway = await createGateway({ mcpServers: { fixture: server }, limits: [], dataDir, ...more });
  await gateway.warmUp();
  const served = await serve(gateway, { port: 0 });
  return { ...served, close: () => served.close().then(() => rm(dataDir, { recursive: true })) };
}

function expectAll({ passed: count, scored: rows, report }: SuiteResult, of: number): void {
  expect(
    rows.filter(({ status }) => status !== 'passed'),
    report,
  ).toEqual([]);
  expect(count).toBe(of);
}

describe.each<[string, FixtureEra, 'stdio' | 'http']>([
  ['a server with sessions over stdio', 'legacy', 'stdio'],
  ['a server without sessions over stdio', 'modern', 'stdio'],
  ['a server with sessions over HTTP', 'legacy', 'http'],
  ['a server without sessions over HTTP', 'modern', 'http'],
])('the official suite through a gateway before %s', (_, era, transport) => {
  let end: () => Promise<void>;
  let url: string;

  beforeAll(async () => {
    const fixture = transport === 'http' ? await startHttpFixture(era) : undefined;
    const served = await gatewayBefore({ ...(fixture === undefined ? await quickFixture(era) : { url: fixture.url }), prefix: '' });
    url = served.url;
    end = async () => {
      await served.close();
      await fixture?.[Symbol.asyncDispose]();
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
    const served = await gatewayBefore({ ...(await quickFixture(era)), prefix: 'fx-' }, { tokens: [{ token: 'secret', tenant: 'acme' }] });
    const loopback = await startLoopback({ target: served.url, headers: { authorization: 'Bearer secret' }, names: prefixed('fx-') });
    for (const requirements of ['2025-11-25', '2026-07-28'] as const) {
      expectAll(await runServerSuite({ url: loopback.url, requirements }), scored[requirements]);
    }
    await loopback[Symbol.asyncDispose]();
    await served.close();
  }
});

test('the four cells of client and server come to 134 of 134, over either transport', () => {
  expect(passed).toEqual([30, 37, 30, 37, 30, 37, 30, 37]);
});
