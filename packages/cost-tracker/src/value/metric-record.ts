import { createHash } from 'node:crypto';
import { checkKeys, checkNumber, checkText } from '../options.ts';
import { type BudgetScope, dimensionsOf } from '../scope.ts';
import { MAX_VALUE } from './billionths.ts';
import type { MetricCategory, MetricDefinition } from './definition.ts';
import type { ValueRow } from './value-store.ts';

/** A value to be recorded. */
export interface RecordMetricOptions {
  /** Name of a metric that is defined. */
  name: string;
  /** The value in the metric's unit: −10¹² to 10¹². Percent is 0 to 100, not a fraction. */
  value: number;
  /** When it was measured, in epoch milliseconds: at most the retention ago and a day ahead. @defaultValue now */
  at?: number | undefined;
  /** Whose value it is. */
  scope?: BudgetScope | undefined;
  /** Kept beside the value as JSON. @defaultValue `{}` */
  context?: Readonly<Record<string, unknown>> | undefined;
  /** Makes a repeated report one of the same value, within its tenant and the retention. @defaultValue a random key */
  dedupeKey?: string | undefined;
  /** Category of the metric; another one is refused. @defaultValue the definition's */
  category?: MetricCategory | undefined;
  /** Unit of the metric; another one is refused. @defaultValue the definition's */
  unit?: string | undefined;
}

/** A recorded value, complete. */
export interface MetricRecord {
  /** Name of the metric. */
  readonly name: string;
  /** Category of the metric. */
  readonly category: MetricCategory;
  /** The value in the metric's unit. */
  readonly value: number;
  /** Unit of the metric. */
  readonly unit: string;
  /** When it was measured, in epoch milliseconds. */
  readonly at: number;
  /** Whose value it is. */
  readonly scope: BudgetScope;
  /** What stands beside the value. */
  readonly context: Readonly<Record<string, unknown>>;
  /** The key it was recorded under. */
  readonly dedupeKey?: string;
}

const LATEST_INSTANT = 8.64e15;
const AHEAD_MS = 86_400_000;
const RECORD_KEYS = ['name', 'value', 'at', 'scope', 'context', 'dedupeKey', 'category', 'unit'];

/** Checks a value and lays it out as the store keeps it. */
export function valueRow(
  options: RecordMetricOptions,
  definitions: ReadonlyMap<string, MetricDefinition>,
  defaults: { readonly at: number; readonly dedupeKey: () => string },
  owner: string,
): ValueRow {
  checkKeys(options, RECORD_KEYS, owner);
  const definition = definitionOf(definitions, options.name);
  return {
    dedupeKey: checkText(options.dedupeKey ?? defaults.dedupeKey(), `${owner}.dedupeKey`),
    name: definition.name,
    category: same(options.category, definition.category, `${owner}.category`),
    value: checkNumber(options.value, -MAX_VALUE, MAX_VALUE, `${owner}.value`),
    unit: same(options.unit, definition.unit, `${owner}.unit`),
    at: Math.floor(checkNumber(options.at ?? defaults.at, 0, LATEST_INSTANT, `${owner}.at`)),
    dimensions: dimensionsOf(options.scope ?? {}, `${owner}.scope`),
    context: jsonOf(options.context ?? {}, `${owner}.context`),
  };
}

/** The definition of that name. */
export function definitionOf(definitions: ReadonlyMap<string, MetricDefinition>, name: string): MetricDefinition {
  const definition = definitions.get(name);
  if (definition) return definition;
  throw new RangeError(`no metric is named ${JSON.stringify(name)}; known are ${[...definitions.keys()].join(', ')}`);
}

/** Refuses a time that is farther ahead than clocks are apart. */
export function checkNotAhead(at: number, now: number, name: string): void {
  if (at <= now + AHEAD_MS) return;
  throw new RangeError(`${name} must be at most a day ahead of ${isoTime(now)}, not ${isoTime(at)}`);
}

/** Refuses a time whose values are not kept any more. */
export function checkNotExpired(at: number, retentionDays: number, from: number, name: string): void {
  if (at >= from) return;
  throw new RangeError(`${name} must be at most ${retentionDays} days ago, since ${isoTime(from)}, not ${isoTime(at)}`);
}

/**
 * Gives records without a key one made of what they say, so that loading them again changes nothing. Of records that say the same,
 * each has a key of its own.
 */
export function keyedByContent(records: readonly MetricRecord[]): MetricRecord[] {
  const seen = new Map<string, number>();
  return records.map((record) => {
    if (record.dedupeKey !== undefined) return record;
    const { name, value, at, scope, context } = record;
    const digest = createHash('sha256')
      .update(JSON.stringify([name, value, at, Object.entries(scope).sort(), context]))
      .digest('base64url');
    const before = seen.get(digest) ?? 0;
    seen.set(digest, before + 1);
    return { ...record, dedupeKey: before === 0 ? digest : `${digest}#${before}` };
  });
}

function isoTime(at: number): string {
  return new Date(at).toISOString();
}

function same<T extends string>(given: T | undefined, defined: T, name: string): T {
  if (given === undefined || given === defined) return defined;
  throw new RangeError(`${name} must be ${JSON.stringify(defined)}, as the metric is defined, not ${JSON.stringify(given)}`);
}

function jsonOf(context: unknown, name: string): string {
  if (typeof context !== 'object' || context === null || Array.isArray(context)) {
    throw new RangeError(`${name} must be an object, not ${Array.isArray(context) ? 'an array' : String(context)}`);
  }
  try {
    return JSON.stringify(context);
  } catch (cause) {
    throw new RangeError(`${name} must be an object that can be written as JSON`, { cause });
  }
}
