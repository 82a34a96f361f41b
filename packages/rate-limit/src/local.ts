import type { Clock } from './clock.ts';
import { Counts } from './counts.ts';
import type { Decision, Refused } from './decision.ts';
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
  readonly #buckets: readonly BucketRule[];
  readonly #names: readonly string[];
  readonly #ones: readonly number[];
  readonly #only: BucketRule | undefined; // where there is one
  readonly #name: string; // of the first limit
  #latest: Refused | undefined; // refusing a flood must cost no more than letting it through

  constructor(limits: readonly Limit<never>[], groupOf: readonly number[], maxKeys: number, clock: Clock, old?: Counts) {
    this.counts = new Counts(limits, groupOf, maxKeys, clock, old);
    this.#verdicts = new Verdicts(limits);
    this.#buckets = this.counts.buckets ?? [];
    this.#names = limits.map(({ name }) => name);
    this.#ones = limits.map(() => 1);
    this.#only = limits.length === 1 ? this.#buckets[0] : undefined;
    this.#name = this.#names[0] as string;
  }

  /** Whether {@link Local.one} decides. */
  get isOne(): boolean {
    return this.#buckets.length > 0;
  }

  /** Takes one from token buckets that go by one key: {@link Local.decide} with as little as possible around it. */
  one(key: string): Decision {
    const { counts } = this;
    if (counts.reserves) return this.decide([key], this.#ones, charging);
    const bucket = this.#only;
    if (bucket === undefined) return this.#several(key);
    const room = counts.chargeOne(bucket, key);
    if (room >= 0) return { allowed: true, limit: this.#name, remaining: Math.floor(room / bucket.perToken) };
    const retryAfterMs = Math.ceil(-room / bucket.perMs);
    const latest = this.#latest;
    return latest !== undefined && latest.retryAfterMs === retryAfterMs ? latest : this.#refusedFor(retryAfterMs);
  }

  /** What is said where the only bucket is in the way, said again within its ms. */
  #refusedFor(retryAfterMs: number): Decision {
    this.#latest = Object.freeze(this.#verdicts.refusedBy(0, retryAfterMs * 1_000, 0));
    return this.#latest;
  }

  #several(key: string): Decision {
    const { counts } = this;
    const buckets = this.#buckets;
    if (!counts.charge(buckets, key)) return this.#refused();
    let [tightest, remaining] = [0, Number.POSITIVE_INFINITY];
    for (let i = 0; i < buckets.length; i += 1) {
      const left = Math.floor((counts.rooms[i] as number) / (buckets[i] as BucketRule).perToken);
      if (left < remaining) {
        remaining = left;
        tightest = i;
      }
    }
    return { allowed: true, limit: this.#names[tightest] as string, remaining };
  }

  /** What is said where some bucket has no room. */
  #refused(): Decision {
    let [by, longestMs] = [0, 0];
    for (let i = 0; i < this.#buckets.length; i += 1) {
      const waitMs = -(this.counts.rooms[i] as number) / (this.#buckets[i] as BucketRule).perMs;
      if (waitMs > longestMs) {
        longestMs = waitMs;
        by = i;
      }
    }
    return this.#verdicts.refusedBy(by, Math.ceil(longestMs) * 1_000, 0);
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
