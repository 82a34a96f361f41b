import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { describe, expect, test } from 'vitest';
import { type Names, prefixed, startLoopback } from './loopback.ts';
import { startHttpFixture } from './processes.ts';
import { type Revision, runServerSuite } from './suite.ts';

const names = prefixed('fixture__');

/** What a server does that prefixes its names itself: the other side of the mapping. */
const serverSide: Names = { toServer: names.toCaller, toCaller: names.toServer };

const revisions: readonly [Revision, number][] = [
  ['2025-11-25', 30],
  ['2026-07-28', 37],
];

describe('a loopback', () => {
  test.each(revisions)(
    'is not noticed by the suite of %s when what is behind it has prefixed names',
    { timeout: 200_000 },
    async (requirements, scenarios) => {
      await using fixture = await startHttpFixture('both');
      await using prefixing = await startLoopback({ target: fixture.url, names: serverSide });
      await using loopback = await startLoopback({ target: prefixing.url, names });
      const result = await runServerSuite({ url: loopback.url, requirements });
      expect(result.scored.flatMap(({ failures }) => failures)).toEqual([]);
      expect(result.passed).toBe(scenarios);
    },
  );

  test('shows a client the names of the other side, in lists, calls and headers, and nothing else', async () => {
    await using fixture = await startHttpFixture('both');
    await using prefixing = await startLoopback({ target: fixture.url, names: serverSide });
    const client = new Client({ name: 'test', version: '1.0.0' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
    await client.connect(new StreamableHTTPClientTransport(new URL(prefixing.url)));
    const { tools } = await client.listTools();
    expect(tools.length).toBeGreaterThan(20);
    expect(tools.every(({ name }) => name.startsWith('fixture__'))).toBe(true);
    expect((await client.listPrompts()).prompts.map(({ name }) => name)).toContain('fixture__test_simple_prompt');
    expect((await client.listResources()).resources[0]?.name).toBe('static-text');
    const called = await client.callTool({ name: 'fixture__test_simple_text', arguments: {} });
    expect(called.content).toEqual([{ type: 'text', text: 'This is a simple text response for testing.' }]);
    const ref = { type: 'ref/prompt' as const, name: 'fixture__test_prompt_with_arguments' };
    expect((await client.complete({ ref, argument: { name: 'arg1', value: 'part' } })).completion.values).toEqual(['party']);
    await client.close();
  });

  test('adds the headers it is told to, in place of the caller’s own', async () => {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers);
      response.end('not JSON');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const target = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
    await using loopback = await startLoopback({ target, headers: { authorization: 'Bearer good' } });
    const answer = await fetch(loopback.url, {
      method: 'POST',
      body: 'neither',
      headers: { authorization: 'Bearer bad', 'mcp-name': 'x' },
    });
    expect(await answer.text()).toBe('not JSON');
    expect(seen).toMatchObject([{ authorization: 'Bearer good', 'mcp-name': 'x', host: new URL(loopback.url).host }]);
    server.close();
    server.closeAllConnections();
  });
});
