import { mostDays, scopeParameters } from './query.ts';
import { ref, type Schema, schemas } from './schemas.ts';
import { granularities } from './series.ts';

interface Parameter {
  readonly name: string;
  readonly in: 'query' | 'path' | 'header';
  readonly required: boolean;
  readonly description: string;
  readonly schema: Schema;
}

const query = (name: string, description: string, schema: Schema): Parameter => ({
  name,
  in: 'query',
  required: false,
  description,
  schema,
});
const header = (name: string, description: string): Parameter => ({
  ...{ name, in: 'header', required: false, description },
  schema: { type: 'string' },
});

const text = { type: 'string', minLength: 1 };
const instant = { type: 'string', format: 'date-time' };
const scope = scopeParameters.map((name) => query(name, `Only calls of this ${name}`, text));
const zone = query('timeZone', 'IANA zone of days, weeks and months', text);
const span = [
  query('from', 'First instant that counts', instant),
  query('to', 'First instant after', instant),
  query('days', 'So many calendar days up to the end of today, in place of from and to', {
    type: 'integer',
    minimum: 1,
    maximum: mostDays,
  }),
  zone,
];
const month = query('month', 'Which month; the current one by default', { type: 'string', pattern: '^\\d{4}-\\d{2}$' });
const granularity = query('granularity', 'How long the parts are', { type: 'string', enum: granularities, default: 'day' });
const format = query('format', 'How rows are written', { type: 'string', enum: ['ndjson', 'csv'], default: 'ndjson' });

const valueScope = [
  query('period_days', 'How many days back, of 24 hours; at most the retention', { type: 'integer', minimum: 1, default: 30 }),
  query('project_id', 'Only values of this project', text),
  query('tenant_id', 'Only values of this tenant', text),
];
const valueGranularity = query('granularity', 'How long the periods are', {
  type: 'string',
  enum: ['daily', 'weekly', 'monthly'],
  default: 'daily',
});
const metric: Parameter = { name: 'name', in: 'path', required: true, description: 'Name of a metric', schema: text };

const problem = (description: string) => ({ description, content: { 'application/problem+json': { schema: ref('Problem') } } });
const json = (name: keyof typeof schemas) => ({ 'application/json': { schema: ref(name) } });
const tag = { ETag: { description: 'For If-None-Match', schema: { type: 'string' } } };
const refusals = {
  400: problem('The query or the body is not as described'),
  401: problem('The credentials are missing or not known'),
  403: problem('The credentials do not reach so far'),
  503: problem('The ledger cannot be read or written'),
};

function read(operationId: string, summary: string, answer: keyof typeof schemas, parameters: readonly Parameter[]) {
  const responses = { 200: { description: summary, headers: tag, content: json(answer) }, 304: { description: 'As it was' }, ...refusals };
  return { operationId, summary, parameters: [...parameters, header('If-None-Match', 'Tags of answers that the client has')], responses };
}

const rows = {
  operationId: 'getUsageRows',
  summary: 'The rows of the ledger in the order of their time',
  parameters: [...scope, ...span, format],
  responses: {
    200: {
      description: 'A row a line. Text in CSV that a spreadsheet would run as a formula has an apostrophe before it.',
      content: { 'application/x-ndjson': { schema: ref('UsageRow') }, 'text/csv': { schema: { type: 'string' } } },
    },
    ...refusals,
  },
};

const putBudget = {
  operationId: 'putBudget',
  summary: 'Sets a budget, or changes some options of one, from the next reservation on',
  parameters: [header('If-Match', 'The etag of the budget that is changed'), header('If-None-Match', '* where the budget must be new')],
  requestBody: { required: true, content: json('BudgetChange') },
  responses: {
    200: { description: 'The budget as it is now', headers: tag, content: json('Budget') },
    ...refusals,
    412: problem('The budget is not as If-Match or If-None-Match says'),
    413: problem('The body is too large'),
    415: problem('The body is no JSON'),
  },
};

/**
 * The OpenAPI 3.1 description of everything under `/api/usage` and `/api/value-metrics`: parameters, answers, refusals. It is also at
 * `GET /api/usage/openapi.json`.
 */
export const openApiDocument: Readonly<Record<string, unknown>> = deepFreeze({
  openapi: '3.1.0',
  info: { title: 'Usage, budgets and value metrics', version: '1.0.0', license: { name: 'MIT', identifier: 'MIT' } },
  security: [{ bearer: [] }],
  paths: {
    '/api/usage/summary': { get: read('getUsageSummary', 'The ledger added up', 'UsageSummary', [...scope, ...span]) },
    '/api/usage/monthly': { get: read('getMonthlyUsage', 'A calendar month added up', 'MonthlyUsage', [...scope, month, zone]) },
    '/api/usage/by-model': { get: read('getModelUsage', 'Calls of models added up', 'ModelUsage', [...scope, ...span]) },
    '/api/usage/series': {
      get: read('getUsageSeries', 'Usage over time; from or days is needed', 'UsageSeries', [...scope, ...span, granularity]),
    },
    '/api/usage/rows': { get: rows },
    '/api/usage/budget': { get: read('getBudgets', 'The budgets and where they stand', 'Budgets', []), put: putBudget },
    '/api/usage/openapi.json': { get: read('getOpenApi', 'This document', 'OpenApi', []) },
    '/api/value-metrics/summary': { get: read('getValueSummary', 'Where every metric stands', 'ValueSummary', valueScope) },
    '/api/value-metrics/trends/{name}': {
      get: withNotFound(read('getValueTrends', 'How one metric went', 'ValueTrends', [metric, ...valueScope, valueGranularity])),
    },
    '/api/value-metrics/definitions': { get: read('getMetricDefinitions', 'What the metrics mean', 'MetricDefinitions', []) },
  },
  components: {
    schemas,
    securitySchemes: { bearer: { type: 'http', scheme: 'bearer', description: 'Or whatever else the server authenticates by' } },
  },
});

function withNotFound<Operation extends { readonly responses: object }>(operation: Operation) {
  return { ...operation, responses: { ...operation.responses, 404: problem('No metric has that name') } };
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const each of Object.values(value)) deepFreeze(each);
  return Object.freeze(value);
}
