import { describe, expect, test, vi } from 'vitest';
import { CostTracker, memoryStore } from '../../src/index.ts';
import {
  builtInDefinitions,
  type MetricDefinition,
  type RecordMetricOptions,
  ValueMetrics,
  type ValueMetricsOptions,
  valueSummaryCodec,
} from '../../src/value.ts';

const day = 86_400_000;
const noon = Date.parse('2026-03-15T12:00:00Z');

const meetings: MetricDefinition = {
  name: 'meeting_preparation_time_saved',
  category: 'efficiency',
  description: 'How much less time the preparation of a meeting takes',
  unit: 'percent',
  targetValue: 40,
  direction: 'higher_better',
  aggregation: 'avg',
};

function open(options: Partial<ValueMetricsOptions> = {}) {
  const clock = { now: noon, wall: () => clock.now };
  const store = memoryStore();
  return { clock, store, metrics: new ValueMetrics({ store, clock, ...options }) };
}

async function standingAfter(name: string, values: readonly number[], options?: Partial<ValueMetricsOptions>) {
  const { metrics } = open(options);
  for (const value of values) await metrics.record({ name, value });
  const { byCategory } = await metrics.summary();
  return Object.values(byCategory).find((category) => category[name])?.[name];
}

describe('the definitions', () => {
  test('are the ten, as they are named and aimed', () => {
    const table = open().metrics.definitions.map((each) =>
      [each.name, each.category, each.unit, each.targetValue, each.direction, each.aggregation].join(' '),
    );
    expect(table).toEqual([
      'report_generation_time_saved efficiency minutes 30 higher_better sum',
      'planning_time_saved efficiency minutes 60 higher_better sum',
      'issue_detection_rate quality percent 95 higher_better avg',
      'false_positive_rate quality percent 5 lower_better avg',
      'traceability_score quality percent 95 higher_better avg',
      'response_adoption_rate adoption percent 70 higher_better avg',
      'human_intervention_rate adoption percent 20 lower_better avg',
      'escalation_rate adoption percent 15 lower_better avg',
      'cost_per_report cost USD 0.5 lower_better avg',
      'token_efficiency cost score 0.8 higher_better avg',
    ]);
    expect(builtInDefinitions.every(({ description }) => description.length > 0)).toBe(true);
  });

  test('cannot be changed from outside, neither the built-in nor those given', () => {
    const own = { ...meetings };
    const { metrics } = open({ definitions: [own] });
    own.targetValue = 1;
    expect(metrics.definitions.at(-1)).toEqual(meetings);
    expect(() => Object.assign(builtInDefinitions[0] as object, { targetValue: 1 })).toThrow(TypeError);
    expect(() => (builtInDefinitions as MetricDefinition[]).push(meetings)).toThrow(TypeError);
  });

  test('of others come after the ten, and one of the same name takes the place of a built-in one', async () => {
    const dearer = { ...(builtInDefinitions[8] as MetricDefinition), targetValue: 0.75 };
    const { metrics } = open({ definitions: [meetings, dearer] });
    expect(metrics.definitions.map(({ name }) => name).slice(8)).toEqual(['cost_per_report', 'token_efficiency', meetings.name]);
    expect(await standingAfter('cost_per_report', [0.7], { definitions: [dearer] })).toMatchObject({ target: 0.75, status: 'on_track' });
  });

  test.each<[Partial<Record<keyof MetricDefinition, unknown>>, string]>([
    [{ name: '__proto__' }, `definitions[0].name must be a letter and up to 99 letters, digits, '_', '.' and '-', not "__proto__"`],
    [{ name: '' }, 'definitions[0].name must be a text that is not empty, not ""'],
    [{ category: 'speed' }, 'definitions[0].category must be one of efficiency, quality, adoption, cost, not "speed"'],
    [{ direction: 'up' }, 'definitions[0].direction must be one of higher_better, lower_better, not "up"'],
    [{ aggregation: 'max' }, 'definitions[0].aggregation must be one of sum, avg, count, p95, not "max"'],
    [{ targetValue: Number.NaN }, 'definitions[0].targetValue must be a number from -1000000000000 to 1000000000000, not NaN'],
    [{ unit: undefined }, 'definitions[0].unit must be a text that is not empty, not undefined'],
    [{ target: 3 } as never, `definitions[0].target is unknown; known are ${Object.keys(meetings).join(', ')}`],
  ])('are checked: %j', (change, message) => {
    expect(() => open({ definitions: [{ ...meetings, ...change } as MetricDefinition] })).toThrow(new RangeError(message));
  });

  test('have names of their own', () => {
    expect(() => open({ definitions: [meetings, meetings] })).toThrow(
      new RangeError(`definitions[1].name '${meetings.name}' is already taken`),
    );
    expect(() => open({ definitions: meetings as never })).toThrow('definitions must be an array');
  });
});

describe('a metric', () => {
  // Values whose floats do not add up to the target, though they do.
  test.each<[string, number[], number, string]>([
    ['report_generation_time_saved', Array.from({ length: 300 }, () => 0.1), 30, 'on_track'],
    ['report_generation_time_saved', [10, 19.999999999], 29.999999999, 'below_target'],
    ['report_generation_time_saved', [40, -10], 30, 'on_track'],
    ['report_generation_time_saved', [-5], -5, 'below_target'],
    ['issue_detection_rate', [94.9, 95.1], 95, 'on_track'],
    ['issue_detection_rate', [95, 95, 94.999999999], 94.99999999966667, 'below_target'],
    ['false_positive_rate', [0, 10], 5, 'on_track'],
    ['false_positive_rate', [5.000000001], 5.000000001, 'above_target'],
    ['cost_per_report', [0.1, 0.9, 0.5], 0.5, 'on_track'],
    ['cost_per_report', [0.1, 0.9, 0.53], 0.51, 'above_target'],
    ['token_efficiency', [0.7, 0.8, 0.9], 0.8, 'on_track'],
  ])('%s of %j', async (name, values, current, status) => {
    expect(await standingAfter(name, values)).toMatchObject({ current, status, sampleCount: values.length });
  });

  const custom = (change: Partial<MetricDefinition>) => ({ definitions: [{ ...meetings, ...change }] });

  test.each<[Partial<MetricDefinition>, number[], number, string]>([
    [{}, [35, 45], 40, 'on_track'],
    [{}, [35, 44], 39.5, 'below_target'],
    [{ aggregation: 'count', targetValue: 3 }, [0, 0, -7], 3, 'on_track'],
    [{ aggregation: 'count', targetValue: 3 }, [100, 100], 2, 'below_target'],
    [{ aggregation: 'p95', direction: 'lower_better' }, [...Array.from({ length: 19 }, () => 40), 900], 40, 'on_track'],
    [{ aggregation: 'p95', direction: 'lower_better' }, [...Array.from({ length: 18 }, () => 40), 900], 900, 'above_target'],
    [{ aggregation: 'p95', targetValue: 0 }, [0], 0, 'on_track'],
    [{ direction: 'lower_better', targetValue: -1 }, [-1], -1, 'on_track'],
  ])('of one’s own, %j', async (change, values, current, status) => {
    expect(await standingAfter(meetings.name, values, custom(change))).toMatchObject({ current, status, sampleCount: values.length });
  });

  test('without values has none, keeps its category and is left out of the score', async () => {
    const { metrics } = open();
    await metrics.record({ name: 'planning_time_saved', value: 60 });
    const { byCategory, overallHealth } = await metrics.summary();
    expect(byCategory.cost['token_efficiency']).toEqual({
      current: null,
      target: 0.8,
      unit: 'score',
      status: 'no_data',
      sampleCount: 0,
      category: 'cost',
    });
    expect(overallHealth).toEqual({ score: 100, status: 'healthy', onTrackCount: 1, totalCount: 1 });
  });

  test('that nobody defined is an error', async () => {
    const { metrics } = open();
    const message = /^no metric is named "planning"; known are report_generation_time_saved, planning_time_saved, /;
    await expect(metrics.record({ name: 'planning', value: 1 })).rejects.toThrow(message);
    await expect(metrics.trends('planning')).rejects.toThrow(message);
    await expect(metrics.costPerOutcome('planning')).rejects.toThrow(RangeError);
    await expect(metrics.trends('constructor')).rejects.toThrow('no metric is named "constructor"');
  });
});

describe('overall health', () => {
  test.each<[number, number, number, string]>([
    [10, 10, 100, 'healthy'],
    [8, 10, 80, 'healthy'],
    [7, 9, 700 / 9, 'warning'],
    [6, 10, 60, 'warning'],
    [3, 5, 60, 'warning'],
    [5, 9, 500 / 9, 'critical'],
    [0, 3, 0, 'critical'],
  ])('of %d on track among %d is %d percent', async (onTrackCount, totalCount, score, status) => {
    const { metrics } = open();
    for (const [index, { name, targetValue, direction }] of builtInDefinitions.slice(0, totalCount).entries()) {
      const beside = direction === 'higher_better' ? targetValue - 0.01 : targetValue + 0.01;
      await metrics.record({ name, value: index < onTrackCount ? targetValue : beside });
    }
    expect((await metrics.summary()).overallHealth).toEqual({ score, status, onTrackCount, totalCount });
  });

  test('of nothing is unknown, not bad', async () => {
    expect((await open().metrics.summary()).overallHealth).toEqual({ score: null, status: 'no_data', onTrackCount: 0, totalCount: 0 });
  });
});

describe('a summary', () => {
  test('has every metric by category, in order', async () => {
    const { byCategory, periodDays, projectId } = await open({ definitions: [meetings] }).metrics.summary();
    expect([periodDays, projectId]).toEqual([30, null]);
    expect(Object.entries(byCategory).map(([category, metrics]) => [category, ...Object.keys(metrics)])).toEqual([
      ['efficiency', 'report_generation_time_saved', 'planning_time_saved', meetings.name],
      ['quality', 'issue_detection_rate', 'false_positive_rate', 'traceability_score'],
      ['adoption', 'response_adoption_rate', 'human_intervention_rate', 'escalation_rate'],
      ['cost', 'cost_per_report', 'token_efficiency'],
    ]);
  });

  test('looks back just so far, and not into the future', async () => {
    const { metrics } = open();
    for (const [index, at] of [noon - 7 * day - 1, noon - 7 * day, noon, noon + 1].entries()) {
      await metrics.record({ name: 'planning_time_saved', value: 10 ** index, at });
    }
    const { byCategory } = await metrics.summary({ periodDays: 7 });
    expect(byCategory.efficiency['planning_time_saved']).toMatchObject({ current: 110, sampleCount: 2 });
  });

  test('is of a project, a tenant or whatever else it is asked for', async () => {
    const { metrics } = open();
    const record = (value: number, scope: RecordMetricOptions['scope']) =>
      metrics.record({ name: 'planning_time_saved', value, ...(scope && { scope }) });
    await record(1, undefined);
    await record(2, { project: 'p', tenant: 'acme' });
    await record(4, { project: 'p', tenant: 'beta', user: 'mina' });
    const of = async (scope: RecordMetricOptions['scope']) => {
      const summary = await metrics.summary({ scope });
      return [summary.projectId, summary.byCategory.efficiency['planning_time_saved']?.current];
    };
    expect(await of({})).toEqual([null, 7]);
    expect(await of({ project: 'p' })).toEqual(['p', 6]);
    expect(await of({ project: 'p', tenant: 'acme' })).toEqual(['p', 2]);
    expect(await of({ user: 'mina' })).toEqual([null, 4]);
    expect(await of({ project: 'q' })).toEqual(['q', null]);
  });

  test('is on the wire as it always was', async () => {
    const { metrics } = open();
    await metrics.record({ name: 'cost_per_report', value: 0.6, scope: { project: 'p' } });
    const wire = valueSummaryCodec.encode(await metrics.summary({ scope: { project: 'p' } }));
    expect(wire).toMatchObject({
      period_days: 30,
      project_id: 'p',
      by_category: {
        cost: { cost_per_report: { current: 0.6, target: 0.5, unit: 'USD', status: 'above_target', sample_count: 1, category: 'cost' } },
      },
      overall_health: { score: 0, status: 'critical', on_track_count: 0, total_count: 1 },
    });
  });
});

describe('trends', () => {
  test('have every period, also those without values, aggregated as the metric is', async () => {
    const { metrics } = open();
    for (const [value, at] of [
      [1, '2026-03-13T00:00:00Z'],
      [2, '2026-03-13T23:59:59.999Z'],
      [4, '2026-03-15T00:00:00Z'],
    ] as const) {
      await metrics.record({ name: 'planning_time_saved', value, at: Date.parse(at) });
    }
    expect(await metrics.trends('planning_time_saved', { periodDays: 3 })).toEqual({
      metric: 'planning_time_saved',
      definition: { description: 'Time saved in planning', unit: 'minutes', target: 60 },
      trends: [
        { period: '2026-03-12', value: null, count: 0 },
        { period: '2026-03-13', value: 3, count: 2 },
        { period: '2026-03-14', value: null, count: 0 },
        { period: '2026-03-15', value: 4, count: 1 },
      ],
    });
  });

  test('by week begin on Mondays, by month with the first', async () => {
    const { metrics } = open();
    const periods = async (granularity: 'weekly' | 'monthly') =>
      (await metrics.trends('token_efficiency', { periodDays: 20, granularity })).trends.map(({ period }) => period);
    expect(await periods('weekly')).toEqual(['2026-02-23', '2026-03-02', '2026-03-09']);
    expect(await periods('monthly')).toEqual(['2026-02', '2026-03']);
  });

  test('belong to the days of their zone, those of 23 and 25 hours too', async () => {
    for (const [today, hours] of [
      ['2026-03-29', 23],
      ['2026-10-25', 25],
    ] as const) {
      const { clock, metrics } = open({ timeZone: 'Europe/Berlin' });
      clock.now = Date.parse(`${today}T20:00:00Z`);
      const from = Date.parse(`${today}T00:00:00Z`) - 2 * 3_600_000;
      for (let hour = 0; hour < 27; hour++) {
        await metrics.record({ name: 'planning_time_saved', value: 1, at: from + hour * 3_600_000 });
      }
      clock.now += day;
      const { trends } = await metrics.trends('planning_time_saved', { periodDays: 2 });
      expect(trends.find(({ period }) => period === today)?.count).toBe(hours);
    }
  });

  test('are refused where they are none', async () => {
    const { metrics } = open();
    await expect(metrics.trends('token_efficiency', { granularity: 'hourly' as never })).rejects.toThrow(
      new RangeError('trends.granularity must be one of daily, weekly, monthly, not "hourly"'),
    );
  });
});

describe('a value', () => {
  test.each<[string, Partial<Record<keyof RecordMetricOptions, unknown>>]>([
    ['record.value must be a number from -1000000000000 to 1000000000000, not NaN', { value: Number.NaN }],
    ['record.value must be a number from -1000000000000 to 1000000000000, not Infinity', { value: Number.POSITIVE_INFINITY }],
    ['record.value must be a number from -1000000000000 to 1000000000000, not 10000000000000', { value: 1e13 }],
    ['record.value must be a number from -1000000000000 to 1000000000000, not "5"', { value: '5' }],
    [`record.at must be a number from 0 to 8640000000000000, not "${noon}"`, { at: `${noon}` }],
    ['record.unit must be "minutes", as the metric is defined, not "hours"', { unit: 'hours' }],
    ['record.category must be "efficiency", as the metric is defined, not "cost"', { category: 'cost' }],
    ['record.scope.projct is unknown; known are org, tenant, project, user, key, model, tool', { scope: { projct: 'p' } }],
    ['record.scope.project must be a text that is not empty, not ""', { scope: { project: '' } }],
    ['record.dedupeKey must be a text that is not empty, not ""', { dedupeKey: '' }],
    ['record.context must be an object, not an array', { context: [1] }],
    ['record.context must be an object that can be written as JSON', { context: { big: 1n } }],
    ['record.projectId is unknown; known are name, value, at, scope, context, dedupeKey, category, unit', { projectId: 'p' } as never],
  ])('is checked: %s', async (message, change) => {
    const { metrics, store } = open();
    const saved = vi.spyOn(store, 'saveValues');
    const options = { name: 'planning_time_saved', value: 1, ...change } as RecordMetricOptions;
    await expect(metrics.record(options)).rejects.toThrow(new RangeError(message));
    expect(saved).not.toHaveBeenCalled();
  });

  test('may be as old as the retention and a day ahead of the clock, no more', async () => {
    const { metrics } = open();
    const record = (at: number) => metrics.record({ name: 'planning_time_saved', value: 1, at });
    expect([await record(noon - 90 * day), await record(noon + day)]).toEqual([true, true]);
    await expect(record(noon - 90 * day - 1)).rejects.toThrow(
      new RangeError('record.at must be at most 90 days ago, since 2025-12-15T12:00:00.000Z, not 2025-12-15T11:59:59.999Z'),
    );
    await expect(record(noon + day + 1)).rejects.toThrow(
      new RangeError('record.at must be at most a day ahead of 2026-03-15T12:00:00.000Z, not 2026-03-16T12:00:00.001Z'),
    );
    // Seconds for milliseconds, and microseconds for them.
    await expect(record(noon / 1_000)).rejects.toThrow('not 1970-01-21T');
    await expect(record(noon * 1_000)).rejects.toThrow('not +058172-');
  });

  test('is recorded once a key, and without a key each time', async () => {
    const { metrics } = open();
    const report: RecordMetricOptions = { name: 'planning_time_saved', value: 5, dedupeKey: 'report-7', scope: { tenant: 'acme' } };
    expect([await metrics.record(report), await metrics.record({ ...report, value: 9 })]).toEqual([true, false]);
    expect(await metrics.record({ ...report, scope: { tenant: 'beta' } })).toBe(true);
    const { dedupeKey: _, ...anonymous } = report;
    expect([await metrics.record(anonymous), await metrics.record(anonymous)]).toEqual([true, true]);
    expect((await metrics.summary()).byCategory.efficiency['planning_time_saved']).toMatchObject({ current: 20, sampleCount: 4 });
  });

  test('counts until it is as old as the retention, and is deleted then', async () => {
    const { metrics, clock, store } = open({ retentionDays: 2 });
    const prune = vi.spyOn(store, 'pruneValues');
    const record = () => metrics.record({ name: 'planning_time_saved', value: 1 });
    await record();
    clock.now = noon + 2 * day;
    expect((await metrics.summary()).periodDays).toBe(2);
    expect((await metrics.summary()).overallHealth.totalCount).toBe(1);
    clock.now = noon + 2 * day + 1;
    expect((await metrics.summary()).overallHealth.totalCount).toBe(0);
    await record();
    expect(prune.mock.lastCall).toEqual([noon + 1, 500]);
    expect(await prune.mock.results.at(-1)?.value).toBe(1);
  });

  test('is written although old ones cannot be deleted, which is tried again later, and after the clock was set back', async () => {
    const { metrics, clock, store } = open();
    const prune = vi.spyOn(store, 'pruneValues').mockRejectedValue(new Error('disk full'));
    const record = () => metrics.record({ name: 'planning_time_saved', value: 1 });
    expect(await record()).toBe(true);
    expect(await record()).toBe(true);
    expect(prune).toHaveBeenCalledTimes(1);
    clock.now += 3_600_000;
    await record();
    expect(prune).toHaveBeenCalledTimes(2);
    clock.now -= day;
    await record();
    expect(prune).toHaveBeenCalledTimes(3);
  });
});

describe('cost per outcome', () => {
  test('divides what the ledger has of the same scope and time', async () => {
    const { metrics, store, clock } = open();
    const tracker = new CostTracker({ store, clock });
    const pay = (amountUsd: string, project: string, at: number) =>
      tracker.record({ kind: 'tool', name: 'search', scope: { project }, amountUsd, at, dedupeKey: `${project} ${at} ${amountUsd}` });
    await pay('0.70', 'p', noon - day);
    await pay('0.30', 'p', noon - 2 * day);
    await pay('50', 'q', noon - day);
    await pay('70', 'p', noon - 40 * day);
    for (const value of [12.5, 20, 7.5]) await metrics.record({ name: 'report_generation_time_saved', value, scope: { project: 'p' } });
    await metrics.record({ name: 'report_generation_time_saved', value: 100, scope: { project: 'q' } });

    expect(await metrics.costPerOutcome('report_generation_time_saved', { scope: { project: 'p' } })).toEqual({
      metric: 'report_generation_time_saved',
      periodDays: 30,
      costUsd: '1',
      outcomes: 3,
      costPerOutcomeUsd: '0.333333333',
      total: 40,
      costPerUnitUsd: '0.025',
    });
    expect(await metrics.costPerOutcome('planning_time_saved', { periodDays: 1 })).toEqual({
      metric: 'planning_time_saved',
      periodDays: 1,
      costUsd: '50.7',
      outcomes: 0,
      costPerOutcomeUsd: null,
      total: null,
      costPerUnitUsd: null,
    });
  });

  test('has no price for a unit of which there is less than none', async () => {
    const { metrics } = open();
    await metrics.record({ name: 'report_generation_time_saved', value: 0 });
    expect(await metrics.costPerOutcome('report_generation_time_saved')).toMatchObject({ total: 0, costPerUnitUsd: null });
    await metrics.record({ name: 'planning_time_saved', value: -3 });
    expect(await metrics.costPerOutcome('planning_time_saved')).toMatchObject({
      costUsd: '0',
      costPerOutcomeUsd: '0',
      total: -3,
      costPerUnitUsd: null,
    });
  });
});

describe('every wait', () => {
  test('ends with its signal, by its reason', async () => {
    const never = () => new Promise<never>(() => {});
    const store = { saveValues: never, aggregateValues: never, pruneValues: never, getMonthlyTotal: never };
    const metrics = new ValueMetrics({ store, clock: { wall: () => noon }, timeZone: 'Asia/Seoul' });
    const wire = { name: 'planning_time_saved', category: 'efficiency', value: 1, unit: 'minutes', timestamp: '2026-03-15T00:00:00Z' };
    const waits: ((signal: AbortSignal) => Promise<unknown>)[] = [
      (signal) => metrics.record({ name: 'planning_time_saved', value: 1 }, { signal }),
      (signal) => metrics.load([wire], { signal }),
      (signal) => metrics.summary({}, { signal }),
      (signal) => metrics.trends('planning_time_saved', {}, { signal }),
      (signal) => metrics.costPerOutcome('planning_time_saved', {}, { signal }),
    ];
    for (const wait of waits) {
      const reason = new Error('enough');
      const controller = new AbortController();
      const waiting = wait(controller.signal);
      controller.abort(reason);
      await expect(waiting).rejects.toBe(reason);
      await expect(wait(AbortSignal.abort(reason))).rejects.toBe(reason);
    }
  });

  test('that is aborted before it begins asks the store for nothing, and one that goes through leaves no listener', async () => {
    const { metrics, store } = open();
    const saved = vi.spyOn(store, 'saveValues');
    const read = vi.spyOn(store, 'aggregateValues');
    const before = { signal: AbortSignal.abort() };
    await expect(metrics.record({ name: 'planning_time_saved', value: 1 }, before)).rejects.toThrow();
    await expect(metrics.summary({}, before)).rejects.toThrow();
    await expect(metrics.trends('planning_time_saved', {}, before)).rejects.toThrow();
    await expect(metrics.costPerOutcome('planning_time_saved', {}, before)).rejects.toThrow();
    expect([saved.mock.calls, read.mock.calls]).toEqual([[], []]);
    const { signal } = new AbortController();
    const removed = vi.spyOn(signal, 'removeEventListener');
    const added = vi.spyOn(signal, 'addEventListener');
    await metrics.record({ name: 'planning_time_saved', value: 1 }, { signal });
    expect(removed.mock.calls).toEqual(added.mock.calls);
  });
});

describe('options', () => {
  test.each<[Record<string, unknown>, string]>([
    [{ retentionDays: 0 }, 'retentionDays must be a whole number of days from 1 to 3650, not 0'],
    [{ retentionDays: 1.5 }, 'retentionDays must be a whole number of days from 1 to 3650, not 1.5'],
    [{ timeZone: 'Mars/Olympus' }, `ValueMetrics options.timeZone must be an IANA time zone such as 'Asia/Seoul', not "Mars/Olympus"`],
    [{ store: {} }, 'store must have the method saveValues'],
    [{ clock: {} }, 'clock must have the method wall'],
    [{ zone: 'UTC' }, 'ValueMetrics options.zone is unknown; known are store, definitions, retentionDays, timeZone, clock'],
  ])('%j', (change, message) => {
    expect(() => new ValueMetrics({ store: memoryStore(), ...change } as ValueMetricsOptions)).toThrow(new RangeError(message));
  });

  test.each([0, 91, 2.5, Number.NaN, '7'])('periodDays %j', async (periodDays) => {
    const { metrics } = open();
    await expect(metrics.summary({ periodDays: periodDays as number })).rejects.toThrow(
      new RangeError(`summary.periodDays must be a whole number of days from 1 to 90, not ${periodDays}`),
    );
  });

  test('that nobody reads are refused', async () => {
    const { metrics } = open();
    await expect(metrics.summary({ period_days: 7 } as never)).rejects.toThrow('summary.period_days is unknown');
    await expect(metrics.costPerOutcome('planning_time_saved', { granularity: 'daily' } as never)).rejects.toThrow('is unknown');
  });

  test('the clock is the system’s, also a faked one', async () => {
    vi.useFakeTimers({ now: noon, toFake: ['Date'] });
    try {
      const metrics = new ValueMetrics({ store: memoryStore() });
      await metrics.record({ name: 'planning_time_saved', value: 1 });
      vi.setSystemTime(noon + 31 * day);
      expect((await metrics.summary()).overallHealth.status).toBe('no_data');
    } finally {
      vi.useRealTimers();
    }
  });
});
