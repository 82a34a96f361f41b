import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { ManualClock, serverBinary } from '@tidegate/test-kit';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { bearerTokens, type Principal, usageHandler, usagePage, valueMetricsHandler } from '../../src/http.ts';
import { type BudgetOptions, CostTracker, memoryStore, type RecordOptions } from '../../src/index.ts';
import { ValueMetrics } from '../../src/value.ts';

export const noon = Date.parse('2026-03-15T12:00:00Z');
export const day = 86_400_000;
export const token = 'operator-0123456789';
export const acmeToken = 'acme-0123456789abcd';

type Unkeyed<Each> = Each extends unknown ? Omit<Each, 'dedupeKey'> : never;

/** A call that was made. */
export type Call = Unkeyed<RecordOptions>;

/** What a test puts behind the page. */
export interface PageServerOptions {
  budgets?: BudgetOptions[];
  calls?: Call[];
  withValues?: boolean;
}

const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'];
const quiet = ['--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Starts the browser that the machine has. */
export function startBrowser(): Promise<Browser> {
  const executablePath = serverBinary('chromium');
  if (executablePath === undefined) throw new Error('chromium is not installed');
  return chromium.launch({ executablePath, args: [...flags, ...quiet] });
}

/** The page and its routes on a real server, over a ledger that stands still at noon. */
export class PageServer {
  readonly tracker: CostTracker;
  readonly metrics: ValueMetrics;
  /** Who is known; a test may change it. */
  readonly principals: Record<string, Principal> = { [token]: { allTenants: true }, [acmeToken]: { tenant: 'acme' } };
  /** Every answer of a route: its path and status. */
  readonly answers: { readonly path: string; readonly status: number }[] = [];
  /** Answers instead of the routes while it is there. */
  failing: (() => Response) | undefined;
  readonly #server: ReturnType<typeof serve>;
  #calls = 0;

  private constructor({ budgets = [], withValues = true }: PageServerOptions) {
    const clock = new ManualClock({ wall: noon });
    const store = memoryStore();
    this.tracker = new CostTracker({ store, budgets, clock });
    this.metrics = new ValueMetrics({ store, clock });
    const authenticate = (request: Request) => bearerTokens(this.principals)(request);
    const usage = usageHandler({ tracker: this.tracker, authenticate, clock });
    const values = valueMetricsHandler({ metrics: this.metrics, authenticate });
    const page = usagePage();
    const api = async (request: Request, handler: (request: Request) => Promise<Response>) => {
      const response = this.failing?.() ?? (await handler(request));
      this.answers.push({ path: new URL(request.url).pathname, status: response.status });
      return response;
    };
    const fetch = (request: Request): Promise<Response> => {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith('/api/usage/')) return api(request, usage);
      if (withValues && pathname.startsWith('/api/value-metrics/')) return api(request, values);
      return page(request);
    };
    this.#server = serve({ fetch, port: 0, hostname: '127.0.0.1' });
  }

  static async start(options: PageServerOptions = {}): Promise<PageServer> {
    const server = new PageServer(options);
    await once(server.#server, 'listening');
    for (const call of options.calls ?? []) await server.spend(call);
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/usage/`;
  }

  async spend(call: Call): Promise<void> {
    await this.tracker.record({ ...call, dedupeKey: `call-${this.#calls++}` } as RecordOptions);
  }

  async stop(): Promise<void> {
    this.#server.close();
    (this.#server as { closeAllConnections?: () => void }).closeAllConnections?.();
    await this.tracker.close();
  }
}

/** A page in a context of its own, and all that it complained of. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; complaints: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1_200, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('console', (message) => {
    // The browser itself says so of every answer that is no success.
    if (['error', 'warning'].includes(message.type()) && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    complaints.push(`dialog ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  return { page, complaints };
}

/** The cells of a table by its caption, a list for each row, the head first. */
export function cellsOf(page: Page, caption: string): Promise<string[][]> {
  const table = page.locator('table').filter({ has: page.locator('caption', { hasText: new RegExp(`^${caption}$`) }) });
  return table
    .locator('tr')
    .evaluateAll((rows) =>
      rows.map((row) => [...(row as unknown as { cells: { textContent: string }[] }).cells].map(({ textContent }) => textContent.trim())),
    );
}

/** Lets the page ask again at once, as it does when somebody comes back to it. */
export async function refresh(page: Page): Promise<void> {
  await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
}
