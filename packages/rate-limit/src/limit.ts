import { onlyKnown } from './options.ts';
import type { Rule } from './rules/rule.ts';

/**
 * What a limit answers while the store that shares it cannot be asked: nothing goes through, everything goes through, or
 * this process counts alone.
 */
export type OnStoreError = 'closed' | 'open' | 'local';

/** What every kind of limit can be told. */
export interface LimitOptions<Subject> {
  /** Names the limit in decisions, errors and headers. @defaultValue the unit */
  readonly name?: string;
  /** What it counts: `consume(subject, { cost: { tokens: 1_200 } })` is charged to the limits whose unit is `tokens`. @defaultValue `'requests'` */
  readonly unit?: string;
  /** Whose limit it is, where that is another than the limiter's `key` says: a tenant's beside its users'. */
  readonly key?: (subject: Subject) => string;
  /** What it answers while the store cannot be asked. @defaultValue `'closed'` */
  readonly onStoreError?: OnStoreError;
}

/** One limit of a {@link RateLimiter}, checked; made by `tokenBucket`, `slidingWindow`, `concurrency` or `calendarQuota`. */
export interface Limit<Subject = unknown> {
  /** The limit's name in decisions, errors and headers. */
  readonly name: string;
  /** What it counts. */
  readonly unit: string;
  /** Whose limit it is, where that is another than the limiter's `key` says. */
  readonly key: ((subject: Subject) => string) | undefined;
  /** What it answers while the store cannot be asked. */
  readonly onStoreError: OnStoreError;
  /** For people: what it lets through. */
  readonly description: string;
  /** How it decides. */
  readonly rule: Rule;
}

/** The names of the options that every kind of limit has. */
export const commonOptions = ['name', 'unit', 'key', 'onStoreError'] as const;

/** Checks the options that every kind of limit has. */
export function commonLimit<Subject>(
  owner: string,
  options: LimitOptions<Subject>,
  unit: string,
): Omit<Limit<Subject>, 'rule' | 'description'> {
  const named = options.unit ?? unit;
  const onStoreError = options.onStoreError ?? 'closed';
  if (!['closed', 'open', 'local'].includes(onStoreError)) {
    throw new RangeError(`${owner}: onStoreError must be closed, open or local, not '${String(onStoreError)}'`);
  }
  if (options.key !== undefined && typeof options.key !== 'function') throw new RangeError(`${owner}: key must be a function`);
  return { name: word(`${owner}: name`, options.name ?? named), unit: word(`${owner}: unit`, named), key: options.key, onStoreError };
}

/** Refuses an empty list, two limits of one name, and what is no limit. */
export function checkedLimits<Subject>(limits: readonly Limit<Subject>[]): readonly Limit<Subject>[] {
  if (!Array.isArray(limits) || limits.length === 0) throw new RangeError('limits must name at least one limit');
  const names = new Set<string>();
  for (const [i, limit] of limits.entries()) {
    if (typeof limit?.rule?.advance !== 'function')
      throw new RangeError(`limits[${i}] must be made by tokenBucket() or another maker of limits`);
    onlyKnown(`limits[${i}]`, limit, [...commonOptions, 'description', 'rule', ...numbers]);
    refuseChanged(`limits[${i}]`, limit);
    if (names.has(limit.name)) throw new RangeError(`limits: two limits are named '${limit.name}'; give each a name of its own`);
    names.add(limit.name);
  }
  return [...limits];
}

const numbers = ['rate', 'burst', 'limit', 'windowMs'] as const;

/** The numbers of a limit are there to be read; its rule does not follow them in a copy. */
function refuseChanged(owner: string, limit: Limit<never>): void {
  const { most, windowMs, rate, limit: atOnce = most } = limit.rule as Rule & { rate?: unknown; limit?: number };
  const decided = { rate, burst: most, limit: atOnce, windowMs };
  const changed = numbers.find(
    (number) => number in limit && (limit as Partial<Record<typeof number, unknown>>)[number] !== decided[number],
  );
  if (changed !== undefined) throw new RangeError(`${owner}: ${changed} cannot be changed in a copy; make another limit`);
}

function word(option: string, value: string): string {
  if (typeof value === 'string' && /^[\x21-\x7e][\x20-\x7e]{0,99}$/.test(value)) return value;
  throw new RangeError(`${option} must be 1 to 100 printable ASCII characters, not ${JSON.stringify(value)}`);
}
