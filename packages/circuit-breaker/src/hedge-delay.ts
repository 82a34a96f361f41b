import { LatencyHistogram } from './latency-histogram.ts';
import { fraction, longestTimerMs, numberWithin, onlyKnown, wholeNumber } from './options.ts';

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
  readonly #quantile: number;
  readonly #minSamples: number;
  readonly #durations: LatencyHistogram | undefined;
  #samples = 0;

  /** Throws a RangeError that names option, value and limit. */
  constructor(delayMs: number | QuantileDelay) {
    const follows = typeof delayMs === 'object' && delayMs !== null;
    if (follows) onlyKnown('delayMs', delayMs, ['quantile', 'minSamples', 'initialDelayMs']);
    this.#fixedMs = follows
      ? numberWithin('delayMs.initialDelayMs', delayMs.initialDelayMs, 0, longestTimerMs)
      : numberWithin('delayMs', delayMs, 0, longestTimerMs);
    this.#quantile = follows ? fraction('delayMs.quantile', delayMs.quantile) : 1;
    this.#minSamples = follows ? wholeNumber('delayMs.minSamples', delayMs.minSamples ?? 20, 1, 1_000) : 0;
    this.#durations = follows ? new LatencyHistogram() : undefined;
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

  /** Learns what a first attempt took, or had taken when another one overtook it: without those the delay would only ever shrink. */
  learn(ms: number): void {
    this.#samples += 1;
    this.#durations?.record(ms);
  }
}
