import { fraction, longestTimerMs, numberWithin, onlyKnown, wholeNumber } from '../options.ts';
import { LatencyHistogram } from './latency-histogram.ts';

/** A hedge's delay that follows what calls take. */
export interface QuantileDelay {
  /** After which share of the first attempts' recent durations a hedge is started, such as 0.95. */
  readonly quantile: number;
  /** Durations that must be known for that. @defaultValue `20` */
  readonly minSamples?: number;
  /** The delay until they are, in ms. */
  readonly initialDelayMs: number;
}

/** After how long an attempt is hedged. */
export class HedgeDelay {
  readonly #fixedMs: number;
  readonly #quantile: number = 1;
  readonly #minSamples: number = 1;
  readonly #durations: LatencyHistogram | undefined;
  #samples = 0;

  /** Throws a RangeError that names option, value and limit. */
  constructor(delayMs: number | QuantileDelay) {
    if (typeof delayMs !== 'object' || delayMs === null || !('quantile' in delayMs)) {
      this.#fixedMs = numberWithin('delayMs', delayMs, 0, longestTimerMs);
      return;
    }
    onlyKnown('delayMs', delayMs, ['quantile', 'minSamples', 'initialDelayMs']);
    const { quantile, minSamples = 20, initialDelayMs } = delayMs;
    this.#fixedMs = numberWithin('delayMs.initialDelayMs', initialDelayMs, 0, longestTimerMs);
    this.#quantile = fraction('delayMs.quantile', quantile);
    this.#minSamples = wholeNumber('delayMs.minSamples', minSamples, 1, 1_000);
    this.#durations = new LatencyHistogram();
  }

  /** Whether it wants to be told what first attempts take. */
  get follows(): boolean {
    return this.#durations !== undefined;
  }

  /** The delay now, in ms. */
  get ms(): number {
    if (this.#durations === undefined || this.#samples < this.#minSamples) return this.#fixedMs;
    return Math.min(longestTimerMs, this.#durations.quantile(this.#quantile));
  }

  /** Learns what a first attempt took. */
  learn(ms: number): void {
    this.#samples += 1;
    this.#durations?.record(ms);
  }

  /**
   * Learns that a first attempt had taken `ms` when another one overtook it. It would have taken longer, nobody knows by how
   * much: twice as long lets the delay grow fast where too many are overtaken, and moves it nowhere where the share is right.
   */
  learnAtLeast(ms: number): void {
    this.learn(2 * ms);
  }
}
