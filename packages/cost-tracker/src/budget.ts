import { type Fraction, type NanoUsd, parseFraction, parseUsd } from './money.ts';
import { checkKeys, checkOneOf, checkText } from './options.ts';
import { type BudgetPeriod, type Span, spansOf } from './period.ts';
import { type BudgetScope, covers, type Dimensions, dimensionsOf } from './scope.ts';

/** How far a budget is spent. */
export type BudgetLevel = 'ok' | BudgetThreshold;

/** A line a budget can cross, from the lowest to the highest. */
export type BudgetThreshold = 'warning' | 'critical' | 'blocked';

/** A limit on what the calls of one scope may cost in a period. */
export interface BudgetOptions {
  /** Name in errors, events and `status`; unique within a tracker. */
  name: string;
  /** Whose calls count; at least one dimension. */
  scope: BudgetScope;
  /** The limit: above 0, at most nine decimals. */
  limitUsd: string | number;
  /** How long the budget runs before it starts again. */
  period: BudgetPeriod;
  /** IANA zone in which days, weeks and months begin. @defaultValue `'UTC'` */
  timeZone?: string;
  /**
   * Fractions of the limit, in ascending order. A call is admitted while everything spent and held stays at or below `blocked`.
   * @defaultValue `{ warning: 0.9, critical: 1, blocked: 1.1 }`
   */
  thresholds?: Partial<Record<BudgetThreshold, number>>;
  /** Whether calls of models that have no known price are refused or let through. @defaultValue `'refuse'` */
  unpriced?: 'refuse' | 'allow';
}

/** A threshold as an amount. */
export interface BudgetMark {
  /** Which line. */
  readonly level: BudgetThreshold;
  /** Its fraction of the limit. */
  readonly threshold: number;
  /** The smallest spend, in nano-USD, that has crossed it. */
  readonly reachedAt: NanoUsd;
}

/** One budget in one of its periods: all that a store has to know to decide. */
export interface BudgetWindow {
  /** The budget's name. */
  readonly budget: string;
  /** Whose calls count. */
  readonly dimensions: Dimensions;
  /** First epoch millisecond that counts. */
  readonly start: number;
  /** First epoch millisecond after what counts. */
  readonly end: number;
  /** Length in milliseconds of the parts that are counted apart, where the period moves on part by part. */
  readonly step?: number;
  /** First epoch millisecond of the period in which each threshold is crossed once. */
  readonly periodStart: number;
  /** Epoch milliseconds at which nothing of what is spent by now counts any more. */
  readonly resetsAt: number;
  /** The limit in nano-USD. */
  readonly limit: NanoUsd;
  /** The most that spent and held together may reach, in nano-USD. */
  readonly ceiling: NanoUsd;
  /** Thresholds from the lowest to the highest. */
  readonly marks: readonly BudgetMark[];
}

/** What one budget has spent and holds, in nano-USD. */
export interface BudgetState {
  /** Settled spend of the period. */
  readonly spent: NanoUsd;
  /** Held for calls that have not settled. */
  readonly reserved: NanoUsd;
}

/** A budget as its owner wrote it, checked once and turned into whole amounts. */
export interface Budget {
  readonly name: string;
  readonly options: BudgetOptions;
  readonly refusesUnpriced: boolean;
  /** Whether a call with these dimensions counts. */
  covers(call: Dimensions): boolean;
  /** The budget's window that contains the instant. */
  windowAt(instant: number): BudgetWindow | Promise<BudgetWindow>;
}

/** Thresholds of a budget that names none. */
export const DEFAULT_THRESHOLDS = { warning: 0.9, critical: 1, blocked: 1.1 };
const LEVELS = ['warning', 'critical', 'blocked'] as const;
const KEYS = ['name', 'scope', 'limitUsd', 'period', 'timeZone', 'thresholds', 'unpriced'];
const MAX_THRESHOLD = 10;

/** Checks a list of budgets and refuses two of one name. */
export function readBudgets(options: readonly BudgetOptions[]): ReadonlyMap<string, Budget> {
  const budgets = new Map<string, Budget>();
  if (!Array.isArray(options)) throw new RangeError(`budgets must be an array, not ${String(options)}`);
  options.forEach((option: BudgetOptions, index) => {
    const budget = readBudget(option, `budgets[${index}]`);
    if (budgets.has(budget.name)) throw new RangeError(`budgets[${index}].name '${budget.name}' is already taken`);
    budgets.set(budget.name, budget);
  });
  return budgets;
}

/** Checks one budget. */
export function readBudget(options: BudgetOptions, name: string): Budget {
  checkKeys(options, KEYS, name);
  const dimensions = dimensionsOf(options.scope, `${name}.scope`);
  if (Object.values(dimensions).every((value) => value === '')) {
    throw new RangeError(`${name}.scope must name at least one of ${Object.keys(dimensions).join(', ')}`);
  }
  const limit = parseUsd(options.limitUsd, `${name}.limitUsd`);
  if (limit === 0n) throw new RangeError(`${name}.limitUsd must be above 0`);
  const marks = readMarks(options.thresholds ?? {}, limit, `${name}.thresholds`);
  const fixed = { budget: checkText(options.name, `${name}.name`), dimensions, limit, ...marks };
  const spans = spansOf(options.period, options.timeZone ?? 'UTC', name);
  const unpriced = checkOneOf(options.unpriced ?? 'refuse', ['refuse', 'allow'], `${name}.unpriced`);
  let latest: { readonly span: Span; readonly window: BudgetWindow } | undefined;
  const windowOf = (span: Span): BudgetWindow => {
    if (latest?.span !== span) latest = { span, window: { ...fixed, ...span } };
    return latest.window;
  };
  return {
    name: fixed.budget,
    options: structuredClone(options),
    refusesUnpriced: unpriced === 'refuse',
    covers: (call) => covers(dimensions, call),
    windowAt(instant) {
      const span = spans.at(instant);
      return span instanceof Promise ? span.then(windowOf) : windowOf(span);
    },
  };
}

function readMarks(
  thresholds: Partial<Record<BudgetThreshold, number>>,
  limit: NanoUsd,
  name: string,
): Pick<BudgetWindow, 'marks' | 'ceiling'> {
  checkKeys(thresholds, LEVELS, name);
  let previous = 0;
  let ceiling = 0n;
  const marks = LEVELS.map((level): BudgetMark => {
    const threshold = thresholds[level] ?? DEFAULT_THRESHOLDS[level];
    checkThreshold(threshold, previous, `${name}.${level}`);
    previous = threshold;
    const fraction = parseFraction(threshold, `${name}.${level}`);
    ceiling = shareOf(limit, fraction);
    const exact = ceiling * fraction.denominator === limit * fraction.numerator;
    return { level, threshold, reachedAt: exact ? ceiling : ceiling + 1n };
  });
  return { marks, ceiling };
}

function checkThreshold(threshold: unknown, previous: number, name: string): void {
  if (typeof threshold === 'number' && threshold > 0 && threshold >= previous && threshold <= MAX_THRESHOLD) return;
  const hint = typeof threshold === 'number' && threshold > MAX_THRESHOLD ? ` (for ${threshold} % write ${threshold / 100})` : '';
  throw new RangeError(
    `${name} must be a fraction above 0, at least ${previous} and at most ${MAX_THRESHOLD}, not ${String(threshold)}${hint}`,
  );
}

/** The largest whole amount that is at most `fraction` of `limit`: comparing with it is comparing with the exact ratio. */
function shareOf(limit: NanoUsd, fraction: Fraction): NanoUsd {
  return (limit * fraction.numerator) / fraction.denominator;
}

/** The level a spend has reached. Held amounts do not count: they may yet be given back. */
export function levelOf(spent: NanoUsd, marks: readonly BudgetMark[]): BudgetLevel {
  return marks.findLast((mark) => spent >= mark.reachedAt)?.level ?? 'ok';
}

/** Whether a call that may cost `amount` still fits. */
export function admits(window: BudgetWindow, state: BudgetState, amount: NanoUsd): boolean {
  return state.spent + state.reserved + amount <= window.ceiling;
}
