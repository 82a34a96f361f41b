import { describe, expect, test } from 'vitest';
import type { Answer, JsonObject } from '../src/json-rpc.ts';
import { emptyCatalog, loadCatalog } from '../src/server-catalog.ts';
import type { Connection } from '../src/wire/connection.ts';

const { signal } = new AbortController();

/** A conversation in which each method is answered as `answers` says, and every request is noted. */
function conversation(capabilities: JsonObject, answers: (method: string, params: JsonObject) => Answer) {
  const asked: [string, JsonObject][] = [];
  const connection: Connection = {
    description: { serverInfo: {}, capabilities },
    request: async (method, params) => {
      asked.push([method, params]);
      return answers(method, params);
    },
    stateless: false,
    watch: async () => {},
    close: async () => {},
  };
  return { asked, load: (known = emptyCatalog) => loadCatalog('files', connection, signal, known) };
}

const notFound: Answer = { error: { code: -32_601, message: 'Method not found' } };
const broken: Answer = { error: { code: -32_603, message: 'disk full' } };

test('only what the server says it has is asked for', async () => {
  const { asked, load } = conversation({ prompts: {} }, () => ({ result: { prompts: [{ name: 'greet' }] } }));
  expect(await load()).toEqual({ ...emptyCatalog, prompts: [{ name: 'greet' }] });
  expect(asked).toEqual([['prompts/list', {}]]);
});

test('pages are put together in their order, by cursors that mean nothing here', async () => {
  const pages: Record<string, JsonObject> = {
    undefined: { tools: [{ name: 'a' }, { name: 'b' }], nextCursor: '' },
    '': { tools: [], nextCursor: 'z' },
    z: { tools: [{ name: 'c', further: { member: [1] } }] },
  };
  const { load, asked } = conversation({ tools: {} }, (_method, { cursor }) => ({ result: pages[String(cursor)] as JsonObject }));
  expect((await load()).tools).toEqual([{ name: 'a' }, { name: 'b' }, { name: 'c', further: { member: [1] } }]);
  expect(asked.map(([, params]) => params)).toEqual([{}, { cursor: '' }, { cursor: 'z' }]);
});

test('entries without a name are left out, and nothing else', async () => {
  const { load } = conversation({ tools: {} }, () => ({ result: { tools: [null, 'x', {}, { name: 7 }, { name: 'a' }, []] } }));
  expect((await load()).tools).toEqual([{ name: 'a' }]);
});

describe('a list that is answered with an error', () => {
  test('is empty where the server does not have the method', async () => {
    const { load } = conversation({ resources: {} }, (method) =>
      method === 'resources/list' ? { result: { resources: [{ uri: 'a:b' }] } } : notFound,
    );
    expect(await load({ ...emptyCatalog, resourceTemplates: [{ uriTemplate: 'old' }] })).toEqual({
      ...emptyCatalog,
      resources: [{ uri: 'a:b' }],
    });
  });

  test('is as it was known for any other error', async () => {
    const { load } = conversation({ tools: {}, prompts: {} }, (method) =>
      method === 'tools/list' ? broken : { result: { prompts: [{ name: 'new' }] } },
    );
    expect(await load({ ...emptyCatalog, tools: [{ name: 'a' }], prompts: [{ name: 'old' }] })).toEqual({
      ...emptyCatalog,
      tools: [{ name: 'a' }],
      prompts: [{ name: 'new' }],
    });
  });
});

describe('is refused', () => {
  test('a result without the list', async () => {
    const { load } = conversation({ tools: {} }, () => ({ result: { tools: {} } }));
    await expect(load()).rejects.toMatchObject({
      code: 'ERR_UPSTREAM_PROTOCOL',
      message: "server 'files' answered tools/list without a list 'tools'",
    });
  });

  test.each([
    ['turns in a circle', () => 'again'],
    ['has ever new cursors', (asked: number) => `${asked}`],
  ])('a list that %s', async (_how, next) => {
    const many = Array.from({ length: 500 }, (_, index) => ({ name: `tool-${index}` }));
    const { load, asked } = conversation({ tools: {} }, () => ({ result: { tools: many, nextCursor: next(asked.length) } }));
    await expect(load()).rejects.toMatchObject({ message: "server 'files' answers tools/list without end" });
    expect(asked.length).toBeLessThan(50);
  });

  test('a list of empty pages that never ends', async () => {
    const { load, asked } = conversation({ tools: {} }, () => ({ result: { tools: [], nextCursor: `${asked.length}` } }));
    const ended = await Promise.race([
      load().catch((error: Error) => error.message),
      new Promise((resolve) => setImmediate(resolve, 'still asking')),
    ]);
    expect(ended).toBe("server 'files' answers tools/list without end");
  });
});
