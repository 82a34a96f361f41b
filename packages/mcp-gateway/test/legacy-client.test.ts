import { describe, expect, test } from 'vitest';
import type { ClientSide } from '../src/call.ts';
import type { JsonObject, RpcMessage, RpcNotification, RpcRequest } from '../src/json-rpc.ts';
import { UpstreamError } from '../src/upstream-error.ts';
import { connect } from '../src/wire/connect.ts';
import type { Connection } from '../src/wire/connection.ts';
import type { FrameProblem, Pipe, PipeListener } from '../src/wire/pipe.ts';

/** A pipe whose other end is the test: what was sent is in `sent`, and `server` speaks. */
class TestPipe implements Pipe {
  readonly cancelsByClosing = false;
  readonly sent: RpcMessage[] = [];
  revision: string | undefined;
  closed = 0;
  /** What comes of handing a message over. */
  outcome: 'sent' | 'ended' = 'sent';
  #listener: PipeListener | undefined;
  readonly #initialize: JsonObject | undefined;

  constructor(initialize?: JsonObject) {
    this.#initialize = initialize;
  }

  get server(): PipeListener {
    if (this.#listener === undefined) throw new Error('the pipe is not open');
    return this.#listener;
  }

  get requests(): RpcRequest[] {
    return this.sent.filter((message): message is RpcRequest => 'method' in message && 'id' in message);
  }

  async open(listener: PipeListener): Promise<void> {
    this.#listener = listener;
  }

  async send(message: RpcMessage): Promise<'sent' | 'ended'> {
    this.sent.push(message);
    if (this.#initialize !== undefined && 'method' in message && message.method === 'initialize') {
      this.server.message({ jsonrpc: '2.0', id: (message as RpcRequest).id, ...this.#initialize } as RpcMessage);
    }
    return this.outcome;
  }

  negotiated(revision: string): void {
    this.revision = revision;
  }

  async close(): Promise<void> {
    this.closed += 1;
  }
}

const welcome = (protocolVersion: unknown): JsonObject => ({
  result: { protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' }, instructions: 'be kind' },
});

interface Talk {
  readonly pipe: TestPipe;
  readonly connection: Connection;
  readonly notifications: RpcNotification[];
  readonly problems: FrameProblem[];
  readonly closed: UpstreamError[];
}

async function talk(pipe = new TestPipe(welcome('2025-11-25'))): Promise<Talk> {
  const notifications: RpcNotification[] = [];
  const problems: FrameProblem[] = [];
  const closed: UpstreamError[] = [];
  const listener = {
    notification: (notification: RpcNotification) => void notifications.push(notification),
    problem: (problem: FrameProblem) => void problems.push(problem),
    closed: (error: UpstreamError) => void closed.push(error),
    bystander: () => undefined,
  };
  const connection = await connect({
    server: 'files',
    openPipe: () => pipe,
    listener,
    clientInfo: { name: 'tidegate', version: '1' },
    capabilities: {},
    memory: { era: 'legacy' },
    signal: new AbortController().signal,
  });
  return { pipe, connection, notifications, problems, closed };
}

function ask({ connection }: Talk, params: JsonObject = {}, signal = new AbortController().signal) {
  const notified: RpcNotification[] = [];
  const client: ClientSide = {
    capabilities: {},
    modern: false,
    ask: () => Promise.reject(new Error('nobody is asked')),
    notify: (notification) => notified.push(notification),
  };
  const answer = connection.request('tools/call', params, { signal, client });
  answer.catch(() => {});
  return { answer, notified };
}

describe('the handshake', () => {
  test('is initialize, its answer, and initialized', async () => {
    const { pipe, connection } = await talk();
    expect(pipe.sent).toEqual([
      {
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'tidegate', version: '1' } },
      },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
    ]);
    expect(connection.description).toEqual({
      serverInfo: { name: 'x', version: '1' },
      capabilities: { tools: {} },
      instructions: 'be kind',
    });
  });

  test.each(['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'])('agrees on %s', async (revision) => {
    expect((await talk(new TestPipe(welcome(revision)))).pipe.revision).toBe(revision);
  });

  test.each([['1999-01-01'], [undefined], [7], [null]])('refuses revision %s and closes the pipe', async (revision) => {
    const pipe = new TestPipe(welcome(revision));
    await expect(talk(pipe)).rejects.toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL' });
    expect(pipe.closed).toBe(1);
  });

  test('that the server refuses is an error with its words', async () => {
    const pipe = new TestPipe({ error: { code: -32_602, message: 'too old' } });
    await expect(talk(pipe)).rejects.toThrow("server 'files' refused the handshake: too old");
    expect(pipe.closed).toBe(1);
  });

  test('takes a server that says nothing of itself', async () => {
    const { connection } = await talk(new TestPipe({ result: { protocolVersion: '2025-11-25', capabilities: [], serverInfo: 'x' } }));
    expect(connection.description).toEqual({ serverInfo: {}, capabilities: {} });
  });
});

describe('requests', () => {
  test('are answered by their id, in any order', async () => {
    const talking = await talk();
    const [first, second] = [ask(talking, { n: 1 }), ask(talking, { n: 2 })];
    talking.pipe.server.message({ jsonrpc: '2.0', id: 3, result: { n: 2 } });
    talking.pipe.server.message({ jsonrpc: '2.0', id: 2, error: { code: -32_602, message: 'no', data: { why: 1 } } });
    expect(await second.answer).toEqual({ result: { n: 2 } });
    expect(await first.answer).toEqual({ error: { code: -32_602, message: 'no', data: { why: 1 } } });
  });

  test.each([99, '2', null])('an answer with id %s is nobody’s', async (id) => {
    const talking = await talk();
    const { answer } = ask(talking);
    talking.pipe.server.message({ jsonrpc: '2.0', id, result: { wrong: true } });
    expect(talking.problems).toEqual([{ problem: 'sent a response that answers no open request', sample: `id ${JSON.stringify(id)}` }]);
    talking.pipe.server.message({ jsonrpc: '2.0', id: 2, result: { right: true } });
    expect(await answer).toEqual({ result: { right: true } });
  });

  test('a frame that seems to answer one fails that one', async () => {
    const talking = await talk();
    const [first, second] = [ask(talking), ask(talking)];
    talking.pipe.server.problem({ problem: 'sent a line of more than 10 bytes', sample: '{', id: 2 });
    await expect(first.answer).rejects.toMatchObject({ code: 'ERR_UPSTREAM_PROTOCOL', carriedOut: 'perhaps' });
    talking.pipe.server.message({ jsonrpc: '2.0', id: 3, result: {} });
    expect(await second.answer).toEqual({ result: {} });
  });

  test('whose answer has ended without one fail', async () => {
    const pipe = new TestPipe(welcome('2025-11-25'));
    const talking = await talk(pipe);
    pipe.outcome = 'ended';
    await expect(ask(talking).answer).rejects.toThrow("server 'files' ended its answer without a result");
  });

  test('that are taken back are told to the server, and a late answer changes nothing', async () => {
    const talking = await talk();
    const controller = new AbortController();
    const { answer } = ask(talking, {}, controller.signal);
    controller.abort(new Error('changed my mind'));
    await expect(answer).rejects.toThrow('changed my mind');
    expect(talking.pipe.sent.at(-1)).toEqual({
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 2, reason: 'changed my mind' },
    });
    talking.pipe.server.message({ jsonrpc: '2.0', id: 2, result: {} });
    await expect(answer).rejects.toThrow('changed my mind');
  });

  test('all fail when the pipe ends, once told, and later ones were never sent', async () => {
    const talking = await talk();
    const calls = [ask(talking), ask(talking)];
    const gone = new UpstreamError('files', 'ended', { carriedOut: 'perhaps' });
    talking.pipe.server.closed(gone);
    talking.pipe.server.closed(gone);
    for (const { answer } of calls) await expect(answer).rejects.toBe(gone);
    expect(talking.closed).toEqual([gone]);
    const sent = talking.pipe.sent.length;
    await expect(ask(talking).answer).rejects.toMatchObject({ carriedOut: 'no', message: "server 'files' has gone away" });
    expect(talking.pipe.sent).toHaveLength(sent);
  });

  test('all fail when we close, and nothing is told', async () => {
    const talking = await talk();
    const { answer } = ask(talking);
    await talking.connection.close();
    await expect(answer).rejects.toThrow("server 'files' was disconnected");
    expect(talking.closed).toEqual([]);
    expect(talking.pipe.closed).toBe(1);
  });
});

describe('progress', () => {
  test.each(['client-token', 0, 2])('goes to the request it is about, under the token of its client (%s)', async (token) => {
    const talking = await talk();
    const first = ask(talking, { _meta: { progressToken: token, other: 1 } });
    const second = ask(talking, { _meta: { progressToken: token } });
    const tokens = talking.pipe.requests.slice(1).map(({ params = {} }) => (params['_meta'] as JsonObject)['progressToken']);
    expect(new Set(tokens).size).toBe(2);
    expect(talking.pipe.requests[1]?.params).toEqual({ _meta: { progressToken: tokens[0], other: 1 } });
    const progress = (progressToken: unknown) =>
      ({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1 } }) as const;
    talking.pipe.server.message(progress(tokens[1]));
    expect(first.notified).toEqual([]);
    expect(second.notified).toEqual([progress(token)]);
  });

  test('that nobody asked for, or for a request that has ended, goes nowhere', async () => {
    const talking = await talk();
    const { notified } = ask(talking);
    for (const progressToken of [2, 99, undefined]) {
      talking.pipe.server.message({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1 } });
    }
    expect(notified).toEqual([]);
    expect(talking.notifications).toEqual([]);
  });
});

describe('what the server says unasked', () => {
  test('notifications are passed on', async () => {
    const talking = await talk();
    const news = { jsonrpc: '2.0', method: 'notifications/tools/list_changed' } as const;
    talking.pipe.server.message(news);
    expect(talking.notifications).toEqual([news]);
  });

  test('ping is answered; what this client does not offer is refused', async () => {
    const talking = await talk();
    talking.pipe.server.message({ jsonrpc: '2.0', id: 's1', method: 'ping' });
    talking.pipe.server.message({ jsonrpc: '2.0', id: 2, method: 'sampling/createMessage', params: {} });
    expect(talking.pipe.sent.slice(-2)).toEqual([
      { jsonrpc: '2.0', id: 's1', result: {} },
      { jsonrpc: '2.0', id: 2, error: { code: -32_601, message: 'the client does not offer sampling/createMessage' } },
    ]);
  });
});
