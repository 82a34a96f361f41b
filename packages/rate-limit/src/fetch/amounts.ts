/** How much of each unit; `requests` is always among them. */
export type Amounts = Readonly<Record<string, number>>;

/** The amount of a unit; of one that is not counted here, the requests. */
export function amountOf(amounts: Amounts, unit: string): number {
  return (Object.hasOwn(amounts, unit) ? amounts[unit] : amounts['requests']) ?? 0;
}

/** A running total of amounts. */
export class Total {
  readonly #of: Record<string, number> = { requests: 0 };

  add(amounts: Amounts): void {
    for (const unit of Object.keys(amounts)) this.#of[unit] = (this.#of[unit] ?? 0) + (amounts[unit] as number);
  }

  take(amounts: Amounts): void {
    for (const unit of Object.keys(amounts)) this.#of[unit] = (this.#of[unit] ?? 0) - (amounts[unit] as number);
  }

  /** What it is now, which later changes leave alone. */
  get now(): Amounts {
    return { ...this.#of };
  }

  of(unit: string): number {
    return amountOf(this.#of, unit);
  }
}
