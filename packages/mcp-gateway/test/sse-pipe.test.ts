import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort, until } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import type { RpcMessage } from '../src/json-rpc.ts';
import { SessionExpiredError, UnreachableError, type UpstreamError } from '../src/upstream-error.ts';
import type { EraMemory } from '../src/wire/connect.ts';
import type { HttpCredential } from '../src/wire/http-credential.ts';
import type { HttpTarget } from '../src/wire/http-requests.ts';
import { largestMessage } from '../src/wire/pipe.ts';
import { SsePipe } from '../src/wire/sse-pipe.ts';
import { call, eventsOf, gatewayOver, keep, refusedWith, textOf, tireless, toolNames } from './gateway-over.ts';
import { never, talkOver } from './scripted-pipe.ts';
import { type Posted, type SseServer, type SseServerOptions, smallServer, sseServer } from './sse-server.ts';

interface Heard {
  readonly messages: RpcMessage[];
  readonly problems: { problem: string; sample: string; id?: number }[];
  readonly closed: UpstreamError[];
}

const ping: RpcMessage = { jsonrpc: '2.0', id: 1, method: 'ping' };

/** A pipe that has not been opened, and what it will tell. */
function pipeTo(url: string, rest: Partial<HttpTarget> = {}) {
  const pipe = new SsePipe('files', { url, headers: {}, ...rest });
  keep({ [Symbol.asyncDispose]: () => pipe.close() });
  const heard: Heard = { messages: [], problems: [], closed: [] };
  const open = (signal = never()) =>
    pipe.open(
      {
        message: (message) => void heard.messages.push(message),
        problem: (problem) => void heard.problems.push(problem),
        closed: (error) => void heard.closed.push(error),
      },
      signal,
    );
  return { pipe, open, ...heard };
}

async function openedOver(options: SseServerOptions = {}, rest: Partial<HttpTarget> = {}) {
  const server = await sseServer(options);
  const opened = pipeTo(server.url, rest);
  await opened.open();
  return { server, ...opened };
}

const noSockets = ({ sockets }: SseServer) => until(() => sockets.size === 0, { what: 'the connections to end' });

const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: UpstreamError) => error,
  );

describe('the endpoint', () => {
  test.each([
    ['a path', () => '/message?session=1', '/message?session=1'],
    ['a relative path', () => 'message?session=2', '/message?session=2'],
    ['a query alone', () => '?session=3', '/sse?session=3'],
    ['an address', (origin: string) => `${origin}/a/b?c=d&e=%20f`, '/a/b?c=d&e=%20f'],
    ['an address without a scheme', (origin: string) => `${origin.slice('http:'.length)}/m`, '/m'],
  ])('may be %s', async (_what, endpoint, path) => {
    const server = await sseServer();
    server.set({ endpoint: endpoint(server.origin) });
    const { pipe, open } = pipeTo(server.url);
    await open();
    expect(await pipe.send(ping)).toBe('sent');
    expect(server.requests.at(-1)).toMatchObject({ method: 'POST', path, message: ping });
  });

  test.each([
    ['another port', (origin: string) => `${origin.slice(0, -1)}/message`],
    ['another host', (origin: string) => `${origin.replace('127.0.0.1', 'localhost')}/message`],
    ['another host without a scheme', () => '//elsewhere.example/message'],
    ['another scheme', (origin: string) => `${origin.replace('http:', 'https:')}/message`],
    ['no scheme of the web', () => 'data:text/plain,message'],
  ])('of %s is refused, and nothing is sent there', async (_what, endpoint) => {
    const server = await sseServer();
    server.set({ endpoint: endpoint(server.origin) });
    const { pipe, open, closed } = pipeTo(server.url, { headers: { authorization: 'Bearer secret' } });
    await expect(open()).rejects.toMatchObject({
      message: "server 'files' named an endpoint of another origin",
      code: 'ERR_UPSTREAM_PROTOCOL',
      carriedOut: 'no',
    });
    await expect(pipe.send(ping)).rejects.toBeInstanceOf(UnreachableError);
    expect(closed).toEqual([]);
    await noSockets(server);
  });

  test('that is no address is refused', async () => {
    const { open } = pipeTo((await sseServer({ endpoint: 'http://[' })).url);
    await expect(open()).rejects.toThrow('named an endpoint that is no address');
  });

  test('must be what the stream begins with', async () => {
    const server = await sseServer({
      get: (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"jsonrpc":"2.0"}\n\n'),
    });
    await expect(pipeTo(server.url).open()).rejects.toMatchObject({
      message: "server 'files' began its stream with something else than its endpoint",
      detail: '{"jsonrpc":"2.0"}',
    });
    await noSockets(server);
  });

  test('is named once; a second name changes nothing', async () => {
    const { server, pipe, problems } = await openedOver();
    server.write('event: endpoint\ndata: /elsewhere\n\n');
    await until(() => problems.length > 0, { what: 'the problem' });
    expect(problems).toEqual([{ problem: "sent an event 'endpoint', which is no message", sample: '/elsewhere' }]);
    await pipe.send(ping);
    expect(server.requests.at(-1)?.path).toBe('/message?session=1');
  });
});

test('headers, and a name and password of the address, go with GET and POST', async () => {
  const server = await sseServer();
  server.set({ endpoint: `http://mallory:x@${new URL(server.url).host}/message` });
  const { pipe, open } = pipeTo(server.url.replace('//', '//user:word@'), { headers: { 'x-api-key': 'secret' } });
  await open();
  await pipe.send(ping);
  const authorization = `Basic ${Buffer.from('user:word').toString('base64')}`;
  expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'POST']);
  for (const { headers } of server.requests) expect(headers).toMatchObject({ 'x-api-key': 'secret', authorization });
  expect(server.requests[0]?.headers.accept).toBe('text/event-stream');
  expect(server.requests[1]?.headers['content-type']).toBe('application/json');
});

test('credentials go with GET and POST, and are renewed where one of them is refused', async () => {
  let token = 0;
  const refusals: string[] = [];
  const credential: HttpCredential = {
    get header() {
      return `Bearer ${token}`;
    },
    refused: async (sent, { status, wwwAuthenticate }) => {
      refusals.push(`${sent} ${status} ${wwwAuthenticate}`);
      token += 1;
      return true;
    },
    onSignedIn: () => () => {},
  };
  const server = await sseServer({
    get: (response) => {
      server.set({ get: undefined });
      response.writeHead(401, { 'www-authenticate': 'Bearer realm="x"' }).end();
    },
  });
  const { pipe, open } = pipeTo(server.url, { credential });
  await open();
  let refused = false;
  server.set({
    post: (_message, response) => {
      if (refused) return false;
      refused = true;
      response.writeHead(401).end();
      return true;
    },
  });
  await pipe.send(ping);
  expect(refusals).toEqual(['Bearer 0 401 Bearer realm="x"', 'Bearer 1 401 ']);
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer 0', 'Bearer 1', 'Bearer 1', 'Bearer 2']);
});

describe('a stream that cannot be opened', () => {
  test.each([
    [401, {}, { carriedOut: 'no' }],
    [403, {}, { carriedOut: 'no' }],
    [404, {}, { carriedOut: 'no' }],
    [307, { location: '/elsewhere' }, { carriedOut: 'no' }],
    [429, { 'retry-after': '7' }, { carriedOut: 'no', retryAfterMs: 7_000 }],
    [503, { 'retry-after': '8' }, { carriedOut: 'no', retryAfterMs: 8_000 }],
    [500, {}, { carriedOut: 'perhaps' }],
  ])('HTTP %i', async (status, headers, expected) => {
    const server = await sseServer({ get: (response) => response.writeHead(status, headers).end('because') });
    const { pipe, open, closed } = pipeTo(server.url);
    await expect(open()).rejects.toMatchObject({
      message: `server 'files' answered with HTTP ${status}`,
      status,
      detail: 'because',
      ...expected,
    });
    expect(server.requests).toHaveLength(1);
    await pipe.close();
    await noSockets(server);
    expect(closed).toEqual([]);
  });

  test('a web page', async () => {
    const server = await sseServer({ get: (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Hello</h1>') });
    await expect(pipeTo(server.url).open()).rejects.toMatchObject({
      message: "server 'files' answered with no event stream",
      code: 'ERR_UPSTREAM_PROTOCOL',
      carriedOut: 'no',
    });
    await noSockets(server);
  });

  test('nobody listens', async () => {
    await expect(pipeTo(`http://127.0.0.1:${await freePort()}/sse`).open()).rejects.toBeInstanceOf(UnreachableError);
  });

  test('the stream ends before its endpoint', async () => {
    const server = await sseServer({ get: (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end(': hi\n\n') });
    const { open, closed } = pipeTo(server.url);
    await expect(open()).rejects.toThrow("server 'files' ended its stream");
    expect(closed).toEqual([]);
  });

  test.each<[string, SseServerOptions['get']]>([
    ['nothing', () => {}],
    ['no endpoint', (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(': wait\n\n')],
  ])('the server says %s, until the time is over', async (_what, get) => {
    const server = await sseServer({ ...(get && { get }) });
    const deadline = new AbortController();
    const { open, closed } = pipeTo(server.url);
    const refused = rejection(open(deadline.signal));
    await until(() => server.requests.length === 1, { what: 'the request' });
    deadline.abort(new Error('too late'));
    expect(await refused).toBe(deadline.signal.reason);
    await noSockets(server);
    expect(closed).toEqual([]);
    expect(await rejection(pipeTo(server.url).open(deadline.signal))).toBe(deadline.signal.reason);
    expect(server.requests).toHaveLength(1);
  });
});

describe('what the stream brings', () => {
  const one = '{"jsonrpc":"2.0","id":"a","method":"ping"}';

  test.each([
    ['in one piece', [`event: message\ndata: ${one}\n\n`]],
    ['in many pieces', [...`event: message\ndata: ${one}\n\n`]],
    ['with other line ends', [`event: message\r\ndata: ${one}\r\n\r\n`]],
    ['without a name', [`data: ${one}\n\n`]],
    ['on two lines', [`data: ${one.slice(0, 1)}\ndata: ${one.slice(1)}\n\n`]],
    ['between comments', [`: keep-alive\n\nid: 7\n: and\ndata: ${one}\nretry: 1\n\n: keep-alive\n\n`]],
  ])('is a message %s', async (_how, pieces) => {
    const { server, messages, problems } = await openedOver();
    for (const piece of pieces) server.write(piece);
    await until(() => messages.length > 0, { what: 'the message' });
    expect(messages).toEqual([JSON.parse(one)]);
    expect(problems).toEqual([]);
  });

  test('in the same piece as the endpoint is heard', async () => {
    const { messages } = await openedOver({ endpoint: `/message\n\ndata: ${one}` });
    await until(() => messages.length > 0, { what: 'the message' });
    expect(messages).toEqual([JSON.parse(one)]);
  });

  test('and is no message is told as that, briefly', async () => {
    const { server, messages, problems } = await openedOver();
    const long = 'x'.repeat(1_000);
    server.write(`data: ${long}\n\n`);
    server.write(`data: [${one}]\n\n`);
    server.write('data: {"jsonrpc":"2.0","id":5,"result":"none"}\n\n');
    server.write(`event: ${long}\ndata: ${long}\n\n`);
    server.write(`data: ${one}\n\n`);
    await until(() => messages.length > 0, { what: 'the message after it' });
    const sample = `${'x'.repeat(200)}…`;
    expect(problems).toEqual([
      { problem: 'sent a message that is not JSON', sample },
      { problem: 'sent a batch, which this protocol does not have', sample: `[${one}]` },
      { problem: expect.stringContaining('neither a result object nor an error'), sample: expect.any(String), id: 5 },
      { problem: `sent an event '${sample}', which is no message`, sample },
    ]);
  });

  test('above 16 MiB ends the pipe', async () => {
    const { server, closed, messages } = await openedOver();
    server.write(`data: "${'x'.repeat(largestMessage)}"\n\n`);
    await until(() => closed.length > 0, { what: 'the end' });
    expect(closed).toMatchObject([{ message: "server 'files' sent a message of more than 16777216 bytes", carriedOut: 'perhaps' }]);
    expect(messages).toEqual([]);
    await noSockets(server);
  });

  test('may be comments for ever, but not within one message', async () => {
    const { server, closed, messages } = await openedOver();
    const comments = `:${'-'.repeat(1_000_000)}\n`.repeat(6);
    for (let times = 0; times < 3; times += 1) server.write(`${comments}\n`);
    server.write(`data: ${one}\n\n`);
    await until(() => messages.length > 0, { what: 'the message', timeoutMs: 10_000 });
    for (let times = 0; times < 3; times += 1) server.write(`${comments}data: ${'x'.repeat(6_000_000)}\n`);
    await until(() => closed.length > 0, { what: 'the end', timeoutMs: 10_000 });
    expect(closed[0]?.message).toBe("server 'files' sent a message of more than 16777216 bytes");
  });
});

describe('a message that is refused', () => {
  test.each([
    [401, {}, { carriedOut: 'no', status: 401 }],
    [403, {}, { carriedOut: 'no', status: 403 }],
    [400, {}, { carriedOut: 'perhaps', status: 400 }],
    [413, {}, { carriedOut: 'no', status: 413 }],
    [302, { location: 'http://elsewhere.example/' }, { carriedOut: 'no', status: 302 }],
    [429, { 'retry-after': '3' }, { carriedOut: 'no', retryAfterMs: 3_000 }],
    [503, { 'retry-after': '4' }, { carriedOut: 'no', retryAfterMs: 4_000 }],
    [503, {}, { carriedOut: 'perhaps' }],
    [500, {}, { carriedOut: 'perhaps' }],
  ])('with HTTP %i %j is known as that, and the pipe goes on', async (status, headers, expected) => {
    const { server, pipe, closed } = await openedOver({
      post: (_message, response) => {
        response.writeHead(status, headers).end('because');
        return true;
      },
    });
    await expect(pipe.send(ping)).rejects.toMatchObject({ ...expected, detail: 'because' });
    server.set({ post: () => false });
    expect(await pipe.send(ping)).toBe('sent');
    expect(closed).toEqual([]);
  });

  test.each([
    [404, 'Not found'],
    [400, 'No transport found for sessionId'],
  ])('with HTTP %i %s was for a session that is forgotten', async (status, text) => {
    const { pipe } = await openedOver({
      post: (_message, response) => {
        response.writeHead(status).end(text);
        return true;
      },
    });
    await expect(pipe.send(ping)).rejects.toBeInstanceOf(SessionExpiredError);
  });

  test('by nobody who listens was not sent', async () => {
    const { server, pipe } = await openedOver();
    server.refuse();
    await expect(pipe.send(ping)).rejects.toBeInstanceOf(UnreachableError);
  });
});

test('a send that is aborted ends with the reason, and the pipe goes on', async () => {
  const { server, pipe, closed } = await openedOver({ post: ({ id }) => id === 1 });
  expect(pipe.cancelsByClosing).toBe(false); // the server may go on, and is told
  const abort = new AbortController();
  const refused = rejection(pipe.send(ping, abort.signal));
  await until(() => server.methods.length === 1, { what: 'the message' });
  abort.abort(new Error('enough'));
  expect(await refused).toBe(abort.signal.reason);
  expect(await pipe.send({ ...ping, id: 2 })).toBe('sent');
  expect(closed).toEqual([]);
});

test.each([
  ['end', /^server 'files' ended its stream$/],
  ['cut', /^server 'files' broke off its stream: /],
] as const)('a stream that the server does %s closes the pipe once, and leaves no connection', async (how, message) => {
  const { server, pipe, closed } = await openedOver();
  await pipe.send(ping);
  expect(server.sockets.size).toBe(2);
  server.end(how);
  await until(() => closed.length > 0, { what: 'the end' });
  await noSockets(server);
  await expect(pipe.send(ping)).rejects.toMatchObject({ name: 'UpstreamError', carriedOut: 'no' });
  await pipe.close();
  expect(closed).toEqual([expect.objectContaining({ message: expect.stringMatching(message), carriedOut: 'perhaps' })]);
  expect(server.requests).toHaveLength(2);
});

test('closing ends the stream and what is under way, tells nothing and lets nothing through', async () => {
  const { server, pipe, closed } = await openedOver({ post: () => true });
  const refused = rejection(pipe.send(ping));
  await until(() => server.methods.length === 1, { what: 'the message' });
  await pipe.close();
  expect(await refused).toMatchObject({ carriedOut: 'perhaps' });
  await noSockets(server);
  await expect(pipe.send(ping)).rejects.toBeInstanceOf(UnreachableError);
  expect(server.requests).toHaveLength(2);
  await pause(20); // for what must not come
  expect(closed).toEqual([]);
});

describe('a conversation', () => {
  test('begins with initialize: no server of this transport is asked whether it is newer', async () => {
    const server = await sseServer({ answer: smallServer });
    const memory: EraMemory = { era: 'modern' };
    const { connection } = await talkOver(() => new SsePipe('files', { url: server.url, headers: {} }), { memory });
    keep({ [Symbol.asyncDispose]: () => connection.close() });
    expect(server.methods).toEqual(['initialize', 'notifications/initialized']);
    expect(connection.description.serverInfo).toEqual({ name: 'small', version: '1' });
    expect(connection.stateless).toBe(false);
  });

  test.each<[string, SseServerOptions, string]>([
    ['says nothing', { answer: () => undefined }, 'did not answer the handshake within 200 ms'],
    ['knows no initialize', { answer: () => ({ error: { code: -32_601, message: 'no' } }) }, 'refused the handshake: no'],
    ['refuses initialize', { post: (_message, response) => Boolean(response.writeHead(405).end()) }, 'answered with HTTP 405'],
    ['opens no stream in time', { get: () => {} }, 'did not answer the handshake within 200 ms'],
  ])('with a server that %s is not begun in another way, now or later', async (_what, options, problem) => {
    const server = await sseServer(options);
    const gateway = await gatewayOver({ old: { type: 'sse', url: server.url, ...tireless } }, { connectTimeoutMs: 200 });
    expect((await refusedWith(call(gateway, 'old__echo', { text: 'x' }))).message).toBe(`server 'old' ${problem}`);
    expect(server.methods.filter((method) => method !== 'initialize')).toEqual([]);
    await noSockets(server);
    server.set({ answer: smallServer, post: () => false, get: undefined });
    expect(textOf(await call(gateway, 'old__echo', { text: 'x' }))).toBe('x');
    expect(server.methods).not.toContain('server/discover');
  });

  const conversation = async (options: SseServerOptions = {}) => {
    const server = await sseServer({ answer: smallServer, ...options });
    const gateway = await gatewayOver({ old: { type: 'sse', url: server.url, ...tireless } });
    await toolNames(gateway);
    return { server, gateway, frames: eventsOf(gateway, 'frame') };
  };
  const result = (text: string) => ({ result: { content: [{ type: 'text', text }] } });

  test('hears answers in any order, before a POST is answered too, and tells of those that are for nobody', async () => {
    const { server, gateway, frames } = await conversation();
    const posts: { id: Posted['id']; response: ServerResponse }[] = [];
    server.set({ post: ({ id }, response) => posts.push({ id, response }) > 0 });
    const calls = ['a', 'b', 'c'].map((text) => call(gateway, 'old__echo', { text }));
    await until(() => posts.length === 3, { what: 'the calls' });
    server.send({ id: 'nobody', ...result('x') });
    for (const { id } of posts.toReversed()) server.send({ id, ...result(`for ${id}`) });
    expect((await Promise.all(calls)).map(textOf)).toEqual(posts.map(({ id }) => `for ${id}`));
    for (const { response } of posts) response.writeHead(202).end();
    expect(frames).toMatchObject([{ server: 'old', problem: 'sent a response that answers no open request', sample: 'id "nobody"' }]);
  });

  test('fails the call whose answer is none, and no other', async () => {
    const { server, gateway } = await conversation();
    const waiting = call(gateway, 'old__echo', { text: 'hang a' });
    await until(() => server.posted('tools/call').length === 1, { what: 'the call' });
    const failing = refusedWith(call(gateway, 'old__echo', { text: 'hang b' }));
    await until(() => server.posted('tools/call').length === 2, { what: 'the other call' });
    const [first, second] = server.posted('tools/call');
    server.send({ id: second?.id, result: 'none' });
    expect(await failing).toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL' });
    server.send({ id: first?.id, ...result('late') });
    expect(textOf(await waiting)).toBe('late');
  });

  test('tells the server that a call is taken back', async () => {
    const { server, gateway } = await conversation();
    const abort = new AbortController();
    const refused = rejection(call(gateway, 'old__echo', { text: 'hang' }, abort.signal));
    await until(() => server.posted('tools/call').length === 1, { what: 'the call' });
    abort.abort(new Error('enough'));
    expect(await refused).toBe(abort.signal.reason);
    await until(() => server.posted('notifications/cancelled').length === 1, { what: 'the cancellation' });
    const [{ id } = {}] = server.posted('tools/call');
    expect(server.posted('notifications/cancelled')[0]?.params).toEqual({ requestId: id, reason: 'enough' });
  });

  test('hears that a list has changed, and what the server asks', async () => {
    const { server, gateway } = await conversation();
    const tools = ['echo', 'tide'].map((name) => ({ name, inputSchema: { type: 'object' } }));
    server.set({ answer: (message) => (message.method === 'tools/list' ? { result: { tools } } : smallServer(message)) });
    server.send({ method: 'notifications/tools/list_changed' });
    await until(async () => (await toolNames(gateway)).includes('old__tide'), { what: 'the new list' });
    server.send({ id: 'still there?', method: 'ping' });
    await until(() => server.requests.some(({ message }) => message?.id === 'still there?'), { what: 'the answer' });
    expect(server.requests.at(-1)?.message).toEqual({ jsonrpc: '2.0', id: 'still there?', result: {} });
  });

  test('is begun again, once, where the server has forgotten it, and the caller does not notice', async () => {
    const { server, gateway } = await conversation();
    let forgotten = true;
    server.set({
      post: ({ method }, response) => {
        if (!forgotten || method !== 'tools/call') return false;
        forgotten = false;
        response.writeHead(404).end('no such session');
        return true;
      },
    });
    expect(textOf(await call(gateway, 'old__echo', { text: 'again' }))).toBe('again');
    expect(server.posted('initialize')).toHaveLength(2);
    expect(server.posted('tools/call')).toHaveLength(2);
    await until(() => server.streams === 1, { what: 'the first stream to end' });
  });

  test.each(['end', 'cut'] as const)(
    'that the server does %s fails its calls, makes none of them again, and is followed by another',
    async (how) => {
      const { server, gateway } = await conversation();
      const refused = refusedWith(call(gateway, 'old__echo', { text: 'hang' }));
      await until(() => server.posted('tools/call').length === 1, { what: 'the call' });
      server.end(how);
      expect(await refused).toMatchObject({ code: 'ERR_UPSTREAM_UNAVAILABLE' });
      expect(server.posted('tools/call')).toHaveLength(1);
      expect(textOf(await call(gateway, 'old__echo', { text: 'next' }))).toBe('next');
      expect(server.posted('initialize')).toHaveLength(2);
    },
  );

  test('survives an answer above 16 MiB in a new stream', async () => {
    const { server, gateway } = await conversation();
    const refused = refusedWith(call(gateway, 'old__echo', { text: 'hang' }));
    await until(() => server.posted('tools/call').length === 1, { what: 'the call' });
    server.send({ id: server.posted('tools/call')[0]?.id, ...result('x'.repeat(largestMessage)) });
    expect((await refused).message).toBe("server 'old' sent a message of more than 16777216 bytes");
    expect(textOf(await call(gateway, 'old__echo', { text: 'next' }))).toBe('next');
  });

  test('ends with the gateway and leaves no connection', async () => {
    const { server, gateway } = await conversation();
    expect(server.streams).toBe(1);
    await gateway.close();
    await noSockets(server);
  });
});

describe('a server that is configured without a type', () => {
  const refusedBy = (status: number) => async (options: SseServerOptions) => {
    const server = await sseServer({ postToStream: status, answer: smallServer, ...options });
    return { server, gateway: await gatewayOver({ old: { url: server.url, ...tireless } }) };
  };

  test.each([400, 404, 405])('and refuses POST with %i is spoken to over its event stream', async (status) => {
    const { server, gateway } = await refusedBy(status)({});
    expect(textOf(await call(gateway, 'old__echo', { text: 'found' }))).toBe('found');
    expect(server.requests.map(({ method, path }) => `${method} ${path}`).slice(0, 4)).toEqual([
      'POST /sse',
      'POST /sse',
      'GET /sse',
      'POST /message?session=1',
    ]);
    expect(server.streams).toBe(1);
    server.end();
    await until(() => server.streams === 0, { what: 'the end of the stream' });
    expect(textOf(await call(gateway, 'old__echo', { text: 'found again' }))).toBe('found again');
  });

  test.each<[string, SseServerOptions['get']]>([
    ['refuses', (response) => response.writeHead(406).end()],
    ['answers otherwise', (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Hello</h1>')],
    ['begins otherwise', (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: {}\n\n')],
  ])('and %s GET too has refused the POST', async (_what, get) => {
    const { server, gateway } = await refusedBy(404)({ get });
    expect((await refusedWith(call(gateway, 'old__echo', { text: 'x' }))).message).toBe("server 'old' answered with HTTP 404");
    await noSockets(server);
  });

  test('and does not shake hands over its event stream says so', async () => {
    const { gateway } = await refusedBy(405)({ answer: () => ({ error: { code: -32_000, message: 'full' } }) });
    expect((await refusedWith(call(gateway, 'old__echo', { text: 'x' }))).message).toBe("server 'old' refused the handshake: full");
  });

  test.each([401, 403, 429, 500, 503])('and refuses POST with %i is not asked for an event stream', async (status) => {
    const { server, gateway } = await refusedBy(status)({});
    expect((await refusedWith(call(gateway, 'old__echo', { text: 'x' }))).message).toBe(`server 'old' answered with HTTP ${status}`);
    expect(server.requests.map(({ method }) => method)).not.toContain('GET');
  });
});
