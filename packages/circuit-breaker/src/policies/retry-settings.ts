import type { Backoff, BackoffKind } from '../backoff.ts';
import { type Clock, systemClock } from '../clock.ts';
import { clockOf, functionOf, longestTimerMs, numberWithin, onlyKnown, wholeNumber } from '../options.ts';
import type { Classifier } from '../outcome.ts';
import { checkedClassifier } from '../settings.ts';
import { checkedBudget, type RetryBudget } from './retry-budget.ts';

/** When and how often a failed call is made again. */
export interface RetryOptions {
  /** Attempts in all, the first included. @defaultValue `3` */
  readonly maxAttempts?: number;
  /**
   * How the waits grow: `exponential` multiplies the bound by `multiplier`, `linear` adds `initialDelayMs` to it,
   * `decorrelated-jitter` takes a wait between `initialDelayMs` and three times the last one. @defaultValue `'exponential'`
   */
  readonly backoff?: BackoffKind;
  /** Upper bound of the first wait, in ms; lower bound of all with `decorrelated-jitter`. @defaultValue `200` */
  readonly initialDelayMs?: number;
  /** What each further bound of an `exponential` backoff is multiplied by. @defaultValue `2` */
  readonly multiplier?: number;
  /** The longest wait, in ms. A server that asks for longer ends the retrying at once. @defaultValue `30_000` */
  readonly maxDelayMs?: number;
  /** Share of each wait that chance decides, 0 to 1; `decorrelated-jitter` has its own. @defaultValue `1` */
  readonly jitter?: number;
  /**
   * Attempts and waits together, in ms; a wait that would pass it is not begun. An attempt that runs is not ended by it: that
   * is what a `timeout` outside of the retry does. No limit unless given.
   */
  readonly maxElapsedMs?: number;
  /** A budget of further attempts to share with other retries and with hedges. No limit unless given. */
  readonly budget?: RetryBudget;
  /**
   * What errors and values mean, by the rules of a breaker: a `failure` and `{ throttledMs }` are worth another attempt,
   * `success` and `ignore` are not. A value that is bad to the end is returned as it is.
   */
  readonly classify?: Classifier;
  /**
   * Whether an error is worth another attempt; with `classify` both must say so. One that throws says no.
   * @defaultValue every error but a refusal by a limit of our own
   */
  readonly retryIf?: (error: unknown) => boolean;
  /** Where time comes from. */
  readonly clock?: Clock;
  /** Where chance comes from: numbers from 0 up to 1. */
  readonly random?: () => number;
}

/** The options, checked and completed. */
export interface RetrySettings extends Backoff {
  readonly maxAttempts: number;
  readonly maxElapsedMs: number;
  readonly budget: RetryBudget | undefined;
  readonly classify: Classifier;
  readonly retryIf: ((error: unknown) => boolean) | undefined;
  readonly clock: Clock;
  readonly random: () => number;
}

const known = [
  'maxAttempts',
  'backoff',
  'initialDelayMs',
  'multiplier',
  'maxDelayMs',
  'jitter',
  'maxElapsedMs',
  'budget',
  'classify',
  'retryIf',
  'clock',
  'random',
];

/** The options that a kind of backoff has no use for. */
const useless: Readonly<Record<BackoffKind, ReadonlyArray<'multiplier' | 'jitter'>>> = {
  exponential: [],
  linear: ['multiplier'],
  'decorrelated-jitter': ['multiplier', 'jitter'],
};

/** Checks the options of a retry and completes them; throws a RangeError that names option, value and limit. */
export function retrySettings(options: RetryOptions): RetrySettings {
  onlyKnown('retry', options, known);
  const { maxAttempts = 3, initialDelayMs = 200, multiplier = 2, maxDelayMs = 30_000, jitter = 1, maxElapsedMs } = options;
  return {
    kind: checkedKind(options),
    maxAttempts: wholeNumber('maxAttempts', maxAttempts, 1, 1_000),
    initialDelayMs: numberWithin('initialDelayMs', initialDelayMs, 0, longestTimerMs),
    multiplier: numberWithin('multiplier', multiplier, 1, 1_000),
    maxDelayMs: numberWithin('maxDelayMs', maxDelayMs, 0, longestTimerMs),
    jitter: numberWithin('jitter', jitter, 0, 1),
    maxElapsedMs: maxElapsedMs === undefined ? Number.POSITIVE_INFINITY : numberWithin('maxElapsedMs', maxElapsedMs, 0, longestTimerMs),
    budget: checkedBudget(options.budget),
    classify: options.classify === undefined ? {} : checkedClassifier(options.classify),
    retryIf: options.retryIf === undefined ? undefined : functionOf('retryIf', options.retryIf),
    clock: clockOf(options.clock ?? systemClock),
    random: functionOf('random', options.random ?? Math.random),
  };
}

function checkedKind(options: RetryOptions): BackoffKind {
  const { backoff = 'exponential' } = options;
  if (!Object.hasOwn(useless, backoff)) {
    throw new RangeError(`backoff must be 'exponential', 'linear' or 'decorrelated-jitter', not '${String(backoff)}'`);
  }
  for (const option of useless[backoff]) {
    if (options[option] !== undefined) throw new RangeError(`${option} means nothing to a backoff of '${backoff}'`);
  }
  return backoff;
}
