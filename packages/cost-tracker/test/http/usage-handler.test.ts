import { describe, expect, test } from 'vitest';
import { bearerTokens, type Principal, usageHandler, valueMetricsHandler } from '../../src/http.ts';
import { CostTracker, memoryStore, StoreError } from '../../src/index.ts';
import { ValueMetrics } from '../../src/value.ts';
import { noon, served, tokens } from './served.ts';

const { ask, json } = await served();

describe('usage over HTTP', () => {
  test('the summary is the ledger added up, within what was asked for', async () => {
    const all = { calls: 5, failures: 1, unpriced: 0, inputTokens: 0, cacheReadTokens: 0, outputTokens: 0, totalUsd: '7.75' };
    expect(await json('/api/usage/summary')).toMatchObject({ from: null, to: null, timeZone: 'UTC', ...all });
    expect(await json('/api/usage/summary?tenant=acme&project=atlas')).toMatchObject({ calls: 2, totalUsd: '0.25' });
    expect(await json('/api/usage/summary?model=mini')).toMatchObject({ calls: 1, totalUsd: '1.5' });
    expect(await json('/api/usage/summary?from=2026-03-14T12:00:00Z&to=2026-03-15T12:00:00Z')).toMatchObject({
      ...{ from: '2026-03-14T12:00:00.000Z', to: '2026-03-15T12:00:00.000Z', calls: 2, totalUsd: '5.5' },
      byTenant: [
        { tenant: 'acme', totalUsd: '1.5' },
        { tenant: 'globex', totalUsd: '4' },
      ],
    });
    // a plus sign that was not percent-encoded arrives as a space
    expect(await json('/api/usage/summary?from=2026-03-15T21:00:00+09:00')).toMatchObject({ from: '2026-03-15T12:00:00.000Z', calls: 1 });
  });

  test('days are counted in the zone, with today as the last', async () => {
    expect(await json('/api/usage/summary?days=1')).toMatchObject({
      ...{ from: '2026-03-15T00:00:00.000Z', to: '2026-03-16T00:00:00.000Z', calls: 1 },
    });
    // the clocks of New York went forward on 8 March
    expect(await json('/api/usage/summary?days=8&timeZone=America/New_York')).toMatchObject({
      ...{ from: '2026-03-08T05:00:00.000Z', to: '2026-03-16T04:00:00.000Z', timeZone: 'America/New_York', calls: 4 },
    });
  });

  test('a month is that of the zone', async () => {
    expect(await json('/api/usage/monthly')).toMatchObject({
      month: '2026-03',
      from: '2026-03-01T00:00:00.000Z',
      totalUsd: '5.75',
      calls: 4,
    });
    expect(await json('/api/usage/monthly?month=2026-02&timeZone=Asia/Seoul&tenant=acme')).toEqual({
      ...{ month: '2026-02', from: '2026-01-31T15:00:00.000Z', to: '2026-02-28T15:00:00.000Z', timeZone: 'Asia/Seoul' },
      ...{ calls: 1, failures: 0, unpriced: 0, inputTokens: 0, cacheReadTokens: 0, outputTokens: 0, totalUsd: '2' },
    });
  });

  test('models are listed with who was paid', async () => {
    expect(await json('/api/usage/by-model?days=30')).toMatchObject({ models: [{ model: 'mini', provider: 'openai', totalUsd: '1.5' }] });
  });

  test('a series has every part, and its parts add up to the summary', async () => {
    const series = (await json('/api/usage/series?days=3')) as { points: { period: string; totalUsd: string; from: string }[] };
    expect(series).toMatchObject({ granularity: 'day', from: '2026-03-13T00:00:00.000Z', to: '2026-03-16T00:00:00.000Z' });
    expect(series.points.map(({ period, totalUsd }) => [period, totalUsd])).toEqual([
      ['2026-03-13', '0'],
      ['2026-03-14', '5.5'],
      ['2026-03-15', '0.25'],
    ]);
    const months = await json('/api/usage/series?from=2026-01-20T00:00:00Z&granularity=month');
    expect(months).toMatchObject({
      to: new Date(noon + 1).toISOString(), // what happens at this very millisecond counts
      points: [
        { period: '2026-01', from: '2026-01-20T00:00:00.000Z', to: '2026-02-01T00:00:00.000Z', totalUsd: '0' },
        { period: '2026-02', totalUsd: '2' },
        { period: '2026-03', totalUsd: '5.75' },
      ],
    });
    expect(await json('/api/usage/series?days=10&granularity=week')).toMatchObject({
      points: [
        { period: '2026-03-02', totalUsd: '0' },
        { period: '2026-03-09', from: '2026-03-09T00:00:00.000Z', totalUsd: '5.75' },
      ],
    });
  });

  test.each([
    ['Asia/Kolkata', 'an hour begins at another minute than in UTC', '2026-03-14T18:30:00Z', '2026-03-14T20:30:00Z', ['00:00', '01:00']],
    ['Europe/Berlin', 'an hour is skipped', '2026-03-29T00:00:00Z', '2026-03-29T02:00:00Z', ['01:00', '03:00']],
    ['Europe/Berlin', 'an hour comes twice', '2026-10-25T00:00:00Z', '2026-10-25T02:00:00Z', ['02:00', '02:00']],
    ['Australia/Lord_Howe', 'half an hour is skipped', '2026-10-03T14:30:00Z', '2026-10-03T17:00:00Z', ['01:00', '02:00', '03:00']],
    ['Australia/Lord_Howe', 'half an hour comes twice', '2026-04-04T14:00:00Z', '2026-04-04T16:30:00Z', ['01:00', '01:00', '02:00']],
    ['UTC', 'the first hour is cut off', '2026-03-14T10:20:00Z', '2026-03-14T11:10:00Z', ['10:00', '11:00']],
  ])('hours of %s where %s', async (zone, _, from, to, hours) => {
    const path = `/api/usage/series?granularity=hour&timeZone=${zone}&from=${from}&to=${to}`;
    const { points } = (await json(path)) as { points: { period: string; from: string; to: string }[] };
    expect(points.map(({ period }) => period.slice(11))).toEqual(hours);
    // every instant is in one part
    expect(points[0]?.from).toBe(new Date(from).toISOString());
    expect(points.at(-1)?.to).toBe(new Date(to).toISOString());
    expect(points.slice(1).map((point) => point.from)).toEqual(points.slice(0, -1).map((point) => point.to));
  });

  test('a reader that has an answer gets 304 until something changes', async () => {
    const { tracker, ask: askHere } = await served();
    const first = await askHere('/api/usage/summary?days=30');
    const etag = first.headers.get('etag') as string;
    expect(first.headers.get('cache-control')).toBe('no-store');
    const again = (tag: string) => askHere('/api/usage/summary?days=30', { headers: { 'if-none-match': tag } });
    for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await again(tag);
      expect([answer.status, answer.headers.get('etag'), await answer.text()]).toEqual([304, etag, '']);
    }
    expect((await again('"other"')).status).toBe(200);
    await tracker.record({ kind: 'tool', name: 'search', amountUsd: '1', dedupeKey: 'new' });
    expect((await again(etag)).status).toBe(200);
  });

  test('HEAD has the headers of GET and no body', async () => {
    const [head, get] = [await ask('/api/usage/summary', { method: 'HEAD' }), await ask('/api/usage/summary')];
    expect([head.status, head.headers.get('etag'), await head.text()]).toEqual([200, get.headers.get('etag'), '']);
  });
});

describe('a bad query', () => {
  test.each([
    ['/api/usage/summary?tennant=acme', 'tennant', 'known are tenant, project'],
    ['/api/usage/summary?tenant=acme&tenant=globex', 'tenant', 'more than once'],
    ['/api/usage/summary?tenant=', 'tenant', 'must not be empty'],
    ['/api/usage/summary?from=yesterday', 'from', '2026-03-15T00:00:00Z'],
    ['/api/usage/summary?from=2026-03-15', 'from', 'offset'],
    ['/api/usage/summary?from=2026-02-30T00:00:00Z', 'from', 'time'],
    ['/api/usage/summary?from=2026-13-01T00:00:00Z', 'from', 'time'],
    ['/api/usage/summary?from=1969-12-31T00:00:00Z', 'from', '1970'],
    ['/api/usage/summary?from=2026-03-15T00:00:00Z&to=2026-03-14T00:00:00Z', 'to', 'before from'],
    ['/api/usage/summary?days=0', 'days', 'from 1 to 366'],
    ['/api/usage/summary?days=1e2', 'days', 'whole number'],
    ['/api/usage/summary?days=7&from=2026-03-15T00:00:00Z', 'days', 'from or to'],
    ['/api/usage/summary?days=7&timeZone=Mars/Olympus', 'timeZone', 'Asia/Seoul'],
    ['/api/usage/series', 'from', 'days'],
    ['/api/usage/series?days=1&granularity=minute', 'granularity', 'hour, day, week, month'],
    ['/api/usage/series?days=366&granularity=hour', 'granularity', '400 parts'],
    ['/api/usage/monthly?month=2026-3', 'month', '2026-03'],
    ['/api/usage/monthly?month=2026-13', 'month', '2026-03'],
    ['/api/usage/rows?format=xlsx', 'format', 'ndjson, csv'],
    ['/api/usage/budget?name=acme', 'name', 'known are none'],
    ['/api/usage/openapi.json?v=2', 'v', 'known are none'],
    ['/api/value-metrics/summary?period_days=91', 'period_days', '90'],
    ['/api/value-metrics/summary?project_id=', 'project_id', 'empty'],
    ['/api/value-metrics/trends/cost_per_report?granularity=hourly', 'granularity', 'daily, weekly, monthly'],
    ['/api/value-metrics/trends/cost_per_report?period_days=400', 'period_days', '90'],
    ['/api/value-metrics/definitions?all=1', 'all', 'known are none'],
  ])('%s', async (path, parameter, detail) => {
    const answer = await ask(path);
    const problem = (await answer.json()) as { detail: string };
    expect([answer.status, answer.headers.get('content-type')]).toEqual([400, 'application/problem+json']);
    expect(problem).toMatchObject({ type: 'about:blank', title: 'Bad Request', status: 400, code: 'ERR_BAD_REQUEST', parameter });
    expect(problem.detail).toContain(detail);
  });
});

describe('who may see what', () => {
  test('without known credentials every address is 401, also one that is not there', async () => {
    for (const path of ['/api/usage/summary', '/api/usage/nothing', '/api/value-metrics/nothing', '/']) {
      const [none, wrong] = [await ask(path, { token: '' }), await ask(path, { token: 'not-a-token-of-ours' })];
      expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="tidegate"']);
      expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="tidegate", error="invalid_token"']);
      expect(await none.json()).toMatchObject({ status: 401, code: 'ERR_UNAUTHORIZED' });
    }
  });

  test('a principal of a tenant sees its tenant and nothing else', async () => {
    const mine = { token: tokens.acmeReader };
    const summary = (await json('/api/usage/summary', mine)) as { byTenant: { tenant: string }[] };
    expect(summary).toMatchObject({ calls: 4, totalUsd: '3.75' });
    expect(summary.byTenant.map(({ tenant }) => tenant)).toEqual(['acme']);
    expect(await json('/api/usage/monthly', mine)).toMatchObject({ totalUsd: '1.75' });
    expect(await json('/api/usage/series?days=2', mine)).toMatchObject({ points: [{ totalUsd: '1.5' }, { totalUsd: '0.25' }] });
    expect(((await json('/api/usage/by-model', mine)) as { models: unknown[] }).models).toHaveLength(2);
    for (const format of ['ndjson', 'csv']) {
      const text = await (await ask(`/api/usage/rows?format=${format}`, mine)).text();
      expect(text).toContain('acme');
      expect(text).not.toContain('globex');
    }
    // also not a budget of a model, which counts the calls of others
    expect(await json('/api/usage/budget', mine)).toMatchObject({ budgets: [{ name: 'acme' }] });
    expect(((await json('/api/usage/budget', mine)) as { budgets: unknown[] }).budgets).toHaveLength(1);
  });

  test('asking for another tenant is 403', async () => {
    const paths = ['summary', 'monthly', 'by-model', 'series?days=1', 'rows'].map((path) => `/api/usage/${path}`);
    for (const path of [...paths, '/api/value-metrics/summary', '/api/value-metrics/trends/cost_per_report']) {
      const name = path.startsWith('/api/usage') ? 'tenant' : 'tenant_id';
      const refused = await ask(`${path}${path.includes('?') ? '&' : '?'}${name}=globex`, { token: tokens.acme });
      expect(await refused.json()).toMatchObject({ status: 403, code: 'ERR_FORBIDDEN', parameter: name });
      expect((await ask(`${path}${path.includes('?') ? '&' : '?'}${name}=acme`, { token: tokens.acme })).status).toBe(200);
    }
  });

  test('nobody who cannot be told apart is taken for everybody', async () => {
    const tracker = new CostTracker();
    const claims: { tenant?: string } = {};
    const bad = [{ tenant: claims.tenant }, { tenant: '' }, {}, { allTenants: false }, { allTenants: true, tenant: 'acme' }, true, null];
    for (const principal of [...bad, { tenant: 'acme', mayWrite: 1 }, { tenant: 'acme', role: 'x' }]) {
      const handler = usageHandler({ tracker, authenticate: () => principal as unknown as Principal });
      await expect(handler(new Request('http://127.0.0.1/api/usage/summary'))).rejects.toThrow(RangeError);
    }
  });

  test('an error of the authenticator passes through', async () => {
    const authenticate = () => Promise.reject(new Error('the directory is down'));
    const handler = usageHandler({ tracker: new CostTracker(), authenticate });
    await expect(handler(new Request('http://127.0.0.1/api/usage/summary'))).rejects.toThrow('the directory is down');
  });
});

describe('where there is nothing', () => {
  test('an address that is not there is 404, a method that is not known 405', async () => {
    for (const path of ['/api/usage', '/api/usage/', '/api/usage/summary/', '/api/usage/constructor', '/api/value-metrics/trends/']) {
      expect(await json(path)).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' });
    }
    expect(await json('/api/value-metrics/trends/no_such')).toMatchObject({ status: 404, detail: expect.stringContaining('no_such') });
    expect(await json('/api/value-metrics/trends/%ff')).toMatchObject({ status: 404, code: 'ERR_NOT_FOUND' });
    const [post, remove] = [await ask('/api/usage/summary', { method: 'POST' }), await ask('/api/usage/budget', { method: 'DELETE' })];
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect([remove.status, remove.headers.get('allow')]).toEqual([405, 'GET, HEAD, PUT']);
  });

  test('a ledger that cannot be read is 503, without a word of where it lies', async () => {
    const failing = async () => {
      throw new StoreError('ERR_STORE_FAILED', 'the usage ledger /var/lib/secret.db failed');
    };
    const store = { ...memoryStore(), getUsageSummary: failing, readRows: failing, readBudgets: failing };
    const { json: jsonHere } = await served({ store, recorded: [] });
    for (const path of ['summary', 'rows', 'budget']) {
      const problem = await jsonHere(`/api/usage/${path}`);
      expect(problem).toMatchObject({ status: 503, code: 'ERR_STORE_UNAVAILABLE' });
      expect(JSON.stringify(problem)).not.toContain('secret');
    }
  });
});

describe('value metrics over HTTP', () => {
  test('summary, trends and definitions, in the names of the wire', async () => {
    const { metrics, json: jsonHere } = await served();
    await metrics.record({ name: 'cost_per_report', value: 0.4, scope: { tenant: 'acme', project: 'atlas' } });
    await metrics.record({ name: 'cost_per_report', value: 0.8, scope: { tenant: 'globex' } });
    expect(await jsonHere('/api/value-metrics/summary')).toMatchObject({
      ...{ period_days: 30, project_id: null },
      by_category: { cost: { cost_per_report: { current: 0.6, target: 0.5, status: 'above_target', sample_count: 2 } } },
      overall_health: { score: 0, status: 'critical', on_track_count: 0, total_count: 1 },
    });
    expect(await jsonHere('/api/value-metrics/summary?period_days=7&project_id=atlas')).toMatchObject({
      ...{ period_days: 7, project_id: 'atlas' },
      by_category: { cost: { cost_per_report: { current: 0.4, status: 'on_track' } } },
    });
    // a principal of a tenant has its values
    expect(await jsonHere('/api/value-metrics/summary', { token: tokens.acmeReader })).toMatchObject({
      by_category: { cost: { cost_per_report: { current: 0.4, sample_count: 1 } } },
    });
    const trends = (await jsonHere('/api/value-metrics/trends/cost_per_report?granularity=monthly')) as { trends: unknown[] };
    expect(trends).toMatchObject({ metric: 'cost_per_report', definition: { unit: 'USD', target: 0.5 } });
    expect(trends.trends).toEqual([
      { period: '2026-02', value: null, count: 0 },
      { period: '2026-03', value: expect.closeTo(0.6), count: 2 },
    ]);
    const { definitions } = (await jsonHere('/api/value-metrics/definitions')) as { definitions: unknown[] };
    expect(definitions).toHaveLength(10);
    expect(definitions[0]).toMatchObject({ name: 'report_generation_time_saved', target_value: 30, direction: 'higher_better' });
  });
});

describe('options', () => {
  const tracker = new CostTracker();
  const authenticate = () => undefined;
  test.each([
    ['authenticate', { tracker }],
    ['authenticate', { tracker, authenticate: 'token' }],
    ['tracker must have the method summary', { tracker: {}, authenticate }],
    ['auth is unknown', { tracker, authenticate, auth: true }],
    ['timeZone', { tracker, authenticate, timeZone: '+09:00' }],
    ['clock must have the method wall', { tracker, authenticate, clock: {} }],
  ])('usageHandler: %s', (message, options) => {
    expect(() => usageHandler(options as never)).toThrow(RangeError);
    expect(() => usageHandler(options as never)).toThrow(message);
  });

  test('valueMetricsHandler', () => {
    const metrics = new ValueMetrics({ store: memoryStore() });
    expect(() => valueMetricsHandler({ metrics } as never)).toThrow('authenticate');
    expect(() => valueMetricsHandler({ metrics: {}, authenticate } as never)).toThrow('metrics must have the method summary');
  });

  test('bearerTokens refuses what is no token, and never tells one', () => {
    for (const token of ['short', 'has a space in the middle', 'übermäßig-lang-aber']) {
      const making = () => bearerTokens({ 'good-token-012345678': { tenant: 'acme' }, [token]: { tenant: 'acme' } });
      expect(making).toThrow('token 2 must be 16 or more');
      expect(making).not.toThrow(token);
    }
    expect(() => bearerTokens({ 'good-token-012345678': { tenant: '' } })).toThrow('token 1.tenant');
    expect(() => bearerTokens(undefined as never)).toThrow(RangeError);
  });
});
