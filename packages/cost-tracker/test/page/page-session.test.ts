import { requireServer, until } from '@tidegate/test-kit';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { acmeToken, cellsOf, noon, openPage, PageServer, refresh, startBrowser, token } from './page-server.ts';

describe.runIf(requireServer('chromium'))('who the page is for', { timeout: 60_000 }, () => {
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await startBrowser();
  });
  beforeEach(async () => {
    const call = (tenant: string) => ({ kind: 'tool', name: 'search', scope: { tenant }, amountUsd: '1', at: noon }) as const;
    server = await PageServer.start({ calls: [call('acme'), call('globex')] });
  });
  afterEach(async () => {
    await page.context().close();
    await server.stop();
    expect(complaints).toEqual([]);
  });
  afterAll(() => browser?.close());

  const open = async (hash = '', options = {}) => {
    ({ page, complaints } = await openPage(browser, server.url + hash, options));
  };
  const asked = () => page.getByRole('heading', { name: 'A token is needed' });
  const shown = () => page.getByRole('heading', { name: 'Spend over time' });

  test('without a token it asks for one, and says when it is wrong', async () => {
    await open();
    await asked().waitFor();
    expect(await page.getByRole('alert').count()).toBe(0);
    expect(server.answers.every(({ status }) => status === 401)).toBe(true);
    expect(await page.locator('table').count()).toBe(0);
    await page.getByLabel('Token').fill('not-the-right-one');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toContain('does not know this token');
    await page.getByLabel('Token').fill(` ${token} `);
    await page.getByRole('button', { name: 'Show usage' }).click();
    await shown().waitFor();
    expect((await cellsOf(page, 'By tenant')).slice(1).map(([tenant]) => tenant)).toEqual(['acme', 'globex']);
  });

  test('a token in the address is taken out of it, and lives as long as the tab', async () => {
    await open(`?days=7#token=${token}`);
    await shown().waitFor();
    expect(page.url()).toBe(`${server.url}?days=7`);
    expect(await page.evaluate('JSON.stringify([sessionStorage, localStorage, document.cookie])')).toBe(
      JSON.stringify([{ 'tidegate.token': token }, {}, '']),
    );
    await page.reload();
    await shown().waitFor();
    const other = await page.context().newPage();
    await other.goto(server.url);
    await other.getByRole('heading', { name: 'A token is needed' }).waitFor();
    await page.getByRole('button', { name: 'Forget the token' }).click();
    await asked().waitFor();
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    await page.reload();
    await asked().waitFor();
  });

  test('a token that is taken back while the page is open', async () => {
    await open(`#token=${token}`);
    await shown().waitFor();
    delete server.principals[token];
    await refresh(page);
    await asked().waitFor();
    expect(await page.locator('table').count()).toBe(0);
    const before = server.answers.length;
    await refresh(page);
    await until(() => server.answers.length > before, { what: 'another try when somebody comes back' });
    // the answers of one are not shown to another
    await page.getByLabel('Token').fill(acmeToken);
    await page.keyboard.press('Enter');
    await shown().waitFor();
    expect((await cellsOf(page, 'By tenant')).slice(1).map(([tenant]) => tenant)).toEqual(['acme']);
  });

  test('where the browser keeps nothing the token lives as long as the page', async () => {
    server.failing = () => new Response('{}', { status: 401 });
    await open();
    await asked().waitFor();
    await page.evaluate("Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('denied'); } })");
    server.failing = undefined;
    await page.getByLabel('Token').fill(token);
    await page.keyboard.press('Enter');
    await shown().waitFor();
  });

  test('asks again every five seconds while it is visible, and hears that nothing has changed', async () => {
    ({ page, complaints } = await openPage(browser, 'about:blank'));
    await page.clock.install();
    await page.goto(`${server.url}#token=${token}`);
    await shown().waitFor();
    await page.locator('caption', { hasText: 'Trend of' }).waitFor({ state: 'attached' });
    const first = server.answers.length;
    expect(new Set(server.answers.map(({ status }) => status))).toEqual(new Set([200]));
    await page.clock.runFor(5_000);
    await until(() => server.answers.length >= 2 * first, { what: 'a second round', timeoutMs: 15_000 });
    expect(new Set(server.answers.slice(first).map(({ status }) => status))).toEqual(new Set([304]));

    await server.spend({ kind: 'tool', name: 'search', scope: { tenant: 'acme' }, amountUsd: '5', at: noon });
    await page.clock.runFor(5_000);
    await until(async () => (await cellsOf(page, 'By tenant'))[1]?.[1] === '$6.00', { what: 'the new spend', timeoutMs: 15_000 });

    await page.evaluate("Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' })");
    await page.clock.runFor(5_000); // what was due finds the page hidden
    const hidden = server.answers.length;
    await page.clock.runFor(60_000);
    expect(server.answers.length).toBe(hidden);
    await page.evaluate('delete document.visibilityState');
    await refresh(page);
    await until(() => server.answers.length > hidden, { what: 'an answer after it is seen again', timeoutMs: 15_000 });
  });

  test('a server that fails leaves what was shown, and says so until it is back', async () => {
    await open(`#token=${token}`);
    await shown().waitFor();
    server.failing = () => Response.json({ detail: 'the usage ledger cannot be used now' }, { status: 503 });
    await refresh(page);
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toBe('Not up to date the usage ledger cannot be used now');
    expect(await cellsOf(page, 'By tenant')).toHaveLength(3);
    server.failing = () => new Response('<h1>Bad gateway</h1>', { status: 502 });
    await refresh(page);
    await page.getByText('the server answered 502').waitFor();
    await page.getByRole('button', { name: 'Save as CSV' }).click();
    await page.locator('footer').getByText('the server answered 502').waitFor();
    server.failing = undefined;
    await refresh(page);
    await page.getByRole('alert').waitFor({ state: 'detached' });
  });
});
