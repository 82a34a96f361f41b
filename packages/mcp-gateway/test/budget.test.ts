import { join } from 'node:path';
import { CostTracker } from '@tidegate/cost-tracker';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { type HttpFixture, httpFixture, stdioFixture, tempDir, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import type { Gateway, GatewayConfig } from '../src/index.ts';
import { call, clientOf, eventsOf, gatewayOver, keep, refusedWith, swift, textOf, tireless } from './gateway-over.ts';

const http = async (): Promise<HttpFixture> => keep(await httpFixture());

/** Prices of a cent for every tool that these tests call. */
const prices = Object.fromEntries(
  ['echo', 'fail', 'count', 'slow', 'hang', 'add'].map((tool) => [`search__${tool}`, { perCallUsd: '0.01' }]),
);

interface Priced {
  readonly gateway: Gateway;
  /** What the ledger's file says was spent, read by a reader of its own. */
  readonly spent: () => Promise<string>;
}

async function priced(mcpServers: GatewayConfig['mcpServers'], limitUsd = '100', rest: Partial<GatewayConfig> = {}): Promise<Priced> {
  const dataDir = keep(tempDir('ledger-')).path;
  const budgets = [{ name: 'team', scope: { tenant: 'default' }, limitUsd, period: 'month' as const }];
  const gateway = await gatewayOver(mcpServers, { dataDir, prices, budgets, ...rest });
  await gateway.warmUp();
  const spent = async () => {
    const tracker = new CostTracker({ store: sqliteStore(join(dataDir, 'ledger.db')) });
    try {
      return await tracker.monthlyTotalUsd();
    } finally {
      await tracker.close();
    }
  };
  return { gateway, spent };
}

describe('the ledger', () => {
  test('has the price of a call that succeeded and of one whose tool failed', async () => {
    const { gateway, spent } = await priced({ search: { url: (await http()).url, ...tireless } });
    await call(gateway, 'search__echo', { text: 'x' });
    expect(await spent()).toBe('0.01');
    expect(await call(gateway, 'search__fail')).toMatchObject({ result: { isError: true } });
    expect(await spent()).toBe('0.02');
  });

  test('has the price of a call that ran out of time or lost its answer, for it may have been carried out', async () => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...tireless, timeoutMs: 150 } });
    await refusedWith(call(gateway, 'search__hang'));
    expect(await spent()).toBe('0.01');
    server.faults.set({ cutMidBody: true, times: 1, methods: ['tools/call'] });
    await refusedWith(call(gateway, 'search__count'));
    expect(server.executions('count')).toBe(1);
    expect(await spent()).toBe('0.02');
  });

  test('has nothing of a call that was certainly not carried out', async () => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...swift, breaker: { failures: 4 } } });
    server.faults.set({ status: 429, methods: ['tools/call'] });
    await refusedWith(call(gateway, 'search__echo', { text: 'x' })); // three attempts
    server.faults.set({ status: 401, methods: ['tools/call'] });
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(server.executions()).toBe(0);
    expect(await spent()).toBe('0');
  });

  test('has nothing of a call whose arguments do not fit, which no server sees', async () => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...swift } });
    const client = await clientOf(gateway);
    const answer = await client.callTool({ name: 'search__echo', arguments: { text: 7 } });
    expect(answer).toMatchObject({ isError: true, _meta: { 'io.tidegate/refusal': { code: 'ERR_INVALID_ARGUMENTS', status: 400 } } });
    expect(textOf({ result: answer as never })).toBe(
      "The call was not completed: the arguments of 'search__echo' do not fit its inputSchema: '/text' must be string (ERR_INVALID_ARGUMENTS). Correct them and call it again.",
    );
    expect(server.executions()).toBe(0);
    expect(await spent()).toBe('0');
  });

  test.each([
    ['the last attempt met an open circuit', { breaker: { failures: 1 } }],
    ['the last attempt reached nobody', { breaker: { failures: 100 } }],
  ])('has the price of a call of which an earlier attempt may have been carried out, though %s', async (_how, config) => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...swift, idempotent: ['count'], ...config } });
    server.faults.set({ cutMidBody: true, times: 1, methods: ['tools/call'] });
    gateway.on('retry', () => server.faults.set({ status: 429, methods: ['tools/call'] }));
    const refused = await refusedWith(call(gateway, 'search__count'));
    expect(server.executions('count')).toBe(1);
    expect(refused).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(refused.message).toMatch(/^server 'search' may have carried out an earlier attempt; the last one failed: /);
    expect(await spent()).toBe('0.01');
  });

  test('has the price once, however many attempts there were', async () => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...tireless } });
    server.faults.set({ status: 429, times: 2, methods: ['tools/call'] });
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
    expect(await spent()).toBe('0.01');
  });

  test('has nothing of what has no price', async () => {
    const { gateway, spent } = await priced({ search: { url: (await http()).url, ...tireless } });
    const client = await clientOf(gateway);
    await client.readResource({ uri: 'fixture://text' });
    await client.getPrompt({ name: 'search__plain' });
    await call(gateway, 'search__structured', { city: 'Seoul' });
    expect(await spent()).toBe('0');
  });

  test('has calls that the gateway cut off by closing', async () => {
    const server = keep(stdioFixture());
    const { command, args, env } = server;
    const { gateway, spent } = await priced({ search: { command, args, env, ...tireless } });
    const hanging = refusedWith(call(gateway, 'search__hang'));
    await until(() => server.control.executions('hang') === 1, { what: 'the call to be carried out' });
    await gateway.close();
    expect(await hanging).toMatchObject({ code: 'ERR_CLOSED' });
    expect(await spent()).toBe('0.01');
  });
});

describe('the budget', () => {
  test('tells 90, 100 and 110 % in this order, once, and then refuses', async () => {
    const { gateway, spent } = await priced({ search: { url: (await http()).url, ...tireless } }, '0.2');
    const told = eventsOf(gateway, 'budget');
    const seen: [number, string][] = [];
    gateway.on('budget', ({ level }) => seen.push([calls, level]));
    let calls = 0;
    for (calls = 1; calls <= 22; calls += 1) await call(gateway, 'search__echo', { text: 'x' });
    expect(seen).toEqual([
      [18, 'warning'],
      [20, 'critical'],
      [22, 'blocked'],
    ]);
    expect(told.map(({ budget, limitUsd, spentUsd }) => [budget, limitUsd, spentUsd])).toEqual([
      ['team', '0.2', '0.18'],
      ['team', '0.2', '0.2'],
      ['team', '0.2', '0.22'],
    ]);
    const refused = await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    expect(refused).toMatchObject({ code: 'ERR_BUDGET_EXCEEDED', refusal: { status: 403, limit: 'team' } });
    expect(refused.message).not.toContain('undefined');
    expect(await spent()).toBe('0.22');
    expect(told).toHaveLength(3);
  });

  test('is never passed by more than its 110 %, however many call at once', async () => {
    const server = await http();
    const { gateway, spent } = await priced({ search: { url: server.url, ...tireless } }, '0.2');
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, () => call(gateway, 'search__slow', { ms: 20, steps: 1 })));
    const answered = outcomes.filter(({ status }) => status === 'fulfilled').length;
    expect(answered).toBe(22);
    expect(server.executions('slow')).toBe(22);
    expect(await spent()).toBe('0.22');
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ERR_BUDGET_EXCEEDED' });
    }
  });

  test('of one tenant is nothing to another', async () => {
    const server = await http();
    const tokens = ['a', 'b'].map((tenant) => ({ token: `secret-${tenant}`, tenant }));
    const budgets = [{ scope: { tenant: 'a' }, limitUsd: '0.01', period: 'day' as const }];
    const { gateway } = await priced({ search: { url: server.url, ...tireless } }, '1', { tokens, budgets });
    const as = (tenant: string) => gateway.callTool({ tenant, role: 'member' }, 'search__echo', { text: tenant });
    expect(textOf(await as('a'))).toBe('a');
    expect(await refusedWith(as('a'))).toMatchObject({ code: 'ERR_BUDGET_EXCEEDED' });
    expect(textOf(await as('b'))).toBe('b');
  });

  test('refuses before the server is asked', async () => {
    const server = await http();
    const { gateway } = await priced({ search: { url: server.url, ...tireless } }, '0.001');
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({ code: 'ERR_BUDGET_EXCEEDED' });
    expect(server.executions()).toBe(0);
  });
});
