import { describe, expect, test } from 'vitest';
import { isBudgetExceededError } from '../../src/index.ts';
import { type Asking, served, tokens } from './served.ts';

interface Report {
  name: string;
  etag: string;
  limitUsd: string;
}

async function budgetsServed() {
  const { json, ask, tracker } = await served();
  const put = async (body: unknown, asking: Asking = {}) => {
    const answer = await ask('/api/usage/budget', { method: 'PUT', body, ...asking });
    return {
      status: answer.status,
      etag: answer.headers.get('etag'),
      body: (await answer.json()) as never as Report & Record<string, unknown>,
    };
  };
  const list = async (asking?: Asking) => ((await json('/api/usage/budget', asking)) as { budgets: Report[] }).budgets;
  const named = async (name: string) => (await list()).find((budget) => budget.name === name) as Report;
  return { tracker, ask, put, list, named };
}

describe('GET /api/usage/budget', () => {
  test('says where each budget stands, and what was left out when it was written', async () => {
    const { list } = await budgetsServed();
    expect(await list()).toMatchObject([
      {
        ...{ name: 'acme', level: 'ok', spentUsd: '1.75', reservedUsd: '0', limitUsd: '10', headroomUsd: '8.25', usedRatio: 0.175 },
        ...{ periodStart: '2026-03-01T00:00:00.000Z', resetsAt: '2026-04-01T00:00:00.000Z', scope: { tenant: 'acme' }, period: 'month' },
        ...{ timeZone: 'UTC', thresholds: { warning: 0.9, critical: 1, blocked: 1.1 }, unpriced: 'refuse' },
      },
      { name: 'globex', limitUsd: '20', period: 'day', timeZone: 'Asia/Seoul' },
      { name: 'small models', period: { rollingMs: 3_600_000 }, thresholds: { warning: 0.5, critical: 1, blocked: 1.1 } },
    ]);
  });

  test('a tag is of what was set, whatever is spent', async () => {
    const { tracker, named } = await budgetsServed();
    const before = await named('acme');
    await tracker.record({ kind: 'tool', name: 'x', scope: { tenant: 'acme' }, amountUsd: '1', dedupeKey: 'more' });
    expect((await named('acme')).etag).toBe(before.etag);
    await tracker.setBudget({ name: 'acme', limitUsd: '11' });
    expect((await named('acme')).etag).not.toBe(before.etag);
  });

  test('a budget that was taken back while it was asked about is left out', async () => {
    const { tracker, list } = await budgetsServed();
    await tracker.setBudget({ name: 'passing', scope: { tenant: 'acme' }, limitUsd: '1', period: 'day' });
    const listed = await tracker.budgets();
    await tracker.unsetBudget('passing');
    tracker.budgets = async () => listed;
    expect((await list()).map(({ name }) => name)).toEqual(['acme', 'globex', 'small models']);
  });
});

describe('PUT /api/usage/budget', () => {
  const call = { kind: 'tool', name: 'search', scope: { tenant: 'acme' }, amountUsd: '1' } as const;

  test('acts on the next call', async () => {
    const { tracker, put } = await budgetsServed();
    await (await tracker.reserve(call)).release();
    const answer = await put({ name: 'acme', limitUsd: '1.6' });
    expect(answer).toMatchObject({ status: 200, body: { name: 'acme', limitUsd: '1.6', level: 'critical', scope: { tenant: 'acme' } } });
    expect(answer.etag).toBe(answer.body.etag);
    const refused = await tracker.reserve(call).catch((error: unknown) => error);
    expect(isBudgetExceededError(refused) && refused.limit).toBe('acme');
    await put({ name: 'acme', limitUsd: 100 });
    await (await tracker.reserve(call)).release();
  });

  test('sets a new budget, also with every option', async () => {
    const { put, named } = await budgetsServed();
    const options = {
      ...{ name: 'atlas', scope: { tenant: 'acme', project: 'atlas' }, limitUsd: '0.000000001', period: 'week', timeZone: 'Asia/Seoul' },
      ...{ thresholds: { warning: 0.5, critical: 0.75, blocked: 1 }, unpriced: 'allow' },
    };
    expect(await put(options)).toMatchObject({ status: 200, body: options });
    expect(await named('atlas')).toMatchObject(options);
  });

  test.each([
    ['/limitUsd', { limitUsd: '-1' }],
    ['/limitUsd', { limitUsd: '1e3' }],
    ['/limitUsd', { limitUsd: '0' }],
    ['/limitUsd', { limitUsd: '0.0000000001' }],
    ['/name', { name: '' }],
    ['/name', { name: 7 }],
    ['/period', { period: 'year' }],
    ['/period/rollingMs', { period: { rollingMs: 1 } }],
    ['/period/days', { period: { days: 1 } }],
    ['/timeZone', { timeZone: '+09:00' }],
    ['/scope', { scope: {} }],
    ['/scope', { scope: null }],
    ['/scope', { scope: 'acme' }],
    ['/scope/tenant', { scope: { tenant: '' } }],
    ['/scope/team', { scope: { team: 'a' } }],
    ['/scope/a.b~1c~0d', { scope: { 'a.b/c~d': 'x' } }],
    ['/thresholds/warning', { thresholds: { warning: 90 } }],
    ['/thresholds/critical', { thresholds: { critical: 0.5 } }],
    ['/unpriced', { unpriced: 'maybe' }],
    ['/__proto__', JSON.parse('{"__proto__": {"limitUsd": 1}}')],
    ['/limit', { limit: 5 }],
  ])('names %s of a bad body, and changes nothing', async (pointer, change) => {
    const { put, list, tracker } = await budgetsServed();
    const before = [await list(), await tracker.store.readBudgets()];
    const body = JSON.stringify({ name: 'acme', ...change }).replace('{"name":"acme"}', '{"name":"acme","__proto__":{"limitUsd":1}}');
    const answer = await put(body);
    expect(answer).toMatchObject({ status: 400, body: { code: 'ERR_BAD_REQUEST', pointer } });
    expect(answer.body['detail']).not.toContain('setBudget');
    expect([await list(), await tracker.store.readBudgets()]).toEqual(before);
  });

  test('a new budget needs all that has no default', async () => {
    const { put } = await budgetsServed();
    expect(await put({ name: 'new' })).toMatchObject({ status: 400, body: { pointer: '/scope' } });
    expect(await put({ name: 'new', scope: { tenant: 'a' } })).toMatchObject({ status: 400, body: { pointer: '/limitUsd' } });
    expect(await put({})).toMatchObject({ status: 400, body: { pointer: expect.any(String) } });
  });

  test.each([
    ['[]', 400, 'JSON object'],
    ['null', 400, 'JSON object'],
    ['{"name": "acme"', 400, 'not JSON'],
    ['', 400, 'not JSON'],
  ])('a body that is %s', async (body, status, detail) => {
    const { put } = await budgetsServed();
    expect(await put(body)).toMatchObject({ status, body: { pointer: '', detail: expect.stringContaining(detail) } });
  });

  test('is bounded, is JSON, and is UTF-8', async () => {
    const { put, ask } = await budgetsServed();
    expect(await put(JSON.stringify({ name: 'acme', scope: { tenant: 'x'.repeat(20_000) } }))).toMatchObject({ status: 413 });
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp']) {
      expect(await put('{}', { headers: { 'content-type': type } })).toMatchObject({ status: 415, body: { code: 'ERR_BAD_REQUEST' } });
    }
    expect(await put('{"name":"acme","limitUsd":9}', { headers: { 'content-type': 'application/json; charset=utf-8' } })).toMatchObject({
      ...{ status: 200, body: { limitUsd: '9' } },
    });
    const bytes = new Request('http://127.0.0.1/', { method: 'PUT', body: new Uint8Array([0x7b, 0xff, 0x7d]) });
    const { readBody } = await import('../../src/http/body.ts');
    bytes.headers.set('content-type', 'application/json');
    await expect(readBody(bytes)).rejects.toThrow('not UTF-8');
    expect((await ask('/api/usage/budget', { method: 'PUT', headers: { 'content-type': 'application/json' } })).status).toBe(400);
  });

  test('only who may write sets anything', async () => {
    const { put, named } = await budgetsServed();
    for (const token of [tokens.auditor, tokens.acmeReader]) {
      expect(await put({ name: 'acme', limitUsd: '1' }, { token })).toMatchObject({ status: 403, body: { code: 'ERR_FORBIDDEN' } });
    }
    expect(await named('acme')).toMatchObject({ limitUsd: '10' });
  });

  test('who may write for a tenant sets budgets of that tenant alone', async () => {
    const { put, list } = await budgetsServed();
    const mine = { token: tokens.acme };
    expect(await put({ name: 'acme', limitUsd: '12' }, mine)).toMatchObject({ status: 200, body: { limitUsd: '12' } });
    const fresh = { name: 'acme atlas', limitUsd: 1, period: 'day' };
    expect(await put({ ...fresh, scope: { tenant: 'acme', project: 'atlas' } }, mine)).toMatchObject({ status: 200 });
    const before = await list();
    const refused: [object, string][] = [
      [{ name: 'globex', limitUsd: '1' }, '/name'],
      [{ name: 'small models', limitUsd: '1' }, '/name'],
      [{ name: 'globex', scope: { tenant: 'acme' } }, '/name'],
      [{ name: 'acme', scope: { tenant: 'globex' } }, '/scope/tenant'],
      [{ name: 'acme', scope: { project: 'atlas' } }, '/scope/tenant'],
      [{ name: 'acme', scope: null }, '/scope/tenant'],
      [{ ...fresh, name: 'new', scope: { model: 'mini' } }, '/scope/tenant'],
    ];
    for (const [body, pointer] of refused) {
      expect(await put(body, mine)).toMatchObject({ status: 403, body: { code: 'ERR_FORBIDDEN', pointer } });
    }
    expect(await put({ ...fresh, name: 'new' }, mine)).toMatchObject({ status: 400, body: { pointer: '/scope' } });
    expect(await list()).toEqual(before);
  });

  test('a change by somebody else is not overwritten', async () => {
    const { put, named } = await budgetsServed();
    const { etag } = await named('acme');
    expect(await put({ name: 'acme', limitUsd: '11' }, { headers: { 'if-match': etag } })).toMatchObject({ status: 200 });
    const late = await put({ name: 'acme', limitUsd: '12' }, { headers: { 'if-match': etag } });
    expect(late).toMatchObject({ status: 412, body: { code: 'ERR_PRECONDITION_FAILED' }, etag: (await named('acme')).etag });
    expect(await named('acme')).toMatchObject({ limitUsd: '11' });
    const fresh = { name: 'new', scope: { tenant: 'x' }, limitUsd: 1, period: 'day' };
    expect(await put(fresh, { headers: { 'if-match': '*' } })).toMatchObject({ status: 412 });
    expect(await put(fresh, { headers: { 'if-none-match': '*' } })).toMatchObject({ status: 200 });
    expect(await put(fresh, { headers: { 'if-none-match': '*' } })).toMatchObject({ status: 412 });
  });

  test('of many changes at once from the same tag one is made', async () => {
    const { put, named } = await budgetsServed();
    const { etag } = await named('acme');
    const limits = Array.from({ length: 20 }, (_, index) => String(index + 1));
    const answers = await Promise.all(limits.map((limitUsd) => put({ name: 'acme', limitUsd }, { headers: { 'if-match': etag } })));
    const made = answers.filter(({ status }) => status === 200);
    expect(answers.filter(({ status }) => status === 412)).toHaveLength(19);
    expect(made).toHaveLength(1);
    expect(made[0]?.body.limitUsd).toBe((await named('acme')).limitUsd);
  });
});
