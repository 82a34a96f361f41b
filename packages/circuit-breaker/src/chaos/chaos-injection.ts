import { begin, type ExecuteOptions, type Execution, type Policy, type Protected, run } from '../execution.ts';
import { functionOf, numberWithin, wholeNumber } from '../options.ts';
import { role } from '../policy-role.ts';
import { type Opening, type OpenStream, openedOf, runStream } from '../stream.ts';
import { seededChance } from './seeded-chance.ts';

/** Which calls chaos strikes. */
export interface ChaosOptions {
  /** Share of the calls that are struck, 0 to 1. */
  readonly injectionRate: number;
  /** Makes the choice repeatable: a whole number from 0 to 2³² − 1. Calls are chosen in the order in which they come in. */
  readonly seed?: number;
  /** Asked at each call; one that is answered with false is left alone, and which others are struck stays the same. @defaultValue always */
  readonly enabled?: () => boolean;
}

/** What chaos does to a call. */
export type ChaosKind = 'fault' | 'latency' | 'outcome' | 'behavior';

/** Numbers of a chaos policy since it was made. */
export interface ChaosMetrics {
  /** What it does. */
  readonly kind: ChaosKind;
  /** Calls, struck or not. */
  readonly calls: number;
  /** Calls that were struck. */
  readonly injections: number;
}

/** The options that every kind has. */
export const chaosOptions = ['injectionRate', 'seed', 'enabled'];

/** Strikes one call; `share` is a number from 0 up to 1 by which to choose how. */
type Strike = <T>(fn: Protected<T>, execution: Execution, share: number) => T | PromiseLike<T>;

/** What the functions of this entry make. */
export class Chaos implements Policy {
  /** @internal */
  readonly [role] = 'chaos';
  readonly #kind: ChaosKind;
  readonly #rate: number;
  readonly #chance: () => number;
  readonly #enabled: () => boolean;
  readonly #strike: Strike;
  #calls = 0;
  #injections = 0;

  /** @internal */
  constructor(kind: ChaosKind, { injectionRate, seed, enabled = () => true }: ChaosOptions, strike: Strike) {
    this.#kind = kind;
    this.#rate = numberWithin('injectionRate', injectionRate, 0, 1);
    this.#chance = seed === undefined ? Math.random : seededChance(wholeNumber('seed', seed, 0, 2 ** 32 - 1));
    this.#enabled = functionOf('enabled', enabled);
    this.#strike = strike;
  }

  /** Runs `fn`, or strikes it. An abort of `options.signal` rejects at once with its reason. */
  execute<T>(fn: Protected<T>, options?: ExecuteOptions): Promise<T> {
    return begin(options, (execution) => this[run](fn, execution));
  }

  /** The numbers of the policy now. */
  metrics(): ChaosMetrics {
    return { kind: this.#kind, calls: this.#calls, injections: this.#injections };
  }

  /** @internal */
  async [run]<T>(fn: Protected<T>, execution: Execution): Promise<T> {
    execution.throwIfAborted();
    this.#calls += 1;
    const drawn = this.#chance(); // also while switched off, so that the sequence depends on the calls alone
    if (drawn >= this.#rate || !this.#enabled()) return fn(execution);
    this.#injections += 1;
    return this.#strike(fn, execution, drawn / this.#rate);
  }

  /** @internal */
  async [runStream]<T>(open: Opening<T>, execution: Execution): Promise<OpenStream<T>> {
    return openedOf(await this[run]((inner) => open(inner as Execution), execution), execution);
  }
}
