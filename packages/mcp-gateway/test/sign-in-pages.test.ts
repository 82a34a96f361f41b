import { UserAgent } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { exchange, type RawReply } from './raw-http.ts';
import { SignInClient, type SignInWorld, type SignInWorldOptions, signInWorld, twoTenants } from './sign-in-gateway.ts';
import { canary, visit } from './sign-in-server.ts';

const form = { 'content-type': 'application/x-www-form-urlencoded' };

/** A link for the user of a token, or for the anonymous one. */
async function linked(options: SignInWorldOptions = {}, token?: string): Promise<SignInWorld & { link: string; client: SignInClient }> {
  const world = await signInWorld(options);
  const client = await SignInClient.connect(world, token === undefined ? {} : { token });
  return { ...world, link: await client.link(), client };
}

const cookieOf = ({ headers }: RawReply) => String(headers['set-cookie']).split(';')[0] as string;
const tokenIn = ({ text }: RawReply) => /name="token" value="([^"]+)"/.exec(text)?.[1] as string;
const failures = ({ news }: SignInWorld) =>
  news.flatMap(([name, event]) => (name === 'sign-in' && (event as { state: string }).state === 'failed' ? [event] : []));

/** The way of one browser up to where the authorization server sends it back to, and what it has to bring along. */
async function gone({ link, server }: { link: string; server: SignInWorld['server'] }): Promise<{ back: URL; cookie: string }> {
  const begun = await exchange(link);
  expect(begun.status).toBe(303);
  const { headers } = await exchange(String(begun.headers.location), { headers: { cookie: 'account=ann' } });
  expect(String(begun.headers.location)).toContain(server.origin);
  return { back: new URL(String(headers.location)), cookie: cookieOf(begun) };
}

describe('the page of a gateway with tokens', () => {
  const gateway = { tokens: twoTenants };

  test('says what is signed in to, for whom, and where the way back leads; it cannot be framed, kept or sniffed', async () => {
    const { link, server } = await linked({ gateway }, 'gate-bob');
    const { status, text, headers } = await exchange(link);
    expect(status).toBe(200);
    expect(text).toContain(`Tidegate will call &#39;vault&#39; (${server.origin}) with your account there`);
    expect(text).toContain('user &#39;bob&#39; of tenant &#39;acme&#39;');
    expect(text).toContain(`${new URL(link).origin}/oauth/callback`);
    expect(headers).toMatchObject({
      'content-security-policy': expect.stringContaining("frame-ancestors 'none'"),
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    });
    expect(String(headers['set-cookie'])).toMatch(/HttpOnly; SameSite=Strict/);
    expect(headers).not.toHaveProperty('access-control-allow-origin');
    expect(server.at('/register')).toEqual([]); // nothing has begun yet
  });

  test('goes on only with its token and its cookie', async () => {
    const { link, server } = await linked({ gateway }, 'gate-ann');
    const [page, other] = await Promise.all([exchange(link), exchange(link)]);
    const refused: [string, Record<string, string>, string][] = [
      ['nothing', {}, ''],
      ['no cookie', {}, `token=${tokenIn(page)}`],
      ['no token', { cookie: cookieOf(page) }, ''],
      ['an empty token', { cookie: cookieOf(page) }, 'token='],
      ['the token of another page', { cookie: cookieOf(page) }, `token=${tokenIn(other)}`],
      ['the cookie of another page', { cookie: cookieOf(other) }, `token=${tokenIn(page)}`],
      ['an empty cookie', { cookie: `${cookieOf(page).split('=')[0]}=` }, 'token='],
      ['another origin', { cookie: cookieOf(page), 'sec-fetch-site': 'same-site' }, `token=${tokenIn(page)}`],
      ['a form without end', { cookie: cookieOf(page) }, `token=${tokenIn(page)}&x=${'x'.repeat(20_000)}`],
    ];
    for (const [what, headers, body] of refused) {
      const reply = await exchange(link, { method: 'POST', headers: { ...form, ...headers }, body });
      expect([what, reply.status]).toEqual([what, 403]);
      expect(reply.headers).not.toHaveProperty('location');
    }
    expect(server.at('/register')).toEqual([]);
    const headers = { ...form, cookie: cookieOf(page), 'sec-fetch-site': 'same-origin' };
    const begun = await exchange(link, { method: 'POST', headers, body: `token=${tokenIn(page)}` });
    expect([begun.status, String(begun.headers.location)]).toEqual([303, expect.stringContaining(`${server.origin}/authorize?`)]);
  });

  test('stands beside that of another sign-in in one browser', async () => {
    const world = await linked({ gateway }, 'gate-ann');
    const bobs = await (await SignInClient.connect(world, { token: 'gate-bob' })).link();
    const [one, two] = await Promise.all([exchange(world.link), exchange(bobs)]);
    const headers = { ...form, cookie: `${cookieOf(one)}; ${cookieOf(two)}` };
    expect((await exchange(world.link, { method: 'POST', headers, body: `token=${tokenIn(one)}` })).status).toBe(303);
    expect((await exchange(bobs, { method: 'POST', headers, body: `token=${tokenIn(two)}` })).status).toBe(303);
  });

  test('shows names as names, whatever they hold', async () => {
    const evil = `<img src=x onerror=alert(1)>&"'`;
    const tokens = [{ token: 'gate-evil', tenant: evil, user: `</p>${evil}` }];
    const { link } = await linked({ gateway: { tokens } }, 'gate-evil');
    const { text } = await exchange(link);
    expect(text).toContain('&#60;img src=x onerror=alert(1)&#62;&#38;&#34;&#39;');
    expect(text).not.toContain('<img');
    expect(text.match(/<\/p>/g)).toHaveLength(1);
  });

  test.each(['HEAD', 'PUT', 'DELETE', 'OPTIONS'])('is nothing to %s', async (method) => {
    const { link, server } = await linked();
    expect((await exchange(link, { method })).status).toBe(404);
    expect(server.at('/register')).toEqual([]);
  });

  test('is there for no other host', async () => {
    const { link } = await linked({ gateway }, 'gate-ann');
    expect((await exchange(link, { headers: { host: 'evil.example' } })).status).toBe(403);
  });
});

test('a gateway none of whose servers wants a sign-in has no such pages', async () => {
  const { served } = await signInWorld({ config: { oauth: undefined }, gateway: { tokens: twoTenants } });
  for (const path of ['/oauth/callback', '/oauth/client.json', '/oauth/start/x'])
    expect((await exchange(served.at(path))).status).toBe(401);
});

test('only a gateway with a public address has a client metadata document', async () => {
  const plain = await signInWorld();
  expect((await exchange(plain.served.at('/oauth/client.json'))).status).toBe(404);
  const { served } = await signInWorld({ gateway: { publicUrl: 'https://gate.example', tokens: twoTenants } });
  const reply = await exchange(served.at('/oauth/client.json'), { headers: { host: 'gate.example' } });
  expect(JSON.parse(reply.text)).toEqual({
    client_id: 'https://gate.example/oauth/client.json',
    client_name: 'Tidegate',
    redirect_uris: ['https://gate.example/oauth/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  });
  const client = await SignInClient.connect({ served } as SignInWorld, { token: 'gate-ann' });
  const { text } = await client.call('vault__sign_in');
  const [link] = /https:\/\/gate\.example(\/oauth\/start\/[\w-]+)/.exec(text)?.slice(1) ?? [];
  const page = await exchange(served.at(String(link)), { headers: { host: 'gate.example' } });
  expect(String(page.headers['set-cookie'])).toMatch(
    /^__Host-tidegate-consent-[^;]*; Path=\/; HttpOnly; SameSite=Strict; Max-Age=600; Secure$/,
  );
});

describe('the way back', () => {
  test('ends a sign-in once, in the browser that began it', async () => {
    const world = await linked();
    const { back, cookie } = await gone(world);
    const otherState = new URL(back);
    otherState.searchParams.set('state', 'another');
    const noState = new URL(back);
    noState.searchParams.delete('state');
    const wrong: [string, string, Record<string, string>][] = [
      ['in another browser', back.href, {}],
      ['with the cookie of another run', back.href, { cookie: cookie.replace(/=.*/, '=another') }],
      ['with another state', otherState.href, { cookie }],
      ['without a state', noState.href, { cookie }],
    ];
    for (const [how, url, headers] of wrong) {
      const { status, text } = await exchange(url, { headers });
      expect([how, status, text.includes('no sign-in was begun in this browser')]).toEqual([how, 400, true]);
    }
    expect(world.server.at('/token')).toEqual([]);
    expect((await exchange(back.href, { headers: { cookie } })).status).toBe(200);
    expect(await world.client.untilSignedIn()).toContain('vault__of_ann');
    expect((await exchange(back.href, { headers: { cookie } })).status).toBe(400);
    expect(await exchange(world.link)).toMatchObject({ status: 404, text: expect.stringContaining('Link no longer valid') });
    expect(world.server.at('/token')).toHaveLength(1);
    expect(failures(world)).toEqual([]);
  });

  test('that is taken twice at once is taken once', async () => {
    const world = await linked();
    const { back, cookie } = await gone(world);
    const replies = await Promise.all([1, 2].map(() => exchange(back.href, { headers: { cookie } })));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 400]);
    expect(world.server.at('/token')).toHaveLength(1);
  });

  test('of an earlier window is over when a later one begins', async () => {
    const world = await linked();
    const first = await gone(world);
    const second = await gone(world);
    expect((await exchange(first.back.href, { headers: { cookie: first.cookie } })).status).toBe(400);
    expect((await exchange(second.back.href, { headers: { cookie: second.cookie } })).status).toBe(200);
  });

  const refusals: [string, Record<string, unknown>, string][] = [
    ['denied', { code: undefined, error: 'access_denied' }, 'the authorization server refused: access_denied'],
    ['an error with a wrong issuer', { code: undefined, error: 'shown_to_nobody', iss: 'https://evil.example' }, 'Issuer mismatch'],
    ['a wrong issuer', { iss: 'https://evil.example' }, 'Issuer mismatch'],
    ['an issuer that is nearly right', { iss: 'HTTP://127.0.0.1' }, 'Issuer mismatch'],
    ['no issuer, though it was promised', { iss: undefined }, 'Issuer mismatch'],
    ['a code that was not given', { code: 'made-up' }, 'the authorization server refused: invalid_grant'],
    ['nothing', { code: undefined }, 'the authorization server refused: it gave no code'],
  ];
  test.each(refusals)('with %s fails, says why, and can be gone again', async (_how, callback, why) => {
    const world = await linked({ server: { callback } });
    const page = await visit(world.link, 'ann', world.server);
    expect(page.status).toBe(400);
    expect(page.text).toContain(why);
    expect(page.text).not.toContain('shown_to_nobody');
    expect(failures(world)).toEqual([{ server: 'vault', tenant: 'default', state: 'failed', reason: expect.stringContaining(why) }]);
    world.server.settings.callback = {};
    expect((await visit(world.link, 'ann', world.server)).status).toBe(200);
  });
});

describe('a sign-in does not begin', () => {
  const wrong: [string, SignInWorldOptions['server'], string][] = [
    [
      'PKCE is not said to be supported',
      { metadata: { code_challenge_methods_supported: undefined } },
      'does not say that it supports PKCE',
    ],
    ['PKCE is plain only', { metadata: { code_challenge_methods_supported: ['plain'] } }, 'does not say that it supports PKCE'],
    ['its page is on plain http elsewhere', { metadata: { authorization_endpoint: 'http://as.example/authorize' } }, 'only https is'],
    ['its page is a script', { metadata: { authorization_endpoint: 'javascript:alert(1)' } }, 'cannot be read'],
    ['its metadata names another issuer', { metadata: { issuer: 'https://evil.example' } }, 'Issuer mismatch'],
    ['the resource is another server’s', { resource: { resource: 'https://bank.example/mcp' } }, 'does not match'],
    ['its authorization server is on plain http', { resource: { authorization_servers: ['http://as.example'] } }, 'only https is'],
    ['the gateway is not registered', { metadata: { registration_endpoint: undefined } }, 'does not support dynamic client registration'],
    [
      'registering is refused',
      {
        instead: ({ path }, response) => path === '/register' && Boolean(response.writeHead(403).end(`${canary}-body`)),
      },
      'did not register the gateway (HTTP 403)',
    ],
  ];
  test.each(wrong)('where %s', async (_where, settings, why) => {
    const world = await linked({ server: settings ?? {} });
    const page = await new UserAgent().open(world.link);
    expect(page).toMatchObject({ status: 502, text: expect.stringContaining(why) });
    expect(page.text).not.toContain(canary);
    expect(failures(world)).toMatchObject([{ reason: expect.stringContaining(why) }]);
    expect(world.server.at('/token')).toEqual([]);
  });

  test('a call that waits for it is refused with the reason and a link that still holds', async () => {
    const world = await signInWorld({ server: { metadata: { code_challenge_methods_supported: [] } } });
    const client = await SignInClient.connect(world, {
      onUrl: (url) => {
        setImmediate(() => void new UserAgent().open(url)); // after the client has said that it goes there
        return 'accept';
      },
    });
    const { text, code } = await client.call('vault__sign_in');
    expect(code).toBe('ERR_SIGN_IN_REQUIRED');
    expect(text).toContain('does not say that it supports PKCE');
    world.server.settings.metadata = {};
    expect((await visit(String(client.asked[0]), 'ann', world.server)).status).toBe(200);
  });
});

test('an authorization server that has forgotten the gateway is asked to register it again', async () => {
  const world = await linked({ server: { refreshTokens: false } });
  expect((await visit(world.link, 'ann', world.server)).status).toBe(200);
  await world.client.untilSignedIn();
  world.server.forgetClients();
  world.server.endAccess();
  const link = /http:\S+start\/[\w-]+/.exec((await world.client.call('vault__whoami')).text)?.[0] as string;
  expect(await visit(link, 'ann', world.server)).toEqual({ status: 400, text: 'who are you?' });
  expect((await visit(link, 'ann', world.server)).status).toBe(200);
  expect((await world.client.call('vault__whoami')).text).toBe('ann');
});
