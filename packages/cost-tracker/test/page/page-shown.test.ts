import { requireServer, until } from '@tidegate/test-kit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cellsOf, day, noon, openPage, PageServer, refresh, startBrowser, token } from './page-server.ts';

const acme = { tenant: 'acme', project: 'atlas' };
const budgets = [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '100', period: 'month' as const, timeZone: 'Asia/Seoul' }];

describe.runIf(requireServer('chromium'))('what the page shows', { timeout: 60_000 }, () => {
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await startBrowser();
  });
  afterEach(async () => {
    await page.context().close();
    await server.stop();
    expect(complaints).toEqual([]);
  });
  afterAll(() => browser?.close());

  async function open(options: Parameters<typeof PageServer.start>[0]): Promise<void> {
    server = await PageServer.start(options);
    ({ page, complaints } = await openPage(browser, `${server.url}#token=${token}`));
    await page.locator('.banner').waitFor();
  }

  const banner = async () => ({
    level: await page.locator('.banner').getAttribute('data-level'),
    text: await page.locator('.banner').textContent(),
  });

  async function bannerTurns(level: string): Promise<string> {
    await refresh(page);
    await until(async () => (await banner()).level === level, { what: `a banner that is ${level}`, timeoutMs: 15_000 });
    return (await banner()).text ?? '';
  }

  test('a banner at 89.9, 90, 100 and 110 % of a budget, without a reload', async () => {
    await open({ budgets, calls: [{ kind: 'tool', name: 'search', scope: acme, amountUsd: '89.9', at: noon }] });
    expect(await banner()).toEqual({ level: 'ok', text: 'Within budgetacme: 89.9 % of $100.00 spent.' });
    const used = async () => (await cellsOf(page, 'Budgets'))[1]?.slice(1);
    expect(await used()).toEqual(['ok', '89.9 %', '$89.90', '$0.00', '$100.00 / month', '1 Apr 2026, 00:00 Asia/Seoul']);

    const spend = (amountUsd: string) => server.spend({ kind: 'tool', name: 'search', scope: acme, amountUsd, at: noon });
    await spend('0.099999999');
    await refresh(page);
    await until(async () => (await used())?.[2] === '$90.00', { what: 'the rounded spend' });
    expect((await used())?.slice(0, 2)).toEqual(['ok', '89.9 %']); // a billionth below

    await spend('0.000000001');
    expect(await bannerTurns('warning')).toMatch(/^Budget acme is running out90 % of \$100.00 spent. It starts again on 1 Apr 2026, 00:00/);
    await spend('10');
    expect(await bannerTurns('critical')).toContain('Budget acme is used up100 % of $100.00 spent. Calls are refused at 110 %.');
    await spend('10');
    expect(await bannerTurns('blocked')).toContain('Budget acme is blocked110 % of $100.00 spent. Calls are refused.');
    expect((await used())?.slice(0, 3)).toEqual(['blocked', '110 %', '$110.00']);
    expect(await page.locator('.banner').getAttribute('role')).toBe('status');
  });

  const calls = [
    {
      kind: 'llm',
      model: 'large',
      provider: 'openai',
      scope: acme,
      amountUsd: '3',
      usage: { inputTokens: 1_500, outputTokens: 20 },
      at: noon,
    },
    { kind: 'llm', model: 'mini', provider: 'openai', scope: { tenant: 'globex' }, amountUsd: '0.5', at: noon - 5 * day },
    { kind: 'tool', name: 'search', scope: { tenant: 'globex', project: 'comet' }, amountUsd: '2', success: false, at: noon - day },
    { kind: 'resource', name: 'file:///notes', scope: acme, at: noon - 20 * day },
    { kind: 'tool', name: 'search', scope: acme, amountUsd: '0.25', at: noon - 80 * day },
  ] as const;

  test('spend over time, by model, tenant and tool', async () => {
    await open({ calls: [...calls] });
    const days = await cellsOf(page, 'Spend over time');
    expect(days).toHaveLength(31);
    expect(days.filter(([, count]) => count !== '0')).toEqual([
      ['Day', 'Calls', 'Spend'],
      ['2026-02-23', '1', '$0.00'],
      ['2026-03-10', '1', '$0.50'],
      ['2026-03-14', '1', '$2.00'],
      ['2026-03-15', '1', '$3.00'],
    ]);
    expect(await cellsOf(page, 'By model')).toEqual([
      ['Model', 'Spend', 'Calls', 'Failed', 'Tokens in', 'Out'],
      ['large openai', '$3.00', '1', '0', '1.5K', '20'],
      ['mini openai', '$0.50', '1', '0', '0', '0'],
    ]);
    expect(await cellsOf(page, 'By tenant')).toEqual([
      ['Tenant', 'Spend', 'Calls', 'Failed'],
      ['acme', '$3.00', '2', '0'],
      ['globex', '$2.50', '2', '1'],
    ]);
    expect(await cellsOf(page, 'By tool')).toEqual([
      ['Tool', 'Spend', 'Calls', 'Failed'],
      ['search', '$2.00', '1', '1'],
      ['file:///notes resource', '$0.00', '1', '0'],
    ]);
    expect(await page.locator('.tiles dd').allTextContents()).toEqual(['$5.50', '', '4', '1 failed', '1.5K', '0 from a cache', '20', '']);
    expect((await banner()).text).toContain('No budget');
    // a bar is as long as its share of the dearest
    const bars = page.locator('[role=group][aria-label="By tenant"] .bar');
    const [long, short] = await Promise.all([0, 1].map(async (at) => (await bars.nth(at).boundingBox())?.width ?? 0));
    await until(
      async () =>
        Math.abs(((await bars.nth(1).boundingBox())?.width ?? 0) / ((await bars.nth(0).boundingBox())?.width ?? 1) - 2.5 / 3) < 0.01,
      {
        what: `bars of 3 and 2.5, not of ${long} and ${short}`,
      },
    );
  });

  test('filters by period, tenant and project, and keeps them in the address', async () => {
    await open({ calls: [...calls] });
    const shown = async () => (await page.locator('.tiles dd').first().textContent()) ?? '';
    const turns = (spend: string) => until(async () => (await shown()) === spend, { what: `a spend of ${spend}`, timeoutMs: 15_000 });
    await page.getByLabel('90 days', { exact: true }).check();
    await turns('$5.75');
    expect(await cellsOf(page, 'Spend over time')).toHaveLength(91);
    await page.getByLabel('Today', { exact: true }).check();
    await turns('$3.00');
    const hours = await cellsOf(page, 'Spend over time');
    expect(hours).toHaveLength(25);
    expect(hours.filter(([, count]) => count !== '0').slice(1)).toEqual([['2026-03-15 12:00', '1', '$3.00']]);
    await page.getByLabel('7 days', { exact: true }).check();
    await turns('$5.50');
    await page.getByLabel('Tenant', { exact: true }).selectOption('globex');
    await turns('$2.50');
    expect(await page.getByLabel('Tenant', { exact: true }).locator('option').allTextContents()).toEqual(['All', 'acme', 'globex']);
    await page.getByLabel('Project', { exact: true }).selectOption('comet');
    await turns('$2.00');
    expect(new URL(page.url()).search).toBe('?days=7&tenant=globex&project=comet');
    await page.reload();
    await turns('$2.00');
    expect(await page.getByLabel('7 days').isChecked()).toBe(true);
    await page.getByLabel('Tenant', { exact: true }).selectOption('');
    await page.getByLabel('Project', { exact: true }).selectOption('');
    await turns('$5.50');
    await page.getByRole('button', { name: 'acme' }).click();
    await turns('$3.00');
    expect(await cellsOf(page, 'By tenant')).toEqual([
      ['Tenant', 'Spend', 'Calls', 'Failed'],
      ['acme', '$3.00', '1', '0'],
    ]);
  });

  test('value metrics with targets, and the trend of the one that is chosen', async () => {
    await open({ calls: [...calls] });
    for (const [value, age] of [
      [0.4, 0],
      [0.7, 0],
      [0.2, 2],
    ] as const) {
      await server.metrics.record({ name: 'cost_per_report', value, at: noon - age * day, scope: acme });
    }
    await server.metrics.record({ name: 'planning_time_saved', value: 12, at: noon, scope: { tenant: 'globex' } });
    await refresh(page);
    const metric = async (name: string) => (await cellsOf(page, 'Value metrics')).find(([first]) => first?.startsWith(name))?.slice(1);
    await until(async () => (await metric('cost per report'))?.[0] === 'on track', { what: 'the value metrics', timeoutMs: 15_000 });
    expect(await metric('cost per report')).toEqual(['on track', '0.433 USD', '≤ 0.5 USD', '3']);
    expect(await metric('planning time saved')).toEqual(['below target', '12 minutes', '≥ 60 minutes', '1']);
    expect(await metric('traceability score')).toEqual(['no data', '—', '≥ 95 %', '0']);
    expect(await page.locator('section[aria-labelledby="value"] header').textContent()).toBe('Valuecritical 50 % on track (1 of 2)');

    await page.getByRole('button', { name: 'cost per report' }).click();
    await page.locator('caption', { hasText: 'Trend of cost_per_report' }).waitFor({ state: 'attached' });
    const trend = await cellsOf(page, 'Trend of cost_per_report');
    expect(trend.filter(([, , count]) => count !== '0')).toEqual([
      ['Day', 'Value', 'Values'],
      ['2026-03-13', '0.2', '1'],
      ['2026-03-15', '0.55', '2'],
    ]);
    expect(await page.getByRole('button', { name: 'cost per report' }).getAttribute('aria-pressed')).toBe('true');
    await page.getByLabel('Tenant', { exact: true }).selectOption('globex');
    await until(async () => (await metric('cost per report'))?.[0] === 'no data', { what: "a tenant's values", timeoutMs: 15_000 });
  });

  test('where no value metrics are served there is no section of them', async () => {
    await open({ calls: [...calls], withValues: false });
    expect(await page.getByRole('heading').allTextContents()).toEqual(['Usage', 'Spend over time', 'By model', 'By tenant', 'By tool']);
  });

  test('an empty ledger', async () => {
    await open({});
    expect(await cellsOf(page, 'By model')).toEqual([['Model', 'Spend', 'Calls', 'Failed', 'Tokens in', 'Out'], ['No calls']]);
    expect(await page.locator('.tiles dd').first().textContent()).toBe('$0.00');
  });

  test('of many tools the dearest', async () => {
    const many = Array.from(
      { length: 60 },
      (_, index) => ({ kind: 'tool', name: `tool ${index}`, amountUsd: index + 1, at: noon }) as const,
    );
    await open({ calls: many });
    const rows = await cellsOf(page, 'By tool');
    expect([rows.length, rows[1]?.[0], rows[50]?.[0]]).toEqual([51, 'tool 59', 'tool 10']);
    expect(await page.locator('section[aria-labelledby="tools"] header').textContent()).toContain('the 50 dearest of 60');
  });

  test('names of others are text and nothing else', async () => {
    const hostile = [
      '<img src=x onerror="alert(1)">',
      '"><script>alert(2)</script>',
      "javascript:alert('3')",
      '\u202Egnp.exe\u202C',
      '{{alert(4)}}',
      'very-long-'.repeat(60),
      '__proto__',
    ];
    const scopes = hostile.map((name) => ({ tenant: name, project: name }));
    await open({
      budgets: [{ name: hostile[0] as string, scope: { tenant: hostile[1] as string }, limitUsd: '1', period: 'day' }],
      calls: hostile.flatMap((name, index) => [
        { kind: 'tool', name, scope: scopes[index] as object, amountUsd: 20 - index, at: noon } as const,
        { kind: 'llm', model: name, provider: 'x', scope: scopes[index] as object, amountUsd: 20 - index, at: noon } as const,
      ]),
    });
    for (const caption of ['By tool', 'By tenant']) {
      expect((await cellsOf(page, caption)).slice(1).map(([name]) => name)).toEqual(hostile);
    }
    expect((await cellsOf(page, 'By model')).slice(1).map(([name]) => name)).toEqual(hostile.map((name) => `${name} x`));
    expect((await banner()).text).toContain(`Budget ${hostile[0]} is blocked`);
    expect(await page.locator('img, script:not([src]), iframe').count()).toBe(0);
    expect(await page.evaluate('document.scrollingElement.scrollWidth <= window.innerWidth')).toBe(true);
    await page.getByLabel('Tenant', { exact: true }).selectOption(hostile[1] as string);
    await until(async () => (await cellsOf(page, 'By tenant')).length === 2, { what: 'the tenant that was chosen', timeoutMs: 15_000 });
    expect((await cellsOf(page, 'By tenant'))[1]?.[0]).toBe(hostile[1]);
  });

  test('saves the rows that the filters show', async () => {
    await open({ calls: [...calls] });
    await page.getByLabel('Tenant', { exact: true }).selectOption('acme');
    for (const [button, file] of [
      ['Save as CSV', 'usage.csv'],
      ['Save as NDJSON', 'usage.ndjson'],
    ] as const) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: button }).click()]);
      expect(download.suggestedFilename()).toBe(file);
      const chunks: Buffer[] = [];
      for await (const chunk of await download.createReadStream()) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      expect(text).toContain('large');
      expect(text).not.toContain('globex');
    }
  });
});
