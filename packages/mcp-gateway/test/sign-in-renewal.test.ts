import { until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { SignInClient, type SignInWorld, signInWorld, twoTenants } from './sign-in-gateway.ts';
import { type SignInServerSettings, visit } from './sign-in-server.ts';

const eventsOf = ({ news }: SignInWorld, name: string) => news.filter(([each]) => each === name).map(([, event]) => event);

/** A client that opens pages as the user of this account, after its first sign-in. */
async function signedIn(world: SignInWorld, account = 'ann', token?: string): Promise<SignInClient> {
  const pages = new Map<string, ReturnType<typeof visit>>(); // a link that is open already is not opened again
  const onUrl = async (url: string) => {
    const page = pages.get(url) ?? visit(url, account, world.server);
    pages.set(url, page);
    return (await page).status === 200 ? 'accept' : 'cancel';
  };
  const client = await SignInClient.connect(world, { onUrl, ...(token !== undefined && { token }) });
  await client.call('vault__sign_in');
  await client.untilSignedIn();
  client.asked.length = 0;
  return client;
}

describe('a token that has ended', () => {
  test.each(['legacy', 'modern'] as const)('is renewed once, silently, for all calls that were under way (%s)', async (era) => {
    const world = await signInWorld({ server: { era } });
    const client = await signedIn(world);
    world.server.endAccess();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.call('vault__whoami')));
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['ann']));
    expect(world.server.tokenRequests('refresh_token')).toHaveLength(1);
    expect(client.asked).toEqual([]);
    expect(eventsOf(world, 'retry')).toEqual([]);
  });

  test('and is not renewed leads to one sign-in, after which all calls go on', async () => {
    const world = await signInWorld();
    const client = await signedIn(world);
    world.server.endAccess();
    world.server.endRefresh();
    const answers = await Promise.all(Array.from({ length: 8 }, () => client.call('vault__whoami')));
    expect(answers.filter(({ text }) => text !== 'ann')).toEqual([]);
    expect(new Set(client.asked).size).toBe(1);
    expect(world.server.tokenRequests('refresh_token')).toHaveLength(1);
    expect(world.server.tokenRequests('authorization_code')).toHaveLength(2);
    expect(eventsOf(world, 'circuit')).toEqual([]);
    expect(eventsOf(world, 'retry')).toEqual([]);
  });

  test('and comes without a way to renew it leads to a sign-in', async () => {
    const world = await signInWorld({ server: { refreshTokens: false } });
    const client = await signedIn(world);
    world.server.endAccess();
    expect((await client.call('vault__whoami')).text).toBe('ann');
    expect(client.asked).toHaveLength(1);
    expect(world.server.tokenRequests('refresh_token')).toHaveLength(0);
  });

  test('is asked for anew where the server does not take what it was renewed to', async () => {
    let refuses = false;
    const instead: SignInServerSettings['instead'] = ({ path, body }, response) => {
      if (!refuses || path !== '/mcp' || !body.includes('tools/call')) return false;
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end();
      return true;
    };
    const world = await signInWorld({ server: { instead }, config: { breaker: { failures: 1 } } });
    const client = await signedIn(world);
    refuses = true;
    const { text, code } = await client.call('vault__whoami');
    expect(code).toBe('ERR_SIGN_IN_REQUIRED');
    expect(text).toContain('keeps asking for a sign-in');
    expect(client.asked).toHaveLength(3);
    expect(eventsOf(world, 'circuit')).toEqual([]);
    refuses = false;
    expect((await client.call('vault__whoami')).text).toBe('ann');
  });

  test('leaves the lists as they were known, though they are refused', async () => {
    const world = await signInWorld({ server: { refreshTokens: false } });
    const client = await signedIn(world);
    await until(() => world.server.listening.includes('ann'), { what: 'it is listened to' });
    const known = await client.tools();
    const lists = () => world.server.requests.filter(({ body }) => body.includes('"tools/list"')).length;
    const before = lists();
    world.server.endAccess();
    world.server.announce('ann');
    await until(() => lists() > before, { what: 'the list is asked for again' });
    expect(await client.tools()).toEqual(known);
    expect((await client.call('vault__whoami')).text).toBe('ann');
    expect(client.asked).toHaveLength(1);
  });
});

test('what a server says unasked is listened to after the sign-in, where it was refused before', async () => {
  const world = await signInWorld({ server: { guardsHandshake: false } });
  await signedIn(world);
  await until(() => world.server.listening.includes('ann'), { what: 'it is listened to' });
});

describe('a call that needs more rights', () => {
  test('asks for them beside all that were asked for, and goes on', async () => {
    const world = await signInWorld({ server: { resource: { scopes_supported: ['read'] } } });
    const client = await signedIn(world);
    expect((await client.call('vault__admin')).text).toBe('ann');
    expect((await client.call('vault__audit')).text).toBe('ann');
    const scopes = world.server.at('/authorize').map(({ query }) => new URLSearchParams(query).get('scope'));
    expect(scopes).toEqual(['read', 'read admin', 'read admin audit']);
    expect((await client.call('vault__admin')).text).toBe('ann');
    expect(client.asked).toHaveLength(2);
  });

  test('asks once where they are not granted, and opens no circuit', async () => {
    const grants = (scope: string) => scope.replace('admin', '').trim();
    const world = await signInWorld({
      server: { grants, resource: { scopes_supported: ['read'] } },
      config: { breaker: { failures: 1 } },
    });
    const client = await signedIn(world);
    for (const _ of [1, 2]) expect(await client.call('vault__admin')).toMatchObject({ isError: true, code: 'ERR_UPSTREAM_UNAVAILABLE' });
    expect(client.asked).toHaveLength(1);
    expect((await client.call('vault__whoami')).text).toBe('ann');
    expect(eventsOf(world, 'circuit')).toEqual([]);
    expect(eventsOf(world, 'retry')).toEqual([]);
  });
});

test('an account that may call nothing does not close the server for others', async () => {
  const world = await signInWorld({ gateway: { tokens: twoTenants }, config: { breaker: { failures: 1 } } });
  const ann = await signedIn(world, 'anns', 'gate-ann');
  const bob = await signedIn(world, 'bobs', 'gate-bob');
  world.server.settings.banned = ['anns'];
  for (const _ of [1, 2, 3]) expect((await ann.call('vault__whoami')).text).toContain("server 'vault' answered with HTTP 403");
  expect((await bob.call('vault__whoami')).text).toBe('bobs');
  expect(world.server.callsOf('whoami')).toHaveLength(4);
  expect(eventsOf(world, 'circuit')).toEqual([]);
});

describe('a sign-in that is needed', () => {
  const prices = { vault__whoami: { perCallUsd: 1 } };
  const budgets = [{ scope: { tenant: 'default' }, limitUsd: '1.50', period: 'day' }] as const;

  test.each(['declined', 'left', 'not possible'] as const)('costs nothing, is not retried and opens no circuit: %s', async (how) => {
    const world = await signInWorld({
      server: { refreshTokens: false },
      config: { breaker: { failures: 1 } },
      gateway: { prices, budgets },
    });
    const first = await signedIn(world);
    world.server.endAccess();
    const onUrl = how === 'declined' ? () => 'decline' as const : () => 'accept' as const;
    const client = await SignInClient.connect(world, how === 'not possible' ? {} : { onUrl });
    await client.untilSignedIn(); // knows the lists
    for (let n = 1; n <= 3; n += 1) {
      if (how === 'left') {
        const leaving = new AbortController();
        const call = client.client.callTool({ name: 'vault__whoami' }, { signal: leaving.signal });
        await until(() => client.asked.length === n, { what: 'the client is asked' });
        leaving.abort(new Error('the user has gone'));
        await expect(call).rejects.toThrow();
        await until(() => eventsOf(world, 'call').filter((event) => (event as { outcome: string }).outcome === 'cancelled').length === n, {
          what: 'the call has ended',
        });
      } else expect(await client.call('vault__whoami')).toMatchObject({ isError: true, code: 'ERR_SIGN_IN_REQUIRED' });
    }
    expect(eventsOf(world, 'circuit')).toEqual([]);
    expect(eventsOf(world, 'retry')).toEqual([]);
    // of 1.50 USD there is still room for one call at 1 USD, and only for that
    expect((await first.call('vault__whoami')).text).toBe('ann');
    expect(await first.call('vault__whoami')).toMatchObject({ isError: true, code: 'ERR_BUDGET_EXCEEDED' });
  });
});

test('closing the gateway ends a call that waits for a person, while it is asked and after', async () => {
  const world = await signInWorld();
  let answer: (action: 'accept') => void = () => {};
  const asked = new Promise<'accept'>((resolve) => (answer = resolve));
  const [undecided, decided] = await Promise.all([
    SignInClient.connect(world, { onUrl: () => asked }),
    SignInClient.connect(world, { onUrl: () => 'accept' }),
  ]);
  const calls = [undecided.call('vault__sign_in'), decided.call('vault__sign_in')];
  await until(() => undecided.asked.length + decided.asked.length === 2, { what: 'both are asked' });
  await until(() => world.server.requests.length > 0, { what: 'the server is known' });
  const ended = Promise.allSettled(calls);
  await world.served.gateway.close();
  const told = { status: 'fulfilled', value: { isError: true, code: 'ERR_CLOSED' } };
  expect(await ended).toMatchObject([told, told]);
  answer('accept');
});

test('taking leave of a server renews nothing and asks nobody', async () => {
  const world = await signInWorld();
  await signedIn(world);
  world.server.endAccess();
  const told = world.news.filter(([name]) => name === 'sign-in').length;
  await world.served.gateway.close();
  const farewells = world.server.at('/mcp').filter(({ method }) => method === 'DELETE');
  expect(farewells.map((request) => world.server.accountOf(request))).toContain('ann');
  expect(world.server.tokenRequests('refresh_token')).toEqual([]);
  expect(world.news.filter(([name]) => name === 'sign-in')).toHaveLength(told);
});

test('a server that moves its callers elsewhere takes no token with them', async () => {
  const elsewhere = await signInWorld();
  let moves = false;
  const instead: SignInServerSettings['instead'] = ({ path, body }, response) => {
    if (!moves || path !== '/mcp' || !body.includes('tools/call')) return false;
    response.writeHead(307, { location: elsewhere.server.url }).end();
    return true;
  };
  const world = await signInWorld({ server: { instead } });
  const client = await signedIn(world);
  const before = elsewhere.server.requests.length;
  moves = true;
  expect(await client.call('vault__whoami')).toMatchObject({ isError: true, text: expect.stringContaining('HTTP 307') });
  expect(elsewhere.server.requests).toHaveLength(before);
});
