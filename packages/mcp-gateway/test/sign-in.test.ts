import { until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { linkIn, SignInClient, signInWorld } from './sign-in-gateway.ts';
import { visit } from './sign-in-server.ts';

describe.each(['legacy', 'modern'] as const)('a server of the %s era', (era) => {
  test('gives a client that opens no pages a link, and what it has after the visit', async () => {
    const world = await signInWorld({ server: { era } });
    const client = await SignInClient.connect(world);
    expect(await client.tools()).toEqual(['vault__sign_in']);
    expect((await client.client.listResources()).resources).toEqual([]);
    expect((await client.client.listPrompts()).prompts).toEqual([]);
    const page = await visit(await client.link(), 'ann', world.server);
    expect(page).toMatchObject({ status: 200, text: expect.stringContaining('You are signed in to &#39;vault&#39;') });
    await until(() => client.told.includes('notifications/tools/list_changed'), { what: 'the client is told' });
    expect(client.told).toEqual(expect.arrayContaining(['notifications/resources/list_changed', 'notifications/prompts/list_changed']));
    expect(await client.tools()).toEqual(['vault__whoami', 'vault__admin', 'vault__audit', 'vault__of_ann']);
    expect((await client.client.listResources()).resources).toMatchObject([{ uri: 'vault://ann' }]);
    expect((await client.client.listPrompts()).prompts).toMatchObject([{ name: 'vault__greet_ann' }]);
    expect(await client.call('vault__whoami')).toEqual({ text: 'ann', isError: false, code: undefined });
    expect((await client.client.readResource({ uri: 'vault://ann' })).contents).toMatchObject([{ text: 'ann' }]);
    expect((await client.client.getPrompt({ name: 'vault__greet_ann' })).messages).toMatchObject([{ content: { text: 'ann' } }]);
    expect(world.news.filter(([name]) => name === 'sign-in')).toEqual([
      ['sign-in', { server: 'vault', tenant: 'default', state: 'needed' }],
      ['sign-in', { server: 'vault', tenant: 'default', state: 'done' }],
    ]);
  });

  test.each(['legacy', 'auto'] as const)('sends a client (%s) that opens pages to one, and its call goes on', async (clientEra) => {
    const world = await signInWorld({ server: { era } });
    const onUrl = async (url: string) => ((await visit(url, 'ann', world.server)).status === 200 ? 'accept' : 'cancel');
    const client = await SignInClient.connect(world, { onUrl, era: clientEra });
    expect(await client.tools()).toEqual(['vault__sign_in']);
    expect(await client.call('vault__sign_in')).toEqual({
      text: "Signed in to 'vault'. Its tools are there now.",
      isError: false,
      code: undefined,
    });
    await client.untilSignedIn();
    expect((await client.call('vault__whoami')).text).toBe('ann');
    expect(client.asked).toHaveLength(1);
  });
});

test('a call waits while the page is gone through, also after the client has said that it opens it', async () => {
  const world = await signInWorld();
  const client = await SignInClient.connect(world, { onUrl: () => 'accept' });
  const call = client.call('vault__sign_in');
  const link = await until(() => client.asked[0], { what: 'the client is asked' });
  expect(await visit(link, 'ann', world.server)).toMatchObject({ status: 200 });
  expect((await call).text).toBe("Signed in to 'vault'. Its tools are there now.");
});

test.each(['decline', 'cancel'] as const)('%s refuses the call with the link', async (action) => {
  const world = await signInWorld();
  const client = await SignInClient.connect(world, { onUrl: () => action });
  const answer = await client.call('vault__sign_in');
  expect(answer).toMatchObject({ isError: true, code: 'ERR_SIGN_IN_REQUIRED' });
  expect(answer.text).toContain("server 'vault' wants a sign-in, which was declined");
  expect(linkIn(answer.text)).toBe(client.asked[0]);
  expect((await visit(linkIn(answer.text), 'ann', world.server)).status).toBe(200);
});
