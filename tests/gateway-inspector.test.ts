import { join } from 'node:path';
import { createGateway, type GatewayConfig } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { httpFixture, tempDir } from '@tidegate/test-kit';
import { expect, onTestFinished, test } from 'vitest';
import { run } from './command.ts';
import { root } from './workspace.ts';

const inspectorBin = join(root, 'tests/node_modules/.bin/mcp-inspector');

/** A gateway that is served over HTTP in front of a fixture server, and the inspector's command line pointed at it. */
async function inspected(config: Partial<GatewayConfig> = {}) {
  const fixture = await httpFixture();
  const home = tempDir('inspector-');
  const mcpServers = { search: { url: fixture.url } };
  const gateway = await createGateway({ dataDir: join(home.path, 'data'), limits: [], ...config, mcpServers });
  const served = await serve(gateway, { port: 0 });
  onTestFinished(async () => {
    await served.close();
    await fixture.close();
    home.remove();
  });
  const inspector = (...args: string[]) =>
    run(inspectorBin, ['--cli', served.url, '--transport', 'http', ...args], { cwd: home.path, env: { HOME: home.path } });
  return { fixture, inspector };
}

test('the inspector lists the tools', async () => {
  const { inspector } = await inspected();
  const { code, stdout, output } = await inspector('--method', 'tools/list');
  expect(code, output).toBe(0);
  const { tools } = JSON.parse(stdout) as { tools: { name: string }[] };
  expect(tools.map(({ name }) => name)).toContain('search__echo');
});

test('the inspector calls a tool', async () => {
  const { inspector, fixture } = await inspected();
  const { code, stdout, output } = await inspector('--method', 'tools/call', '--tool-name', 'search__echo', '--tool-arg', 'text=hello');
  expect(code, output).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ content: [{ type: 'text', text: 'hello' }] });
  expect(fixture.executions('echo')).toBe(1);
});

test('a refused call ends the inspector with 5 and the whole result', async () => {
  const { inspector } = await inspected({ limits: [{ perHour: 1, burst: 1 }] });
  const echo = ['--method', 'tools/call', '--tool-name', 'search__echo', '--tool-arg', 'text=hello'];
  expect((await inspector(...echo)).code).toBe(0);
  const { code, stdout, output } = await inspector(...echo);
  expect(code, output).toBe(5);
  const result = JSON.parse(stdout) as { content: { text: string }[]; _meta: Record<string, { retryAfterMs: number }> };
  expect(result).toMatchObject({ isError: true, _meta: { 'io.tidegate/refusal': { code: 'ERR_RATE_LIMITED', status: 429 } } });
  expect(result._meta['io.tidegate/refusal']?.retryAfterMs).toBeGreaterThan(3_500_000);
  expect(result.content[0]?.text).toMatch(/ERR_RATE_LIMITED.*Try again in 60 minutes, not before/);
});
