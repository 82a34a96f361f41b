import { ManualClock } from '@tidegate/test-kit';
import { bearerTokens, usageHandler, valueMetricsHandler } from '../../src/http.ts';
import { type BudgetOptions, CostTracker, memoryStore, type RecordOptions, type UsageStore } from '../../src/index.ts';
import { ValueMetrics, type ValueStore } from '../../src/value.ts';

/** Who may ask in these tests: an operator, one who only reads, and a tenant's owner and reader. */
export const tokens = {
  operator: 'operator-0123456789',
  auditor: 'auditor-0123456789a',
  acme: 'acme-owner-01234567',
  acmeReader: 'acme-reader-0123456',
} as const;

export const noon = Date.parse('2026-03-15T12:00:00Z');

export const budgets: BudgetOptions[] = [
  { name: 'acme', scope: { tenant: 'acme' }, limitUsd: '10', period: 'month' },
  { name: 'globex', scope: { tenant: 'globex' }, limitUsd: 20, period: 'day', timeZone: 'Asia/Seoul' },
  { name: 'small models', scope: { model: 'mini' }, limitUsd: '5', period: { rollingMs: 3_600_000 }, thresholds: { warning: 0.5 } },
];

const day = 86_400_000;

/** Calls of two tenants over two months. */
export const calls: RecordOptions[] = [
  { kind: 'tool', name: 'search', scope: { tenant: 'acme', project: 'atlas', user: 'mina' }, amountUsd: '0.25', dedupeKey: 'a', at: noon },
  { kind: 'tool', name: 'search', scope: { tenant: 'globex' }, amountUsd: '4', dedupeKey: 'b', at: noon - day, success: false },
  { kind: 'llm', model: 'mini', provider: 'openai', scope: { tenant: 'acme' }, amountUsd: '1.5', dedupeKey: 'c', at: noon - day },
  { kind: 'llm', model: 'large', provider: 'openai', scope: { tenant: 'acme' }, amountUsd: '2', dedupeKey: 'd', at: noon - 40 * day },
  { kind: 'resource', name: 'file:///notes', scope: { tenant: 'acme', project: 'atlas' }, dedupeKey: 'e', at: noon - 2 * day },
];

/** What a request of these tests may say. */
export interface Asking {
  token?: string;
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A tracker with calls behind both handlers. */
export async function served({
  store = memoryStore(),
  recorded = calls,
}: {
  store?: UsageStore & ValueStore;
  recorded?: RecordOptions[];
} = {}) {
  const clock = new ManualClock({ wall: noon });
  const tracker = new CostTracker({ store, budgets, clock });
  for (const call of recorded) await tracker.record(call);
  const metrics = new ValueMetrics({ store, clock });
  const authenticate = bearerTokens({
    [tokens.operator]: { allTenants: true, mayWrite: true },
    [tokens.auditor]: { allTenants: true },
    [tokens.acme]: { tenant: 'acme', mayWrite: true },
    [tokens.acmeReader]: { tenant: 'acme' },
  });
  const usage = usageHandler({ tracker, authenticate, clock });
  const values = valueMetricsHandler({ metrics, authenticate });
  const ask = (path: string, { token = tokens.operator, method = 'GET', body, headers = {}, signal }: Asking = {}) => {
    const request = new Request(`http://127.0.0.1${path}`, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    return path.startsWith('/api/value-metrics') ? values(request) : usage(request);
  };
  const json = async (path: string, asking?: Asking) => (await (await ask(path, asking)).json()) as never;
  return { tracker, metrics, clock, ask, json };
}
