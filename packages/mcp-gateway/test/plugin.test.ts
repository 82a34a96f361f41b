import { join } from 'node:path';
import { CostTracker } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { httpFixture, tempDir, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { createGateway, type GatewayConfig, type Plugin, type PluginContext, type PluginTool } from '../src/index.ts';
import { call, clientOf, eventsOf, keep, refusedWith, textOf, toolNames } from './gateway-over.ts';

async function gatewayWith(plugins: readonly Plugin[], config: Partial<GatewayConfig> = {}) {
  const dataDir = keep(tempDir('plugin-')).path;
  const gateway = keep(await createGateway({ mcpServers: {}, limits: [], dataDir, ...config }, { plugins }));
  return { gateway, dataDir };
}

const tools = (...own: PluginTool[]): Plugin => ({ name: 'own', version: '1.2.3', tools: own });
const seen: PluginContext[] = [];
const add: PluginTool = {
  name: 'add',
  description: 'Adds.',
  inputSchema: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } }, required: ['a', 'b'] },
  more: { annotations: { readOnlyHint: true } },
  run: ({ a, b }, context) => {
    seen.push(context);
    return { sum: Number(a) + Number(b) };
  },
};
const fail: PluginTool = {
  name: 'fail',
  run: () => {
    throw new Error('no luck');
  },
};

describe('a plug-in', () => {
  test('stands beside the servers, with its prefix and its own words', async () => {
    const server = keep(await httpFixture());
    const { gateway } = await gatewayWith([tools(add)], { mcpServers: { search: { url: server.url } } });
    expect(await toolNames(gateway)).toEqual(expect.arrayContaining(['search__echo', 'own__add']));
    const client = await clientOf(gateway);
    const offered = (await client.listTools()).tools.find(({ name }) => name === 'own__add');
    expect(offered).toEqual({ name: 'own__add', description: 'Adds.', inputSchema: add.inputSchema, annotations: { readOnlyHint: true } });
  });

  test('gives its result with what it is and how long it took, and knows on whose behalf', async () => {
    const { gateway } = await gatewayWith([tools(add)]);
    const answer = await call(gateway, 'own__add', { a: 1, b: 2 });
    expect(answer).toEqual({
      result: {
        content: [{ type: 'text', text: '{"sum":3}' }],
        structuredContent: {
          success: true,
          result: { sum: 3 },
          metadata: { tool: 'add', version: '1.2.3', duration_ms: expect.any(Number), trace_id: expect.stringMatching(/^[\da-f]{32}$/) },
        },
      },
    });
    expect(seen.pop()).toMatchObject({ tenant_id: 'default', user_id: undefined, user_role: 'operator' });
  });

  test('that throws has failed, as a tool of a server would', async () => {
    const circular: PluginTool = {
      name: 'circular',
      run: () => {
        const value: Record<string, unknown> = {};
        value['self'] = value;
        return value;
      },
    };
    const { gateway } = await gatewayWith([tools(fail, circular, { name: 'nothing', run: () => undefined })]);
    expect(await call(gateway, 'own__fail')).toMatchObject({
      result: {
        isError: true,
        content: [{ text: 'no luck' }],
        structuredContent: { success: false, error: 'no luck', metadata: { trace_id: expect.any(String) } },
      },
    });
    expect(await call(gateway, 'own__circular')).toMatchObject({ result: { isError: true } });
    expect(textOf(await call(gateway, 'own__nothing'))).toBe('null');
  });

  test('passes everything that servers pass: arguments, limits, budgets and the ledger', async () => {
    const { gateway, dataDir } = await gatewayWith([tools(add, fail)], {
      prices: { '*': { perCallUsd: '0.5' } },
      budgets: [{ scope: { tenant: 'default' }, limitUsd: '1', period: 'month', thresholds: { blocked: 1 } }],
      limits: [{ perHour: 3 }],
    });
    expect(await refusedWith(call(gateway, 'own__add', { a: '1' }))).toMatchObject({ code: 'ERR_INVALID_ARGUMENTS' });
    await call(gateway, 'own__add', { a: 1, b: 2 });
    await call(gateway, 'own__fail');
    expect(await refusedWith(call(gateway, 'own__fail'))).toMatchObject({ code: 'ERR_BUDGET_EXCEEDED' });
    await call(gateway, 'own__add', { a: 1, b: 2 }).catch(() => {});
    expect(await refusedWith(call(gateway, 'own__add', { a: 1, b: 2 }))).toMatchObject({ code: 'ERR_RATE_LIMITED' });
    await gateway.close();
    const ledger = new CostTracker({ store: sqliteStore(join(dataDir, 'ledger.db')) });
    expect(await ledger.monthlyTotalUsd()).toBe('1');
    await ledger.close();
  });

  test('gets the tenant where it asks for it', async () => {
    const scoped: PluginTool = {
      name: 'whose',
      inputSchema: { type: 'object', properties: { _tenant_id: { type: 'string' } } },
      run: (args) => args['_tenant_id'],
    };
    const { gateway } = await gatewayWith([tools(scoped)]);
    expect(textOf(await call(gateway, 'own__whose', { _tenant_id: 'other' }))).toBe('default');
  });

  test('has no circuit where it asks for none, and one that its failures open where it does', async () => {
    const { gateway } = await gatewayWith([tools(fail), { name: 'careful', tools: [fail], breaker: { failures: 2 } }]);
    const circuits = eventsOf(gateway, 'circuit');
    for (let i = 0; i < 10; i += 1) await call(gateway, 'own__fail');
    expect(circuits).toEqual([]);
    for (let i = 0; i < 2; i += 1) await call(gateway, 'careful__fail');
    expect(await refusedWith(call(gateway, 'careful__fail'))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
  });

  test('is stopped when its time is over or its caller leaves, whether it looks at its signal or not', async () => {
    const signals: AbortSignal[] = [];
    const hang: PluginTool = {
      name: 'hang',
      run: (_args, { signal }) => {
        signals.push(signal);
        return new Promise(() => {});
      },
    };
    const { gateway } = await gatewayWith([{ ...tools(hang), timeoutMs: 50, retry: { maxAttempts: 1 } }]);
    expect(await refusedWith(call(gateway, 'own__hang'))).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(signals[0]?.aborted).toBe(true);
    const controller = new AbortController();
    const left = refusedWith(call(gateway, 'own__hang', {}, controller.signal));
    await until(() => signals.length === 2, { what: 'the call runs' });
    controller.abort(new Error('I left'));
    expect((await left).message).toBe('I left');
  });

  test('tells progress to those who want it, and asks those who can be asked', async () => {
    const chatty: PluginTool = {
      name: 'chatty',
      run: async (_args, { progress, ask }) => {
        progress(1, 2, 'half');
        const answer = await ask({
          method: 'elicitation/create',
          params: { message: 'sure?', requestedSchema: { type: 'object', properties: {} } },
        });
        return 'result' in answer ? answer.result['action'] : answer.error.message;
      },
    };
    const { gateway } = await gatewayWith([tools(chatty)]);
    const client = await clientOf(gateway, { elicitation: {} });
    client.setRequestHandler('elicitation/create', async () => ({ action: 'decline' }));
    const told: unknown[] = [];
    const answer = await client.callTool({ name: 'own__chatty' }, { onprogress: (progress) => told.push(progress) });
    expect(answer).toMatchObject({ content: [{ text: 'decline' }] });
    expect(told).toEqual([{ progress: 1, total: 2, message: 'half' }]);
    expect(textOf(await call(gateway, 'own__chatty'))).toContain('does not offer');
  });

  test.each<[string, readonly Plugin[], string]>([
    ['no name', [{ name: 'a b', tools: [] }], 'plugins[0].name must be letters, digits, - and _, not "a b"'],
    ["a server's name", [{ name: 'search', tools: [] }], "plugins[0].name 'search' is the name of another server or plug-in"],
    ['the name of another', [tools(), tools()], "plugins[1].name 'own' is the name of another server or plug-in"],
    ['a tool twice', [tools(add, add)], "plugins[0].tools has 'add' twice"],
  ])('with %s stops the start', async (_what, plugins, message) => {
    const started = gatewayWith(plugins, { mcpServers: { search: { url: 'http://127.0.0.1:1/mcp' } } });
    await expect(started).rejects.toThrow(new RangeError(message));
  });
});
