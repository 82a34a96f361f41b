import { describe, expect, test } from 'vitest';
import type { JsonObject } from '../src/json-rpc.ts';
import { UpstreamError } from '../src/upstream-error.ts';
import { Outstanding } from '../src/wire/outstanding.ts';
import { never, testClient } from './scripted-pipe.ts';

const nothing = () => {};
const answerTo = (id: number, result: JsonObject) => ({ jsonrpc: '2.0', id, result }) as const;

function collecting() {
  const outstanding = new Outstanding('files');
  const sent: { id: number; params: JsonObject }[] = [];
  const cancelled: [number, unknown][] = [];
  const add = (params: JsonObject = {}, options: { signal?: AbortSignal; client?: ReturnType<typeof testClient> } = {}) => {
    const answer = outstanding.add(
      params,
      { signal: options.signal ?? never(), client: options.client },
      async (id, given) => {
        sent.push({ id, params: given });
        return 'sent';
      },
      (id, reason) => void cancelled.push([id, reason]),
    );
    answer.catch(nothing);
    return answer;
  };
  return { outstanding, sent, cancelled, add };
}

describe('a request', () => {
  test('has an id that no other has had, and is answered by it', async () => {
    const { outstanding, sent, add } = collecting();
    const [first, second] = [add(), add()];
    outstanding.settle(answerTo(2, { n: 2 }));
    outstanding.settle(answerTo(1, { n: 1 }));
    expect(await first).toEqual({ result: { n: 1 } });
    expect(await second).toEqual({ result: { n: 2 } });
    void add();
    expect(sent.map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  test('waits until it has an answer, and no longer', async () => {
    const { outstanding, add } = collecting();
    const answer = add();
    const nobodys = (id: unknown) => ({ problem: 'sent a response that answers no open request', sample: `id ${JSON.stringify(id)}` });
    expect(outstanding.settle({ jsonrpc: '2.0', id: '1', result: {} })).toEqual(nobodys('1'));
    expect(outstanding.settle({ jsonrpc: '2.0', id: null, error: { code: 1, message: '' } })).toEqual(nobodys(null));
    expect(outstanding.settle(answerTo(1, { first: true }))).toBeUndefined();
    expect(outstanding.settle(answerTo(1, { second: true }))).toEqual(nobodys(1));
    outstanding.fail(1, 'came too late');
    expect(await answer).toEqual({ result: { first: true } });
  });

  test('fails where it could not be sent', async () => {
    const outstanding = new Outstanding('files');
    const lost = outstanding.add({}, { signal: never() }, () => Promise.reject(new Error('no way')), nothing);
    await expect(lost).rejects.toThrow('no way');
    expect(outstanding.settle(answerTo(1, {}))).toBeDefined();
  });

  test('that is taken back fails with the reason, once, and the server is told its id', async () => {
    const { outstanding, cancelled, add } = collecting();
    const controller = new AbortController();
    const answer = add({}, { signal: controller.signal });
    const reason = new Error('changed my mind');
    controller.abort(reason);
    outstanding.settle(answerTo(1, {}));
    await expect(answer).rejects.toBe(reason);
    expect(cancelled).toEqual([[1, reason]]);
  });

  test('that was taken back before it was sent is not sent', async () => {
    const { outstanding, sent, cancelled, add } = collecting();
    const reason = new Error('changed my mind');
    await expect(add({}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(sent).toEqual([]);
    expect(cancelled).toEqual([]);
    expect(outstanding.clients).toEqual([]);
  });

  test('whose answer has come is not taken back any more', async () => {
    const { outstanding, cancelled, add } = collecting();
    const controller = new AbortController();
    const answer = add({}, { signal: controller.signal });
    outstanding.settle(answerTo(1, {}));
    controller.abort(new Error('late'));
    expect(await answer).toEqual({ result: {} });
    expect(cancelled).toEqual([]);
  });
});

test('the end of the conversation fails all requests, and those that come after it are not sent', async () => {
  const { outstanding, sent, add } = collecting();
  const all = [add(), add(), add()];
  const gone = new UpstreamError('files', 'ended', { carriedOut: 'perhaps' });
  expect(outstanding.end(gone)).toBe(true);
  expect(outstanding.end(new UpstreamError('files', 'ended again', { carriedOut: 'perhaps' }))).toBe(false);
  for (const each of all) await expect(each).rejects.toBe(gone);
  await expect(add()).rejects.toMatchObject({ message: "server 'files' has gone away", carriedOut: 'no', cause: gone });
  expect(sent).toHaveLength(3);
});

describe('clients', () => {
  test('are known while their requests wait, the latest last', () => {
    const { outstanding, add } = collecting();
    const [one, two] = [testClient(), testClient()];
    void add({}, { client: one });
    void add();
    void add({}, { client: two });
    expect(outstanding.clients).toEqual([one, two]);
    expect(outstanding.clientOf(3)).toBe(two);
    expect(outstanding.clientOf(2)).toBeUndefined();
    expect(outstanding.clientOf(undefined)).toBeUndefined();
    outstanding.settle(answerTo(3, {}));
    expect(outstanding.clients).toEqual([one]);
    expect(outstanding.clientOf(3)).toBeUndefined();
  });

  test('with the same progress token each hear of their own request', () => {
    const { outstanding, sent, add } = collecting();
    const [one, two] = [testClient(), testClient()];
    const given = { _meta: { progressToken: 'same', traceparent: 't' }, name: 'x' };
    void add(given, { client: one });
    void add(given, { client: two });
    expect(sent.map(({ params }) => params)).toEqual([
      { _meta: { progressToken: 1, traceparent: 't' }, name: 'x' },
      { _meta: { progressToken: 2, traceparent: 't' }, name: 'x' },
    ]);
    expect(given._meta.progressToken).toBe('same');
    const progress = (progressToken: unknown) =>
      ({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 3, total: 4 } }) as const;
    outstanding.progress(progress(2));
    expect(one.told).toEqual([]);
    expect(two.told).toEqual([progress('same')]);
  });

  test('that wanted no progress, or whose request is over, hear of none', () => {
    const { outstanding, add } = collecting();
    const [one, two] = [testClient(), testClient()];
    void add({}, { client: one });
    void add({ _meta: { progressToken: 'x' } }, { client: two });
    outstanding.settle(answerTo(2, {}));
    for (const progressToken of [1, 2, 'x', undefined]) {
      outstanding.progress({ jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken, progress: 1 } });
    }
    outstanding.progress({ jsonrpc: '2.0', method: 'notifications/progress' });
    expect([...one.told, ...two.told]).toEqual([]);
  });
});
