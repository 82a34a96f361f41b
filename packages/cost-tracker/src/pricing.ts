import type { CallOutcome, PaidCall } from './call.ts';
import { type NanoUsd, roundUsd } from './money.ts';
import { checkKeys, checkNumber, checkOneOf, checkText } from './options.ts';
import type { PriceBook, Priced } from './price-book.ts';
import type { CostSource, UsageReport } from './store.ts';
import type { PriceOfTool } from './tool-prices.ts';
import { checkUsage, type UsageParts } from './usage.ts';

/** What a call may use at most. */
export interface MostUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Tells what calls may cost and did cost. */
export class Pricing {
  readonly #ofTool: PriceOfTool;
  #book: PriceBook | Promise<PriceBook> | undefined;

  /** Without a book the bundled one is imported when a model is first priced. */
  constructor(book: PriceBook | undefined, ofTool: PriceOfTool) {
    this.#book = book;
    this.#ofTool = ofTool;
  }

  /** The most that a call may cost; none where its model has no known price. */
  async most(call: PaidCall, most: MostUsage): Promise<NanoUsd | undefined> {
    if (call.stated !== undefined) return call.stated;
    if (call.priced === undefined) return call.kind === 'tool' ? this.#ofTool(call.name, tokens(most), call.at) : 0n;
    let dearest: NanoUsd | undefined;
    for (const usage of dearestUsages(most)) {
      const priced = await this.#price(call, usage, {});
      if (priced === undefined) return undefined;
      if (dearest === undefined || priced.amount > dearest) dearest = priced.amount;
    }
    return dearest;
  }

  /** The ledger's report of a call; `reserved` is what it costs where nothing is known. */
  async report(call: PaidCall, outcome: CallOutcome, recordedAt: number, reserved: NanoUsd | undefined): Promise<UsageReport> {
    const { success = true, durationMs, metadata, revision = 0, servedModel } = outcome;
    if (typeof success !== 'boolean') throw new RangeError(`success must be true or false, not ${String(success)}`);
    if (metadata !== undefined) checkKeys(metadata, Object.keys(metadata), 'metadata');
    const usage = checkUsage(outcome.usage ?? {}, 'usage');
    const { key, kind, name, dimensions, traceId, at } = call;
    return {
      ...{ key, kind, name, dimensions, traceId, at, recordedAt, usage, success },
      ...(await this.#cost(call, outcome, usage, reserved)),
      servedModel: servedModel === undefined ? '' : checkText(servedModel, 'servedModel'),
      revision: Math.floor(checkNumber(revision, 0, Number.MAX_SAFE_INTEGER, 'revision')),
      durationMs: durationMs === undefined ? undefined : checkNumber(durationMs, 0, Number.MAX_SAFE_INTEGER, 'durationMs'),
      metadata: metadata === undefined ? undefined : JSON.stringify(metadata),
    };
  }

  async #cost(call: PaidCall, outcome: CallOutcome, usage: UsageParts, reserved: NanoUsd | undefined): Promise<Cost> {
    const provider = call.priced?.provider ?? '';
    const plain = { provider, priceVersion: undefined, priceLines: undefined };
    if (outcome.amountUsd !== undefined) return { ...plain, amount: roundUsd(outcome.amountUsd, 'amountUsd'), costSource: 'reported' };
    if (call.priced === undefined) {
      const amount = call.stated ?? (call.kind === 'tool' ? this.#ofTool(call.name, usage, call.at) : 0n);
      return { ...plain, amount, costSource: 'priced' };
    }
    const usageIs = checkOneOf(outcome.usageIs ?? 'complete', ['complete', 'partial', 'estimated'], 'usageIs');
    if (outcome.usage === undefined) {
      // that nobody says what was used is no usage of nothing
      return reserved === undefined
        ? { ...plain, amount: 0n, costSource: 'unpriced' }
        : { ...plain, amount: reserved, costSource: 'estimated' };
    }
    const priced = await this.#price(call, usage, outcome);
    if (priced === undefined) return { ...plain, amount: 0n, costSource: 'unpriced' };
    return {
      provider: priced.provider,
      priceVersion: priced.version,
      priceLines: JSON.stringify(priced.lines),
      amount: priced.amount,
      costSource: usageIs === 'complete' ? 'priced' : usageIs,
    };
  }

  async #price(call: PaidCall, usage: UsageParts, { servedModel, serviceTier, region }: CallOutcome): Promise<Priced | undefined> {
    const request = call.priced as NonNullable<PaidCall['priced']>;
    this.#book ??= import('./prices.ts').then(({ defaultPriceBook }) => defaultPriceBook());
    const book = await this.#book;
    const asked = { ...request, serviceTier: serviceTier ?? request.serviceTier, region: region ?? request.region, usage };
    // an alias has no price of its own in time; what answered has
    const served = servedModel === undefined ? undefined : await book.price({ ...asked, model: servedModel });
    return served ?? (await book.price(asked));
  }
}

type Cost = Pick<UsageReport, 'provider' | 'priceVersion' | 'priceLines' | 'amount'> & { readonly costSource: CostSource };

/** What is dearest differs from model to model: writing to a cache or not, reasoning or not. */
function dearestUsages({ inputTokens, outputTokens }: MostUsage): UsageParts[] {
  const inputs = ['inputTokens', 'cacheWriteTokens', 'cacheWrite1hTokens'] as const;
  const outputs = ['outputTokens', 'reasoningTokens'] as const;
  return inputs.flatMap((input) => outputs.map((output) => ({ [input]: inputTokens, [output]: outputTokens, requests: 1 })));
}

function tokens({ inputTokens, outputTokens }: MostUsage): UsageParts {
  return { inputTokens, outputTokens };
}
