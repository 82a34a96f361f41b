import type { Clock } from './clock.ts';
import type { TakenAt } from './counts.ts';
import type { Decision } from './decision.ts';
import type { Limit } from './limit.ts';
import { type Asked, Local } from './local.ts';

/** Counts the limits that are `local` while their store cannot be asked: each process its part of them. */
export class Alone {
  readonly #which: readonly number[];
  readonly #groups: readonly number[];
  readonly #local: Local;

  /** `which` limits of all are counted, as one of so many `instances`. */
  constructor(
    which: readonly number[],
    limits: readonly Limit<never>[],
    groupOf: readonly number[],
    instances: number,
    maxKeys: number,
    clock: Clock,
  ) {
    this.#which = which;
    this.#groups = [...new Set(which.map((i) => groupOf[i] as number))];
    const parts = which.map((i) => {
      const limit = limits[i] as Limit<never>;
      return { ...limit, rule: limit.rule.part(instances) };
    });
    this.#local = new Local(
      parts,
      which.map((i) => this.#groups.indexOf(groupOf[i] as number)),
      maxKeys,
      clock,
    );
  }

  /** When the latest decision was made. */
  get takenAt(): TakenAt {
    return this.#local.counts.takenAt;
  }

  decide(keys: readonly string[], costs: readonly number[], asked: Asked): Decision {
    return { ...this.#local.decide(this.#of(keys), this.#ofLimits(costs), asked), degraded: 'local' };
  }

  settle(keys: readonly string[], reserved: readonly number[], actual: readonly number[], at: TakenAt, reservation: string): void {
    this.#local.counts.settle(this.#of(keys), this.#ofLimits(reserved), this.#ofLimits(actual), at, reservation);
  }

  #of(keys: readonly string[]): string[] {
    return this.#groups.map((group) => keys[group] as string);
  }

  #ofLimits(values: readonly number[]): number[] {
    return this.#which.map((i) => values[i] as number);
  }
}
