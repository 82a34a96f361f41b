import type { SummaryOptions } from '../cost-tracker.ts';
import type { UsageSummary, UsageTotals } from '../report.ts';
import { Refused } from './problem.ts';
import { calendarOf } from './query.ts';

/** How long the parts of a series are; weeks begin on Monday. */
export type SeriesGranularity = 'hour' | 'day' | 'week' | 'month';

/** What `GET /api/usage/series` answers: usage over time. */
export interface UsageSeries {
  /** How long the parts are. */
  readonly granularity: SeriesGranularity;
  /** IANA zone in which hours, days, weeks and months begin. */
  readonly timeZone: string;
  /** First instant, ISO 8601. */
  readonly from: string;
  /** First instant after, ISO 8601. */
  readonly to: string;
  /** Every part from the first to the last, those without calls too; the first and the last are cut off where the time ends that was asked for. */
  readonly points: readonly SeriesPoint[];
}

/** The calls of one part of a series. */
export interface SeriesPoint extends UsageTotals {
  /** When the part begins in the zone: `2026-03-15T14:00`, the day `2026-03-15`, or the month `2026-03`. */
  readonly period: string;
  /** First instant that counts, ISO 8601. */
  readonly from: string;
  /** First instant after, ISO 8601. */
  readonly to: string;
}

interface Part {
  readonly period: string;
  readonly from: number;
  readonly to: number;
}

export const granularities = ['hour', 'day', 'week', 'month'] as const;
export const mostPoints = 400;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Adds the ledger up part by part. */
export async function usageSeries(
  summary: (options: SummaryOptions) => Promise<UsageSummary>,
  { from, to, timeZone, granularity }: { from: number; to: number; timeZone: string; granularity: SeriesGranularity },
  scope: NonNullable<SummaryOptions['scope']>,
  signal: AbortSignal,
): Promise<UsageSeries> {
  const points: SeriesPoint[] = [];
  for (const part of await partsOf(granularity, timeZone, from, to)) {
    signal.throwIfAborted();
    const totals = totalsIn(await summary({ from: part.from, to: part.to, scope }));
    points.push({ period: part.period, from: iso(part.from), to: iso(part.to), ...totals });
  }
  return { granularity, timeZone, from: iso(from), to: iso(to), points };
}

/** The totals of a summary without its views. */
export function totalsIn({ calls, failures, unpriced, inputTokens, cacheReadTokens, outputTokens, totalUsd }: UsageSummary): UsageTotals {
  return { calls, failures, unpriced, inputTokens, cacheReadTokens, outputTokens, totalUsd };
}

async function partsOf(granularity: SeriesGranularity, timeZone: string, from: number, to: number): Promise<Part[]> {
  const local = await localTimes(timeZone);
  const spans = granularity === 'hour' ? hoursOf(local) : calendarSpans(granularity, timeZone, local);
  const parts: Part[] = [];
  for (let at = from; at < to; ) {
    if (parts.length === mostPoints) {
      throw new Refused(400, 'ERR_BAD_REQUEST', `the time holds more than ${mostPoints} parts`, { parameter: 'granularity' });
    }
    const { period, end } = await spans(at);
    parts.push({ period, from: at, to: Math.min(end, to) });
    at = end;
  }
  return parts;
}

type Spans = (
  instant: number,
) => { readonly period: string; readonly end: number } | Promise<{ readonly period: string; readonly end: number }>;

/** The hours of a zone's clock, which begin at another minute than those of UTC in some zones. */
function hoursOf(local: (instant: number) => string): Spans {
  return (instant) => {
    const time = local(instant);
    const start = Math.floor(instant / MINUTE_MS) * MINUTE_MS - Number(time.slice(14, 16)) * MINUTE_MS;
    return { period: `${time.slice(0, 14)}00`, end: start + HOUR_MS };
  };
}

function calendarSpans(unit: 'day' | 'week' | 'month', timeZone: string, local: (instant: number) => string): Spans {
  const calendar = calendarOf(unit, timeZone);
  return async (instant) => {
    const { start, end } = await calendar.at(instant);
    return { period: local(start).slice(0, unit === 'month' ? 7 : 10), end };
  };
}

/** Writes an instant as the clock of a zone shows it: `2026-03-15T14:30`, and more behind. */
async function localTimes(timeZone: string): Promise<(instant: number) => string> {
  if (timeZone === 'UTC') return iso;
  const { Temporal } = await import('temporal-polyfill');
  return (instant) => Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).toPlainDateTime().toString();
}

function iso(instant: number): string {
  return new Date(instant).toISOString();
}
