import { fc, test as property } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { memoryStore } from '../../src/index.ts';
import {
  type MetricAggregation,
  type MetricDefinition,
  type MetricDirection,
  type TrendGranularity,
  ValueMetrics,
} from '../../src/value.ts';
import { runs } from '../runs.ts';
import { decimalBillionths, percentile95 } from './reference.ts';

const day = 86_400_000;
const hour = 3_600_000;
const quarter = hour / 4;

/** Zones with days of 23, 24.5 and 25 hours, a midnight that does not exist, a day that does not, and none of it. */
const zonesAndTimes = fc.constantFrom(
  ['UTC', '2026-03-15T12:00:00Z'],
  ['Asia/Seoul', '2026-03-31T14:59:59.999Z'],
  ['Europe/Berlin', '2026-04-02T08:00:00Z'],
  ['Europe/Berlin', '2026-10-26T22:30:00Z'],
  ['America/New_York', '2026-11-03T04:00:00Z'],
  ['America/Sao_Paulo', '2018-11-06T03:00:00Z'],
  ['Pacific/Apia', '2012-01-03T11:00:00Z'],
  ['Australia/Lord_Howe', '2026-04-06T00:00:00Z'],
  ['Africa/Casablanca', '2026-03-24T00:00:00Z'],
  ['Asia/Kathmandu', '2026-05-01T18:15:00Z'],
);

interface Report {
  readonly value: number;
  readonly at: number;
  readonly project: string;
}

/** The local date of an instant, by another road than the package takes. */
function localDates(timeZone: string): (instant: number) => string {
  const format = new Intl.DateTimeFormat('en', { timeZone, calendar: 'iso8601', year: 'numeric', month: '2-digit', day: '2-digit' });
  return (instant) => {
    const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
    return `${parts['year']}-${parts['month']}-${parts['day']}`;
  };
}

function labelOf(date: string, granularity: TrendGranularity): string {
  if (granularity === 'monthly') return date.slice(0, 7);
  if (granularity === 'daily') return date;
  const midnight = Date.parse(`${date}T00:00:00Z`);
  const daysSinceMonday = (new Date(midnight).getUTCDay() + 6) % 7;
  return new Date(midnight - daysSinceMonday * day).toISOString().slice(0, 10);
}

/** What values come to, as a fraction of whole numbers, a billionth being one. */
function aggregated(values: readonly number[], aggregation: MetricAggregation): [bigint, bigint] {
  const sum = values.reduce((total, value) => total + decimalBillionths(value), 0n);
  switch (aggregation) {
    case 'sum':
      return [sum, 1n];
    case 'avg':
      return [sum, BigInt(values.length)];
    case 'count':
      return [BigInt(values.length) * 1_000_000_000n, 1n];
    case 'p95':
      return [decimalBillionths(percentile95(values)), 1n];
  }
}

function expectValue(actual: number | null | undefined, values: readonly number[], aggregation: MetricAggregation): void {
  if (values.length === 0) {
    expect(actual).toBeNull();
    return;
  }
  const [numerator, denominator] = aggregated(values, aggregation);
  // Back to billionths, times the denominator: as far off as one float is from the next, and no farther.
  const exact = Number(numerator) / Number(denominator) / 1e9;
  expect(Math.abs((actual as number) - exact)).toBeLessThanOrEqual(Math.abs(exact) * 2 ** -51);
}

function expectedStatus(values: readonly number[], { aggregation, direction, targetValue }: MetricDefinition): string {
  if (values.length === 0) return 'no_data';
  const [numerator, denominator] = aggregated(values, aggregation);
  const target = decimalBillionths(targetValue) * denominator;
  if (numerator === target) return 'on_track';
  if (numerator > target) return direction === 'higher_better' ? 'on_track' : 'above_target';
  return direction === 'higher_better' ? 'below_target' : 'on_track';
}

const amounts = fc.oneof(
  fc.integer({ min: -500, max: 5_000 }).map((tenths) => tenths / 10),
  fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map((nano) => nano / 1e9),
);

const reports = fc.array(
  fc.record({
    value: amounts,
    // Often at a quarter of an hour, where days begin and end, and a millisecond beside it.
    ago: fc.oneof(
      fc.integer({ min: -day, max: 40 * day }),
      fc
        .tuple(fc.integer({ min: 0, max: 40 * 96 }), fc.constantFrom(-1, 0, 1))
        .map(([quarters, more]) => Math.max(0, quarters * quarter + more)),
    ),
    project: fc.constantFrom('p', 'q'),
  }),
  { maxLength: 50 },
);

const asked = fc.record({
  place: zonesAndTimes,
  periodDays: fc.integer({ min: 1, max: 40 }),
  granularity: fc.constantFrom<TrendGranularity>('daily', 'weekly', 'monthly'),
  aggregation: fc.constantFrom<MetricAggregation>('sum', 'avg', 'count', 'p95'),
  direction: fc.constantFrom<MetricDirection>('higher_better', 'lower_better'),
  project: fc.constantFrom(undefined, 'p'),
  target: amounts,
});

describe('values of any time and zone', () => {
  property.prop([reports, asked], runs(150))('come to what somebody gets who looks at every one', async (given, ask) => {
    const [timeZone, instant] = ask.place as [string, string];
    const now = Date.parse(instant);
    const definition: MetricDefinition = {
      name: 'm',
      category: 'quality',
      description: 'm',
      unit: 'u',
      targetValue: ask.target,
      direction: ask.direction,
      aggregation: ask.aggregation,
    };
    const metrics = new ValueMetrics({ store: memoryStore(), clock: { wall: () => now }, timeZone, definitions: [definition] });
    const all: Report[] = given.map(({ value, ago, project }) => ({ value, project, at: now - ago }));
    for (const { value, at, project } of all) await metrics.record({ name: 'm', value, at, scope: { project } });

    const from = now - ask.periodDays * day;
    const counted = all.filter(({ at, project }) => at >= from && at <= now && (ask.project === undefined || project === ask.project));
    const values = counted.map(({ value }) => value);
    const options = { periodDays: ask.periodDays, scope: { project: ask.project } };

    const standing = (await metrics.summary(options)).byCategory.quality['m'];
    expect(standing).toMatchObject({ sampleCount: values.length, status: expectedStatus(values, definition) });
    expectValue(standing?.current, values, ask.aggregation);

    const dateOf = localDates(timeZone);
    const labels = new Set<string>();
    for (let at = from; at < now; at += hour) labels.add(labelOf(dateOf(at), ask.granularity));
    labels.add(labelOf(dateOf(now), ask.granularity));
    const { trends } = await metrics.trends('m', { ...options, granularity: ask.granularity });
    expect(trends.map(({ period }) => period)).toEqual([...labels]);
    for (const { period, value, count } of trends) {
      const inside = counted.filter(({ at }) => labelOf(dateOf(at), ask.granularity) === period).map((report) => report.value);
      expect(count).toBe(inside.length);
      expectValue(value, inside, ask.aggregation);
    }
  });

  property.prop([reports, fc.integer({ min: 0, max: 2 ** 31 })], runs(60))(
    'come to the same in any order, and however often they are repeated',
    async (given, seed) => {
      const now = Date.parse('2026-03-15T12:00:00Z');
      const shuffled = [...given.entries(), ...given.entries()].sort(([a], [b]) => ((a * 7919 + seed) % 31) - ((b * 7919 + seed) % 31));
      const summaries = [];
      for (const order of [[...given.entries()], shuffled]) {
        const metrics = new ValueMetrics({ store: memoryStore(), clock: { wall: () => now } });
        for (const [index, { value, ago }] of order) {
          const [name, at] = [index % 2 ? 'cost_per_report' : 'planning_time_saved', now - ago] as const;
          await metrics.record({ name, value, at, dedupeKey: `${index}` });
        }
        summaries.push(await metrics.summary({ periodDays: 40 }));
      }
      expect(summaries[0]).toEqual(summaries[1]);
    },
  );
});
