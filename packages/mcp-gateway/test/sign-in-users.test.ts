import { until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { SignInClient, signInWorld, twoTenants } from './sign-in-gateway.ts';
import { visit } from './sign-in-server.ts';

const users = [
  { token: 'gate-ann', account: 'annsAccount' },
  { token: 'gate-bob', account: 'bobsAccount' },
  { token: 'gate-cy', account: 'cysAccount' },
] as const;

describe.each(['legacy', 'modern'] as const)('two users of a tenant, and one of another with the same name (%s)', (era) => {
  test('each has the account that he signed in to, and nobody else’s token, list or news', async () => {
    const world = await signInWorld({ server: { era }, gateway: { tokens: twoTenants } });
    const clients = await Promise.all(users.map(async ({ token }) => SignInClient.connect(world, { token })));
    for (const client of clients) expect(await client.tools()).toEqual(['vault__sign_in']);
    for (const [place, { account }] of users.entries()) {
      const client = clients[place] as SignInClient;
      await visit(await client.link(), account, world.server);
      expect(await client.untilSignedIn()).toContain(`vault__of_${account}`);
      await until(() => client.told.includes('notifications/tools/list_changed'), { what: 'the user is told' });
      for (const later of clients.slice(place + 1)) {
        expect(later.told).toEqual([]);
        expect(await later.tools()).toEqual(['vault__sign_in']);
      }
    }
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const { account } = users[n % 3] as (typeof users)[number];
        const client = clients[n % 3] as SignInClient;
        const answer = await client.call('vault__whoami');
        const { contents } = await client.client.readResource({ uri: `vault://${account}` });
        return [account, answer.text, (contents[0] as { text: string }).text];
      }),
    );
    for (const [account, ...seen] of answers) expect(seen).toEqual([account, account]);
    for (const [place, { account }] of users.entries()) {
      const names = await clients[place]?.tools();
      expect(names?.filter((name) => name.startsWith('vault__of_'))).toEqual([`vault__of_${account}`]);
    }
    // a resource that is another's is not known
    await expect(clients[0]?.client.readResource({ uri: 'vault://bobsAccount' })).rejects.toThrow(/there is no resource/);
    expect(JSON.stringify(world.server.requests)).not.toContain('gate-');
  });
});

test('what a server says on the stream of one user reaches that user alone', async () => {
  const world = await signInWorld({ gateway: { tokens: twoTenants } });
  const [ann, bob] = await Promise.all([
    SignInClient.connect(world, { token: 'gate-ann' }),
    SignInClient.connect(world, { token: 'gate-bob' }),
  ]);
  await visit(await ann.link(), 'anns', world.server);
  await visit(await bob.link(), 'bobs', world.server);
  await Promise.all([ann.untilSignedIn(), bob.untilSignedIn()]);
  await until(() => ['anns', 'bobs'].every((account) => world.server.listening.includes(account)), { what: 'both are listened to' });
  const listed = (account: string) =>
    world.server.at('/mcp').filter((request) => request.body.includes('tools/list') && world.server.accountOf(request) === account).length;
  const before = listed('bobs');
  const since = listed('anns');
  world.server.announce('anns');
  await until(() => listed('anns') > since, { what: 'the list is asked for again' });
  expect(listed('bobs')).toBe(before);
});

test('a tenant whose tokens name no user signs in once for all of them', async () => {
  const tokens = [
    { token: 'gate-one', tenant: 'acme' },
    { token: 'gate-two', tenant: 'acme' },
    { token: 'gate-other', tenant: 'globex' },
  ];
  const world = await signInWorld({ gateway: { tokens } });
  const [one, two, other] = await Promise.all(tokens.map(({ token }) => SignInClient.connect(world, { token })));
  await visit(await (one as SignInClient).link(), 'shared', world.server);
  await two?.untilSignedIn();
  expect((await two?.call('vault__whoami'))?.text).toBe('shared');
  expect(await other?.tools()).toEqual(['vault__sign_in']);
});

test('two users who begin at once are each registered, and each exchanges his code as what he began as', async () => {
  let waiting = 0;
  let open = () => {};
  const both = new Promise<void>((resolve) => (open = resolve));
  const instead = async ({ path }: { path: string }) => {
    if (path !== '/register') return false;
    waiting += 1;
    if (waiting === 2) open();
    await both;
    return false;
  };
  const world = await signInWorld({ server: { instead }, gateway: { tokens: twoTenants } });
  const clients = await Promise.all(users.slice(0, 2).map(({ token }) => SignInClient.connect(world, { token })));
  const links = await Promise.all(clients.map((client) => client.link()));
  const pages = await Promise.all(links.map((link, place) => visit(link, String(users[place]?.account), world.server)));
  expect(pages.map(({ status }) => status)).toEqual([200, 200]);
  expect(world.server.at('/register')).toHaveLength(2);
});
