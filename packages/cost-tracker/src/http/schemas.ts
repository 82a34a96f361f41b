import { countedParts, inputParts, outputParts } from '../usage.ts';

/** A JSON Schema. */
export type Schema = Readonly<Record<string, unknown>>;

/** An object with these fields, all of them there and no others; those named as optional may be missing. */
export function record(fields: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(fields).filter((name) => !optional.includes(name));
  return { type: 'object', properties: fields, required, additionalProperties: false };
}

/** A reference to one of {@link schemas}. */
export function ref(name: keyof typeof schemas): Schema {
  return { $ref: `#/components/schemas/${name}` };
}

const text: Schema = { type: 'string' };
const textOrNull: Schema = { type: ['string', 'null'] };
const number: Schema = { type: 'number' };
const numberOrNull: Schema = { type: ['number', 'null'] };
const integer: Schema = { type: 'integer' };
const instant: Schema = { type: 'string', format: 'date-time' };
const instantOrNull: Schema = { type: ['string', 'null'], format: 'date-time' };
const usd: Schema = { type: 'string', pattern: '^-?\\d+(\\.\\d{1,9})?$', description: 'US dollars, a decimal' };
const kind: Schema = { type: 'string', enum: ['llm', 'tool', 'resource', 'prompt'] };
const list = (items: Schema): Schema => ({ type: 'array', items });

const counts = {
  calls: integer,
  failures: integer,
  unpriced: integer,
  inputTokens: integer,
  cacheReadTokens: integer,
  outputTokens: integer,
};
const totals = { ...counts, totalUsd: usd };
const span = { from: instantOrNull, to: instantOrNull, timeZone: text };
const modelTotals = list(record({ model: text, provider: text, ...totals }));
const dimension = { type: 'string', minLength: 1 };
const scope = record(
  { org: dimension, tenant: dimension, project: dimension, user: dimension, key: dimension, model: dimension, tool: dimension },
  ['org', 'tenant', 'project', 'user', 'key', 'model', 'tool'],
);
const period: Schema = {
  oneOf: [
    { type: 'string', enum: ['day', 'week', 'month'] },
    record({ rollingMs: { type: 'number', minimum: 60_000, maximum: 31_622_400_000 } }),
  ],
};
const fraction: Schema = { type: 'number', exclusiveMinimum: 0, maximum: 10 };
const thresholds = { warning: fraction, critical: fraction, blocked: fraction };
const unpriced: Schema = { type: 'string', enum: ['refuse', 'allow'] };

const parts = [...inputParts, ...outputParts, ...countedParts];
const category: Schema = { type: 'string', enum: ['efficiency', 'quality', 'adoption', 'cost'] };
const standing = record({
  current: numberOrNull,
  target: number,
  unit: text,
  status: { type: 'string', enum: ['on_track', 'below_target', 'above_target', 'no_data'] },
  sample_count: integer,
  category,
});
const standings: Schema = { type: 'object', additionalProperties: standing };

/** What goes over the wire, by name. */
export const schemas = {
  UsageSummary: record({
    ...span,
    ...totals,
    byName: list(record({ kind, name: text, ...totals })),
    byModel: modelTotals,
    byTenant: list(record({ tenant: text, ...totals })),
    byProject: list(record({ project: text, ...totals })),
  }),
  MonthlyUsage: record({ month: { type: 'string', pattern: '^\\d{4}-\\d\\d$' }, ...span, ...totals }),
  ModelUsage: record({ ...span, models: modelTotals }),
  UsageSeries: record({
    granularity: { type: 'string', enum: ['hour', 'day', 'week', 'month'] },
    timeZone: text,
    from: instant,
    to: instant,
    points: list(record({ period: text, from: instant, to: instant, ...totals })),
  }),
  UsageRow: record({
    ...{ at: instant, recordedAt: instant, id: text, correction: integer },
    ...{ tenant: textOrNull, org: textOrNull, project: textOrNull, user: textOrNull, key: textOrNull },
    ...{ kind, name: text, provider: textOrNull, servedModel: textOrNull },
    amountUsd: usd,
    costSource: { type: 'string', enum: ['unpriced', 'estimated', 'partial', 'priced', 'reported'] },
    ...{ priceVersion: textOrNull, revision: integer, success: { type: 'boolean' }, failures: integer, unpriced: integer },
    ...{ durationMs: numberOrNull, traceId: textOrNull },
    usage: record(Object.fromEntries(parts.map((part) => [part, integer])), parts),
    priceLines: { type: ['array', 'null'] },
    metadata: { type: ['object', 'null'] },
  }),
  Budget: record({
    ...{ name: text, level: { type: 'string', enum: ['ok', 'warning', 'critical', 'blocked'] } },
    ...{ spentUsd: usd, reservedUsd: usd, limitUsd: usd, headroomUsd: usd, usedRatio: number },
    ...{ periodStart: instant, resetsAt: instant },
    ...{ scope, period, timeZone: text, thresholds: record(thresholds), unpriced },
    etag: { type: 'string', description: 'Of what was set, not of what was spent: for If-Match' },
  }),
  Budgets: record({ budgets: list({ $ref: '#/components/schemas/Budget' }) }),
  BudgetChange: {
    ...record(
      {
        name: { type: 'string', minLength: 1 },
        scope,
        limitUsd: { type: ['string', 'number'], description: 'Above 0, at most nine decimals' },
        ...{ period, timeZone: text, thresholds: record(thresholds, Object.keys(thresholds)), unpriced },
      },
      ['scope', 'limitUsd', 'period', 'timeZone', 'thresholds', 'unpriced'],
    ),
    description: 'A new budget needs scope, limitUsd and period; of one that there is, what is not named stays as it is',
  },
  ValueSummary: record({
    period_days: integer,
    project_id: textOrNull,
    by_category: record({ efficiency: standings, quality: standings, adoption: standings, cost: standings }),
    overall_health: record({
      score: numberOrNull,
      status: { type: 'string', enum: ['healthy', 'warning', 'critical', 'no_data'] },
      on_track_count: integer,
      total_count: integer,
    }),
  }),
  ValueTrends: record({
    metric: text,
    definition: record({ description: text, unit: text, target: number }),
    trends: list(record({ period: text, value: numberOrNull, count: integer })),
  }),
  MetricDefinitions: record({
    definitions: list(
      record({
        ...{ name: text, category, description: text, unit: text, target_value: number },
        direction: { type: 'string', enum: ['higher_better', 'lower_better'] },
        aggregation: { type: 'string', enum: ['sum', 'avg', 'count', 'p95'] },
      }),
    ),
  }),
  OpenApi: {
    type: 'object',
    properties: { openapi: { const: '3.1.0' }, info: { type: 'object' }, paths: { type: 'object' } },
    required: ['openapi', 'info', 'paths'],
  },
  Problem: record(
    {
      type: { const: 'about:blank' },
      ...{ title: text, status: integer, code: { type: 'string', pattern: '^ERR_[A-Z_]+$' }, detail: text },
      pointer: { type: 'string', format: 'json-pointer', description: 'Where in a bad body' },
      parameter: { type: 'string', description: 'Which parameter of a bad query' },
    },
    ['pointer', 'parameter'],
  ),
} as const satisfies Readonly<Record<string, Schema>>;
