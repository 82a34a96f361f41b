import type { Clock } from './clock.ts';
import { Counts } from './counts.ts';
import type { Decision } from './decision.ts';
import type { Limit } from './limit.ts';
import type { BucketRule } from './rules/token-bucket.ts';
import { type Outcome, Verdicts } from './verdict.ts';

/** How a decision is asked for. */
export interface Asked {
  /** `false` takes nothing. */
  readonly charge: boolean;
  /** Whether each limit is to be told of. */
  readonly levels: boolean;
  /** Given where what is taken is settled later. */
  readonly reservation?: string | undefined;
}

const charging = { charge: true, levels: false };

/** The limits of a limiter that counts in this process. */
export class Local implements Outcome {
  readonly counts: Counts;
  readonly #verdicts: Verdicts;
  readonly #only: BucketRule | undefined;
  readonly #name: string; // of the only limit

  constructor(limits: readonly Limit<never>[], groupOf: readonly number[], maxKeys: number, clock: Clock, old?: Counts) {
    this.counts = new Counts(limits, groupOf, maxKeys, clock, old);
    this.#verdicts = new Verdicts(limits);
    this.#only = this.counts.only;
    this.#name = (limits[0] as Limit<never>).name;
  }

  /** Whether {@link Local.one} decides. */
  get isOne(): boolean {
    return this.#only !== undefined;
  }

  /** Charges a single token bucket: {@link Local.decide} with as little as possible around it. */
  one(key: string, cost: number): Decision {
    const rule = this.#only as BucketRule;
    if (this.counts.reserves) return this.decide([key], [cost], charging);
    const room = this.counts.charge(rule, key, cost);
    if (room < 0)
      return this.#verdicts.refusedFor(
        cost > rule.most,
        Math.ceil(-room / rule.perMs),
        cost === 1 ? 0 : Math.floor(room / rule.perToken) + cost,
      );
    return { allowed: true, limit: this.#name, remaining: Math.floor(room / rule.perToken) };
  }

  decide(keys: readonly string[], costs: readonly number[], { charge, levels, reservation }: Asked): Decision {
    const allowed = this.counts.take(keys, costs, charge, reservation);
    return allowed ? this.#verdicts.allowed(this, levels) : this.#verdicts.refused(this, levels);
  }

  wait(i: number): number {
    return this.counts.waits[i] as number;
  }

  left(i: number): number {
    return this.counts.left(i);
  }

  rises(i: number): { readonly moreIn: number; readonly fullIn: number } {
    return this.counts.rises(i);
  }
}
