import { formatUsd, roundUsd } from '../money.ts';
import type { UsagePart, UsageParts } from '../usage.ts';

/** What a provider's answer says of a call. What it does not say is absent; the names are those of {@link CallOutcome}. */
export interface ReportedUsage {
  /** What was used, in parts that do not overlap. Absent where the answer does not say it, or says nonsense: see `usageProblem`. */
  readonly usage?: UsageParts;
  /**
   * Why what the answer says of its usage is not believed, such as `prompt_tokens must be a whole number from 0 to 1000000000, not -5`.
   * Such a call costs what was reserved for it, as an estimate.
   */
  readonly usageProblem?: string;
  /** The model that answered. */
  readonly servedModel?: string;
  /** The provider's id of the answer. */
  readonly responseId?: string;
  /** The service tier that was used, in the provider's word. */
  readonly serviceTier?: string;
  /** Where the model ran, in the provider's word. */
  readonly region?: string;
  /** What the call cost by the provider's own word, a decimal. */
  readonly amountUsd?: string;
}

/** Far above what any model reads or writes in one call, and so low that no price makes an amount of it that cannot be kept. */
const MOST_TOKENS = 1_000_000_000;

/** An object as it was received. */
export type Body = Readonly<Record<string, unknown>>;

/** Anything else is an object that says nothing. */
export function bodyOf(value: unknown): Body {
  return typeof value === 'object' && value !== null ? (value as Body) : {};
}

/** Anything else is an empty list. */
export function listOf(value: unknown): readonly Body[] {
  return Array.isArray(value) ? value.map(bodyOf) : [];
}

/** A text that is not empty. */
export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** The first of some names that a body has a count under; none where it is absent or null. RangeError for what is no count. */
export function countOf(body: Body, ...names: readonly string[]): number | undefined {
  for (const name of names) {
    const value = body[name];
    if (value === undefined || value === null) continue;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST_TOKENS) return value;
    throw new RangeError(`${name} must be a whole number from 0 to ${MOST_TOKENS}, not ${shown(value)}`);
  }
  return undefined;
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 32));
  return typeof value === 'object' ? 'an object' : String(value);
}

/** A part and how many the answer says of it. */
export type Share = readonly [part: UsagePart, count: number | undefined];

/**
 * Divides a side's total: each part in turn gets what is said of it, at most what is left, and the last gets the rest. So an answer
 * that contradicts itself still adds up to the total that is billed. The dearest stand first.
 */
export function divide(total: number, shares: readonly Share[], rest: UsagePart): UsageParts {
  const parts: Partial<Record<UsagePart, number>> = {};
  let left = total;
  for (const [part, said = 0] of [...shares, [rest, left] as const]) {
    const count = Math.min(said, left);
    left -= count;
    if (count > 0) parts[part] = (parts[part] ?? 0) + count;
  }
  return parts;
}

/** Leaves out what is not said, and tells what is not believed instead of throwing. */
export function reported(readUsage: () => UsageParts | undefined, beside: ReportedFields): ReportedUsage {
  const said = Object.fromEntries(Object.entries(beside).filter(([, value]) => value !== undefined));
  try {
    const usage = readUsage();
    return usage === undefined ? said : { usage, ...said };
  } catch (error) {
    return { usageProblem: (error as Error).message, ...said };
  }
}

type ReportedFields = { readonly [Name in Exclude<keyof ReportedUsage, 'usage' | 'usageProblem'>]?: ReportedUsage[Name] | undefined };

/** An amount as a provider computed it; none where it is no amount. */
export function amountOf(...values: readonly unknown[]): string | undefined {
  try {
    return formatUsd(values.reduce<bigint>((sum, value) => sum + roundUsd(value as number, 'cost'), 0n));
  } catch {
    return undefined;
  }
}
