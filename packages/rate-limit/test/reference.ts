import type { TokenBucket } from '../src/index.ts';

/** One admitted call: when, by a clock that only goes forward, and for how much. */
export interface Admission {
  readonly atMs: number;
  readonly cost: number;
}

/**
 * A bucket as a child would keep it: a level that rises with time. The level is counted in tokens times the period, so that
 * on whole milliseconds every number is whole and nothing is rounded.
 */
export class PlainBucket {
  readonly #limit: TokenBucket;
  #level: number;
  #atMs: number;

  constructor(limit: TokenBucket, atMs: number) {
    this.#limit = limit;
    this.#level = limit.burst * limit.rate.periodMs;
    this.#atMs = atMs;
  }

  /** Whole tokens left. */
  left(nowMs: number): number {
    this.#fill(nowMs);
    return Math.floor(this.#level / this.#limit.rate.periodMs);
  }

  /** Ms until `cost` tokens are there; 0 if they are. */
  waitMs(nowMs: number, cost: number): number {
    if (cost > this.#limit.burst) return Number.POSITIVE_INFINITY;
    this.#fill(nowMs);
    return Math.max(0, Math.ceil((cost * this.#limit.rate.periodMs - this.#level) / this.#limit.rate.amount));
  }

  take(cost: number): void {
    this.#level -= cost * this.#limit.rate.periodMs;
  }

  #fill(nowMs: number): void {
    const { burst, rate } = this.#limit;
    this.#level = Math.min(burst * rate.periodMs, this.#level + (nowMs - this.#atMs) * rate.amount);
    this.#atMs = nowMs;
  }
}

/**
 * By how much the worst interval between two admissions passes `burst + t · rate`, in tokens; never above 0 is the promise.
 * Every pair of admissions is looked at, no formula of the limiter is used.
 */
export function worstExcess({ burst, rate }: TokenBucket, admissions: readonly Admission[]): number {
  let worst = Number.NEGATIVE_INFINITY;
  for (const [from, first] of admissions.entries()) {
    let total = 0;
    for (const last of admissions.slice(from)) {
      total += last.cost;
      worst = Math.max(worst, ((total - burst) * rate.periodMs - (last.atMs - first.atMs) * rate.amount) / rate.periodMs);
    }
  }
  return worst;
}
