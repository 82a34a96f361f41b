import type { Allowed, Degraded, LimitLevel, Refused } from './decision.ts';
import type { Limit } from './limit.ts';
import { ConcurrencyRule } from './rules/concurrency.ts';

/** How a decision came out, limit by limit. */
export interface Outcome {
  /** In how many µs the cost fits limit `i`. */
  wait(i: number): number;
  /** The highest cost that fits limit `i` now. */
  left(i: number): number;
  /** In how many µs more fits limit `i`, and in how many all of it. */
  rises(i: number): { readonly moreIn: number; readonly fullIn: number };
}

/** Puts into words what a limiter's limits decided. */
export class Verdicts {
  readonly #limits: readonly Limit<never>[];
  readonly #messages: readonly string[]; // made once, because refusing must be cheap
  readonly #firstName: string;

  constructor(limits: readonly Limit<never>[]) {
    this.#limits = limits;
    this.#messages = limits.map(({ name, description }) => `limit '${name}' is used up (${description})`);
    this.#firstName = this.#name(0);
  }

  /** What is said where every limit agrees. */
  allowed(outcome: Outcome, levels: boolean, degraded?: Degraded): Allowed {
    let tightest = 0;
    let remaining = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.#limits.length; i += 1) {
      const left = outcome.left(i);
      if (left < remaining) {
        remaining = left;
        tightest = i;
      }
    }
    const allowed = { allowed: true, limit: this.#name(tightest), remaining } as const;
    return levels || degraded !== undefined ? { ...allowed, ...this.#more(outcome, levels, degraded) } : allowed;
  }

  /** What is said where some limit does not. */
  refused(outcome: Outcome, levels: boolean, degraded?: Degraded): Refused {
    let by = 0;
    let longest = 0;
    for (let i = 0; i < this.#limits.length; i += 1) {
      const wait = outcome.wait(i);
      if (wait > longest) {
        longest = wait;
        by = i;
      }
    }
    const refused = this.refusedBy(by, longest, outcome.left(by));
    return levels || degraded !== undefined ? { ...refused, ...this.#more(outcome, levels, degraded) } : refused;
  }

  /** What is said where limit `i` asks for a wait of so many µs. */
  refusedBy(i: number, waitUs: number, remaining: number): Refused {
    const permanent = waitUs === Number.POSITIVE_INFINITY;
    return {
      allowed: false,
      code: 'ERR_RATE_LIMITED',
      message: permanent ? this.#never(i) : (this.#messages[i] as string),
      limit: this.#name(i),
      remaining,
      retryAfterMs: permanent ? waitUs : Math.ceil(waitUs / 1_000),
      permanent,
    };
  }

  /** What is said where every limit is `open` without its store. */
  unasked(): Allowed {
    return { allowed: true, limit: this.#firstName, remaining: 0, degraded: 'open' };
  }

  /** What is said where a limit that is `closed` without its store decides. */
  unavailable(i: number, retryAfterMs: number): Refused {
    return {
      allowed: false,
      code: 'ERR_STORE_UNAVAILABLE',
      message: `limit '${this.#name(i)}' is closed, because the store that shares it does not answer`,
      limit: this.#name(i),
      remaining: 0,
      retryAfterMs,
      permanent: false,
      degraded: 'closed',
    };
  }

  #never(i: number): string {
    const limit = this.#limits[i] as Limit<never>;
    return `a cost above ${limit.rule.most}, the most that limit '${limit.name}' ever lets through at once (${limit.description}), never fits`;
  }

  #more(outcome: Outcome, levels: boolean, degraded: Degraded | undefined): { levels?: LimitLevel[]; degraded?: Degraded } {
    return {
      ...(levels ? { levels: this.#limits.map((_, i) => this.#level(outcome, i)) } : {}),
      ...(degraded === undefined ? {} : { degraded }),
    };
  }

  #level(outcome: Outcome, i: number): LimitLevel {
    const { name, unit, rule } = this.#limits[i] as Limit<never>;
    const { moreIn, fullIn } = outcome.rises(i);
    return {
      name,
      unit,
      quota: rule instanceof ConcurrencyRule ? rule.limit : rule.most,
      ...(rule.windowMs === undefined ? {} : { windowMs: rule.windowMs }),
      remaining: outcome.left(i),
      moreInMs: Math.ceil(moreIn / 1_000),
      fullInMs: Math.ceil(fullIn / 1_000),
    };
  }

  #name(i: number): string {
    return (this.#limits[i] as Limit<never>).name;
  }
}
