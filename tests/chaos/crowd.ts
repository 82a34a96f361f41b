import { setTimeout as sleep } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** A call as its caller saw it. Times are those of `performance.now()`. */
export interface Ended<T> {
  readonly number: number;
  readonly sentAt: number;
  readonly endedAt: number;
  /** What it was answered with; absent where it failed. */
  readonly value?: T;
  readonly error?: unknown;
}

export interface CrowdOptions<T> {
  readonly callers: number;
  readonly random: () => number;
  /** The longest pause of a caller between two calls. */
  readonly pauseMs: number;
  /** No more calls than that, whatever happens. */
  readonly most: number;
  readonly call: (number: number) => Promise<T>;
}

/** Callers who go on side by side, each with one call at a time, until they are told to stop or the test has finished. */
export class Crowd<T> {
  readonly ended: Ended<T>[] = [];
  /** Numbers of the calls that are under way. */
  readonly underWay = new Set<number>();
  made = 0;
  readonly #options: CrowdOptions<T>;
  readonly #lanes: Promise<void>[];
  #going = true;

  constructor(options: CrowdOptions<T>) {
    this.#options = options;
    onTestFinished(() => this.stop());
    this.#lanes = Array.from({ length: options.callers }, () => this.#lane());
  }

  /** No call begins any more; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#lanes);
  }

  async #lane(): Promise<void> {
    const { random, pauseMs, most } = this.#options;
    while (this.#going && this.made < most) {
      await this.#one();
      await sleep(1 + random() * pauseMs);
    }
  }

  async #one(): Promise<void> {
    this.made += 1;
    const number = this.made;
    const sentAt = performance.now();
    this.underWay.add(number);
    const end = await this.#options.call(number).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    this.underWay.delete(number);
    this.ended.push({ number, sentAt, endedAt: performance.now(), ...end });
  }
}

/** The value below which this share of all lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** How long each took. */
export const durations = (calls: readonly Ended<unknown>[]): number[] => calls.map(({ sentAt, endedAt }) => endedAt - sentAt);

/** What occurs more than once. */
export const doubles = (numbers: readonly number[]): number[] => numbers.filter((number, at) => numbers.indexOf(number) !== at);
