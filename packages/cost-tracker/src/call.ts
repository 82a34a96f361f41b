import { type NanoUsd, roundUsd } from './money.ts';
import { checkKeys, checkNumber, checkOneOf, checkText } from './options.ts';
import { type CallScope, callDimensions, type Dimensions, mergeScopes } from './scope.ts';
import type { UsageKey, UsageKind, UsageRow } from './store.ts';
import type { PriceOfTool } from './tool-prices.ts';

/** A call somebody wants to make or has made. */
export interface CallOptions {
  /** What is called. */
  kind: UsageKind;
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

/** What a call turned out to be. */
export interface CallOutcome {
  /**
   * What the call cost, rounded half to even to the nano-dollar.
   * @defaultValue what was reserved
   */
  amountUsd?: string | number;
  /** Whether the call succeeded. @defaultValue `true` */
  success?: boolean;
  /** How long the call took, in milliseconds. */
  durationMs?: number;
  /** Kept beside the row as JSON. */
  metadata?: Readonly<Record<string, unknown>>;
}

/** A call to be admitted. */
export interface ReserveOptions extends CallOptions {
  /**
   * Makes a repeated attempt the same call: it holds once and is recorded once, within its tenant. The first attempt decides
   * what it is.
   * @defaultValue a random key
   */
  idempotencyKey?: string;
}

/** A call that has been made without a reservation. */
export interface RecordOptions extends CallOptions, CallOutcome {
  /** Makes a repeated report the same row, within its tenant. */
  dedupeKey: string;
  /** When the call was made, in epoch milliseconds; it decides which period pays. @defaultValue now */
  at?: number;
}

/** A call after the checks: who pays, how much at most, in which period. */
export interface PaidCall {
  readonly key: UsageKey;
  readonly kind: UsageKind;
  readonly name: string;
  readonly dimensions: Dimensions;
  readonly traceId: string | undefined;
  readonly at: number;
  readonly amount: NanoUsd;
}

/** What each shape above may hold, so that a misspelt key is refused. */
export const RESERVE_KEYS = ['kind', 'name', 'scope', 'amountUsd', 'idempotencyKey'];
export const OUTCOME_KEYS = ['amountUsd', 'success', 'durationMs', 'metadata'];
export const RECORD_KEYS = ['kind', 'name', 'scope', ...OUTCOME_KEYS, 'dedupeKey', 'at'];

const LATEST_INSTANT = 8.64e15;

/** Checks a call and prices it. */
export function readCall(options: CallOptions, id: string, at: number, around: CallScope, priceOf: PriceOfTool): PaidCall {
  const kind = checkOneOf(options.kind, ['tool', 'resource', 'prompt'], 'kind');
  const name = checkText(options.name, 'name');
  const scope = mergeScopes(around, options.scope ?? {}, 'scope');
  const dimensions = callDimensions(scope, kind === 'tool' ? name : '');
  const price = kind === 'tool' ? priceOf(name) : 0n;
  return {
    key: { tenant: dimensions.tenant, id },
    kind,
    name,
    dimensions,
    traceId: scope.traceId,
    at: Math.floor(checkNumber(at, 0, LATEST_INSTANT, 'at')),
    amount: options.amountUsd === undefined ? price : roundUsd(options.amountUsd, 'amountUsd'),
  };
}

/** Checks an outcome and writes the ledger's row for it. */
export function usageRow(call: PaidCall, outcome: CallOutcome, recordedAt: number): UsageRow {
  const { amountUsd, success = true, durationMs, metadata } = outcome;
  if (typeof success !== 'boolean') throw new RangeError(`success must be true or false, not ${String(success)}`);
  if (metadata !== undefined) checkKeys(metadata, Object.keys(metadata), 'metadata');
  return {
    ...call,
    amount: amountUsd === undefined ? call.amount : roundUsd(amountUsd, 'amountUsd'),
    recordedAt,
    success,
    durationMs: durationMs === undefined ? undefined : checkNumber(durationMs, 0, Number.MAX_SAFE_INTEGER, 'durationMs'),
    metadata: metadata === undefined ? undefined : JSON.stringify(metadata),
  };
}
