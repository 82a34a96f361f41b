import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { until } from '@tidegate/test-kit';
import { parse } from 'csv-parse/sync';
import { describe, expect, test } from 'vitest';
import { bearerTokens, type ExportedRow, usageHandler } from '../../src/http.ts';
import { CostTracker, memoryStore, type RecordOptions, StoreError, type UsageStore } from '../../src/index.ts';
import { sqliteStore } from '../../src/sqlite.ts';
import { noon, served, tokens } from './served.ts';

const many = (count: number): RecordOptions[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ kind: 'tool', name: `tool ${index % 7}`, scope: { tenant: index % 2 === 0 ? 'acme' : 'globex' }, amountUsd: '0.001' },
    ...{ dedupeKey: `call-${index}`, at: noon + (index % 10) },
  }));

const rowsIn = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as ExportedRow);

/** Counts pages, so that a test can see what was read. */
function counting(store: ReturnType<typeof memoryStore>) {
  const pages: number[] = [];
  const readRows: UsageStore['readRows'] = async (...asked) => {
    const rows = await store.readRows(...asked);
    pages.push(rows.length);
    return rows;
  };
  return { pages, store: { ...store, readRows } };
}

describe('NDJSON', () => {
  test.each([
    ['memory', memoryStore],
    ['SQLite', () => sqliteStore(':memory:')],
  ])('has every row once, in order, over all pages (%s)', async (_, makeStore) => {
    const { ask, tracker } = await served({ store: makeStore(), recorded: many(1_234) });
    const answer = await ask('/api/usage/rows');
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="usage.ndjson"');
    const rows = rowsIn(await answer.text());
    expect(new Set(rows.map(({ id }) => id)).size).toBe(1_234);
    const order = rows.map(({ at, tenant, id }) => `${at} ${tenant} ${id}`);
    expect(order).toEqual([...order].sort());
    expect((await (await ask('/api/usage/rows?tenant=acme')).text()).trimEnd().split('\n')).toHaveLength(617);
    await tracker.close();
  });

  test('a row tells all that is known, and corrections are rows', async () => {
    const { ask, tracker } = await served({ recorded: [] });
    const call = { kind: 'llm', model: 'mini', provider: 'openai', scope: { tenant: 'acme', user: 'mina', traceId: 't-1' } } as const;
    const outcome = { usage: { inputTokens: 7, reasoningTokens: 2 }, durationMs: 3.5, metadata: { note: 'é' } };
    await tracker.record({ ...call, ...outcome, amountUsd: '0.5', dedupeKey: 'x' });
    await tracker.record({ ...call, ...outcome, amountUsd: '0.2', dedupeKey: 'x', revision: 1, success: false });
    const [first, second] = rowsIn(await (await ask('/api/usage/rows')).text());
    expect(first).toEqual({
      ...{ at: '2026-03-15T12:00:00.000Z', recordedAt: '2026-03-15T12:00:00.000Z', id: 'x', correction: 0 },
      ...{ tenant: 'acme', org: null, project: null, user: 'mina', key: null, kind: 'llm', name: 'mini' },
      ...{ provider: 'openai', servedModel: null },
      ...{ amountUsd: '0.5', costSource: 'reported', priceVersion: null, revision: 0, success: true, failures: 0, unpriced: 0 },
      ...{ durationMs: 3.5, traceId: 't-1', usage: { inputTokens: 7, reasoningTokens: 2 }, priceLines: null, metadata: { note: 'é' } },
    });
    expect(second).toMatchObject({ correction: 1, amountUsd: '-0.3', failures: 1, revision: 1 });
  });

  test('of an empty ledger is empty', async () => {
    const { ask } = await served({ recorded: [] });
    expect(await (await ask('/api/usage/rows')).text()).toBe('');
    expect((await (await ask('/api/usage/rows?format=csv')).text()).split('\r\n')).toHaveLength(2);
  });
});

describe('CSV', () => {
  test('says the same as NDJSON', async () => {
    const { ask } = await served({ recorded: many(600) });
    const answer = await ask('/api/usage/rows?format=csv');
    expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8; header=present');
    const csv = parse(await answer.text(), { columns: true }) as Record<string, string>[];
    const rows = rowsIn(await (await ask('/api/usage/rows')).text());
    expect(csv.map(({ at, id, tenant, name, amountUsd }) => ({ at, id, tenant, name, amountUsd }))).toEqual(
      rows.map(({ at, id, tenant, name, amountUsd }) => ({ at, id, tenant, name, amountUsd })),
    );
    expect(csv[0]).toMatchObject({ success: 'true', durationMs: '', inputTokens: '0', metadata: '' });
  });

  test('no text that a caller chose can run as a formula, and a negative amount stays a number', async () => {
    const { ask, tracker } = await served({ recorded: [] });
    const hostile = ['=HYPERLINK("http://evil")', '+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', ' =1', '＝1', '\uFEFF=1'];
    for (const [index, name] of hostile.entries()) {
      await tracker.record({ kind: 'tool', name, scope: { tenant: name, user: name }, amountUsd: '2', dedupeKey: name, at: noon + index });
    }
    await tracker.record({ kind: 'tool', name: 'x', amountUsd: '1', dedupeKey: 'y', revision: 1, at: noon + 100 });
    await tracker.record({ kind: 'tool', name: 'x', amountUsd: '0.25', dedupeKey: 'y', revision: 2, at: noon + 100 });
    const text = await (await ask('/api/usage/rows?format=csv')).text();
    const csv = parse(text, { columns: true, relax_quotes: false }) as Record<string, string>[];
    for (const [index, name] of hostile.entries()) {
      for (const column of ['id', 'tenant', 'user', 'name']) expect(csv[index]?.[column]).toBe(`'${name}`);
    }
    expect(csv.at(-1)).toMatchObject({ amountUsd: '-0.75', name: 'x' });
  });
});

describe('a reader', () => {
  test('that is slow holds one page, not the ledger', async () => {
    const { pages, store } = counting(memoryStore());
    const { ask } = await served({ store, recorded: many(2_500) });
    const reader = ((await ask('/api/usage/rows')).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pages.length).toBeLessThanOrEqual(2);
    await reader.cancel();
    await new Promise((resolve) => setImmediate(resolve));
    expect(pages.length).toBeLessThanOrEqual(2);
  });

  test('that asks by HEAD reads no more than one page', async () => {
    const { pages, store } = counting(memoryStore());
    const { ask } = await served({ store, recorded: many(2_000) });
    const answer = await ask('/api/usage/rows?format=csv', { method: 'HEAD' });
    expect([answer.status, answer.body, answer.headers.get('content-disposition')]).toEqual([
      200,
      null,
      'attachment; filename="usage.csv"',
    ]);
    expect(pages).toHaveLength(1);
  });

  test('that aborts gets its own reason, and nothing more is read', async () => {
    const { pages, store } = counting(memoryStore());
    const { ask } = await served({ store, recorded: many(2_500) });
    const aborting = new AbortController();
    const reader = ((await ask('/api/usage/rows', { signal: aborting.signal })).body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const reason = new Error('gone');
    aborting.abort(reason);
    const rest = async () => {
      for (;;) if ((await reader.read()).done) return;
    };
    await expect(rest()).rejects.toBe(reason);
    expect(pages.length).toBeLessThanOrEqual(3);
  });

  test('never takes a part for all of it: a ledger that fails half-way breaks the answer off', async () => {
    const store = memoryStore();
    let pages = 0;
    const readRows: UsageStore['readRows'] = (...asked) => {
      if (pages++ < 2) return store.readRows(...asked);
      return Promise.reject(new StoreError('ERR_STORE_FAILED', 'disk'));
    };
    const { ask } = await served({ store: { ...store, readRows }, recorded: many(1_800) });
    await expect((await ask('/api/usage/rows')).text()).rejects.toThrow('disk');
  });

  test('that goes away from a real server ends the reading', async () => {
    const { pages, store } = counting(memoryStore());
    const tracker = new CostTracker({ store });
    // More than the buffers of a connection take.
    const metadata = { text: 'x'.repeat(10_000) };
    for (const call of many(5_000)) await tracker.record({ ...call, metadata });
    const handler = usageHandler({ tracker, authenticate: bearerTokens({ [tokens.operator]: { allTenants: true } }) });
    let gone: AbortSignal | undefined;
    const fetched = (request: Request) => {
      gone = request.signal;
      return handler(request);
    };
    const server = serve({ fetch: fetched, port: 0, hostname: '127.0.0.1' });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    try {
      const aborting = new AbortController();
      const headers = { authorization: `Bearer ${tokens.operator}` };
      const answer = await fetch(`http://127.0.0.1:${port}/api/usage/rows`, { headers, signal: aborting.signal });
      await (answer.body as ReadableStream<Uint8Array>).getReader().read();
      aborting.abort();
      const connections = () => new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
      await until(async () => (await connections()) === 0 && gone?.aborted, { what: 'the server to notice that the reader has gone' });
      expect(pages.length).toBeLessThan(10); // of eleven
    } finally {
      server.close();
    }
  }, 60_000);
});
