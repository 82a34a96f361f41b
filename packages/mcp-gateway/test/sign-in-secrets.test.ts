import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { tempDir, until } from '@tidegate/test-kit';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { logEvents } from '../src/log.ts';
import { sdk } from '../src/oauth/sdk.ts';
import { keep } from './gateway-over.ts';
import { exchange } from './raw-http.ts';
import { bearer } from './served-gateway.ts';
import { linkIn, SignInClient, signInWorld, twoTenants } from './sign-in-gateway.ts';
import { canary, SignInServer, visit } from './sign-in-server.ts';

vi.mock('../src/oauth/sdk.ts', async (original) => ({ sdk: vi.fn((await original<typeof import('../src/oauth/sdk.ts')>()).sdk) }));
afterEach(() => void vi.restoreAllMocks());

/** Everything that an error holds, and those that led to it. */
function allOf(value: unknown): string {
  if (!(value instanceof Error))
    return typeof value === 'object' && value !== null ? Object.values(value).map(allOf).join(' ') : String(value);
  return `${value.stack} ${JSON.stringify(value)} ${value.cause === undefined ? '' : allOf(value.cause)}`;
}

describe('what nobody but its server may see', () => {
  test('is in no log, event, answer, page or number, whatever goes wrong', async () => {
    const printed = (['warn', 'error', 'log', 'info', 'debug'] as const).map((level) => vi.spyOn(console, level));
    const clientSecret = `${canary}-configured`;
    const world = await signInWorld({ gateway: { tokens: twoTenants, budgets: [], prices: {} }, config: { breaker: { failures: 1_000 } } });
    const { server, served } = world;
    const log: string[] = [];
    const tell = (message: string, fields?: object) => void log.push(message, JSON.stringify(fields));
    logEvents(served.gateway, { info: tell, warn: tell, error: tell });
    const said: string[] = [];
    const client = await SignInClient.connect(world, { token: 'gate-ann' });
    const note = async (answer: Promise<unknown>) => {
      const settled = await answer.catch((error: unknown) => error);
      said.push(allOf(settled), JSON.stringify(settled));
      return settled;
    };
    const signIn = async () => {
      const refused = await client.call((await client.tools())[0] as string);
      const page = await visit(linkIn(refused.text), 'ann', server);
      said.push(page.text);
      return page.status;
    };
    // the authorization server says again what it was sent, in every way in which it can
    const echoes: [status: number, text: (sent: string) => string][] = [
      [400, (sent) => JSON.stringify({ error: 'invalid_grant', error_description: sent })],
      [400, (sent) => JSON.stringify({ error: 'temporarily_unavailable', error_description: sent })],
      [500, (sent) => `<h1>${sent}</h1>`],
      [200, (sent) => `not JSON: ${sent}`],
      [200, (sent) => JSON.stringify({ access_token: { was: sent }, token_type: sent })],
      [200, (sent) => JSON.stringify({ error: 'invalid_client', error_description: sent })],
    ];
    const echo = (status: number, text: (sent: string) => string) => {
      server.settings.instead = ({ path, body, authorization = '' }, response) => {
        if (path !== '/token') return false;
        const secret = Buffer.from(authorization.slice('Basic '.length), 'base64').toString();
        response.writeHead(status, { 'content-type': 'application/json' }).end(text(`${body} ${secret} ${clientSecret}`));
        return true;
      };
    };
    for (const [status, text] of echoes) {
      echo(status, text);
      expect(await signIn()).toBe(400);
    }
    server.settings.instead = () => false;
    expect(await signIn()).toBe(200);
    await client.untilSignedIn();
    await note(client.call('vault__whoami'));
    for (const [status, text] of echoes) {
      server.endAccess();
      echo(status, text);
      await note(client.call('vault__whoami'));
      await note(client.client.readResource({ uri: 'vault://ann' }));
      server.settings.instead = () => false;
      expect(await signIn()).toBe(200);
    }
    await note(client.call('vault__admin'));
    await note(served.gateway.callTool({ tenant: 'acme', user: 'ann', role: 'member' }, 'vault__admin', {}));
    server.settings.banned = ['ann'];
    await note(client.call('vault__whoami'));
    const asked = ['/metrics', '/api/metrics/summary', '/api/mcp/tools', '/oauth/callback?state=x&code=y'];
    for (const path of asked) said.push((await exchange(served.at(path), { headers: bearer('gate-ops') })).text);
    await until(() => world.news.some(([name]) => name === 'sign-in'), { what: 'the news' });

    // what is looked for was there to be found
    const sent = server.at('/token').map(({ body }) => new URLSearchParams(body));
    const verifiers = sent.flatMap((form) => form.get('code_verifier') ?? []);
    const states = server.at('/authorize').flatMap(({ query }) => new URLSearchParams(query).get('state') ?? []);
    const links = said.concat(log).flatMap((text) => text.match(/\/oauth\/start\/[\w-]{20,}/g) ?? []);
    expect([verifiers.length > 5, states.length > 5, links.length > 0]).toEqual([true, true, true]);
    expect(JSON.stringify(server.requests)).toContain(`Bearer ${canary}-access-ann`);
    expect(sent.some((form) => form.get('refresh_token')?.startsWith(`${canary}-refresh`))).toBe(true);

    const secrets = [canary, ...verifiers, ...states];
    const events = world.news.map(([name, event]) => `${name} ${allOf(event)} ${JSON.stringify(event)}`);
    for (const text of [...said, ...events, ...log]) for (const secret of secrets) expect(text).not.toContain(secret);
    for (const text of [...events, ...log]) expect(text).not.toMatch(/\/oauth\/start\/|gate-ann/); // links are for their user alone
    for (const print of printed) expect(print.mock.calls).toEqual([]);
  });

  test('of the configuration goes to the authorization server that it names, and to no other', async () => {
    const { server, served } = await signInWorld({
      config: { oauth: { clientId: 'gate', clientSecret: `${canary}-configured`, issuer: 'https://as.example' } },
    });
    const client = await SignInClient.connect({ served, server, news: [] });
    const { status, text } = await visit(await client.link(), 'ann', server);
    expect([status, text.includes(canary)]).toEqual([502, false]);
    expect(JSON.stringify(server.requests)).not.toContain('configured');
    expect(server.at('/authorize')).toEqual([]);
  });
});

describe('what signing in costs those who do not', () => {
  test('the protocol’s OAuth client is loaded when somebody begins', async () => {
    vi.mocked(sdk).mockClear();
    const world = await signInWorld();
    const client = await SignInClient.connect(world);
    const link = await client.link();
    expect(sdk).not.toHaveBeenCalled();
    await visit(link, 'ann', world.server);
    expect(sdk).toHaveBeenCalled();
  });

  test('and by nothing else', () => {
    const src = fileURLToPath(new URL('../src', import.meta.url));
    const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(50);
    const importing = files.filter((file) =>
      /^import (?!type)[^;]*'@modelcontextprotocol|import\('@model/ms.test(readFileSync(join(src, file), 'utf8')),
    );
    expect(importing).toEqual([join('oauth', 'sdk.ts')]);
  });
});

test('a gateway that other machines reach gives no link before it knows its own address', async () => {
  const world = await signInWorld({ gateway: { tokens: twoTenants } });
  const { createGateway } = await import('../src/index.ts');
  const { serve } = await import('../src/node.ts');
  const dataDir = keep(tempDir('open-')).path;
  const mcpServers = { vault: { url: world.server.url, oauth: {} } };
  const served = await serve(await createGateway({ mcpServers, tokens: twoTenants, dataDir, limits: [] }), { host: '0.0.0.0', port: 0 });
  keep({ [Symbol.asyncDispose]: () => served.close() });
  const url = `http://127.0.0.1:${served.port}/api/mcp/tools/vault__sign_in`;
  await until(async () => (await exchange(url.replace('/vault__sign_in', ''), { headers: bearer('gate-ann') })).text.includes('sign_in'), {
    what: 'the server is known',
  });
  const { text } = await exchange(url, {
    method: 'POST',
    headers: { ...bearer('gate-ann'), 'content-type': 'application/json' },
    body: {},
  });
  expect(JSON.parse(text)).toMatchObject({ code: 'ERR_SIGN_IN_REQUIRED', title: expect.stringContaining('needs publicUrl') });
});

test('serve --stdio serves the pages of a sign-in on this machine, and nothing else', async () => {
  const server = keep(await SignInServer.start());
  const folder = keep(tempDir('stdio-'));
  writeFileSync(join(folder.path, 'tidegate.json'), JSON.stringify({ mcpServers: { vault: { url: server.url, oauth: {} } }, limits: [] }));
  const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
  const args = ['--import', import.meta.resolve('tsx'), '--conditions=@tidegate/source', cli, 'serve', '--stdio'];
  const child = spawn(process.execPath, args, { cwd: folder.path, stdio: 'pipe' });
  const exit = new Promise((resolve) => child.once('close', resolve));
  const stderr: string[] = [];
  createInterface(child.stderr.pipe(new PassThrough())).on('line', (line) => stderr.push(line));
  const received: { id?: number; method?: string; result?: { content: { text: string }[]; tools: { name: string }[] } }[] = [];
  createInterface(child.stdout).on('line', (line) => received.push(JSON.parse(line)));
  let id = 0;
  const ask = async (method: string, params: object) => {
    id += 1;
    const own = id;
    child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: own, method, params })}\n`);
    return until(() => received.find((message) => message.id === own)?.result, { what: `an answer to ${method}`, timeoutMs: 20_000 });
  };
  await ask('initialize', { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } });
  await ask('tools/list', {});
  const link = linkIn((await ask('tools/call', { name: 'vault__sign_in', arguments: {} })).content[0]?.text ?? '');
  const { origin, hostname } = new URL(link);
  expect(hostname).toBe('127.0.0.1');
  for (const path of ['/', '/mcp', '/healthz', '/metrics', '/api/mcp/tools', '/oauth', '/oauth/../mcp', '/oauth/x'])
    expect([path, (await exchange(`${origin}${path}`)).status]).toEqual([path, 404]);
  expect((await exchange(link, { headers: { host: 'evil.example' } })).status).toBe(403);
  expect((await visit(link, 'ann', server)).status).toBe(200);
  await until(() => received.some(({ method }) => method === 'notifications/tools/list_changed'), { what: 'the client is told' });
  expect((await ask('tools/call', { name: 'vault__whoami', arguments: {} })).content[0]?.text).toBe('ann');
  server.endAccess();
  server.endRefresh();
  const again = (await ask('tools/call', { name: 'vault__whoami', arguments: {} })).content[0]?.text ?? '';
  expect(linkIn(again)).not.toBe(link);
  child.stdin.end();
  expect(await exit).toBe(0);
  await expect(exchange(link)).rejects.toThrow(/ECONNREFUSED/);
  for (const line of stderr) expect(JSON.parse(line)).toMatchObject({ level: expect.any(String) });
  expect(stderr.length).toBeGreaterThan(1);
  expect(stderr.join('\n')).not.toMatch(new RegExp(`${canary}|/oauth/start/`));
});
