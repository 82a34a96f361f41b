import { until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askingServer } from './asking-server.ts';
import { type EventStream, exchange, initialize, posted, RawClient } from './raw-http.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

const everything = { elicitation: {}, sampling: {}, roots: {} };

let served: ServedGateway;

beforeAll(async () => {
  served = await serveGateway({
    mcpServers: { asking: { ...askingServer, timeoutMs: 400, retry: { maxAttempts: 1 }, breaker: { failures: 1_000 } } },
    tokens: [
      { token: 'mina', tenant: 'acme', user: 'mina' },
      { token: 'noah', tenant: 'acme', user: 'noah' },
    ],
  });
});
afterAll(() => served?.[Symbol.asyncDispose]());

/** A session of a client that can be asked for this. */
async function session(token = 'mina', capabilities: object = everything): Promise<RawClient> {
  const opening = initialize();
  const body = { ...opening, params: { ...opening.params, capabilities } };
  const { headers } = await exchange(served.url, { method: 'POST', headers: { ...posted, ...bearer(token) }, body });
  return new RawClient(served.url, { ...bearer(token), 'mcp-session-id': String(headers['mcp-session-id']) });
}

interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: { readonly content: readonly { readonly text: string }[]; readonly isError?: boolean };
}

const next = (stream: EventStream) => stream.next() as Promise<Message>;

function calling(client: RawClient, name: string, args: object = {}, id = 'call'): Promise<EventStream> {
  return client.postForStream({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: `asking__${name}`, arguments: args } });
}

const answer = (client: RawClient, { id }: Message, result: object) => client.post({ jsonrpc: '2.0', id, result });

/** What a tool said. */
function said({ result }: Message): unknown {
  return JSON.parse(result?.content[0]?.text ?? 'null');
}

async function textOf(client: RawClient, name: string, args: object = {}): Promise<string> {
  const { result } = await client.call(`asking__${name}`, args);
  return (result as { content: { text: string }[] }).content[0]?.text ?? '';
}

/** How many calls the server of this client has been told to stop. */
async function cancelledCalls(client: RawClient): Promise<number> {
  return (JSON.parse(await textOf(client, 'seen')) as string[]).filter((method) => method === 'notifications/cancelled').length;
}

describe('a question of a server', () => {
  test.each([
    ['elicitation', 'elicitation/create', { action: 'accept', content: { name: 'Mina' } }],
    ['sampling', 'sampling/createMessage', { role: 'assistant', model: 'm', content: { type: 'text', text: 'yes' } }],
    ['roots', 'roots/list', { roots: [{ uri: 'file:///home' }] }],
  ])('comes on the stream of the call, and the response reaches the server: %s', async (kind, method, result) => {
    const client = await session();
    const stream = await calling(client, 'ask', { kinds: [kind] });
    const question = await next(stream);
    expect(question).toMatchObject({ jsonrpc: '2.0', id: expect.any(String), method });
    expect((await answer(client, question, result)).status).toBe(202);
    const last = await next(stream);
    expect(last.id).toBe('call');
    expect(said(last)).toEqual([result]);
    await stream.ended;
  });

  test('is answered with the error that the client answers it with', async () => {
    const client = await session();
    const stream = await calling(client, 'ask');
    const { id } = await next(stream);
    await client.post({ jsonrpc: '2.0', id, error: { code: -1, message: 'the user looked away' } });
    expect(await next(stream)).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringContaining('the user looked away') }] },
    });
  });

  test('is answered by the gateway where the client has not declared what it asks for', async () => {
    const client = await session('mina', { roots: {} });
    expect(await client.call('asking__ask')).toMatchObject({
      result: { isError: true, content: [{ text: expect.stringContaining('does not offer elicitation/create') }] },
    });
  });

  test('reaches the client whose call it belongs to, among those of other users', async () => {
    const [mina, noah] = await Promise.all([session('mina'), session('noah')]);
    const [hers, his] = await Promise.all([
      calling(mina, 'ask', { kinds: ['elicitation'] }),
      calling(noah, 'ask', { kinds: ['sampling'] }),
    ]);
    const [toMina, toNoah] = await Promise.all([next(hers), next(his)]);
    expect([toMina.method, toNoah.method]).toEqual(['elicitation/create', 'sampling/createMessage']);
    await Promise.all([answer(mina, toMina, { from: 'mina' }), answer(noah, toNoah, { from: 'noah' })]);
    expect([said(await next(hers)), said(await next(his))]).toEqual([[{ from: 'mina' }], [{ from: 'noah' }]]);
  });

  test('is not answered from another session, nor twice', async () => {
    const [client, stranger] = await Promise.all([session('mina'), session('noah')]);
    const stream = await calling(client, 'ask');
    const question = await next(stream);
    expect((await answer(stranger, question, { from: 'noah' })).status).toBe(202);
    await answer(client, question, { from: 'mina' });
    expect((await answer(client, question, { from: 'mina again' })).status).toBe(202);
    expect(said(await next(stream))).toEqual([{ from: 'mina' }]);
  });

  test('stops the clocks: a call may wait for its answer longer than it may take', async () => {
    const client = await session();
    const stream = await calling(client, 'ask');
    const question = await next(stream);
    // a call that takes as long as a call may take ends with that time
    expect(await textOf(client, 'hang')).toContain('400 ms');
    expect(await textOf(client, 'hang')).toContain('400 ms');
    await answer(client, question, { late: true });
    expect(said(await next(stream))).toEqual([{ late: true }]);
  });

  test('is withdrawn when the client takes the call back; the server hears of it, the call has no answer', async () => {
    const client = await session();
    const before = await cancelledCalls(client);
    const stream = await calling(client, 'ask');
    const { id } = await next(stream);
    await client.notify('notifications/cancelled', { requestId: 'call' });
    expect(await next(stream)).toEqual({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id } });
    expect(await stream.rest()).toEqual([]);
    await until(async () => (await cancelledCalls(client)) === before + 1, { what: 'the server has been told to stop' });
  });
});

describe('log messages', () => {
  const levels = ['debug', 'info', 'warning', 'error'];
  const heard = async (client: RawClient) => {
    const messages = (await (await calling(client, 'log', { levels })).rest()) as Message[];
    return messages.slice(0, -1).map(({ params }) => params?.['level']);
  };

  test('reach the call that they belong to, from the level on that the session has set', async () => {
    const client = await session();
    expect(await heard(client)).toEqual(levels);
    expect(await client.request('logging/setLevel', { level: 'warning' })).toMatchObject({ result: {} });
    expect(await heard(client)).toEqual(['warning', 'error']);
    await client.request('logging/setLevel', { level: 'debug' });
    expect(await heard(client)).toEqual(levels);
  });

  test("are one session's own choice", async () => {
    const [quiet, loud] = await Promise.all([session(), session()]);
    await quiet.request('logging/setLevel', { level: 'error' });
    expect(await heard(loud)).toEqual(levels);
    await loud.request('logging/setLevel', { level: 'debug' });
    expect(await heard(quiet)).toEqual(['error']);
  });

  test.each(['loud', 'WARNING', 3, undefined])('have no level %s', async (level) => {
    expect((await (await session()).request('logging/setLevel', { level })).error).toMatchObject({ code: -32_602 });
  });
});

describe('a resource', () => {
  const touch = async (client: RawClient, uri: string) => JSON.parse(await textOf(client, 'touch', { uri })) as string[];

  test('is told of while the session subscribes to it, to that session alone', async () => {
    const [client, bystander] = await Promise.all([session('mina', {}), session('noah', {})]);
    const [mine, theirs] = await Promise.all([client.listen(), bystander.listen()]);
    expect(await client.request('resources/subscribe', { uri: 'asking://one' })).toMatchObject({ result: {} });
    await bystander.request('resources/subscribe', { uri: 'asking://two' });
    expect(await touch(client, 'asking://one')).toEqual(['asking://one', 'asking://two']);
    const updated = (uri: string) => ({ jsonrpc: '2.0', method: 'notifications/resources/updated', params: { uri } });
    expect(await mine.next()).toEqual(updated('asking://one'));
    await touch(client, 'asking://two');
    expect(await theirs.next()).toEqual(updated('asking://two'));
    await client.request('resources/unsubscribe', { uri: 'asking://one' });
    expect(await touch(client, 'asking://one')).toEqual(['asking://two']);
    await client.request('resources/subscribe', { uri: 'asking://two' });
    await touch(client, 'asking://two');
    expect(await mine.next()).toEqual(updated('asking://two'));
    for (const stream of [mine, theirs]) stream.cut();
  });

  test('is no longer asked for when the sessions that subscribed have ended', async () => {
    const client = await session('mina', {});
    await client.request('resources/subscribe', { uri: 'asking://one' });
    const other = await session('noah', {});
    expect(await touch(other, 'asking://one')).toContain('asking://one');
    await client.leave();
    await other.request('resources/subscribe', { uri: 'asking://two' });
    expect(await touch(other, 'asking://one')).not.toContain('asking://one');
  });

  test('has an address', async () => {
    expect((await (await session()).request('resources/subscribe', { uri: 1 })).error).toMatchObject({ code: -32_602 });
  });
});
