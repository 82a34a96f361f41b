import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { AggregationTemporality, InMemoryMetricExporter, MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics';
import { ManualClock } from '@tidegate/test-kit';
import * as client from 'prom-client';
import { afterEach, describe, expect, test } from 'vitest';
import { type BudgetOptions, CostTracker, memoryStore, StoreError, type UsageStore } from '../src/index.ts';
import { instrumentCostTracker, type OtelOptions } from '../src/otel.ts';
import { type PrometheusOptions, registerCostTracker } from '../src/prometheus.ts';
import type { TelemetrySource } from '../src/telemetry.ts';

type Numbers = Record<string, number>;

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const series = (name: string, labels: Record<string, unknown>) =>
  `${name}{${Object.entries(labels)
    .map(([label, value]) => `${label}="${value}"`)
    .sort()
    .join(',')}}`;

function otel(source: TelemetrySource, options: Partial<OtelOptions> = {}) {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  ends.push(() => provider.shutdown());
  const stop = instrumentCostTracker(source, { meter: provider.getMeter('test'), ...options });
  const collect = async () => {
    exporter.reset();
    await provider.forceFlush();
    return exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics));
  };
  const numbers = async (): Promise<Numbers> =>
    Object.fromEntries(
      (await collect()).flatMap(({ descriptor, dataPoints }) =>
        dataPoints.map(({ attributes, value }) => [series(descriptor.name, attributes), Number(value)]),
      ),
    );
  return { collect, numbers, stop };
}

function prometheus(source: TelemetrySource, options: Partial<PrometheusOptions<client.Registry>> = {}) {
  const register = new client.Registry();
  const stop = registerCostTracker(source, { client, register, service: 'shop', role: 'api', shard: '7', ...options });
  const numbers = async (): Promise<Numbers> => {
    const found: Numbers = {};
    for (const { name, values } of await register.getMetricsAsJSON()) {
      for (const { labels, value } of values) found[series(name, labels)] = value;
    }
    return found;
  };
  return { register, numbers, stop };
}

const matching = (numbers: Numbers, start: string): Numbers =>
  Object.fromEntries(Object.entries(numbers).filter(([name]) => name.startsWith(start)));

const budgets: BudgetOptions[] = [
  { name: 'team', scope: { tenant: 'acme' }, limitUsd: '2', period: 'month', unpriced: 'allow' },
  { name: 'gpt', scope: { model: 'gpt-5' }, limitUsd: '100', period: 'day', unpriced: 'allow' },
];

function trackerOver(store: UsageStore = memoryStore(), own: BudgetOptions[] = budgets) {
  // nothing has a price but by the caller's own word
  const prices = { price: () => undefined };
  const tracker = new CostTracker({ store, budgets: own, prices, clock: new ManualClock() });
  ends.push(() => tracker.close());
  return tracker;
}

const call = (dedupeKey: string, amountUsd: string | undefined, usage: object, more: object = {}) => ({
  kind: 'llm' as const,
  model: 'gpt-5',
  provider: 'openai',
  scope: { tenant: 'acme' },
  dedupeKey,
  ...(amountUsd !== undefined && { amountUsd }),
  usage,
  ...more,
});

const everyPart = {
  inputTokens: 1,
  cacheReadTokens: 2,
  cacheWriteTokens: 4,
  cacheWrite1hTokens: 8,
  inputAudioTokens: 16,
  cacheReadAudioTokens: 32,
  inputImageTokens: 64,
  inputVideoTokens: 128,
  outputTokens: 256,
  reasoningTokens: 512,
  outputAudioTokens: 1_024,
  outputImageTokens: 2_048,
};

describe('Prometheus', () => {
  const fixed = { service: 'shop', role: 'api', shard: '7' };
  const model = { ...fixed, tenant: 'acme', model: 'gpt-5', provider: 'openai' };

  test('tokens by direction and part, which add up, and their cost', async () => {
    const tracker = trackerOver();
    const { numbers, register } = prometheus(tracker);
    await tracker.record(call('a', '0.5', everyPart));
    await tracker.record(call('b', '0.25', { inputTokens: 1_000, requests: 3 }));
    const tokens = (direction: string, part: string) => series('tidegate_llm_tokens_total', { ...model, direction, part });
    expect(matching(await numbers(), 'tidegate_llm')).toEqual({
      [tokens('input', 'text')]: 1_001,
      [tokens('input', 'cache_read')]: 34,
      [tokens('input', 'cache_write')]: 12,
      [tokens('input', 'audio')]: 16,
      [tokens('input', 'image')]: 64,
      [tokens('input', 'video')]: 128,
      [tokens('output', 'text')]: 256,
      [tokens('output', 'reasoning')]: 512,
      [tokens('output', 'audio')]: 1_024,
      [tokens('output', 'image')]: 2_048,
      [series('tidegate_llm_cost_usd_total', model)]: 0.75,
    });
    expect(await register.metrics()).toContain(
      'tidegate_llm_cost_usd_total{service="shop",role="api",shard="7",tenant="acme",model="gpt-5",provider="openai"} 0.75',
    );
  });

  test('what a correction takes back stands beside what was counted, and never lowers it', async () => {
    const tracker = trackerOver();
    const { numbers } = prometheus(tracker);
    await tracker.record(call('a', '0.5', { inputTokens: 100, cacheReadTokens: 50, outputTokens: 10 }));
    await tracker.record(call('a', '0.2', { inputTokens: 60, cacheReadTokens: 50, outputTokens: 30 }, { revision: 1 }));
    await tracker.record({ kind: 'tool', name: 'search', scope: { tenant: 'acme' }, dedupeKey: 't', amountUsd: '0.1' });
    await tracker.record({ kind: 'tool', name: 'search', scope: { tenant: 'acme' }, dedupeKey: 't', amountUsd: '0.04', revision: 1 });
    const tokens = (name: string, direction: string, part: string) => series(name, { ...model, direction, part });
    const tool = { ...fixed, tenant: 'acme', kind: 'tool', name: 'search' };
    const all = await numbers();
    expect({ ...matching(all, 'tidegate_llm'), ...matching(all, 'tidegate_call') }).toEqual({
      [tokens('tidegate_llm_tokens_total', 'input', 'text')]: 100,
      [tokens('tidegate_llm_tokens_taken_back_total', 'input', 'text')]: 40,
      [tokens('tidegate_llm_tokens_total', 'input', 'cache_read')]: 50,
      [tokens('tidegate_llm_tokens_total', 'output', 'text')]: 30,
      [series('tidegate_llm_cost_usd_total', model)]: 0.5,
      [series('tidegate_llm_cost_taken_back_usd_total', model)]: 0.3,
      [series('tidegate_call_cost_usd_total', tool)]: 0.1,
      [series('tidegate_call_cost_taken_back_usd_total', tool)]: 0.06,
    });
  });

  test('what had no price, what was refused and which lines were crossed', async () => {
    const tracker = trackerOver();
    const { numbers } = prometheus(tracker);
    await tracker.record(call('a', undefined, { inputTokens: 5 }));
    await tracker.record(call('a', '2', { inputTokens: 5 }, { revision: 1 }));
    await tracker.record(call('b', undefined, { inputTokens: 5 }));
    await expect(tracker.reserve({ kind: 'tool', name: 'x', scope: { tenant: 'acme' }, amountUsd: '1' })).rejects.toThrow();
    await tracker.setBudget({ name: 'team', unpriced: 'refuse' });
    await expect(tracker.reserve({ kind: 'llm', model: 'new', scope: { tenant: 'acme' }, maxInputTokens: 1 })).rejects.toThrow();
    const all = await numbers();
    expect(all[series('tidegate_llm_unpriced_total', model)]).toBe(2);
    const refused = { ...fixed, tenant: 'acme', budget: 'team' };
    expect(matching(all, 'tidegate_budget_refused')).toEqual({
      [series('tidegate_budget_refused_total', { ...refused, kind: 'tool', code: 'ERR_BUDGET_EXCEEDED' })]: 1,
      [series('tidegate_budget_refused_total', { ...refused, kind: 'llm', code: 'ERR_UNPRICED_MODEL' })]: 1,
    });
    expect(matching(all, 'tidegate_budget_thresholds')).toEqual({
      [series('tidegate_budget_thresholds_total', { ...fixed, budget: 'team', level: 'warning' })]: 1,
      [series('tidegate_budget_thresholds_total', { ...fixed, budget: 'team', level: 'critical' })]: 1,
    });
  });

  test('where budgets stand, whoever spent, as long as they exist, asked for once a scrape', async () => {
    const memory = memoryStore();
    let asked = 0;
    const budgetState: typeof memory.budgetState = (...args) => {
      asked += 1;
      return memory.budgetState(...args);
    };
    const tracker = trackerOver({ ...memory, budgetState });
    const { numbers } = prometheus([tracker]);
    await new CostTracker({ store: memory, clock: new ManualClock() }).record(call('a', '1.5', {}));
    await tracker.setBudget({ name: 'late', scope: { tenant: 'beta' }, limitUsd: '4', period: 'day' });
    await tracker.reserve({ kind: 'tool', name: 'x', scope: { tenant: 'beta' }, amountUsd: '1' });
    const of = (budget: string, tenant: string) => ({ ...fixed, budget, tenant });
    const expected = (name: string, team: number, gpt: number, late: number) => ({
      [series(`tidegate_budget_${name}`, of('team', 'acme'))]: team,
      [series(`tidegate_budget_${name}`, of('gpt', ''))]: gpt,
      [series(`tidegate_budget_${name}`, of('late', 'beta'))]: late,
    });
    asked = 0;
    const { [series('tidegate_budget_thresholds_total', {})]: _, ...all } = await numbers();
    expect(asked).toBe(3);
    expect(matching(all, 'tidegate_budget')).toEqual({
      ...expected('spent_usd', 1.5, 1.5, 0),
      ...expected('reserved_usd', 0, 0, 1),
      ...expected('limit_usd', 2, 100, 4),
      ...expected('used_ratio', 0.75, 0.015, 0),
    });
    await tracker.unsetBudget('late');
    expect(Object.keys(matching(await numbers(), 'tidegate_budget')).some((name) => name.includes('late'))).toBe(false);
  });

  test('names that callers choose make no series without end', async () => {
    const tracker = trackerOver(memoryStore(), []);
    const { numbers } = prometheus(tracker, { maxSeries: 2 });
    for (let i = 0; i < 20; i += 1) {
      await tracker.record(call(`m${i}`, '1', { inputTokens: 1 }, { model: `model-${i}` }));
      await tracker.record({
        kind: 'tool',
        name: `${'x'.repeat(300)}${i}`,
        scope: { tenant: `t${i}` },
        dedupeKey: `t${i}`,
        amountUsd: '1',
      });
    }
    const all = await numbers();
    const costs = { ...matching(all, 'tidegate_llm_cost_usd'), ...matching(all, 'tidegate_call_cost_usd') };
    expect(costs).toEqual({
      [series('tidegate_llm_cost_usd_total', { ...model, model: 'model-0' })]: 1,
      [series('tidegate_llm_cost_usd_total', { ...fixed, tenant: 'other', model: 'other', provider: 'other' })]: 19,
      [series('tidegate_call_cost_usd_total', { ...fixed, kind: 'tool', tenant: 't0', name: 'x'.repeat(200) })]: 1,
      [series('tidegate_call_cost_usd_total', { ...fixed, kind: 'tool', tenant: 'other', name: 'other' })]: 19,
    });
  });

  test('without a service, role and shard the labels are there and empty', async () => {
    const tracker = trackerOver();
    const register = new client.Registry();
    registerCostTracker(tracker, { client, register });
    await tracker.record(call('a', '1', {}));
    expect(await register.metrics()).toContain('tidegate_llm_cost_usd_total{service="",role="",shard="",tenant="acme"');
  });

  test('ends with everything that it registered', async () => {
    const tracker = trackerOver();
    const { numbers, stop } = prometheus(tracker);
    await tracker.record(call('a', '1', {}));
    stop();
    await tracker.record(call('b', '1', {}));
    expect(await numbers()).toEqual({});
  });
});

describe('OpenTelemetry', () => {
  const usage = 'gen_ai.client.inference.usage';
  const model = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'openai',
    'gen_ai.request.model': 'gpt-5',
    'gen_ai.response.model': 'gpt-5-2026',
    tenant: 'acme',
  };
  const of = (modality: string) => ({ ...model, 'gen_ai.token.modality': modality });
  const served = { servedModel: 'gpt-5-2026' };

  test('tokens under the names of the conventions, whose totals include their parts', async () => {
    const tracker = trackerOver();
    const { numbers, collect } = otel(tracker);
    await tracker.record(call('a', '0.5', everyPart, served));
    expect(matching(await numbers(), 'gen_ai')).toEqual({
      [series(`${usage}.input_tokens`, of('text'))]: 15,
      [series(`${usage}.input_tokens`, of('audio'))]: 48,
      [series(`${usage}.input_tokens`, of('image'))]: 64,
      [series(`${usage}.input_tokens`, of('video'))]: 128,
      [series(`${usage}.cache_read.input_tokens`, of('text'))]: 2,
      [series(`${usage}.cache_read.input_tokens`, of('audio'))]: 32,
      [series(`${usage}.cache_write.input_tokens`, of('text'))]: 12,
      [series(`${usage}.output_tokens`, of('text'))]: 768,
      [series(`${usage}.output_tokens`, of('audio'))]: 1_024,
      [series(`${usage}.output_tokens`, of('image'))]: 2_048,
      [series(`${usage}.reasoning.output_tokens`, of('text'))]: 512,
    });
    for (const { descriptor } of (await collect()).filter((metric) => metric.descriptor.name.startsWith('gen_ai'))) {
      expect(descriptor).toMatchObject({ unit: '{token}' });
      expect(descriptor.description).not.toBe('');
    }
  });

  test('a call of which no usage came counts nothing, under a modality that is not known', async () => {
    const tracker = trackerOver();
    const { numbers } = otel(tracker);
    await tracker.record(call('a', undefined, {}, { ...served, success: false }));
    await tracker.record(call('a', '1', {}, { ...served, revision: 1 }));
    expect(matching(await numbers(), 'gen_ai')).toEqual({
      [series(`${usage}.input_tokens`, of('unknown'))]: 0,
      [series(`${usage}.output_tokens`, of('unknown'))]: 0,
    });
  });

  test('providers have the names of the conventions, and a model that nobody said answered is left out', async () => {
    const tracker = trackerOver(memoryStore(), []);
    const { numbers } = otel(tracker);
    const names = ['google', 'aws', 'azure', 'mistral', 'moonshotai', 'x-ai', 'anthropic', 'constructor'];
    for (const provider of names) await tracker.record(call(provider, '1', { inputTokens: 1 }, { provider }));
    const found = Object.keys(matching(await numbers(), `${usage}.input_tokens`)).map((name) => /provider\.name="([^"]*)"/.exec(name)?.[1]);
    expect(found).toEqual([
      'gcp.gen_ai',
      'aws.bedrock',
      'azure.ai.openai',
      'mistral_ai',
      'moonshot_ai',
      'x_ai',
      'anthropic',
      'constructor',
    ]);
  });

  test('cost in whole billionths of a dollar, and what corrections took back', async () => {
    const tracker = trackerOver();
    const { numbers } = otel(tracker);
    await tracker.record(call('a', '0.000000003', { inputTokens: 100, cacheReadTokens: 9 }, { usageIs: 'estimated', ...served }));
    await tracker.record(call('a', '0.000000001', { inputTokens: 60, cacheReadTokens: 2 }, { revision: 1, ...served }));
    await tracker.record({ kind: 'tool', name: 'search', scope: { tenant: 'acme' }, dedupeKey: 't', amountUsd: '0.1' });
    const cost = { kind: 'llm', name: 'gpt-5', tenant: 'acme', 'gen_ai.provider.name': 'openai', 'cost.source': 'reported' };
    const all = await numbers();
    expect(matching(all, 'cost_tracker.usage')).toEqual({
      [series('cost_tracker.usage.cost', cost)]: 3,
      [series('cost_tracker.usage.cost.taken_back', cost)]: 2,
      [series('cost_tracker.usage.cost', { kind: 'tool', name: 'search', tenant: 'acme', 'cost.source': 'reported' })]: 100_000_000,
      [series('cost_tracker.usage.tokens.taken_back', { ...of('text'), counter: 'input_tokens' })]: 47,
      [series('cost_tracker.usage.tokens.taken_back', { ...of('text'), counter: 'cache_read.input_tokens' })]: 7,
    });
    expect(all[series(`${usage}.input_tokens`, of('text'))]).toBe(109);
  });

  test('what had no price, what was refused, lines that were crossed and where budgets stand', async () => {
    const tracker = trackerOver();
    const { numbers, stop } = otel(tracker);
    await tracker.record(call('a', undefined, { inputTokens: 5 }));
    await tracker.record(call('b', '2', { inputTokens: 5 }));
    await expect(tracker.reserve({ kind: 'tool', name: 'x', scope: { tenant: 'acme' }, amountUsd: '1' })).rejects.toThrow();
    const all = await numbers();
    const [team, gpt] = [
      { budget: 'team', tenant: 'acme' },
      { budget: 'gpt', tenant: '' },
    ];
    expect(matching(all, 'cost_tracker.calls')).toEqual({
      [series('cost_tracker.calls.unpriced', { kind: 'llm', name: 'gpt-5', tenant: 'acme', 'gen_ai.provider.name': 'openai' })]: 1,
      [series('cost_tracker.calls.refused', { ...team, kind: 'tool', code: 'ERR_BUDGET_EXCEEDED' })]: 1,
    });
    expect(matching(all, 'cost_tracker.budget')).toEqual({
      [series('cost_tracker.budget.thresholds', { budget: 'team', level: 'warning' })]: 1,
      [series('cost_tracker.budget.thresholds', { budget: 'team', level: 'critical' })]: 1,
      [series('cost_tracker.budget.spent', team)]: 2e9,
      [series('cost_tracker.budget.spent', gpt)]: 2e9,
      [series('cost_tracker.budget.reserved', team)]: 0,
      [series('cost_tracker.budget.reserved', gpt)]: 0,
      [series('cost_tracker.budget.limit', team)]: 2e9,
      [series('cost_tracker.budget.limit', gpt)]: 100e9,
      [series('cost_tracker.budget.utilization', team)]: 1,
      [series('cost_tracker.budget.utilization', gpt)]: 0.02,
    });
    stop();
    await tracker.record(call('c', '2', { inputTokens: 5 }));
    const after = await numbers();
    expect(matching(after, 'cost_tracker.usage.cost')).toEqual(matching(all, 'cost_tracker.usage.cost'));
    expect(after[series('cost_tracker.budget.spent', team)]).not.toBe(4e9);
  });

  test('a budget that is gone is told once more, with zeros', async () => {
    const tracker = trackerOver(memoryStore(), []);
    await tracker.setBudget({ name: 'late', scope: { tenant: 'acme' }, limitUsd: '4', period: 'day' });
    const { numbers } = otel(tracker);
    const limit = series('cost_tracker.budget.limit', { budget: 'late', tenant: 'acme' });
    expect((await numbers())[limit]).toBe(4e9);
    await tracker.unsetBudget('late');
    expect((await numbers())[limit]).toBe(0);
  });
});

test.each([
  ['OpenTelemetry', otel],
  ['Prometheus', prometheus],
] as const)('%s goes on without budgets while the store cannot say where they stand', async (_name, outlet) => {
  const memory = memoryStore();
  let down = false;
  const budgetState: typeof memory.budgetState = (...args) =>
    down ? Promise.reject(new StoreError('ERR_STORE_FAILED', 'locked')) : memory.budgetState(...args);
  const tracker = trackerOver({ ...memory, budgetState });
  const { numbers } = outlet(tracker);
  await tracker.record(call('a', '1', { inputTokens: 1 }));
  down = true;
  const names = Object.keys(await numbers());
  expect(names.some((name) => name.includes('gpt-5'))).toBe(true);
  expect(names.some((name) => /budget[._]spent/.test(name))).toBe(false);
  down = false;
  expect(Object.keys(await numbers()).some((name) => /budget[._]spent/.test(name))).toBe(true);
});

test('what cannot be meant is refused', () => {
  const tracker = trackerOver();
  const meter = {} as OtelOptions['meter'];
  expect(() => instrumentCostTracker(tracker, { meter, metre: 1 } as never)).toThrow('instrumentCostTracker options.metre is unknown');
  expect(() => registerCostTracker(tracker, { client, registry: 1 } as never)).toThrow('registerCostTracker options.registry is unknown');
  expect(() => instrumentCostTracker(tracker, { meter, maxSeries: 0 })).toThrow('maxSeries must be a number from 1 to 1000000');
  expect(() => registerCostTracker(tracker, { client, maxSeries: Number.NaN })).toThrow(RangeError);
});

describe('OpenTelemetry and prom-client', () => {
  const script = `
    import module from 'node:module';
    module.register('data:text/javascript,' + encodeURIComponent(\`export async function resolve(specifier, context, next) {
      if (/^(prom-client|@opentelemetry)/.test(specifier)) throw new Error('loads ' + specifier);
      return next(specifier, context);
    }\`));
    for (const door of process.argv.slice(1)) console.log(door, Object.keys(await import(door)).length > 0);`;

  function loaded(doors: readonly string[]): string {
    const args = ['--no-warnings', '--import', 'tsx', '--conditions=@tidegate/source', '--input-type=module', '--eval', script, ...doors];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', cwd: fileURLToPath(new URL('..', import.meta.url)) });
    return stdout + stderr;
  }

  test('are loaded neither by the root nor by the doors that feed them', () => {
    const doors = ['index', 'otel', 'prometheus'].map((door) => new URL(`../src/${door}.ts`, import.meta.url).href);
    expect(loaded(doors).trim().split('\n')).toEqual(doors.map((door) => `${door} true`));
  });

  test('would be seen', () => expect(loaded(['prom-client'])).toContain('loads prom-client'));
});
