import type { BudgetOptions } from './budget.ts';
import type { CostTrackerEvents, RecordedEvent } from './events.ts';
import { type NanoUsd, readUsd } from './money.ts';
import { checkNumber } from './options.ts';
import type { BudgetStatus } from './report.ts';
import type { CostSource, UsageKind } from './store.ts';
import { type InputPart, inputParts, type OutputPart, outputParts } from './usage.ts';

/** What is measured: a tracker, or several. Another copy of the package fits. */
export type TelemetrySource = MeasuredTracker | Iterable<TelemetrySource>;

/** The part of a `CostTracker` that is used. */
export interface MeasuredTracker {
  /** Adds a listener; the returned function removes it. */
  on<E extends 'recorded' | 'refused' | 'budget-threshold'>(event: E, listener: (event: CostTrackerEvents[E]) => void): () => void;
  /** The budgets in force. */
  budgets(): Promise<readonly BudgetOptions[]>;
  /** Where a budget stands. */
  status(budget: string): Promise<BudgetStatus>;
}

/** What was called, on whose behalf, and who was paid. */
export interface CallLabels {
  readonly kind: UsageKind;
  readonly tenant: string;
  readonly name: string;
  readonly provider: string;
  readonly servedModel: string;
}

/** Tokens of one part of what a model's call used. Parts do not overlap. */
export interface TokenCount {
  readonly direction: 'input' | 'output';
  readonly part: 'text' | 'cache_read' | 'cache_write' | 'reasoning' | 'audio' | 'image' | 'video';
  readonly modality: 'text' | 'audio' | 'image' | 'video';
  /** Negative where a correction takes some back. */
  readonly tokens: number;
}

/** What a refusal belongs to. */
export interface RefusalLabels {
  readonly tenant: string;
  readonly budget: string;
  readonly kind: UsageKind;
  readonly code: string;
}

/** Where a budget stands. */
export interface BudgetReading {
  readonly labels: { readonly budget: string; readonly tenant: string };
  readonly spent: NanoUsd;
  readonly reserved: NanoUsd;
  readonly limit: NanoUsd;
  readonly usedRatio: number;
}

/** Where counts go. */
export interface Recorder {
  /** Told of every row of a model's call; `first` of its first. */
  tokens(labels: CallLabels, counts: readonly TokenCount[], first: boolean): void;
  /** Negative where a correction takes some back. */
  cost(labels: CallLabels, nanoUsd: NanoUsd, source: CostSource): void;
  unpriced(labels: CallLabels): void;
  refused(labels: RefusalLabels): void;
  threshold(labels: { readonly budget: string; readonly level: string }): void;
}

/** A source under watch. */
export interface Watch {
  /** All budgets as they stand now; none of a tracker whose store cannot say. */
  readings(): Promise<readonly BudgetReading[]>;
  /** Takes every listener off again. */
  stop(): void;
}

/** What `maxSeries` is where nobody says. */
export const DEFAULT_MAX_SERIES = 1_000;

const SIDES = [
  ...inputParts.map((part) => [part, 'input'] as const),
  ...outputParts.map((part) => [part, 'output'] as const),
] satisfies readonly (readonly [InputPart | OutputPart, 'input' | 'output'])[];

const PARTS: Record<InputPart | OutputPart, Pick<TokenCount, 'part' | 'modality'>> = {
  inputTokens: { part: 'text', modality: 'text' },
  cacheReadTokens: { part: 'cache_read', modality: 'text' },
  cacheWriteTokens: { part: 'cache_write', modality: 'text' },
  cacheWrite1hTokens: { part: 'cache_write', modality: 'text' },
  inputAudioTokens: { part: 'audio', modality: 'audio' },
  cacheReadAudioTokens: { part: 'cache_read', modality: 'audio' },
  inputImageTokens: { part: 'image', modality: 'image' },
  inputVideoTokens: { part: 'video', modality: 'video' },
  outputTokens: { part: 'text', modality: 'text' },
  reasoningTokens: { part: 'reasoning', modality: 'text' },
  outputAudioTokens: { part: 'audio', modality: 'audio' },
  outputImageTokens: { part: 'image', modality: 'image' },
};

const LONGEST = 200;

/** Checks how many series a caller's names may make. */
export function checkMaxSeries(given: unknown): number {
  return Math.floor(checkNumber(given ?? DEFAULT_MAX_SERIES, 1, 1_000_000, 'maxSeries'));
}

/** Listens to a source and hands what it counts to `recorder`, until it is stopped. */
export function watch(source: TelemetrySource, recorder: Recorder, maxSeries: number): Watch {
  const trackers = trackersOf(source);
  const calls = new Bound<'tenant' | 'name' | 'provider' | 'servedModel'>(maxSeries);
  const refusals = new Bound<'tenant' | 'budget'>(maxSeries);
  const crossings = new Bound<'budget'>(maxSeries);
  const stops = trackers.flatMap((tracker) => [
    tracker.on('recorded', (event) => record(event, calls, recorder)),
    tracker.on('refused', ({ kind, tenant, limit, code }) => {
      recorder.refused({ ...refusals.fit({ tenant, budget: limit }), kind, code });
    }),
    tracker.on('budget-threshold', ({ budget, level }) => recorder.threshold({ ...crossings.fit({ budget }), level })),
  ]);
  return {
    readings: async () => (await Promise.all(trackers.map((tracker) => readingsOf(tracker, maxSeries)))).flat().slice(0, maxSeries),
    stop: () => {
      for (const stop of stops) stop();
    },
  };
}

function trackersOf(source: TelemetrySource): readonly MeasuredTracker[] {
  return Symbol.iterator in source ? Array.from(source).flatMap(trackersOf) : [source];
}

function record(event: RecordedEvent, calls: Bound<'tenant' | 'name' | 'provider' | 'servedModel'>, recorder: Recorder): void {
  const { kind, name, provider, servedModel, scope, usage, costSource, correction } = event;
  const labels = { ...calls.fit({ tenant: scope.tenant, name, provider, servedModel }), kind };
  if (kind === 'llm') {
    const counts = SIDES.map(([part, direction]) => ({ direction, ...PARTS[part], tokens: usage[part] ?? 0 }));
    recorder.tokens(
      labels,
      counts.filter(({ tokens }) => tokens !== 0),
      correction === 0,
    );
  }
  recorder.cost(labels, readUsd(event.amountUsd), costSource);
  if (costSource === 'unpriced' && correction === 0) recorder.unpriced(labels);
}

async function readingsOf(tracker: MeasuredTracker, most: number): Promise<BudgetReading[]> {
  try {
    const budgets = (await tracker.budgets()).slice(0, most);
    return await Promise.all(
      budgets.map(async ({ name, scope }) => {
        const { spentUsd, reservedUsd, limitUsd, usedRatio } = await tracker.status(name);
        const [spent, reserved, limit] = [readUsd(spentUsd), readUsd(reservedUsd), readUsd(limitUsd)];
        return { labels: { budget: short(name), tenant: short(scope.tenant ?? '') }, spent, reserved, limit, usedRatio };
      }),
    );
  } catch {
    // A ledger that cannot be read must not take the other metrics of the process with it.
    return [];
  }
}

/** Keeps names that callers choose from making series without end: what comes after the first so many is one of its own, `other`. */
class Bound<Label extends string> {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  fit(labels: Readonly<Record<Label, string>>): Readonly<Record<Label, string>> {
    const entries = Object.entries<string>(labels).map(([label, value]) => [label, short(value)] as const);
    const key = JSON.stringify(entries);
    if (!this.#known.has(key) && this.#known.size >= this.#most) return all(entries, 'other');
    this.#known.add(key);
    return all(entries);
  }
}

function all<Label extends string>(entries: readonly (readonly [string, string])[], value?: string): Readonly<Record<Label, string>> {
  return Object.fromEntries(entries.map(([label, own]) => [label, value ?? own])) as Record<Label, string>;
}

function short(text: string): string {
  return text.slice(0, LONGEST);
}
