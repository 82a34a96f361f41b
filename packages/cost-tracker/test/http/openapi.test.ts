import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { openApiDocument } from '../../src/http.ts';
import { type Asking, served, tokens } from './served.ts';

interface Operation {
  parameters: { name: string; in: string; schema: object }[];
  requestBody?: object;
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}

const document = openApiDocument as unknown as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
);

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true });
(addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
ajv.addVocabulary(['components', 'info', 'openapi', 'paths', 'security']);
ajv.addSchema({ ...openApiDocument, $id: 'document' });

function expectValid(schema: object, value: unknown): void {
  const text = JSON.stringify(schema).replaceAll('"#/components', '"document#/components');
  const validate = ajv.compile(JSON.parse(text));
  validate(value);
  expect(validate.errors ?? []).toEqual([]);
}

/** Fills the path's parameters. */
const addressOf = (path: string) => path.replace('{name}', 'cost_per_report');
const schemaOf = ({ responses }: Operation, status: number, type: string) => {
  return responses[status]?.content?.[type]?.schema ?? expect.fail(`the document has no ${type} for ${status}`);
};

const { ask, metrics, tracker } = await served();
await metrics.record({ name: 'cost_per_report', value: 0.4, scope: { tenant: 'acme' } });
await tracker.record({
  ...{ kind: 'llm', model: 'mini', scope: { tenant: 'acme', traceId: 'trace-1' }, dedupeKey: 'full', amountUsd: '0.1' },
  ...{ usage: { inputTokens: 10, cacheReadTokens: 5 }, durationMs: 12.5, metadata: { prompt: '=1+1' } },
});

test('the document is served as it is exported', async () => {
  expect(await (await ask('/api/usage/openapi.json')).json()).toEqual(openApiDocument);
});

test('every schema compiles, and every reference leads to one', () => {
  for (const [, reference] of JSON.stringify(openApiDocument).matchAll(/"\$ref":"([^"]*)"/g)) {
    expect(Object.keys(document.components.schemas)).toContain(reference?.replace('#/components/schemas/', ''));
  }
  for (const schema of Object.values(document.components.schemas)) expectValid({ anyOf: [schema, true] }, null);
});

/** Queries that each read is asked with beside none; each has to be in the document. */
const queries: Record<string, string[]> = {
  '/api/usage/series': ['days=2', 'days=1&granularity=hour&timeZone=Asia/Seoul', 'from=2026-01-01T00:00:00Z&granularity=month'],
  '/api/usage/summary': [
    '',
    'days=30',
    'from=2026-01-01T00:00:00Z&to=2026-04-01T00:00:00Z&tenant=acme&project=atlas&user=mina&tool=search',
  ],
  '/api/usage/monthly': ['', 'month=2026-02', 'org=none&key=none&model=none'],
  '/api/usage/by-model': ['', 'days=2'],
  '/api/value-metrics/summary': ['', 'period_days=7&project_id=atlas&tenant_id=acme'],
  '/api/value-metrics/trends/{name}': ['', 'granularity=weekly', 'granularity=monthly&period_days=90'],
};

describe.each(operations)('$method $path', ({ path, method, operation }) => {
  const asking: Asking = method === 'PUT' ? { method, body: { name: 'acme', limitUsd: '11' } } : { method };

  test('is refused without credentials', async () => {
    for (const token of ['', 'unknown-token-0123']) {
      const refused = await ask(addressOf(path), { ...asking, token });
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer /);
      expectValid(schemaOf(operation, 401, 'application/problem+json'), await refused.json());
    }
  });

  test('answers as the document says', async () => {
    for (const query of queries[path] ?? ['']) {
      const answer = await ask(`${addressOf(path)}?${query}`, asking);
      expect(answer.status, query).toBe(200);
      const type = answer.headers.get('content-type') ?? '';
      const schema = schemaOf(operation, 200, type);
      const lines = type === 'application/x-ndjson' ? (await answer.text()).trimEnd().split('\n') : [await answer.text()];
      expect(lines.length).toBeGreaterThan(0);
      for (const line of lines) expectValid(schema, JSON.parse(line));
      const named = [...new URLSearchParams(query).keys()];
      const known = operation.parameters.filter(({ in: where }) => where === 'query').map(({ name }) => name);
      expect(known).toEqual(expect.arrayContaining(named));
    }
  });

  test('takes every parameter of the document and no other', async () => {
    const refused = (await (await ask(`${addressOf(path)}?unknown=1`, asking)).json()) as { status: number; detail: string };
    expect(refused).toMatchObject({ status: 400, parameter: 'unknown' });
    expectValid(schemaOf(operation, 400, 'application/problem+json'), refused);
    const known = operation.parameters.filter(({ in: where }) => where === 'query').map(({ name }) => name);
    expect(refused.detail.split('known are ')[1]?.split(', ').sort()).toEqual((known.length === 0 ? ['none'] : known).sort());
  });

  test('refuses a tenant what the document says it may', async () => {
    const answer = await ask(addressOf(path), { ...asking, token: tokens.acmeReader });
    if (answer.status === 403) expectValid(schemaOf(operation, 403, 'application/problem+json'), await answer.json());
    else expect(operation.responses).toHaveProperty(String(answer.status));
  });
});

test('CSV is in the document too', async () => {
  const answer = await ask('/api/usage/rows?format=csv');
  const operation = document.paths['/api/usage/rows']?.['get'] as Operation;
  expectValid(schemaOf(operation, 200, (answer.headers.get('content-type') ?? '').split(';')[0] as string), await answer.text());
});
