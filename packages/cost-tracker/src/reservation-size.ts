import type { PaidCall, ReserveOptions } from './call.ts';
import type { NanoUsd } from './money.ts';
import { checkNumber } from './options.ts';
import type { Pricing } from './pricing.ts';

/** What a call is let in with. */
export interface Admitted {
  /** The most that it may cost. */
  readonly amount: NanoUsd;
  /** The most tokens that its model may answer with, where that was given. */
  readonly maxOutputTokens?: number;
}

/** How much a reservation asks for, and how much less would do. */
export class ReservationSize {
  readonly #call: PaidCall;
  readonly #pricing: Pricing;
  readonly #input: number;
  readonly #output: number | undefined;
  readonly #least: number;

  constructor(options: ReserveOptions, call: PaidCall, pricing: Pricing) {
    this.#call = call;
    this.#pricing = pricing;
    this.#input = tokenCount(options.maxInputTokens ?? 0, 'maxInputTokens');
    this.#output = options.maxOutputTokens === undefined ? undefined : tokenCount(options.maxOutputTokens, 'maxOutputTokens');
    const least = options.minOutputTokens;
    this.#least = least === undefined ? (this.#output ?? 0) : Math.floor(checkNumber(least, 0, this.#output ?? 0, 'minOutputTokens'));
  }

  /** All that is asked for; none where the price is not known. */
  most(): Promise<Admitted | undefined> {
    return this.#of(this.#output);
  }

  /** The most that costs no more than `room` and less than what was refused; none where less would not do. */
  async fitting(room: NanoUsd, refused: Admitted): Promise<Admitted | undefined> {
    if (refused.maxOutputTokens === undefined || this.#call.stated !== undefined) return undefined;
    let fits: Admitted | undefined;
    let [low, high] = [this.#least, refused.maxOutputTokens - 1];
    while (low <= high) {
      const middle = Math.floor((low + high) / 2);
      const tried = await this.#of(middle);
      if (tried !== undefined && tried.amount <= room) {
        fits = tried;
        low = middle + 1;
      } else high = middle - 1;
    }
    return fits;
  }

  async #of(output: number | undefined): Promise<Admitted | undefined> {
    const amount = await this.#pricing.most(this.#call, { inputTokens: this.#input, outputTokens: output ?? 0 });
    if (amount === undefined) return undefined;
    return output === undefined ? { amount } : { amount, maxOutputTokens: output };
  }
}

function tokenCount(value: number, name: string): number {
  return Math.floor(checkNumber(value, 0, Number.MAX_SAFE_INTEGER, name));
}
