import { type NanoUsd, roundUsd } from './money.ts';
import { checkKeys, checkNumber, checkOneOf, checkText } from './options.ts';
import type { PriceRequest } from './price-book.ts';
import { type CallScope, callDimensions, type Dimensions, mergeScopes } from './scope.ts';
import type { UsageKey, UsageKind } from './store.ts';
import type { UsageParts } from './usage.ts';

/** A call of a tool, or the reading of a resource or prompt. */
export interface NamedCall {
  /** What is called. */
  kind: 'tool' | 'resource' | 'prompt';
  /** Name of the tool, resource or prompt. */
  name: string;
  /** On whose behalf; laid over the scope of `withScope`. */
  scope?: CallScope;
  /**
   * What the call may cost at most, or did cost; rounded half to even to the nano-dollar.
   * @defaultValue the tool's price; 0 for a tool without one, a resource or a prompt
   */
  amountUsd?: string | number;
}

/** A call of a language model. */
export interface ModelCall {
  /** What is called. */
  kind: 'llm';
  /** The model, as its provider names it; a budget for a model means this name. */
  model: string;
  /** Who is paid, such as `'openai'`. @defaultValue found by the model's name */
  provider?: string;
  /** The provider's service tier, where it is priced apart. */
  serviceTier?: string;
  /** Whether the call is part of a batch. @defaultValue `false` */
  batch?: boolean;
  /** Region or residency, where it is priced apart. */
  region?: string;
  /** On whose behalf; laid over the scope of `withScope`. */
  scope?: CallScope;
  /** What the call may cost at most, or did cost by the provider's own word. @defaultValue by the price book */
  amountUsd?: string | number;
}

/** A call somebody wants to make or has made. */
export type CallOptions = NamedCall | ModelCall;

/** A call to be admitted. */
export type ReserveOptions = CallOptions & {
  /**
   * Makes a repeated attempt the same call: it holds once and is recorded once, within its tenant. The first attempt decides
   * what it is.
   * @defaultValue a random key
   */
  idempotencyKey?: string;
  /** Of a model: the most tokens it may be sent. @defaultValue 0 */
  maxInputTokens?: number;
  /** Of a model: the most tokens it may answer with. @defaultValue 0 */
  maxOutputTokens?: number;
  /**
   * Of a model: where the budgets have no room for `maxOutputTokens`, fewer are admitted, down to so many; `CostHold.maxOutputTokens` says how many.
   * @defaultValue `maxOutputTokens`
   */
  minOutputTokens?: number;
};

/** What a call turned out to be. */
export interface CallOutcome {
  /**
   * What the call cost, rounded half to even to the nano-dollar. Of a model: by the provider's own word, which is believed.
   * @defaultValue by `usage`; without it what was reserved
   */
  amountUsd?: string | number;
  /** What was used, in parts that do not overlap. */
  usage?: UsageParts;
  /** Whether `usage` is all that was used by the provider's word, the part that was seen of it, or an estimate. @defaultValue `'complete'` */
  usageIs?: 'complete' | 'partial' | 'estimated';
  /** The model that answered. @defaultValue the one that was called */
  servedModel?: string;
  /** The service tier that was used. @defaultValue the one that was asked for */
  serviceTier?: string;
  /** Where the model ran, where that is priced apart. @defaultValue the region that was asked for */
  region?: string;
  /** A later version of the same report has a higher number, and is believed. @defaultValue 0 */
  revision?: number;
  /** Whether the call succeeded. @defaultValue `true` */
  success?: boolean;
  /** How long the call took, in milliseconds. */
  durationMs?: number;
  /** Kept beside the row as JSON. */
  metadata?: Readonly<Record<string, unknown>>;
}

/** A call that has been made without a reservation. */
export type RecordOptions = CallOptions &
  CallOutcome & {
    /** Makes a repeated report one of the same call, within its tenant. */
    dedupeKey: string;
    /** When the call was made, in epoch milliseconds; it decides which period pays. @defaultValue now */
    at?: number;
  };

/** A call after the checks: who pays, for what, in which period. */
export interface PaidCall {
  readonly key: UsageKey;
  readonly kind: UsageKind;
  readonly name: string;
  readonly dimensions: Dimensions;
  readonly traceId: string | undefined;
  readonly at: number;
  /** What the price book is asked about a call of a model. */
  readonly priced: Omit<PriceRequest, 'usage'> | undefined;
  /** What the caller says that it costs. */
  readonly stated: NanoUsd | undefined;
}

const NAMED_KEYS = ['kind', 'name', 'scope', 'amountUsd'];
const MODEL_KEYS = ['kind', 'model', 'provider', 'serviceTier', 'batch', 'region', 'scope', 'amountUsd'];

/** What each shape above may hold beside the call, so that a misspelt key is refused. */
export const RESERVE_KEYS = ['idempotencyKey', 'maxInputTokens', 'maxOutputTokens', 'minOutputTokens'];
export const OUTCOME_KEYS = [
  'amountUsd',
  'usage',
  'usageIs',
  'servedModel',
  'serviceTier',
  'region',
  'revision',
  'success',
  'durationMs',
  'metadata',
];
export const RECORD_KEYS = [...OUTCOME_KEYS, 'dedupeKey', 'at'];

const LATEST_INSTANT = 8.64e15;

/** Refuses what a call of its kind may not hold. */
export function checkCall(options: CallOptions, more: readonly string[], owner: string): void {
  const kind = checkOneOf(options?.kind, ['llm', 'tool', 'resource', 'prompt'], `${owner}: kind`);
  checkKeys(options, [...new Set([...(kind === 'llm' ? MODEL_KEYS : NAMED_KEYS), ...more])], owner);
}

/** Checks a call. */
export function readCall(options: CallOptions, id: string, now: number, around: CallScope): PaidCall {
  const scope = mergeScopes(around, options.scope ?? {}, 'scope');
  const at = Math.floor(checkNumber(now, 0, LATEST_INSTANT, 'at'));
  const stated = options.amountUsd === undefined ? undefined : roundUsd(options.amountUsd, 'amountUsd');
  const common = { traceId: scope.traceId, at, stated };
  if (options.kind === 'llm') {
    const name = checkText(options.model, 'model');
    const dimensions = callDimensions({ ...scope, model: name }, '');
    return { ...common, key: { tenant: dimensions.tenant, id }, kind: 'llm', name, dimensions, priced: priceRequest(options, at) };
  }
  const name = checkText(options.name, 'name');
  const dimensions = callDimensions(scope, options.kind === 'tool' ? name : '');
  return { ...common, key: { tenant: dimensions.tenant, id }, kind: options.kind, name, dimensions, priced: undefined };
}

function priceRequest({ model, provider, serviceTier, batch, region }: ModelCall, at: number): Omit<PriceRequest, 'usage'> {
  const text = (value: string | undefined, name: string) => (value === undefined ? undefined : checkText(value, name));
  if (batch !== undefined && typeof batch !== 'boolean') throw new RangeError(`batch must be true or false, not ${String(batch)}`);
  return {
    model,
    at,
    batch,
    provider: text(provider, 'provider'),
    serviceTier: text(serviceTier, 'serviceTier'),
    region: text(region, 'region'),
  };
}
