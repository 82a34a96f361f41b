import { serve } from '@hono/node-server';
import { CostTracker } from '@tidegate/cost-tracker';
import { type BudgetReport, bearerTokens, usageHandler, usagePage, valueMetricsHandler } from '@tidegate/cost-tracker/http';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';
import { ValueMetrics } from '@tidegate/cost-tracker/value';
import { Hono } from 'hono';

const store = sqliteStore(':memory:');
const tracker = new CostTracker({ store, budgets: [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '50', period: 'month' }] });
const metrics = new ValueMetrics({ store });
const token = process.env['USAGE_TOKEN'] ?? crypto.randomUUID();
const authenticate = bearerTokens({ [token]: { allTenants: true, mayWrite: true } }); // or any function of the request

const usage = usageHandler({ tracker, authenticate });
const value = valueMetricsHandler({ metrics, authenticate });
const page = usagePage();
const app = new Hono();
app.all('/api/usage/*', ({ req }) => usage(req.raw));
app.all('/api/value-metrics/*', ({ req }) => value(req.raw));
app.all('/usage/*', ({ req }) => page(req.raw));

await tracker.record({ kind: 'tool', name: 'search', scope: { tenant: 'acme' }, amountUsd: '46.5', dedupeKey: 'call-1' });

const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, async ({ port }) => {
  const at = `http://127.0.0.1:${port}`;
  console.log(`${at}/usage/#token=${token}`); // http://127.0.0.1:…/usage/#token=…

  console.log((await fetch(`${at}/api/usage/summary`)).status); // 401
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'acme', limitUsd: '60' });
  const budget = await fetch(`${at}/api/usage/budget`, { method: 'PUT', headers, body }); // acts on the next call
  const { limitUsd, level, headroomUsd } = (await budget.json()) as BudgetReport;
  console.log({ limitUsd, level, headroomUsd }); // { limitUsd: '60', level: 'ok', headroomUsd: '13.5' }
  const rows = await (await fetch(`${at}/api/usage/rows?format=csv&days=1`, { headers })).text();
  console.log(rows.split('\r\n')[0]?.slice(0, 35)); // at,recordedAt,id,correction,tenant,
  if (!process.argv.includes('--stay')) server.close();
});
