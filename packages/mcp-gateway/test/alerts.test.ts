import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { httpFixture, tempDir, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { createGateway, type GatewayConfig } from '../src/index.ts';
import { call, eventsOf, gatewayOver, keep, tireless } from './gateway-over.ts';

const key = Buffer.alloc(32, 7);
const secret = `whsec_${key.toString('base64')}`;

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real receiver, which answers with the statuses it is given and then with 204. */
async function receiver(...statuses: number[]): Promise<{ url: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    received.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
    response.writeHead(statuses.shift() ?? 204).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  keep({
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?key=sesame`, received };
}

const budgets = [{ name: 'team', scope: { tenant: 'default' }, limitUsd: '0.1', period: 'month' as const }];
const prices = { '*': { perCallUsd: '0.08' } };

async function gatewayWith(alerts: GatewayConfig['alerts'], rest: Partial<GatewayConfig> = {}) {
  const server = keep(await httpFixture());
  return gatewayOver({ search: { url: server.url, ...tireless } }, { budgets, prices, alerts, ...rest });
}

describe('alerts', () => {
  test('tell a webhook and a space of Google Chat what the budget event says, each once and in order', async () => {
    const [hook, chat] = [await receiver(), await receiver()];
    const gateway = await gatewayWith([{ webhook: { url: hook.url, secret } }, { googleChat: { url: chat.url } }], {
      prices: { '*': { perCallUsd: '0.11' } },
    });
    const told = eventsOf(gateway, 'alert');
    await call(gateway, 'search__echo', { text: 'x' });
    await until(() => told.length === 6, { what: 'three alerts for each', timeoutMs: 20_000 });
    expect(told.every(({ state }) => state === 'delivered')).toBe(true);
    for (const sink of ['webhook', 'google-chat']) {
      expect(told.filter((event) => event.sink === sink).map(({ budget, level }) => `${budget} ${level}`)).toEqual([
        'team warning',
        'team critical',
        'team blocked',
      ]);
    }
    const bodies = hook.received.map(({ body }) => JSON.parse(body));
    expect(bodies.map(({ type }) => type)).toEqual(['budget.warning', 'budget.critical', 'budget.blocked']);
    expect(bodies[0].data).toMatchObject({ budget: 'team', spentUsd: '0.11', limitUsd: '0.1' });
    for (const { headers, body } of hook.received) {
      const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
      expect(headers['webhook-signature']).toBe(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
    }
    expect(chat.received.map(({ body }) => JSON.parse(body).text.split('\n')[0])).toEqual([
      '⚠️ *Budget team: warning*',
      '🚨 *Budget team: critical*',
      '⛔ *Budget team: blocked*',
    ]);
    expect(chat.received[0]?.path).toMatch(/^\/hook\?key=sesame&/);
  });

  test('that are refused are given up, those that fail are sent again, and neither secret nor address is told', async () => {
    const [wrong, sick] = [await receiver(401), await receiver(500)];
    const gateway = await gatewayWith(
      [
        { name: 'wrong', webhook: { url: wrong.url, secret } },
        { name: 'sick', webhook: { url: sick.url, secret } },
      ],
      { prices: { '*': { perCallUsd: '0.095' } } },
    );
    const events = eventsOf(gateway, 'alert');
    await call(gateway, 'search__echo', { text: 'x' });
    await until(() => events.length === 3, { what: 'an end for both', timeoutMs: 20_000 });
    expect(events.find(({ sink }) => sink === 'wrong')).toEqual({
      budget: 'team',
      level: 'warning',
      sink: 'wrong',
      state: 'given-up',
      reason: "sink 'wrong' answered 401, which no repetition will change",
    });
    expect(events.filter(({ sink }) => sink === 'sick')).toEqual([
      { budget: 'team', level: 'warning', sink: 'sick', state: 'failed', reason: "sink 'sick' answered 500" },
      { budget: 'team', level: 'warning', sink: 'sick', state: 'delivered' },
    ]);
    expect(JSON.stringify(events)).not.toMatch(/sesame|BwcH/);
    expect(new Set(sick.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  });

  test('that a gateway could not deliver are delivered by the next one on the same data', async () => {
    const dataDir = keep(tempDir('alerts-')).path;
    const hook = await receiver();
    const prices = { '*': { perCallUsd: '0.095' } };
    const silent = await gatewayWith([], { dataDir, prices });
    await call(silent, 'search__echo', { text: 'x' });
    await silent.close();
    const gateway = await gatewayWith([{ webhook: { url: hook.url, secret } }], { dataDir, prices });
    await until(() => hook.received.length === 1, { what: 'the alert', timeoutMs: 20_000 });
    await gateway.close();
    await gateway.close();
    await (await gatewayWith([{ webhook: { url: hook.url, secret } }], { dataDir, prices })).close();
    expect(hook.received).toHaveLength(1);
  });
});

describe('what is wrong with alerts is told with its place', () => {
  const folder = () => keep(tempDir('alerts-'));

  async function problemsOf(alerts: unknown, env: Record<string, string> = {}): Promise<string[]> {
    const file = join(folder().path, 'tidegate.json');
    writeFileSync(file, `{ "mcpServers": {},\n"alerts":\n${JSON.stringify(alerts)} }`);
    for (const [name, value] of Object.entries(env)) process.env[name] = value;
    try {
      const gateway = await createGateway(file);
      await gateway.close();
      return [];
    } catch (error) {
      const { problems } = error as { problems?: { line: number; pointer: string; message: string }[] };
      if (problems === undefined) throw error;
      return problems.map(({ line, pointer, message }) => `${line} ${pointer} ${message}`);
    } finally {
      for (const name of Object.keys(env)) delete process.env[name];
    }
  }

  const url = 'https://example.com/hook';
  const secure = 'expected https, or http on this machine';
  test.each<[string, unknown, string]>([
    ['no list', {}, '2 /alerts expected array, received object'],
    ['neither', [{ name: 'x' }], '3 /alerts/0 expected either webhook or googleChat'],
    ['both', [{ webhook: { url, secret }, googleChat: { url } }], '3 /alerts/0 expected either webhook or googleChat'],
    ['something else', [{ slack: { url } }], "3 /alerts/0/slack unknown option 'slack'"],
    ['plain http', [{ webhook: { url: 'http://example.com', secret } }], `3 /alerts/0/webhook/url ${secure}`],
    ['a chat on plain http', [{ googleChat: { url: 'http://example.com' } }], `3 /alerts/0/googleChat/url ${secure}`],
    [
      'a password in the address',
      [{ googleChat: { url: 'https://a:sesame@example.com' } }],
      '3 /alerts/0/googleChat/url must be an https address',
    ],
    ['a weak secret', [{ webhook: { url, secret: 'sesame' } }], '3 /alerts/0/webhook/secret must be 24 to 64 bytes in base64'],
    ['no secret', [{ webhook: { url } }], '3 /alerts/0/webhook/secret expected string, received undefined'],
    [
      'a variable that is not set',
      [{ webhook: { url, secret: `\${env:NO_SUCH}` } }],
      `3 /alerts/0/webhook/secret \${env:NO_SUCH} names an environment variable that is not set`,
    ],
    [
      'a name twice',
      [
        { name: 'a', googleChat: { url } },
        { name: 'a', webhook: { url, secret } },
      ],
      "3 /alerts/1/name 'a' is already taken",
    ],
    [
      'a name that another has by itself',
      [{ webhook: { url, secret } }, { name: 'webhook', webhook: { url, secret } }],
      "3 /alerts/1/name 'webhook' is already taken",
    ],
  ])('%s', async (_what, alerts, expected) => {
    const [first, ...others] = await problemsOf(alerts);
    expect(first).toContain(expected);
    expect(first).not.toContain('sesame');
    expect(others.filter((problem) => !problem.includes('unknown option') && !problem.includes('either'))).toEqual([]);
  });

  test('nothing is, with secrets of the environment and several of one kind', async () => {
    const alerts = [
      { webhook: { url, secret: `\${env:HOOK_SECRET}` } },
      { webhook: { url: `\${env:HOOK_URL}`, secret: `\${env:HOOK_SECRET}` } },
      { googleChat: { url: `\${env:HOOK_URL}` } },
    ];
    expect(await problemsOf(alerts, { HOOK_SECRET: secret, HOOK_URL: 'http://127.0.0.1:1/x' })).toEqual([]);
  });
});

describe('budgets', () => {
  test.each(['week', { rollingMs: 3_600_000 }] as const)('of the period %j are held', async (period) => {
    const gateway = await gatewayWith([], { budgets: [{ ...budgets[0], period, unpriced: 'allow' }] as GatewayConfig['budgets'] });
    await call(gateway, 'search__echo', { text: 'x' });
    await expect(call(gateway, 'search__echo', { text: 'x' })).rejects.toMatchObject({ code: 'ERR_BUDGET_EXCEEDED' });
  });

  test.each<[object, string]>([
    [{ period: 'year' }, "/budgets/0/period expected 'day', 'week', 'month' or { rollingMs }"],
    [{ period: { rollingMs: 1 } }, '/budgets/0/period/rollingMs must be a number from 60000'],
    [{ unpriced: 'maybe' }, '/budgets/0/unpriced invalid option'],
  ])('%j is refused with its place', async (wrong, expected) => {
    const dataDir = keep(tempDir('alerts-')).path;
    const config = { mcpServers: {}, dataDir, budgets: [{ ...budgets[0], ...wrong }] } as unknown as GatewayConfig;
    await expect(createGateway(config)).rejects.toThrow(expected);
  });
});
