import { until } from '@tidegate/test-kit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, Gateway, type Guard, Listeners, StdioPipe } from '../src/core.ts';
import { serve } from '../src/node.ts';
import { askingServer } from './asking-server.ts';
import { type ModernReply, RawModern, textIn } from './raw-modern.ts';
import { bearer, type ServedGateway, serveGateway } from './served-gateway.ts';

const everything = { elicitation: {}, sampling: {}, roots: {} };
const able = { capabilities: everything };

interface InputRequired {
  readonly resultType: string;
  readonly inputRequests: Record<string, { method: string; params: Record<string, unknown> }>;
  readonly requestState: string;
}

/** What a reply asks for; fails for any other. */
function asked({ result, error }: ModernReply): InputRequired {
  expect(error).toBeUndefined();
  expect(result).toMatchObject({ resultType: 'input_required', requestState: expect.any(String) });
  return result as unknown as InputRequired;
}

function keysOf(reply: ModernReply): string[] {
  return Object.keys(asked(reply).inputRequests);
}

let served: ServedGateway;
let client: RawModern;

beforeAll(async () => {
  served = await serveGateway({
    mcpServers: { asking: { ...askingServer, timeoutMs: 400, retry: { maxAttempts: 1 }, breaker: { failures: 1_000 } } },
    tokens: [
      { token: 'mina', tenant: 'acme', user: 'mina' },
      { token: 'noah', tenant: 'acme', user: 'noah' },
      { token: 'beta', tenant: 'beta' },
    ],
  });
  client = new RawModern(served.url, bearer('mina'));
});
afterAll(() => served?.[Symbol.asyncDispose]());

const ask = (args: object = {}) => ({ name: 'asking__ask', arguments: args });
const accept = (name: string) => ({ action: 'accept', content: { name } });

/** The same request again, with a state and answers. */
function again(params: object, requestState: unknown, inputResponses: object, from = client, capabilities: object = everything) {
  return from.request('tools/call', { ...params, requestState, inputResponses }, { capabilities });
}

describe('a question of a server', () => {
  test('is handed out as a result; the answer, in a request of its own, completes the call', async () => {
    const first = asked(await client.request('tools/call', ask(), able));
    expect(first.inputRequests).toEqual({
      q1: {
        method: 'elicitation/create',
        params: { mode: 'form', message: 'elicitation?', requestedSchema: { type: 'object', properties: { name: { type: 'string' } } } },
      },
    });
    const last = await again(ask(), first.requestState, { q1: accept('Mina') });
    expect(last.result).toMatchObject({ resultType: 'complete' });
    expect(last.result?.['requestState']).toBeUndefined();
    expect(JSON.parse(textIn(last))).toEqual([accept('Mina')]);
  });

  test.each([
    ['prompts/get', { name: 'asking__asking' }, 'prompt?', 'messages'],
    ['resources/read', { uri: 'asking://one' }, 'read?', 'contents'],
  ])('is handed out in answer to %s too', async (method, params, message, member) => {
    const { inputRequests, requestState } = asked(await client.request(method, params, able));
    expect(inputRequests['q1']?.params['message']).toBe(message);
    const { result } = await client.request(method, { ...params, requestState, inputResponses: { q1: accept('Mina') } }, able);
    expect(JSON.stringify(result?.[member])).toContain('Mina');
  });

  test('may be of each kind, all at once', async () => {
    const params = ask({ kinds: ['elicitation', 'sampling', 'roots'] });
    const { inputRequests, requestState } = asked(await client.request('tools/call', params, able));
    expect(Object.values(inputRequests).map(({ method }) => method)).toEqual([
      'elicitation/create',
      'sampling/createMessage',
      'roots/list',
    ]);
    const sampled = { role: 'assistant', model: 'm', content: { type: 'text', text: 'yes' } };
    const rooted = { roots: [{ uri: 'file:///home' }] };
    const last = await again(params, requestState, { q1: { action: 'decline' }, q2: sampled, q3: rooted });
    expect(JSON.parse(textIn(last))).toEqual([{ action: 'decline' }, sampled, rooted]);
  });

  test('that was not answered is put again, under the same key, with a new state', async () => {
    const params = ask({ kinds: ['elicitation', 'sampling'] });
    const first = asked(await client.request('tools/call', params, able));
    const second = asked(await again(params, first.requestState, { q2: { role: 'assistant' }, q9: accept('nobody') }));
    expect(second.inputRequests).toEqual({ q1: first.inputRequests['q1'] });
    expect(second.requestState).not.toBe(first.requestState);
    const third = asked(await again(params, second.requestState, {}));
    expect(JSON.parse(textIn(await again(params, third.requestState, { q1: accept('late') })))).toEqual([
      accept('late'),
      { role: 'assistant' },
    ]);
  });

  test('may follow another', async () => {
    const params = { name: 'asking__ask_in_turn', arguments: { kinds: ['elicitation', 'roots'] } };
    const first = asked(await client.request('tools/call', params, able));
    const second = asked(await again(params, first.requestState, { q1: accept('a') }));
    expect(second.inputRequests).toEqual({ q2: { method: 'roots/list', params: {} } });
    expect(JSON.parse(textIn(await again(params, second.requestState, { q2: { roots: [] } })))).toEqual([accept('a'), { roots: [] }]);
  });

  test('may be answered before it is put', async () => {
    const reply = await client.request('tools/call', { ...ask(), inputResponses: { q1: accept('early') } }, able);
    expect(JSON.parse(textIn(reply))).toEqual([accept('early')]);
  });

  test('stops the clocks: a call may wait for its answer longer than it may take', async () => {
    const { requestState } = asked(await client.request('tools/call', ask(), able));
    // a call that takes as long as a call may take ends with that time
    expect(textIn(await client.call('asking__hang', {}, able))).toContain('400 ms');
    expect(textIn(await client.call('asking__hang', {}, able))).toContain('400 ms');
    expect(JSON.parse(textIn(await again(ask(), requestState, { q1: accept('slow') })))).toEqual([accept('slow')]);
  });

  test.each([
    ['elicitation', { sampling: {}, roots: {} }],
    ['sampling', { elicitation: {} }],
    ['roots', {}],
  ])('is not put to a client that has not declared %s', async (kind, capabilities) => {
    const params = ask({ kinds: [kind] });
    const reply = await client.post(client.body('tools/call', params, { capabilities }), {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': params.name,
    });
    expect(reply.status).toBe(400);
    expect(JSON.parse(reply.text).error).toMatchObject({ code: -32_021, data: { requiredCapabilities: { [kind]: {} } } });
  });
});

test('a server that can do without an undeclared capability gets on', async () => {
  expect(textIn(await client.call('asking__ask_politely', {}, { capabilities: { roots: {} } }))).toBe('never mind');
});

describe('a state', () => {
  const token = (name: string) => new RawModern(served.url, bearer(name));

  test.each(['noah', 'beta'])('of somebody else is refused, and stays good for its own client: %s', async (thief) => {
    const { requestState } = asked(await client.request('tools/call', ask(), able));
    expect((await again(ask(), requestState, { q1: accept('thief') }, token(thief))).error).toMatchObject({ code: -32_602 });
    expect(JSON.parse(textIn(await again(ask(), requestState, { q1: accept('Mina') })))).toEqual([accept('Mina')]);
  });

  test.each([
    ['other arguments', ask({ kinds: ['elicitation', 'roots'] })],
    ['another tool', { name: 'asking__ask_in_turn', arguments: {} }],
  ])('is refused with %s', async (_, other) => {
    const { requestState } = asked(await client.request('tools/call', ask({ kinds: ['elicitation'] }), able));
    expect((await again(other, requestState, { q1: accept('x') })).error).toMatchObject({ code: -32_602 });
  });

  test('belongs to its request in whatever order that is written', async () => {
    const { requestState } = asked(await client.request('tools/call', ask({ kinds: ['elicitation'], more: 1 }), able));
    const turned = { arguments: { more: 1, kinds: ['elicitation'] }, name: 'asking__ask' };
    expect(JSON.parse(textIn(await again(turned, requestState, { q1: accept('x') })))).toEqual([accept('x')]);
  });

  test('is refused when it was used before', async () => {
    const { requestState } = asked(await client.request('tools/call', ask(), able));
    await again(ask(), requestState, { q1: accept('once') });
    expect((await again(ask(), requestState, { q1: accept('twice') })).error).toMatchObject({
      code: -32_602,
      message: 'requestState has expired, or was used before; make the request again without it',
    });
  });

  test('that was changed is refused, and calls nothing', async () => {
    const { requestState } = asked(await client.request('tools/call', ask(), able));
    const letter = requestState.at(-9) === 'A' ? 'B' : 'A';
    const changed = requestState.slice(0, -9) + letter + requestState.slice(-8);
    const reply = await again(ask(), changed, { q1: accept('forged') });
    expect(reply.error).toMatchObject({ code: -32_602 });
    expect((await again(ask(), requestState, { q1: accept('mine') })).error).toBeUndefined();
  });
});

const unguarded: Guard = { execute: (fn, { signal }) => fn({ signal }) };

/** A gateway whose conversations wait as a test says. */
async function waitingGateway(waiting: { ttlMs: number; most: number }) {
  const { command, args } = askingServer;
  const openPipe = () => new StdioPipe('asking', { command, args, env: {}, cwd: undefined });
  const clientInfo = { name: 'tidegate', version: '0.0.0' };
  const gateway = new Gateway({
    servers: [
      {
        name: 'asking',
        prefix: 'asking__',
        connect:
          ({ capabilities }) =>
          (listener, signal) =>
            connect({ server: 'asking', openPipe, listener, clientInfo, capabilities, memory: {}, signal }),
        guard: { repeatable: unguarded, once: unguarded, state: () => 'closed' },
        repeatable: () => false,
      },
    ],
    access: { tokens: [], allowedHosts: [], allowedOrigins: [] },
    stages: [],
    times: { listMs: 10_000, connectMs: 10_000 },
    sessions: { most: 10, idleMs: 60_000 },
    waiting,
    events: new Listeners(),
    now: () => performance.now(),
    version: '0.0.0',
    onClose: async () => {},
  });
  const { url, close } = await serve(gateway, { port: 0 });
  return { client: new RawModern(url), [Symbol.asyncDispose]: close };
}

/** How many calls the server of this client has been told to stop. */
async function cancelledCalls(by: RawModern): Promise<number> {
  const seen = JSON.parse(textIn(await by.call('asking__seen', {}, able))) as string[];
  return seen.filter((method) => method === 'notifications/cancelled').length;
}

describe('a call that waits for answers', () => {
  test('is called off, and its state refused, when its time is over', async () => {
    await using gateway = await waitingGateway({ ttlMs: 50, most: 10 });
    const { requestState } = asked(await gateway.client.request('tools/call', ask(), able));
    await until(async () => (await cancelledCalls(gateway.client)) === 1, { what: 'the server has been told to stop' });
    expect((await again(ask(), requestState, { q1: accept('late') }, gateway.client)).error).toMatchObject({
      code: -32_602,
      message: 'requestState has expired, or was used before; make the request again without it',
    });
  });

  test('is called off when one more than may wait waits, and the newest is not', async () => {
    await using gateway = await waitingGateway({ ttlMs: 60_000, most: 1 });
    const first = asked(await gateway.client.request('tools/call', ask(), able));
    const second = asked(await gateway.client.request('tools/call', ask(), able));
    expect(await cancelledCalls(gateway.client)).toBe(1);
    expect((await again(ask(), first.requestState, { q1: accept('1') }, gateway.client)).error).toMatchObject({ code: -32_602 });
    expect(textIn(await again(ask(), second.requestState, { q1: accept('2') }, gateway.client))).toContain('2');
  });

  test('is not called off by the end of the request that brought its question', async () => {
    const before = await cancelledCalls(client);
    const stream = await client.stream('tools/call', ask(), able);
    stream.cut();
    expect(await cancelledCalls(client)).toBe(before);
  });

  test('is called off when the client goes away while it works on an answer', async () => {
    await using gateway = await waitingGateway({ ttlMs: 60_000, most: 10 });
    const { client } = gateway;
    const params = { name: 'asking__ask_then_tick', arguments: {} };
    const { requestState } = asked(await client.request('tools/call', params, { ...able, progressToken: 'first' }));
    const stream = await client.stream(
      'tools/call',
      { ...params, requestState, inputResponses: { q1: accept('x') } },
      { ...able, progressToken: 'second' },
    );
    // progress goes to the request that waits, under the token of that request
    expect(await stream.next()).toMatchObject({ method: 'notifications/progress', params: { progressToken: 'second' } });
    stream.cut();
    await until(async () => (await cancelledCalls(client)) === 1, { what: 'the server has been told to stop' });
  });
});

const listening = (notifications: object) => ({ notifications });
const subscriptionId = 'io.modelcontextprotocol/subscriptionId';

describe('a subscription', () => {
  const all = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };

  test('is acknowledged first, with what it will tell, under the id of its request', async () => {
    const stream = await client.stream(
      'subscriptions/listen',
      listening({ toolsListChanged: true, promptsListChanged: false, later: true }),
    );
    expect(stream.headers['content-type']).toBe('text/event-stream');
    expect(await stream.next()).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/subscriptions/acknowledged',
      params: { notifications: { toolsListChanged: true }, _meta: { [subscriptionId]: expect.any(Number) } },
    });
    stream.cut();
  });

  test('needs a filter', async () => {
    expect((await client.request('subscriptions/listen', {})).error).toMatchObject({ code: -32_602 });
    expect((await client.request('subscriptions/listen', { notifications: ['toolsListChanged'] })).error).toMatchObject({ code: -32_602 });
  });

  test('tells of the lists that it named, each under its own id, to its own tenant', async () => {
    const beta = new RawModern(served.url, bearer('beta'));
    const tools = await client.stream('subscriptions/listen', listening({ toolsListChanged: true }));
    const both = await client.stream('subscriptions/listen', listening({ promptsListChanged: true, resourcesListChanged: true }));
    const theirs = await beta.stream('subscriptions/listen', listening({ ...all, resourceSubscriptions: ['asking://one'] }));
    const [toolsId, bothId] = [await tools.next(), await both.next()].map(idIn);
    await theirs.next();
    const watched = async () => textIn(await beta.call('asking__touch', { uri: 'asking://none' }));
    await until(async () => (await watched()).includes('asking://one'), { what: 'the other server has been asked to tell' });
    await client.call('asking__grow');
    expect(await tools.next()).toMatchObject({
      method: 'notifications/tools/list_changed',
      params: { _meta: { [subscriptionId]: toolsId } },
    });
    expect([await both.next(), await both.next()]).toMatchObject([
      { method: 'notifications/resources/list_changed', params: { _meta: { [subscriptionId]: bothId } } },
      { method: 'notifications/prompts/list_changed', params: { _meta: { [subscriptionId]: bothId } } },
    ]);
    // the first that the other tenant hears is of its own server
    await beta.call('asking__touch', { uri: 'asking://one' });
    expect(await theirs.next()).toMatchObject({ method: 'notifications/resources/updated' });
    for (const stream of [tools, both, theirs]) stream.cut();
  });

  test('tells of the resources that it named as long as it is open', async () => {
    const stream = await client.stream('subscriptions/listen', listening({ resourceSubscriptions: ['asking://one'] }));
    expect(await stream.next()).toMatchObject({ params: { notifications: { resourceSubscriptions: ['asking://one'] } } });
    const touch = async (uri: string) => JSON.parse(textIn(await client.call('asking__touch', { uri }))) as string[];
    const other = await client.stream('subscriptions/listen', listening({ resourceSubscriptions: ['asking://two'] }));
    await other.next();
    await until(async () => (await touch('asking://none')).length === 2, { what: 'the server has been asked to tell of both' });
    await touch('asking://two');
    expect(await other.next()).toMatchObject({ params: { uri: 'asking://two' } });
    await touch('asking://one');
    expect(await stream.next()).toMatchObject({
      method: 'notifications/resources/updated',
      params: { uri: 'asking://one', _meta: { [subscriptionId]: expect.any(Number) } },
    });
    stream.cut();
    other.cut();
    await until(async () => (await touch('asking://one')).length === 0, { what: 'the server has been asked to tell no more' });
  });

  test('ends with a result when the gateway closes', async () => {
    const closing = await serveGateway({ mcpServers: { asking: askingServer } });
    const lists = await new RawModern(closing.url).stream('subscriptions/listen', listening(all));
    const resources = await new RawModern(closing.url).stream(
      'subscriptions/listen',
      listening({ resourceSubscriptions: ['asking://one'] }),
    );
    const ids = [await lists.next(), await resources.next()].map(idIn);
    await closing[Symbol.asyncDispose]();
    for (const [index, stream] of [lists, resources].entries()) {
      expect((await stream.rest()).at(-1)).toMatchObject({
        id: ids[index],
        result: { resultType: 'complete', _meta: { [subscriptionId]: ids[index] } },
      });
    }
  });
});

function idIn(message: unknown): unknown {
  return (message as { params: { _meta: Record<string, unknown> } }).params._meta[subscriptionId];
}

test('keys of questions are told apart from what is inherited', async () => {
  const params = { ...ask(), inputResponses: JSON.parse('{"__proto__": {"action": "accept"}}') };
  expect(keysOf(await client.request('tools/call', params, able))).toEqual(['q1']);
});

test.each([
  ['inputResponses', null],
  ['inputResponses', []],
  ['requestState', 5],
])('%s that is %j is refused, and no server hears of it', async (member, value) => {
  const { error } = await client.request('tools/call', { ...ask(), [member]: value }, able);
  expect(error).toMatchObject({ code: -32_602, message: expect.stringContaining(member) });
});
