import type { BudgetWindow } from '../budget.ts';
import { alertId } from '../memory-alerts.ts';
import type { Dimensions } from '../scope.ts';
import type { Hold, UsageKey } from '../store.ts';
import { type CounterPlace, keyText, placesOf } from './image.ts';

/** What one operation can come to look at. */
export interface Need {
  /** Calls whose hold and rows it reads. */
  readonly key?: UsageKey;
  /** The call that it adds to counters, beside what is known of `key`. */
  readonly call?: Pick<Hold, 'dimensions' | 'at'>;
  /** Windows that it reads. */
  readonly windows?: readonly BudgetWindow[];
  /** Whether it may cross their thresholds. */
  readonly crosses?: boolean;
  /** Up to when it lets holds expire. */
  readonly now?: number;
}

/** Calls with the same dimensions, from the first to the last. */
export interface CallSpan {
  readonly dimensions: Dimensions;
  from: number;
  to: number;
}

/** What the operations of one transaction can come to look at, each thing once. */
export interface Needs {
  readonly keys: readonly UsageKey[];
  readonly calls: readonly CallSpan[];
  readonly places: readonly CounterPlace[];
  readonly crossings: readonly string[];
  /** Undefined where no operation lets holds expire. */
  readonly now: number | undefined;
}

/** Lays the needs of some operations together. */
export function needsOf(operations: readonly { readonly need: Need }[]): Needs {
  const keys = new Map<string, UsageKey>();
  const calls = new Map<string, CallSpan>();
  const instants: number[] = [];
  for (const { need } of operations) {
    if (need.key) keys.set(keyText(need.key), need.key);
    if (need.call) addCall(calls, need.call);
    if (need.now !== undefined) instants.push(need.now);
  }
  // each once: a tracker gives the same object again and again
  const windows = new Set(operations.flatMap(({ need }) => need.windows ?? []));
  const crossed = new Set(operations.flatMap(({ need }) => (need.crosses ? (need.windows ?? []) : [])));
  return {
    keys: [...keys.values()],
    calls: [...calls.values()],
    places: [...windows].flatMap(placesOf),
    crossings: [...crossed].flatMap(({ budget, periodStart, marks }) => marks.map(({ level }) => alertId(budget, periodStart, level))),
    now: instants.length === 0 ? undefined : Math.max(...instants),
  };
}

function addCall(calls: Map<string, CallSpan>, { dimensions, at }: Pick<Hold, 'dimensions' | 'at'>): void {
  const text = JSON.stringify(Object.values(dimensions));
  const known = calls.get(text);
  if (known === undefined) calls.set(text, { dimensions, from: at, to: at });
  else {
    known.from = Math.min(known.from, at);
    known.to = Math.max(known.to, at);
  }
}
