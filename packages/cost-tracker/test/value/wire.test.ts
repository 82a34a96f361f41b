import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, test, vi } from 'vitest';
import { memoryStore } from '../../src/index.ts';
import {
  builtInDefinitions,
  type MetricRecord,
  metricDefinitionCodec,
  metricRecordCodec,
  ValueMetrics,
  valueSummaryCodec,
  valueTrendsCodec,
} from '../../src/value.ts';
import { runs } from '../runs.ts';

const noon = Date.parse('2026-03-15T12:00:00Z');

/** A record as the original wrote it. */
const original = {
  name: 'report_generation_time_saved',
  category: 'efficiency',
  value: 12.5,
  unit: 'minutes',
  timestamp: '2026-03-14T09:30:00.123456+00:00',
  project_id: 'proj-1',
  user_id: 'mina',
  context: { report: 'weekly', pages: 4 },
};

describe('a record on the wire', () => {
  test('is read as it always was written', () => {
    expect(metricRecordCodec.decode(original)).toEqual({
      name: 'report_generation_time_saved',
      category: 'efficiency',
      value: 12.5,
      unit: 'minutes',
      at: Date.parse('2026-03-14T09:30:00.123Z'),
      scope: { project: 'proj-1', user: 'mina' },
      context: { report: 'weekly', pages: 4 },
    });
  });

  test('is written as it is read', () => {
    const timestamp = '2026-03-14T09:30:00.123Z';
    const full = { ...original, timestamp, org_id: 'o', tenant_id: 'acme', key_id: 'k', model: 'm', tool: 't', dedupe_key: 'd' };
    expect(metricRecordCodec.encode(metricRecordCodec.decode(full))).toEqual(full);
    const { project_id: _, user_id: __, ...least } = { ...original, timestamp };
    expect(metricRecordCodec.encode(metricRecordCodec.decode(least))).toEqual(least);
  });

  test('may say null for what it does not have', () => {
    expect(metricRecordCodec.decode({ ...original, project_id: null, user_id: null, context: null })).toMatchObject({
      scope: {},
      context: {},
    });
  });

  test.each([
    ['2026-03-14T09:30:00Z', '2026-03-14T09:30:00.000Z'],
    ['2026-03-14T09:30:00', '2026-03-14T09:30:00.000Z'],
    ['2026-03-14 09:30:00.5+09:00', '2026-03-14T00:30:00.500Z'],
    ['2026-03-14T09:30:00.999999-0330', '2026-03-14T13:00:00.999Z'],
  ])('at %s is at %s, whatever the zone of this process', (timestamp, instant) => {
    for (const zone of ['UTC', 'Asia/Seoul', 'America/New_York']) {
      vi.stubEnv('TZ', zone);
      expect(new Date(metricRecordCodec.decode({ ...original, timestamp }).at).toISOString()).toBe(instant);
    }
    vi.unstubAllEnvs();
  });

  test.each<[string, Record<string, unknown>]>([
    [`record.timestamp must be a time such as '2026-03-15T12:00:00Z', not "2026-02-30T00:00:00Z"`, { timestamp: '2026-02-30T00:00:00Z' }],
    [`record.timestamp must be a time such as '2026-03-15T12:00:00Z', not "2026-13-01T00:00:00Z"`, { timestamp: '2026-13-01T00:00:00Z' }],
    [`record.timestamp must be a time such as '2026-03-15T12:00:00Z', not "yesterday"`, { timestamp: 'yesterday' }],
    [`record.timestamp must be a time such as '2026-03-15T12:00:00Z', not ${noon}`, { timestamp: noon }],
    ['record.value must be a finite number, not "12.5"', { value: '12.5' }],
    ['record.value must be a finite number, not null', { value: null }],
    ['record.name must be a text that is not empty, not undefined', { name: undefined }],
    ['record.category must be one of efficiency, quality, adoption, cost, not "Efficiency"', { category: 'Efficiency' }],
    ['record.project_id must be a text that is not empty, not 7', { project_id: 7 }],
    ['record.context must be an object, not an array', { context: [] }],
    [
      'record.projectId is unknown; known are name, category, value, unit, timestamp, org_id, tenant_id, project_id, user_id, key_id, model, tool, context, dedupe_key',
      { projectId: 'p' },
    ],
  ])('is refused: %s', (message, change) => {
    expect(() => metricRecordCodec.decode({ ...original, ...change })).toThrow(new RangeError(message));
  });

  test.each([null, [], 'record', 7, undefined])('is not %j', (wire) => {
    expect(() => metricRecordCodec.decode(wire)).toThrow(/^record must be an object/);
  });

  const text = fc.string({ minLength: 1 });
  const maybe = fc.option(text, { nil: undefined });
  const scope = fc
    .record({ org: maybe, tenant: maybe, project: maybe, user: maybe, key: maybe, model: maybe, tool: maybe })
    .map((each) => Object.fromEntries(Object.entries(each).filter(([, value]) => value !== undefined)));
  const record: fc.Arbitrary<MetricRecord> = fc
    .record({
      name: text,
      category: fc.constantFrom('efficiency', 'quality', 'adoption', 'cost'),
      value: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
      unit: text,
      at: fc.integer({ min: 0, max: Date.parse('2200-01-01') }),
      scope,
      context: fc.dictionary(fc.string(), fc.jsonValue()).map((each) => JSON.parse(JSON.stringify(each))),
      dedupeKey: maybe,
    })
    .map(({ dedupeKey, ...rest }) => (dedupeKey === undefined ? rest : { ...rest, dedupeKey }));

  property.prop([record], runs(200))('comes back from JSON as it went', (each) => {
    const wire = JSON.parse(JSON.stringify(metricRecordCodec.encode(each)));
    expect(metricRecordCodec.decode(wire)).toEqual(each);
    expect(JSON.parse(JSON.stringify(metricRecordCodec.encode(metricRecordCodec.decode(wire))))).toEqual(wire);
  });
});

describe('records of the original', () => {
  const open = () => {
    const store = memoryStore();
    return { store, metrics: new ValueMetrics({ store, clock: { wall: () => noon } }) };
  };

  test('load unchanged, and once however often they are loaded', async () => {
    const { metrics, store } = open();
    const saved = vi.spyOn(store, 'saveValues');
    const records = [original, { ...original, user_id: null }, { ...original, timestamp: '2025-12-01T00:00:00' }];
    expect(await metrics.load(records)).toEqual({ recorded: 2, known: 0, expired: 1 });
    expect(await metrics.load(JSON.parse(JSON.stringify(records)))).toEqual({ recorded: 0, known: 2, expired: 1 });
    expect(saved.mock.calls[0]?.[0][0]).toMatchObject({
      name: original.name,
      category: original.category,
      value: original.value,
      unit: original.unit,
      at: Date.parse('2026-03-14T09:30:00.123Z'),
      dimensions: { project: 'proj-1', user: 'mina', tenant: '' },
      context: JSON.stringify(original.context),
    });
    const { byCategory } = await metrics.summary({ scope: { project: 'proj-1' } });
    expect(byCategory.efficiency['report_generation_time_saved']).toMatchObject({ current: 25, sampleCount: 2 });
  });

  test('that say the same are as many as there are, and so when some were loaded before', async () => {
    const { metrics } = open();
    expect(await metrics.load([original])).toEqual({ recorded: 1, known: 0, expired: 0 });
    expect(await metrics.load([original, original, original])).toEqual({ recorded: 2, known: 1, expired: 0 });
  });

  test('are told apart by everything they say', async () => {
    const { metrics } = open();
    const others = [
      { project_id: 'proj-2' },
      { user_id: null },
      { tenant_id: 'acme' },
      { value: 13 },
      { timestamp: '2026-03-14T09:30:00.124Z' },
      { context: {} },
      { name: 'planning_time_saved' },
    ];
    for (const other of [{}, ...others]) expect(await metrics.load([{ ...original, ...other }])).toMatchObject({ recorded: 1 });
    for (const other of [{}, ...others]) expect(await metrics.load([{ ...original, ...other }])).toMatchObject({ recorded: 0, known: 1 });
  });

  test('load as old as the retention, and not a millisecond older', async () => {
    const at = (instant: number) => ({ ...original, timestamp: new Date(instant).toISOString() });
    const oldest = noon - 90 * 86_400_000;
    expect(await open().metrics.load([at(oldest), at(oldest - 1)])).toEqual({ recorded: 1, known: 0, expired: 1 });
  });

  test('are more than one write when they are many', async () => {
    const { metrics, store } = open();
    const saved = vi.spyOn(store, 'saveValues');
    const records = Array.from({ length: 1_201 }, (_, index) => ({ ...original, dedupe_key: `k${index}` }));
    expect(await metrics.load(records)).toEqual({ recorded: 1_201, known: 0, expired: 0 });
    expect(saved.mock.calls.map(([rows]) => rows.length)).toEqual([500, 500, 201]);
  });

  test.each<[string, unknown]>([
    ['records[1].value must be a finite number, not undefined', { ...original, value: undefined }],
    ['records[1].value must be a number from -1000000000000 to 1000000000000, not 1e+300', { ...original, value: 1e300 }],
    ['records[1].unit must be "minutes", as the metric is defined, not "hours"', { ...original, unit: 'hours' }],
    [
      'records[1].timestamp must be at most a day ahead of 2026-03-15T12:00:00.000Z, not 2026-03-16T12:00:00.001Z',
      { ...original, timestamp: '2026-03-16T12:00:00.001Z' },
    ],
  ])('of which one is bad are not written at all: %s', async (message, bad) => {
    const { metrics, store } = open();
    const saved = vi.spyOn(store, 'saveValues');
    await expect(metrics.load([original, bad])).rejects.toThrow(new RangeError(message));
    expect(saved).not.toHaveBeenCalled();
  });

  test('are an array', async () => {
    await expect(open().metrics.load('[]' as never)).rejects.toThrow(new RangeError('records must be an array, not []'));
    expect(await open().metrics.load([])).toEqual({ recorded: 0, known: 0, expired: 0 });
  });
});

describe('what is told', () => {
  const metrics = new ValueMetrics({ store: memoryStore(), clock: { wall: () => noon } });
  const throughJson = (wire: unknown) => JSON.parse(JSON.stringify(wire));

  test('definitions go by their names, both ways', () => {
    expect(metricDefinitionCodec.encode(builtInDefinitions[8] as never)).toEqual({
      name: 'cost_per_report',
      category: 'cost',
      description: 'Cost of a generated report',
      unit: 'USD',
      target_value: 0.5,
      direction: 'lower_better',
      aggregation: 'avg',
    });
    for (const definition of builtInDefinitions) {
      expect(metricDefinitionCodec.decode(throughJson(metricDefinitionCodec.encode(definition)))).toEqual(definition);
    }
    expect(() => metricDefinitionCodec.decode({ name: 'x', targetValue: 3 })).toThrow('definition.targetValue is unknown');
    expect(() => metricDefinitionCodec.decode({ name: 'x' }, 'definitions[3]')).toThrow(/^definitions\[3\]\.category must be one of/);
  });

  test('the worked custom metric, forty percent less meeting preparation, can be defined as the original wrote it', async () => {
    const wire = {
      name: 'meeting_preparation_time_saved',
      category: 'efficiency',
      description: 'How much less time the preparation of a meeting takes',
      unit: 'percent',
      target_value: 40,
      direction: 'higher_better',
      aggregation: 'avg',
    };
    const definitions = [metricDefinitionCodec.decode(wire)];
    const own = new ValueMetrics({ store: memoryStore(), clock: { wall: () => noon }, definitions });
    // Two meetings, prepared in 30 and 42 minutes instead of 60.
    for (const minutes of [30, 42]) await own.record({ name: wire.name, value: ((60 - minutes) / 60) * 100 });
    expect((await own.summary()).byCategory.efficiency[wire.name]).toMatchObject({ current: 40, status: 'on_track' });
  });

  test('summaries go by their names, both ways', async () => {
    await metrics.record({ name: 'token_efficiency', value: 0.9 });
    const summary = await metrics.summary();
    const wire = throughJson(valueSummaryCodec.encode(summary));
    expect(Object.keys(wire)).toEqual(['period_days', 'project_id', 'by_category', 'overall_health']);
    expect(wire.project_id).toBeNull();
    expect(wire.by_category.quality.traceability_score).toEqual({
      current: null,
      target: 95,
      unit: 'percent',
      status: 'no_data',
      sample_count: 0,
      category: 'quality',
    });
    expect(wire.overall_health).toEqual({ score: 100, status: 'healthy', on_track_count: 1, total_count: 1 });
    expect(valueSummaryCodec.decode(wire)).toEqual(summary);
    wire.by_category.cost.token_efficiency.sample_count = 1.5;
    expect(() => valueSummaryCodec.decode(wire)).toThrow(
      new RangeError('summary.by_category.cost.token_efficiency.sample_count must be a whole number of at least 0, not 1.5'),
    );
  });

  test('trends go by their names, both ways', async () => {
    const trends = await metrics.trends('token_efficiency', { periodDays: 1 });
    const wire = throughJson(valueTrendsCodec.encode(trends));
    expect(wire).toMatchObject({
      metric: 'token_efficiency',
      definition: { description: 'Quality score per 1 000 tokens', unit: 'score', target: 0.8 },
      trends: [
        { period: '2026-03-14', value: null, count: 0 },
        { period: '2026-03-15', value: 0.9, count: 1 },
      ],
    });
    expect(valueTrendsCodec.decode(wire)).toEqual(trends);
    expect(() => valueTrendsCodec.decode({ ...wire, trends: {} })).toThrow('trends.trends must be an array');
  });
});
