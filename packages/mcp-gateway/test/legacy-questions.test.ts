import { describe, expect, test } from 'vitest';
import { CallOverError } from '../src/conversation.ts';
import type { Answer, JsonObject, RequestId } from '../src/json-rpc.ts';
import { never, type Reply, ScriptedPipe, talkOver, testClient, welcome } from './scripted-pipe.ts';

const every = { elicitation: {}, sampling: {}, roots: {} };
const refused = (method: string) => ({ error: { code: -32_601, message: `the client does not offer ${method}` } });
const accepted: Answer = { result: { action: 'accept', content: {} } };

const talk = (
  kind: 'http' | 'stdio',
  { reply = () => undefined, offers = {}, ...options }: { reply?: Reply; offers?: JsonObject } & Parameters<typeof talkOver>[1] = {},
) =>
  talkOver(() => new ScriptedPipe(kind, (request, pipe) => (request.method === 'initialize' ? welcome(offers) : reply(request, pipe))), {
    memory: { era: 'legacy' },
    capabilities: every,
    ...options,
  });

type Talk = Awaited<ReturnType<typeof talk>>;

function calling({ connection }: Talk, client: ReturnType<typeof testClient>, params: JsonObject = {}) {
  const answer = connection.request('tools/call', params, { signal: never(), client });
  answer.catch(() => {});
  return answer;
}

/** Lets what was answered be sent. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

async function asked({ pipe }: Talk, method: string, replyTo?: RequestId) {
  const id = `s${pipe.sent.length}`;
  pipe.server.message({ jsonrpc: '2.0', id, method, params: { message: 'who?' } }, replyTo);
  await settled();
  return pipe.answerTo(id);
}

describe('a question', () => {
  test('is for the client whose request it came with, where that can be told', async () => {
    const talking = await talk('http');
    const clients = [testClient({ capabilities: every }), testClient({ capabilities: every })];
    for (const client of clients) void calling(talking, client);
    const [first] = talking.pipe.requests('tools/call');
    expect(await asked(talking, 'elicitation/create', first?.id)).toMatchObject(accepted);
    expect(clients.map(({ asked }) => asked)).toEqual([[{ method: 'elicitation/create', params: { message: 'who?' } }], []]);
  });

  test('with the request of a client that cannot be asked goes to no other', async () => {
    const talking = await talk('http');
    const clients = [testClient(), testClient({ capabilities: every })];
    for (const client of clients) void calling(talking, client);
    const [first] = talking.pipe.requests('tools/call');
    expect(await asked(talking, 'elicitation/create', first?.id)).toMatchObject(refused('elicitation/create'));
    expect(clients.flatMap(({ asked }) => asked)).toEqual([]);
  });

  test('that was put to a client whose call then ended is put to one whose call goes on', async () => {
    const talking = await talk('stdio');
    let over = (_error: Error) => {};
    const wrong = testClient({ capabilities: every }, () => new Promise((_resolve, reject) => (over = reject)));
    const right = testClient({ capabilities: every });
    void calling(talking, right);
    void calling(talking, wrong);
    talking.pipe.server.message({ jsonrpc: '2.0', id: 'q', method: 'elicitation/create', params: { message: 'who?' } });
    expect([wrong.asked, right.asked].map(({ length }) => length)).toEqual([1, 0]);
    const [, latest] = talking.pipe.requests('tools/call');
    talking.pipe.server.message({ jsonrpc: '2.0', id: latest?.id as number, result: {} });
    over(new CallOverError());
    await settled();
    expect(right.asked).toEqual([{ method: 'elicitation/create', params: { message: 'who?' } }]);
    expect(talking.pipe.answerTo('q')).toMatchObject(accepted);
  });

  test('without a request is for the latest client that can be asked that', async () => {
    const talking = await talk('stdio');
    const clients = [
      testClient({ capabilities: { elicitation: {} } }),
      testClient({ capabilities: { elicitation: {} } }),
      testClient({ capabilities: { sampling: {} } }),
    ];
    for (const client of clients) void calling(talking, client);
    expect(await asked(talking, 'elicitation/create')).toMatchObject(accepted);
    expect(clients.map(({ asked }) => asked.length)).toEqual([0, 1, 0]);
    expect(await asked(talking, 'roots/list')).toMatchObject(refused('roots/list'));
  });

  test('outside any request is for a client that stands by, where it can be asked that', async () => {
    const bystander = testClient({ capabilities: { roots: {} } }, () => ({ result: { roots: [] } }));
    const talking = await talk('stdio', { bystander });
    expect(await asked(talking, 'roots/list')).toMatchObject({ result: { roots: [] } });
    expect(await asked(talking, 'elicitation/create')).toMatchObject(refused('elicitation/create'));
    expect(bystander.asked).toHaveLength(1);
  });

  test('about a task that a client answers in is for a client of these revisions that offers tasks', async () => {
    const capabilities = { ...every, tasks: { requests: { sampling: { createMessage: {} } } } };
    const methods = ['tasks/get', 'tasks/result', 'tasks/list', 'tasks/cancel'];
    const talking = await talk('stdio', { capabilities });
    const client = testClient({ capabilities });
    void calling(talking, client);
    for (const method of methods) expect(await asked(talking, method)).toMatchObject(accepted);
    expect(client.asked.map(({ method }) => method)).toEqual(methods);

    const before = await talk('stdio', { capabilities });
    const others = [testClient({ capabilities: every }), testClient({ capabilities, modern: true })];
    for (const other of others) void calling(before, other);
    for (const method of methods) expect(await asked(before, method)).toMatchObject(refused(method));
    expect(others.flatMap(({ asked }) => asked)).toEqual([]);
  });

  test('that the conversation said nobody can be asked reaches nobody, whoever calls', async () => {
    const talking = await talk('stdio', { capabilities: {} });
    const client = testClient({ capabilities: every });
    void calling(talking, client);
    expect(await asked(talking, 'elicitation/create')).toMatchObject(refused('elicitation/create'));
    expect(client.asked).toEqual([]);
  });

  test('that a client cannot answer is an error for the server', async () => {
    const talking = await talk('stdio');
    void calling(
      talking,
      testClient({ capabilities: every }, () => Promise.reject(new Error('the client is gone'))),
    );
    expect(await asked(talking, 'elicitation/create')).toMatchObject({ error: { code: -32_603, message: 'the client is gone' } });
  });
});

describe('a client of 2026-07-28', () => {
  const modern = (capabilities: JsonObject = {}) => testClient({ modern: true, capabilities });
  const toolError: Answer = { result: { isError: true, content: [] } };

  test.each([
    ['the tool then fails', toolError, true],
    ['the call then fails', { error: { code: -32_603, message: 'no' } }, true],
    ['the tool does without', { result: { content: [] } }, false],
  ] as const)('that could not be asked hears what it lacks where %s', async (_what, answer, lacks) => {
    const talking = await talk('http');
    const call = calling(talking, modern());
    const [request] = talking.pipe.requests('tools/call');
    if (request === undefined) throw new Error('nothing was called');
    expect(await asked(talking, 'sampling/createMessage', request.id)).toMatchObject(refused('sampling/createMessage'));
    talking.pipe.answer(request, answer);
    const lacking = {
      error: {
        code: -32_021,
        message: 'the server needs a client that offers sampling',
        data: { requiredCapabilities: { sampling: {} } },
      },
    };
    expect(await call).toEqual(lacks ? lacking : answer);
  });

  const visit = (url: string) => ({ mode: 'url', elicitationId: url, url, message: 'visit' });
  const urls = (...elicitations: unknown[]): Answer => ({ error: { code: -32_042, message: 'visit', data: { elicitations } } });

  test('is sent to the addresses that a call needs, then the call is made again', async () => {
    const answers: Answer[] = [urls(visit('https://a'), visit('https://b')), { result: { content: [] } }];
    const talking = await talk('http', { reply: () => answers.shift() });
    const client = modern({ elicitation: { url: {} } });
    expect(await calling(talking, client, { name: 'x', inputResponses: { q: {} } })).toEqual({ result: { content: [] } });
    expect(client.asked).toEqual(['https://a', 'https://b'].map((url) => ({ method: 'elicitation/create', params: visit(url) })));
    const calls = talking.pipe.requests('tools/call');
    expect(calls.map(({ params }) => params)).toEqual([{ name: 'x' }, { name: 'x' }]);
    expect(calls[0]?.id).not.toBe(calls[1]?.id);
  });

  test('that declines to go there gets the error, and so does one of older revisions', async () => {
    const talking = await talk('http', { reply: () => urls(visit('https://a')) });
    const declining = testClient({ modern: true, capabilities: every }, () => ({ result: { action: 'decline' } }));
    expect(await calling(talking, declining)).toEqual(urls(visit('https://a')));
    const older = testClient({ capabilities: every });
    expect(await calling(talking, older)).toEqual(urls(visit('https://a')));
    expect(older.asked).toEqual([]);
    expect(talking.pipe.requests('tools/call')).toHaveLength(2);
  });

  test('that cannot be sent to an address hears what it lacks', async () => {
    const talking = await talk('http', { reply: () => urls(visit('https://a')) });
    const client = modern();
    expect(await calling(talking, client)).toMatchObject({ error: { code: -32_021, data: { requiredCapabilities: { elicitation: {} } } } });
    expect(client.asked).toEqual([]);
  });

  test('with state that no server of these revisions gives out is refused, and nothing is sent', async () => {
    const talking = await talk('http');
    expect(await calling(talking, modern(), { name: 'x', requestState: 'forged' })).toMatchObject({ error: { code: -32_602 } });
    expect(talking.pipe.requests('tools/call')).toEqual([]);
  });
});

describe('the log level', () => {
  const levels = ({ pipe }: Talk) => pipe.requests('logging/setLevel').map(({ params }) => params?.['level']);
  const reply: Reply = () => ({ result: {} });

  test('is lowered once for each more verbose client, and never raised', async () => {
    const talking = await talk('stdio', { offers: { logging: {} }, reply });
    for (const logLevel of ['warning', 'warning', 'error', 'debug', 'info', undefined]) await calling(talking, testClient({ logLevel }));
    expect(levels(talking)).toEqual(['warning', 'debug']);
    expect(talking.pipe.requests('tools/call')).toHaveLength(6);
  });

  test('of a server that logs nothing is left alone', async () => {
    const talking = await talk('stdio', { reply });
    await calling(talking, testClient({ logLevel: 'debug' }));
    expect(levels(talking)).toEqual([]);
  });
});

describe('watching', () => {
  const changes = ({ pipe }: Talk) =>
    pipe.requests().flatMap(({ method, params }) => (method.startsWith('resources/') ? [`${method.slice(10)} ${params?.['uri']}`] : []));

  test('tells the server the differences', async () => {
    const talking = await talk('stdio', { offers: { resources: { subscribe: true } }, reply: () => ({ result: {} }) });
    await talking.connection.watch(new Set(['a', 'b']));
    await talking.connection.watch(new Set(['b', 'c']));
    await talking.connection.watch(new Set(['b', 'c']));
    await talking.connection.watch(new Set());
    expect(changes(talking)).toEqual(['subscribe a', 'subscribe b', 'subscribe c', 'unsubscribe a', 'unsubscribe b', 'unsubscribe c']);
  });

  test('asks nothing of a server that cannot, and bears with one that will not', async () => {
    const talking = await talk('stdio', { offers: { resources: {} } });
    await talking.connection.watch(new Set(['a']));
    expect(changes(talking)).toEqual([]);
    const unwilling = await talk('stdio', { offers: { resources: { subscribe: true } }, reply: () => new Error('no') });
    await unwilling.connection.watch(new Set(['a']));
    expect(changes(unwilling)).toEqual(['subscribe a']);
  });
});
