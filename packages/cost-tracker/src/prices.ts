import { CataloguePriceBook, type PriceBookOptions } from './prices/catalogue-price-book.ts';

export type { CataloguePriceBook, PriceBookEvents, PriceBookOptions } from './prices/catalogue-price-book.ts';
export type { PriceClock } from './prices/price-clock.ts';
export { PriceFileError, type PriceProblem } from './prices/price-file-error.ts';
export type { CountedPrices, PriceOverride, PriceTier, TimeOfDay, TokenPrices } from './prices/price-override.ts';

/**
 * A price book: the bundled catalogue, with overrides of your own. The catalogue, a megabyte, is imported at the first price.
 *
 * @throws RangeError for an option or override that is wrong. {@link PriceFileError} for a file that is.
 */
export function priceBook(options: PriceBookOptions = {}): CataloguePriceBook {
  return new CataloguePriceBook(options);
}

/** The price book of a tracker that is given none. */
export function defaultPriceBook(): CataloguePriceBook {
  return priceBook();
}
