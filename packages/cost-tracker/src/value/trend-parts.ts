import { Calendar } from '../period.ts';

/** How long the periods of a trend are; weeks begin on Monday. */
export type TrendGranularity = 'daily' | 'weekly' | 'monthly';

/** One period of a trend. */
export interface TrendPart {
  /** The day it begins with, `2026-03-15`; of a month `2026-03`. */
  readonly period: string;
  /** First epoch millisecond after it. */
  readonly end: number;
}

const UNITS = { daily: 'day', weekly: 'week', monthly: 'month' } as const satisfies Record<TrendGranularity, string>;

/** All granularities. */
export const trendGranularities = Object.keys(UNITS) as TrendGranularity[];

/** The calendar periods that `from <= at < to` meets, in the zone; the last is cut off at `to`. */
export async function trendParts(granularity: TrendGranularity, timeZone: string, from: number, to: number): Promise<TrendPart[]> {
  const calendar = new Calendar(UNITS[granularity], timeZone, 'trends');
  const dateOf = await datesIn(timeZone);
  const parts: TrendPart[] = [];
  for (let at = from; at < to; ) {
    const { start, end } = await calendar.at(at);
    parts.push({ period: dateOf(start).slice(0, granularity === 'monthly' ? 7 : 10), end: Math.min(end, to) });
    at = end;
  }
  return parts;
}

async function datesIn(timeZone: string): Promise<(instant: number) => string> {
  if (timeZone === 'UTC') return (instant) => new Date(instant).toISOString();
  const { Temporal } = await import('temporal-polyfill');
  return (instant) => Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).toPlainDate().toString();
}
