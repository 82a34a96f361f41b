import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { requireServer, until } from '@tidegate/test-kit';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { noon, openPage, PageServer, startBrowser, token } from './page-server.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

/** One budget of each level. */
const spends = { ok: '10', warning: '95', critical: '104', blocked: '110' };

describe.runIf(requireServer('chromium'))('the page for everybody', { timeout: 60_000 }, () => {
  let browser: Browser;
  let server: PageServer;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    browser = await startBrowser();
  });
  beforeEach(async () => {
    server = await PageServer.start({
      budgets: Object.keys(spends).map((name) => ({ name, scope: { tenant: name }, limitUsd: '100', period: 'month' })),
      calls: Object.entries(spends).flatMap(([tenant, amountUsd]) => [
        { kind: 'llm', model: 'mini', provider: 'openai', scope: { tenant, project: 'atlas' }, amountUsd, at: noon },
        { kind: 'tool', name: 'search', scope: { tenant }, at: noon },
      ]),
    });
    await server.metrics.record({ name: 'cost_per_report', value: 0.4 });
    await server.metrics.record({ name: 'escalation_rate', value: 40 });
  });
  afterEach(async () => {
    await page.context().close();
    await server.stop();
    expect(complaints).toEqual([]);
  });
  afterAll(() => browser?.close());

  const open = async (options: BrowserContextOptions = {}, hash = `#token=${token}`) => {
    ({ page, complaints } = await openPage(browser, server.url + hash, options));
    await page.locator(hash === '' ? 'form' : '.banner').waitFor();
  };

  /** What the rules of WCAG 2.2 AA say against the page as it stands. */
  async function faults(within = 'body'): Promise<string[]> {
    await page.evaluate(axe);
    const tags = "['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']";
    const { violations, passes } = (await page.evaluate(`axe.run('${within}', { runOnly: ${tags} })`)) as Record<
      'violations' | 'passes',
      { id: string; nodes: { target: string[]; failureSummary: string }[] }[]
    >;
    expect(passes.map(({ id }) => id)).toContain('color-contrast');
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => `${id}: ${target} ${failureSummary}`));
  }

  const schemes = ['light', 'dark'] as const;
  const places = [
    ['a desk', {}],
    ['a phone', phone],
  ] as const;
  for (const colorScheme of schemes) {
    test.each(places)(
      `keeps the rules of accessibility in ${colorScheme} on %s`,
      async (_, options) => {
        await open({ ...options, colorScheme, bypassCSP: true });
        for (const summary of await page.locator('summary').all()) await summary.click();
        expect(await faults()).toEqual([]);
        // the banner of every level
        for (const level of Object.keys(spends)) {
          await page.getByLabel('Tenant', { exact: true }).selectOption(level);
          await page.locator(`.banner[data-level="${level}"]`).waitFor();
          expect(await faults('.banner')).toEqual([]);
        }
        expect(await page.evaluate('document.scrollingElement.scrollWidth <= document.documentElement.clientWidth')).toBe(true);
      },
      120_000,
    );

    test(`keeps them where it asks for a token in ${colorScheme}`, async () => {
      await open({ colorScheme, bypassCSP: true }, '');
      expect(await faults()).toEqual([]);
    });
  }

  /** Which colours a chart is drawn in, the most frequent first. */
  const inks = () =>
    page.evaluate(`(() => {
      const canvas = document.querySelector('section[aria-labelledby=spend] canvas');
      const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
      copy.drawImage(canvas, 0, 0);
      const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
      const counts = {};
      for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] < 255) continue;
        const ink = [data[at], data[at + 1], data[at + 2]].join();
        counts[ink] = (counts[ink] ?? 0) + 1;
      }
      return Object.keys(counts).sort((a, b) => counts[b] - counts[a]);
    })()`) as Promise<string[]>;

  test('follows the scheme of the system while it is open, charts too', async () => {
    await open({ colorScheme: 'light' });
    const ground = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    await until(async () => (await inks()).slice(0, 2).includes('42,85,212'), { what: 'bars in the light scheme' });
    expect(await ground()).toBe('rgb(245, 246, 248)');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await ground()).toBe('rgb(14, 17, 21)');
    await until(async () => (await inks()).slice(0, 2).includes('143,171,255'), { what: 'bars in the dark scheme' });
  });

  /** What has the focus, as a screen reader would say it. */
  const focused = () =>
    page.evaluate(`(() => {
      const element = document.activeElement;
      if (element === document.body) return 'nothing';
      const label = element.labels?.[0]?.innerText ?? element.getAttribute('aria-label') ?? element.innerText;
      return element.localName + ' ' + label.trim().split('\\n')[0];
    })()`) as Promise<string>;

  test('everything is reached and done by the keyboard', async () => {
    await open();
    await page.locator('caption', { hasText: 'Trend of' }).waitFor({ state: 'attached' });
    const walk: string[] = [];
    for (;;) {
      await page.keyboard.press('Tab');
      const name = await focused();
      if (name === 'nothing' || walk.includes(name)) break;
      walk.push(name);
      const outlined = `(() => { const e = document.activeElement; const of = e.type === 'radio' ? e.nextElementSibling : e;
        return getComputedStyle(of).outlineStyle !== 'none'; })()`;
      expect(await page.evaluate(outlined), `${name} shows that it has the focus`).toBe(true);
    }
    expect(walk).toEqual([
      ...['input 30 days', 'select Tenant', 'select Project', 'summary As a table', 'div Budgets', 'div By model'],
      ...['div By tenant', 'button blocked', 'button critical', 'button warning', 'button ok', 'div By tool'],
      ...['div Value metrics', 'button report generation time saved', 'button planning time saved', 'button issue detection rate'],
      ...['button false positive rate', 'button traceability score', 'button response adoption rate', 'button human intervention rate'],
      ...['button escalation rate', 'button cost per report', 'button token efficiency'],
      // the twin of the trend has the same name as the first one, where the walk ends
    ]);
  });

  test('the keys of each thing do what they do elsewhere', async () => {
    await open();
    await page.getByLabel('30 days').focus();
    await page.keyboard.press('ArrowRight');
    await until(() => page.url().includes('days=90'), { what: 'the next period' });
    expect(await focused()).toBe('input 90 days');
    await page.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    await page.locator('[role=group][aria-label="Spend over time"]').waitFor({ state: 'visible' });
    await page.getByRole('button', { name: 'warning' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.banner[data-level="warning"]').waitFor();
    await page.getByRole('button', { name: 'escalation rate' }).focus();
    await page.keyboard.press('Space');
    await page.locator('caption', { hasText: 'Trend of escalation_rate' }).waitFor({ state: 'attached' });
  });
});
