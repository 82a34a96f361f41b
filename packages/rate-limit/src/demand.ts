import { createHash } from 'node:crypto';
import type { Limit } from './limit.ts';
import { wholeNumber } from './options.ts';
import { largestAmount } from './rate.ts';
import { callsAtOnce } from './rules/concurrency.ts';

/** How much a call takes: of every limit, or by unit. */
export type Cost = number | Readonly<Record<string, number>>;

/** Reads whom a call is charged to and how much, for the limits of one limiter. */
export class Demands<Subject> {
  /** Which key each limit goes by. */
  readonly groupOf: readonly number[];
  readonly #keyOf: readonly ((subject: Subject) => string)[];
  readonly #units: readonly string[];
  readonly #unitOf: readonly string[];
  readonly #ones: readonly number[];
  readonly #oneOfEach: boolean; // what a call takes that does not say how much

  constructor(limits: readonly Limit<Subject>[], key: (subject: Subject) => string) {
    const keyOf = [...new Set(limits.map((limit) => limit.key ?? key))];
    this.#keyOf = keyOf;
    this.groupOf = limits.map((limit) => keyOf.indexOf(limit.key ?? key));
    this.#unitOf = limits.map(({ unit }) => unit);
    this.#units = [...new Set(this.#unitOf)].filter((unit) => unit !== callsAtOnce);
    this.#ones = limits.map(() => 1);
    this.#oneOfEach = this.#units.every((unit, i) => i === 0 || unit === 'requests');
  }

  /** The key of the only group; undefined where limits go by several, or a call has to say how much it takes. */
  get oneKey(): ((subject: Subject) => string) | undefined {
    return this.#keyOf.length === 1 && this.#oneOfEach ? this.#keyOf[0] : undefined;
  }

  /** The keys of a subject, one a group. */
  keys(subject: Subject): readonly string[] {
    return this.#keyOf.map((keyOf) => checkedKey(keyOf(subject)));
  }

  /** What each limit is charged. */
  costs(owner: string, cost: Cost | undefined, least: 0 | 1 = 1): readonly number[] {
    if (cost === undefined && this.#oneOfEach) return this.#ones;
    const byUnit = typeof cost === 'object' && cost !== null ? this.#byUnit(owner, cost, least) : this.#alike(owner, cost, least);
    return this.#unitOf.map((unit) => (unit === callsAtOnce ? 1 : (byUnit[unit] as number)));
  }

  #alike(owner: string, cost: unknown, least: 0 | 1): Record<string, number> {
    if (this.#units.length > 1) {
      const example = this.#units.map((unit) => `${unit}: …`).join(', ');
      throw new RangeError(`${owner}: the limits count ${this.#units.join(' and ')}; cost must be { ${example} }, not ${String(cost)}`);
    }
    const amount = wholeNumber('cost', cost as number, least, largestAmount);
    return Object.fromEntries(this.#units.map((unit) => [unit, amount]));
  }

  #byUnit(owner: string, cost: Readonly<Record<string, number>>, least: 0 | 1): Record<string, number> {
    if (Symbol.iterator in cost) throw new RangeError(`${owner}: cost must be a number or an object of amounts by unit, not a list`);
    for (const unit of Object.keys(cost)) {
      if (!this.#units.includes(unit))
        throw new RangeError(`${owner}: cost.${unit} is of no limit; the limits count ${this.#units.join(', ')}`);
    }
    const amounts = this.#units.map((unit) => {
      const amount = Object.hasOwn(cost, unit) ? cost[unit] : undefined;
      if (amount === undefined && unit === 'requests') return [unit, 1] as const;
      return [unit, wholeNumber(`${owner}: cost.${unit}`, amount as number, 0, largestAmount)] as const;
    });
    if (least === 1 && this.#units.length > 0 && amounts.every(([, amount]) => amount === 0))
      throw new RangeError(`${owner}: cost must take something`);
    return Object.fromEntries(amounts);
  }
}

/** A key as stores keep it: as it is where it is short plain text and no such hash itself, else its hash. */
export function storedKey(key: string): string {
  if (key.length <= 200 && /^(?!sha256-)[\x20-\x7e]*$/.test(key)) return key;
  return `sha256-${createHash('sha256').update(Buffer.from(key, 'utf16le')).digest('base64url')}`;
}

/** Refuses what is no string: an object would be another key at each call. */
export function checkedKey(key: string): string {
  if (typeof key !== 'string') throw new TypeError(`key must return a string, not ${key === null ? 'null' : typeof key}`);
  return key;
}
