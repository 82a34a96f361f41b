import type { UsageKind, UsageQuery, UsageRow } from './store.ts';
import { inputTokensOf, outputTokensOf } from './usage.ts';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
// as large as the instants of rows can be, and a whole number of days
const lastMs = 8.64e15;

/** The stretches of time that a rollup adds rows up over, by hour and by day (UTC). */
export const rolledMs = { hour: hourMs, day: dayMs };

/** What is kept for one stretch of time: rows of one tenant, project, kind, name, model and provider, added up. */
export interface RollupSum {
  readonly spanMs: number;
  readonly start: number;
  readonly tenant: string;
  readonly project: string;
  readonly kind: UsageKind;
  readonly name: string;
  readonly model: string;
  readonly provider: string;
  calls: number;
  failures: number;
  unpriced: number;
  inputTokens: number;
  cacheReadTokens: number;
  outputTokens: number;
  total: bigint;
}

/** What the rows of a transaction add to a rollup. */
export class RollupSums {
  readonly #sums = new Map<string, RollupSum>();

  add(row: UsageRow): void {
    this.#add(row, hourMs);
    this.#add(row, dayMs);
  }

  /** Ends with nothing added. */
  take(): RollupSum[] {
    const sums = [...this.#sums.values()];
    this.#sums.clear();
    return sums;
  }

  clear(): void {
    this.#sums.clear();
  }

  #add({ at, dimensions, kind, name, provider, correction, failures, unpriced, usage, amount }: UsageRow, spanMs: number): void {
    const { tenant, project, model } = dimensions;
    const start = Math.floor(at / spanMs) * spanMs;
    const text = JSON.stringify([spanMs, start, tenant, project, kind, name, model, provider]);
    let sum = this.#sums.get(text);
    if (sum === undefined) {
      const zeros = { calls: 0, failures: 0, unpriced: 0, inputTokens: 0, cacheReadTokens: 0, outputTokens: 0, total: 0n };
      sum = { spanMs, start, tenant, project, kind, name, model, provider, ...zeros };
      this.#sums.set(text, sum);
    }
    sum.calls += correction === 0 ? 1 : 0;
    sum.failures += failures;
    sum.unpriced += unpriced;
    sum.inputTokens += inputTokensOf(usage);
    sum.cacheReadTokens += cacheReadTokensOf(usage);
    sum.outputTokens += outputTokensOf(usage);
    sum.total += amount;
  }
}

/** Tokens that were read from a cache, of whatever kind. */
export function cacheReadTokensOf({ cacheReadTokens = 0, cacheReadAudioTokens = 0 }: UsageRow['usage']): number {
  return cacheReadTokens + cacheReadAudioTokens;
}

/**
 * The instants that part what a query asks for: rows up to the first, whole hours up to the second, whole days up to the third, hours up
 * to the fourth, and rows again. Undefined where a rollup does not help: it holds no whole hour, or rows by what is in none.
 */
export function partsOf({ from, to, dimensions }: UsageQuery): readonly [number, number, number, number] | undefined {
  const { org, user, key } = dimensions;
  const hours = wholeSpans(from, to, hourMs);
  if (org !== '' || user !== '' || key !== '' || hours === undefined) return undefined;
  const days = wholeSpans(from, to, dayMs);
  return days ? [hours.start, days.start, days.end, hours.end] : [hours.start, hours.start, hours.start, hours.end];
}

/** A query's instants, as far as rows can have them. */
export function bounded(query: UsageQuery): UsageQuery {
  return { ...query, from: Math.max(0, query.from), to: Math.min(query.to, lastMs) };
}

/** The whole spans within a stretch of time; none where it holds none. */
function wholeSpans(from: number, to: number, spanMs: number): { readonly start: number; readonly end: number } | undefined {
  const [start, end] = [Math.ceil(from / spanMs) * spanMs, Math.floor(to / spanMs) * spanMs];
  return start < end ? { start, end } : undefined;
}
