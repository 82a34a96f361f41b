const growth = 1.1;
const buckets = Math.ceil(Math.log(2 ** 31) / Math.log(growth)) + 1;
const halveAt = 1_000;

/**
 * Quantiles of recent durations in constant space: counts in buckets that each reach 10 % further than the last, so that an
 * answer is at most 10 % too large. All counts are halved when they come to 1,000, so that old durations fade.
 *
 * Logarithmic buckets: Masson, Rim, Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
 * Guarantees", VLDB 2019.
 */
export class LatencyHistogram {
  readonly #counts = new Float64Array(buckets);
  #total = 0;

  record(ms: number): void {
    const at = bucketOf(ms);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#total += 1;
    if (this.#total < halveAt) return;
    for (let i = 0; i < buckets; i += 1) this.#counts[i] = (this.#counts[i] ?? 0) / 2;
    this.#total /= 2;
  }

  /** The upper end of the bucket in which the share `q` of the durations is reached, in ms; 1 where there are none. */
  quantile(q: number): number {
    const rank = q * this.#total * (1 - 1e-9); // 0.07 × 100 is a little more than 7
    let below = 0;
    for (let i = 0; i < buckets; i += 1) {
      below += this.#counts[i] ?? 0;
      if (below > 0 && below >= rank) return growth ** i;
    }
    return 1;
  }
}

/** Bucket 0 holds what takes up to 1 ms, bucket i what takes up to `growth` to the power of i. */
function bucketOf(ms: number): number {
  return ms > 1 ? Math.min(buckets - 1, Math.ceil(Math.log(ms) / Math.log(growth))) : 0;
}
