import { checkKeys } from './options.ts';
import {
  type BudgetReading,
  type CallLabels,
  checkMaxSeries,
  type TelemetrySource,
  type TokenCount,
  type Watch,
  watch,
} from './telemetry.ts';

export type { MeasuredTracker, TelemetrySource } from './telemetry.ts';

/** Where the metrics of {@link instrumentCostTracker} go. */
export interface OtelOptions {
  /** The caller's meter; nothing of OpenTelemetry is loaded here. */
  readonly meter: OtelMeter;
  /**
   * How many combinations of names that callers choose (tenant, model, provider, model that answered) have series of their own: 1 to
   * 1 000 000. What comes later is counted as `other`. SDKs have bounds of their own.
   * @defaultValue `1_000`
   */
  readonly maxSeries?: number;
}

/** What a measurement belongs to. */
export type OtelAttributes = Readonly<Record<string, string>>;

/** How an instrument is described. */
export interface OtelInstrumentOptions {
  /** What it measures. */
  description: string;
  /** In the notation of UCUM. */
  unit: string;
}

/** A counter of OpenTelemetry. */
export interface OtelCounter {
  /** Adds to one series. */
  add(value: number, attributes: OtelAttributes): void;
}

/** Where the gauges are read to. */
export interface OtelObservations {
  /** Tells the value of one series. */
  observe(gauge: object, value: number, attributes: OtelAttributes): void;
}

/** The part of the `Meter` of `@opentelemetry/api` that is used, so that this package needs none of its types. */
export interface OtelMeter {
  /** Makes a counter. */
  createCounter(name: string, options: OtelInstrumentOptions): OtelCounter;
  /** Makes a gauge that is read when metrics are collected. */
  createObservableGauge(name: string, options: OtelInstrumentOptions): object;
  /** Calls `callback` at each collection, which waits for it. */
  addBatchObservableCallback(callback: (result: OtelObservations) => Promise<void>, gauges: object[]): void;
  /** Ends that. */
  removeBatchObservableCallback(callback: (result: OtelObservations) => Promise<void>, gauges: object[]): void;
}

/**
 * Measures trackers with an OpenTelemetry meter, until the returned function is called.
 *
 * Tokens of models have the names of the semantic conventions for generative AI: `gen_ai.client.inference.usage.input_tokens` (cached ones
 * included), `.output_tokens` (reasoning included), and of these `.cache_read.input_tokens`, `.cache_write.input_tokens` and
 * `.reasoning.output_tokens`, by `gen_ai.operation.name` (always `chat`: the ledger does not know better), `gen_ai.provider.name`,
 * `gen_ai.request.model`, `gen_ai.response.model`, `gen_ai.token.modality` and `tenant`. A call without usage counts 0.
 *
 * The conventions know no cost and no budget: `cost_tracker.usage.cost` in billionths of a dollar, by `kind`, `name`, `tenant`,
 * `gen_ai.provider.name` and `cost.source`; `cost_tracker.calls.unpriced`; `cost_tracker.calls.refused` by `tenant`, `budget`, `kind` and `code`;
 * `cost_tracker.budget.thresholds` by `budget` and `level`; and the gauges `cost_tracker.budget.spent`, `.reserved`, `.limit` and
 * `.utilization` by `budget` and the `tenant` that it is for, read from the store at each collection.
 *
 * A counter cannot fall. What a correction adds is added to it; what a correction takes back is added to
 * `cost_tracker.usage.cost.taken_back` and `cost_tracker.usage.tokens.taken_back` (by `counter`, the end of the other's name): the difference
 * is what the ledger says. Service, role and shard belong to the resource of the caller's SDK.
 *
 * @throws RangeError for an option that is unknown or out of range
 * @example
 * const stop = instrumentCostTracker(tracker, { meter: metrics.getMeter('assistant') });
 */
export function instrumentCostTracker(source: TelemetrySource, options: OtelOptions): () => void {
  checkKeys(options, ['meter', 'maxSeries'], 'instrumentCostTracker options');
  const { meter } = options;
  const maxSeries = checkMaxSeries(options.maxSeries);
  const counter = (name: string, unit: string, description: string) => meter.createCounter(name, { unit, description });
  const addTokens = tokenCounters(counter);
  const cost = counter('cost_tracker.usage.cost', '{nanoUSD}', 'What calls cost.');
  const costBack = counter('cost_tracker.usage.cost.taken_back', '{nanoUSD}', 'What corrections took back of the cost.');
  const unpriced = counter('cost_tracker.calls.unpriced', '{call}', 'Calls of models that had no known price.');
  const refused = counter('cost_tracker.calls.refused', '{call}', 'Calls that budgets did not let through.');
  const thresholds = counter('cost_tracker.budget.thresholds', '{threshold}', 'Thresholds that budgets crossed.');
  const watched = watch(
    source,
    {
      tokens: addTokens,
      cost: (labels, nanoUsd, costSource) => {
        const attributes = { ...callOf(labels), 'cost.source': costSource };
        if (nanoUsd < 0n) costBack.add(Number(-nanoUsd), attributes);
        else cost.add(Number(nanoUsd), attributes);
      },
      unpriced: (labels) => unpriced.add(1, callOf(labels)),
      refused: (labels) => refused.add(1, { ...labels }),
      threshold: (labels) => thresholds.add(1, { ...labels }),
    },
    maxSeries,
  );
  const stopGauges = budgetGauges(meter, watched);
  return () => {
    watched.stop();
    stopGauges();
  };
}

function tokenCounters(counter: (name: string, unit: string, description: string) => OtelCounter) {
  const usage = (name: string, description: string) => counter(`gen_ai.client.inference.usage.${name}`, '{token}', description);
  const counters: Readonly<Record<string, OtelCounter>> = {
    input_tokens: usage('input_tokens', 'The number of input (prompt) tokens used, including cached tokens.'),
    output_tokens: usage('output_tokens', 'The number of output (completion) tokens used, including reasoning tokens.'),
    'cache_read.input_tokens': usage('cache_read.input_tokens', 'The number of input tokens served from a provider-managed cache.'),
    'cache_write.input_tokens': usage('cache_write.input_tokens', 'The number of input tokens written to a provider-managed cache.'),
    'reasoning.output_tokens': usage('reasoning.output_tokens', 'The number of output tokens used for reasoning.'),
  };
  const back = counter('cost_tracker.usage.tokens.taken_back', '{token}', 'Tokens that corrections took back.');
  const add = (name: string, tokens: number, attributes: OtelAttributes): void => {
    if (tokens < 0) back.add(-tokens, { ...attributes, counter: name });
    else counters[name]?.add(tokens, attributes);
  };
  return (labels: CallLabels, counts: readonly TokenCount[], first: boolean): void => {
    const model = modelOf(labels);
    const unknown = { ...model, 'gen_ai.token.modality': 'unknown' };
    if (first && counts.length === 0) for (const name of ['input_tokens', 'output_tokens']) add(name, 0, unknown);
    for (const count of counts) {
      const attributes = { ...model, 'gen_ai.token.modality': count.modality };
      for (const name of countersOf(count)) add(name, count.tokens, attributes);
    }
  };
}

function countersOf({ direction, part }: TokenCount): readonly string[] {
  const side = `${direction}_tokens`;
  return part === 'cache_read' || part === 'cache_write' || part === 'reasoning' ? [side, `${part}.${side}`] : [side];
}

/** Names that the conventions have for providers, by those of the price book. */
const PROVIDERS: Readonly<Record<string, string>> = {
  '': 'unknown',
  aws: 'aws.bedrock',
  azure: 'azure.ai.openai',
  google: 'gcp.gen_ai',
  mistral: 'mistral_ai',
  moonshotai: 'moonshot_ai',
  'x-ai': 'x_ai',
};

function providerName(provider: string): string {
  return Object.hasOwn(PROVIDERS, provider) ? (PROVIDERS[provider] as string) : provider;
}

function modelOf({ tenant, name, provider, servedModel }: CallLabels): OtelAttributes {
  return {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': providerName(provider),
    'gen_ai.request.model': name,
    ...(servedModel === '' ? {} : { 'gen_ai.response.model': servedModel }),
    tenant,
  };
}

function callOf({ kind, tenant, name, provider }: CallLabels): OtelAttributes {
  return { kind, name, tenant, ...(kind === 'llm' ? { 'gen_ai.provider.name': providerName(provider) } : {}) };
}

function budgetGauges(meter: OtelMeter, watched: Watch): () => void {
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(`cost_tracker.budget.${name}`, { unit, description });
  const spent = gauge('spent', '{nanoUSD}', 'Settled spend of the period.');
  const reserved = gauge('reserved', '{nanoUSD}', 'Held for calls that have not settled.');
  const limit = gauge('limit', '{nanoUSD}', 'The limit.');
  const utilization = gauge('utilization', '1', 'Settled spend as a fraction of the limit.');
  const gauges = [spent, reserved, limit, utilization];
  let shown: readonly BudgetReading[] = [];
  const observe = async (result: OtelObservations) => {
    const readings = await watched.readings();
    const now = new Set(readings.map(keyOf));
    // The SDK for JavaScript repeats for ever what is no longer observed: a budget that is gone is told once more, with zeros.
    const gone = shown.filter((reading) => !now.has(keyOf(reading)));
    for (const reading of [...readings, ...gone.map(emptied)]) {
      result.observe(spent, Number(reading.spent), reading.labels);
      result.observe(reserved, Number(reading.reserved), reading.labels);
      result.observe(limit, Number(reading.limit), reading.labels);
      result.observe(utilization, reading.usedRatio, reading.labels);
    }
    shown = readings;
  };
  meter.addBatchObservableCallback(observe, gauges);
  return () => meter.removeBatchObservableCallback(observe, gauges);
}

function keyOf({ labels }: BudgetReading): string {
  return JSON.stringify(labels);
}

function emptied({ labels }: BudgetReading): BudgetReading {
  return { labels, spent: 0n, reserved: 0n, limit: 0n, usedRatio: 0 };
}
