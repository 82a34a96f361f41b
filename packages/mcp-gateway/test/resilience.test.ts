import {
  freePort,
  type HttpFaults,
  type HttpFixture,
  httpFixture,
  type StdioFixture,
  startProxy,
  stdioFixture,
  until,
} from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import type { HttpServerConfig, ServerConfig } from '../src/index.ts';
import { call, clientOf, eventsOf, gatewayOver, keep, nextEvent, refusedWith, swift, textOf, tireless, toolNames } from './gateway-over.ts';

const stdio = (options = {}): StdioFixture => keep(stdioFixture(options));
const http = async (options = {}): Promise<HttpFixture> => keep(await httpFixture(options));
const program = ({ command, args, env }: StdioFixture) => ({ command, args, env });
const sent = ({ requests }: HttpFixture, method: string) =>
  requests.filter(({ body }) => (body as { method?: string } | undefined)?.method === method).length;
const openPort = (url: string) => Number(new URL(url).port);

describe('a call that may have been carried out', () => {
  const faults: [string, HttpFaults, number][] = [
    ['its answer is cut', { cutMidBody: true }, 1],
    ['its server says 500', { status: 500 }, 0],
    ['its answer is garbage', { garbage: true }, 0],
    ['its server hangs', { hang: true }, 0],
  ];

  test.each(faults)('is not sent again: %s', async (_how, fault, executions) => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless, timeoutMs: 150 } });
    await toolNames(gateway);
    const retries = eventsOf(gateway, 'retry');
    server.faults.set({ ...fault, methods: ['tools/call'] });
    await refusedWith(call(gateway, 'search__count'));
    expect(sent(server, 'tools/call')).toBe(1);
    expect(server.executions()).toBe(executions);
    expect(retries).toEqual([]);
  });

  const declared: [string, Partial<HttpServerConfig>][] = [
    ['by its name', { idempotent: ['count'] }],
    ['by a pattern', { idempotent: ['read_*', 'c*t'] }],
  ];
  test.each(declared)('is sent again where its tool is declared idempotent %s', async (_how, config) => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless, ...config } });
    await toolNames(gateway);
    const retries = eventsOf(gateway, 'retry');
    server.faults.set({ cutMidBody: true, times: 2, methods: ['tools/call'] });
    expect(textOf(await call(gateway, 'search__count'))).toBe('3');
    expect(retries).toEqual([
      { server: 'search', attempt: 2 },
      { server: 'search', attempt: 3 },
    ]);
    server.faults.set({ cutMidBody: true, times: 1, methods: ['tools/call'] });
    await refusedWith(call(gateway, 'search__add', { a: 1, b: 2 })); // no pattern fits this one
    expect(server.executions('add')).toBe(1);
  });

  test.each(['count.', '.ount', 'COUNT', 'search__count', 'coun', 'unt'])(
    'a pattern fits all of the name or not at all: %s',
    async (pattern) => {
      const server = await http();
      const gateway = await gatewayOver({ search: { url: server.url, ...tireless, idempotent: [pattern] } });
      await toolNames(gateway);
      server.faults.set({ cutMidBody: true, times: 1, methods: ['tools/call'] });
      await refusedWith(call(gateway, 'search__count'));
      expect(server.executions('count')).toBe(1);
    },
  );

  test('crashes its server once, unless its tool is idempotent', async () => {
    const server = stdio();
    const gateway = await gatewayOver({ files: { ...program(server), ...tireless, idempotent: ['halfline'] } });
    await refusedWith(call(gateway, 'files__crash'));
    expect(server.control.executions('crash')).toBe(1);
    await refusedWith(call(gateway, 'files__halfline'));
    expect(server.control.executions('halfline')).toBe(3);
  });
});

describe('a call that was certainly not carried out', () => {
  test('because its server said 429 is sent again', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    await toolNames(gateway);
    server.faults.set({ status: 429, times: 2, methods: ['tools/call'] });
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
    expect(sent(server, 'tools/call')).toBe(3);
    expect(server.executions()).toBe(1);
  });

  test.each([408, 409, 500, 502, 503, 504])(
    'a plain %i is no such word: a proxy says it of calls that went through, too',
    async (status) => {
      const server = await http();
      const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
      await toolNames(gateway);
      server.faults.set({ status, times: 2, methods: ['tools/call'] });
      await refusedWith(call(gateway, 'search__count'));
      expect(sent(server, 'tools/call')).toBe(1);
    },
  );

  test('because nobody listened is sent again, and carried out once', async () => {
    const port = await freePort();
    const server = keep(await httpFixture({ port }));
    await server.kill();
    const patient = { retry: { maxAttempts: 100, initialDelayMs: 20, maxDelayMs: 20 }, breaker: { failures: 1_000 } };
    const gateway = await gatewayOver({ search: { url: server.url, ...patient } }, { listTimeoutMs: 1 });
    const answer = call(gateway, 'search__count');
    await nextEvent(gateway, 'retry');
    await server.restart();
    expect(textOf(await answer)).toBe('1');
    expect(server.executions()).toBe(1);
  });
});

describe('what only reads', () => {
  const reads: [string, string, (client: Awaited<ReturnType<typeof clientOf>>) => Promise<unknown>][] = [
    ['a resource', 'resources/read', (client) => client.readResource({ uri: 'fixture://text' })],
    ['a prompt', 'prompts/get', (client) => client.getPrompt({ name: 'search__greet', arguments: { name: 'Mina' } })],
  ];
  test.each(reads)('%s is asked for again after any failure', async (_what, method, read) => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    const client = await clientOf(gateway);
    await client.listTools();
    for (const fault of [{ cutMidBody: true }, { status: 500 }, { garbage: true }, { status: 429 }]) {
      const before = sent(server, method);
      server.faults.set({ ...fault, times: 2, methods: [method] });
      expect(JSON.stringify(await read(client))).toMatch(/text of the fixture|Say hello to Mina/);
      expect(sent(server, method) - before).toBe(3);
    }
  });

  test.each(['tools/list', 'resources/list', 'prompts/list'])('the list behind %s is asked for again', async (method) => {
    const server = await http();
    server.faults.set({ cutMidBody: true, times: 2, methods: [method] });
    const gateway = await gatewayOver({ search: { url: server.url, ...tireless } });
    expect(await toolNames(gateway)).toContain('search__echo');
    expect(sent(server, method)).toBeGreaterThanOrEqual(3);
  });
});

describe('the circuit', () => {
  const failing = async (config: Partial<HttpServerConfig> = {}) => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...swift, ...config } });
    await toolNames(gateway);
    const circuits = eventsOf(gateway, 'circuit');
    const states = () => circuits.map(({ to }) => to);
    const fail = async (times: number) => {
      server.faults.set({ status: 500, methods: ['tools/call'] });
      for (let i = 0; i < times; i += 1) await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    };
    return { server, gateway, states, fail };
  };

  test('opens after five failures in a row, and then the server is not asked', async () => {
    const { server, gateway, states, fail } = await failing();
    await fail(4);
    expect(states()).toEqual([]);
    await fail(1);
    expect(states()).toEqual(['open']);
    const refused = await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    expect(refused).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(refused.retryAfterMs).toBeGreaterThan(50_000);
    expect(refused.retryAfterMs).toBeLessThanOrEqual(60_000);
    expect(sent(server, 'tools/call')).toBe(5);
  });

  test('a success between them starts the count again', async () => {
    const { server, gateway, states, fail } = await failing();
    await fail(4);
    server.faults.clear();
    await call(gateway, 'search__echo', { text: 'x' });
    await fail(4);
    expect(states()).toEqual([]);
  });

  test('stays closed for -32603, which is what a handler that throws comes to', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...swift } });
    await toolNames(gateway);
    const circuits = eventsOf(gateway, 'circuit');
    for (let i = 0; i < 5; i += 1) {
      expect(await call(gateway, 'search__throw')).toMatchObject({ error: { code: -32_603 } });
    }
    expect(circuits).toEqual([]);
  });

  test('stays closed for tools that fail, arguments that are wrong, and resources that are not there', async () => {
    const { gateway, states } = await failing();
    const client = await clientOf(gateway);
    // seven of a kind: one success between them would start the count again
    const harmless = [
      async () => expect(await call(gateway, 'search__fail')).toMatchObject({ result: { isError: true } }),
      () => expect(client.getPrompt({ name: 'search__greet' })).rejects.toMatchObject({ code: -32_602 }),
      () => expect(client.readResource({ uri: 'fixture://item/' })).rejects.toThrow('Resource not found'),
    ];
    for (const seen of harmless) for (let i = 0; i < 7; i += 1) await seen();
    expect(states()).toEqual([]);
  });

  test('stays closed for callers who leave', async () => {
    const { server, gateway, states } = await failing();
    for (let i = 1; i <= 7; i += 1) {
      const controller = new AbortController();
      const hanging = refusedWith(call(gateway, 'search__hang', {}, controller.signal));
      await until(() => server.executions('hang') === i, { what: 'the call to be carried out' });
      controller.abort(new Error('I left'));
      expect((await hanging).message).toBe('I left');
    }
    expect(states()).toEqual([]);
  });

  test('opens for a server that never answers', async () => {
    const { server, gateway, states } = await failing({ timeoutMs: 100 });
    server.faults.set({ hang: true, methods: ['tools/call'] });
    const calls = Array.from({ length: 5 }, () => refusedWith(call(gateway, 'search__echo', { text: 'x' })));
    for (const refused of await Promise.all(calls)) expect(refused.code).toBe('ERR_TIMEOUT');
    expect(states()).toEqual(['open']);
  });

  test('lets one call find out whether the server is well again, and closes when it is', async () => {
    const { server, gateway, states, fail } = await failing({ breaker: { openMs: 300 }, timeoutMs: 5_000 });
    await fail(5);
    server.faults.clear();
    const before = sent(server, 'tools/call');
    await until(() => call(gateway, 'search__slow', { ms: 1 }), { what: 'the circuit to let a call through' });
    expect(sent(server, 'tools/call') - before).toBe(1);
    expect(states()).toEqual(['open', 'half-open', 'closed']);
    const answers = await Promise.all(Array.from({ length: 20 }, () => call(gateway, 'search__echo', { text: 'x' })));
    expect(answers.map(textOf)).toEqual(Array(20).fill('x'));
  });

  test('lets through no second call while the first one finds out', async () => {
    const { server, gateway, fail } = await failing({ breaker: { openMs: 200 }, timeoutMs: 5_000 });
    await fail(5);
    server.faults.set({ slow: 300, methods: ['tools/call'] });
    const before = sent(server, 'tools/call');
    const halfOpen = nextEvent(gateway, 'circuit', ({ to }) => to === 'half-open');
    const probe = until(() => call(gateway, 'search__echo', { text: 'probe' }), { what: 'the circuit to let a call through' });
    await halfOpen;
    const others = await Promise.all(Array.from({ length: 10 }, () => refusedWith(call(gateway, 'search__echo', { text: 'x' }))));
    for (const refused of others) expect(refused.code).toBe('ERR_CIRCUIT_OPEN');
    expect(textOf(await probe)).toBe('probe');
    expect(sent(server, 'tools/call') - before).toBe(1);
  });

  test('of one server is nothing to another', async () => {
    const server = await http();
    const gateway = await gatewayOver({ search: { url: server.url, ...swift }, files: { ...program(stdio()), ...swift } });
    await toolNames(gateway);
    await server.kill();
    for (let i = 0; i < 6; i += 1) await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
    expect(textOf(await call(gateway, 'files__echo', { text: 'here' }))).toBe('here');
  });
});

describe('the fallback', () => {
  test('takes over while the circuit is open and gives back when the server is well', async () => {
    const main = await http({ name: 'main' });
    const spare = await http({ name: 'spare' });
    const config = {
      url: main.url,
      fallbackUrl: spare.url,
      fallbackHeaders: { 'x-key': 'spare' },
      ...swift,
      breaker: { failures: 2, openMs: 200 },
      idempotent: ['echo'],
    };
    const gateway = await gatewayOver({ search: config });
    await toolNames(gateway);
    const fallbacks = eventsOf(gateway, 'fallback');
    expect(spare.requests).toEqual([]);
    await main.kill();
    expect(textOf(await call(gateway, 'search__echo', { text: 'one' }))).toBe('one');
    expect(textOf(await call(gateway, 'search__echo', { text: 'two' }))).toBe('two');
    expect(spare.executions('echo')).toBe(2);
    expect(spare.requests.every(({ headers }) => headers['x-key'] === 'spare')).toBe(true);
    expect(fallbacks).toMatchObject([1, 2].map(() => ({ server: 'search', fallback: 'search (fallback)', name: 'search__echo' })));
    await main.restart();
    await until(async () => textOf(await call(gateway, 'search__echo', { text: 'x' })) && main.executions() > 0, {
      what: 'the server to get calls again',
    });
    const before = spare.executions();
    await call(gateway, 'search__echo', { text: 'home' });
    expect(spare.executions()).toBe(before);
  });

  test('is not given a call that the server may have carried out', async () => {
    const main = await http();
    const spare = await http();
    const gateway = await gatewayOver({ search: { url: main.url, fallbackUrl: spare.url, ...swift, breaker: { failures: 1 } } });
    await toolNames(gateway);
    main.faults.set({ cutMidBody: true, methods: ['tools/call'] });
    await refusedWith(call(gateway, 'search__count'));
    expect([main.executions(), spare.executions()]).toEqual([1, 0]);
    expect(textOf(await call(gateway, 'search__count'))).toBe('1');
    expect([main.executions(), spare.executions()]).toEqual([1, 1]);
  });

  test('has a circuit of its own', async () => {
    const main = await http();
    const spare = await http();
    await Promise.all([main.kill(), spare.kill()]);
    const config = { url: main.url, fallbackUrl: spare.url, ...swift, breaker: { failures: 2 } };
    const gateway = await gatewayOver({ search: config }, { listTimeoutMs: 50 });
    const circuits = eventsOf(gateway, 'circuit');
    for (let i = 0; i < 4; i += 1) await refusedWith(call(gateway, 'search__echo', { text: 'x' }));
    expect(circuits.map(({ server, to }) => `${server} ${to}`)).toEqual(['search open', 'search (fallback) open']);
  });
});

describe('time limits', () => {
  test('of an attempt and of the whole call', async () => {
    const server = await http();
    const gateway = await gatewayOver({
      search: {
        url: server.url,
        ...tireless,
        timeoutMs: 150,
        totalTimeoutMs: 400,
        idempotent: ['*'],
        retry: { maxAttempts: 50, initialDelayMs: 1, maxDelayMs: 1 },
      },
    });
    await toolNames(gateway);
    server.faults.set({ hang: true, methods: ['tools/call'] });
    expect(await refusedWith(call(gateway, 'search__echo', { text: 'x' }))).toMatchObject({
      code: 'ERR_TIMEOUT',
      message: 'no result within 400 ms',
    });
    expect(sent(server, 'tools/call')).toBe(3); // at 0, 150 and 300 ms
  });

  test('a call that runs out of time is taken back from its server', async () => {
    const server = stdio();
    const gateway = await gatewayOver({ files: { ...program(server), ...tireless, timeoutMs: 200 } });
    await toolNames(gateway);
    expect(await refusedWith(call(gateway, 'files__hang'))).toMatchObject({ code: 'ERR_TIMEOUT' });
    await until(() => server.control.events().some(({ event }) => event === 'cancelled'), { what: 'the server to hear of it' });
  });
});

describe('a client that takes its call back', () => {
  const carriers: [string, () => Promise<{ config: ServerConfig; events: () => { event: string }[] }>][] = [
    [
      'stdio',
      async () => {
        const server = stdio();
        return { config: { ...program(server), ...tireless }, events: () => server.control.events() };
      },
    ],
    [
      'HTTP',
      async () => {
        const server = await http({ reply: 'sse' });
        return { config: { url: server.url, ...tireless }, events: () => server.events() };
      },
    ],
  ];
  test.each(carriers)('has it taken back from a server over %s', async (_how, start) => {
    const { config, events } = await start();
    const gateway = await gatewayOver({ files: config });
    const client = await clientOf(gateway);
    await client.listTools();
    const ended = nextEvent(gateway, 'call');
    const controller = new AbortController();
    const hanging = client.callTool({ name: 'files__hang', arguments: {} }, { signal: controller.signal });
    hanging.catch(() => {});
    await until(() => events().some(({ event }) => event === 'call'), { what: 'the call to be carried out' });
    controller.abort('no longer wanted');
    await expect(hanging).rejects.toThrow();
    expect(await ended).toMatchObject({ name: 'files__hang', outcome: 'cancelled' });
    await until(() => events().some(({ event }) => event === 'cancelled'), { what: 'the server to hear of it' });
    expect(textOf(await call(gateway, 'files__echo', { text: 'next' }))).toBe('next');
  });

  test('leaves no connection behind', async () => {
    const server = await http({ reply: 'sse' });
    const proxy = keep(await startProxy({ port: openPort(server.url) }));
    const gateway = await gatewayOver({ search: { url: `http://127.0.0.1:${proxy.port}/mcp`, ...tireless } });
    await toolNames(gateway);
    await until(() => server.streams === 1, { what: 'the stream' });
    const before = proxy.connections;
    const controllers = Array.from({ length: 20 }, () => new AbortController());
    const calls = controllers.map(({ signal }) => refusedWith(call(gateway, 'search__hang', {}, signal)));
    await until(() => server.executions('hang') === 20, { what: 'the calls to be carried out' });
    expect(proxy.connections).toBeGreaterThan(before);
    for (const controller of controllers) controller.abort(new Error('enough'));
    await Promise.all(calls);
    await until(() => server.events().filter(({ event }) => event === 'cancelled').length === 20, { what: 'the server to hear of all' });
    await gateway.close();
    await until(() => proxy.connections === 0, { what: 'the connections to end' });
  });
});
