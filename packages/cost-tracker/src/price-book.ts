import type { NanoUsd } from './money.ts';
import type { UsagePart, UsageParts } from './usage.ts';

/** What is to be priced. */
export interface PriceRequest {
  /** The provider, such as `'openai'`; found by the model's name where it is not given. */
  readonly provider?: string | undefined;
  /** The model, as the provider names it. */
  readonly model: string;
  /** Epoch milliseconds: prices change. */
  readonly at: number;
  /** What was or may be used. */
  readonly usage: UsageParts;
  /** The provider's service tier, such as `'flex'` or `'priority'`. */
  readonly serviceTier?: string | undefined;
  /** Whether the call is part of a batch. */
  readonly batch?: boolean | undefined;
  /** Region or data residency that is priced apart. */
  readonly region?: string | undefined;
}

/** One line of a price: so many of a part at so much. */
export interface PriceLine {
  /** What is priced. */
  readonly part: UsagePart;
  /** How many. */
  readonly quantity: number;
  /** Decimal price of `per` of them. */
  readonly usd: string;
  /** How many `usd` is the price of. */
  readonly per: number;
}

/** What something costs, and how that comes about. */
export interface Priced {
  /** The sum of the lines in nano-USD, rounded once, half to even. */
  readonly amount: NanoUsd;
  /** What it is made of. */
  readonly lines: readonly PriceLine[];
  /** Which prices: enough to find them again. */
  readonly version: string;
  /** The provider whose price it is. */
  readonly provider: string;
}

/** Knows what models cost. */
export interface PriceBook {
  /** The price, or `undefined` where none is known: that is never a price of 0. */
  price(request: PriceRequest): Priced | undefined | Promise<Priced | undefined>;
}
