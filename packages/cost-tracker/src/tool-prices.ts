import { type NanoUsd, parseUsd, plainDecimal, sumUsd, timesDecimal } from './money.ts';
import { checkKeys, checkText } from './options.ts';
import { inputTokensOf, outputTokensOf, type UsageParts } from './usage.ts';

/** What a tool costs, in US dollars: by the call, by the token, or both. */
export interface ToolPriceUsd {
  /** Price of a call, successful or not; at most nine decimals. @defaultValue 0 */
  readonly perCallUsd?: string | number;
  /** Price of a token that the tool was sent or answered with, a decimal. @defaultValue 0 */
  readonly perTokenUsd?: string | number;
}

/** What a tool costs, in another currency. */
export interface ToolPriceAbroad {
  /** The currency, such as `'EUR'`. */
  readonly currency: string;
  /** Price of a call, successful or not, in `currency`. @defaultValue 0 */
  readonly perCall?: string | number;
  /** Price of a token that the tool was sent or answered with, in `currency`. @defaultValue 0 */
  readonly perToken?: string | number;
  /** What a unit of the currency is worth, from the earliest day to the latest. The first holds for the time before as well. */
  readonly rates: readonly CurrencyRate[];
}

/** What a unit of a currency is worth from a day on. */
export interface CurrencyRate {
  /** The first day, ISO 8601; it begins at midnight UTC. */
  readonly from: string;
  /** US dollars for one unit, a decimal. */
  readonly usd: string | number;
}

/** What one call of a tool costs. */
export type ToolPrice = ToolPriceUsd | ToolPriceAbroad;

/** Looks up the price of a call of a tool that used so much at an instant: its own, else that of `'*'`, else 0. Rounded once, half to even. */
export type PriceOfTool = (tool: string, usage: UsageParts, at: number) => NanoUsd;

/** A tool's price as the original records keep it. */
export interface ToolPriceRecord {
  /** Price of a call. */
  readonly per_call?: number | undefined;
  /** Price of a token. */
  readonly per_token?: number | undefined;
  /** The currency of both. */
  readonly currency?: string | undefined;
}

/** Decimals of a price at an instant, in US dollars. */
interface UsdPrice {
  readonly perCall: string;
  readonly perToken: string;
}

// Longer than any price, and short enough that a product of two stays readable.
const LONGEST_DECIMAL = 24;

/** Checks a table of prices by exact tool name. */
export function readToolPrices(prices: Readonly<Record<string, ToolPrice>>): PriceOfTool {
  if (typeof prices !== 'object' || prices === null) throw new RangeError(`toolPrices must be an object, not ${String(prices)}`);
  const byTool = new Map(Object.entries(prices).map(([tool, price]) => [tool, readToolPrice(price, `toolPrices['${tool}']`)]));
  const otherwise = byTool.get('*');
  return (tool, usage, at) => {
    const price = (byTool.get(tool) ?? otherwise)?.(at);
    if (price === undefined) return 0n;
    const tokens = inputTokensOf(usage) + outputTokensOf(usage);
    const lines = [
      { quantity: 1, usd: price.perCall, per: 1 },
      { quantity: tokens, usd: price.perToken, per: 1 },
    ];
    return sumUsd(lines, `the price of tool '${tool}'`);
  };
}

/**
 * The price that an original record says.
 *
 * @throws RangeError for a record that is wrong, and for a currency other than USD without rates.
 */
export function toolPriceFromRecord(record: ToolPriceRecord, rates?: readonly CurrencyRate[]): ToolPrice {
  checkKeys(record, ['per_call', 'per_token', 'currency'], 'tool price record');
  const { per_call: perCall, per_token: perToken, currency = 'USD' } = record;
  const inUsd = checkText(currency, 'currency').toUpperCase() === 'USD';
  if (!inUsd && rates === undefined) throw new RangeError(`currency must be USD, or have rates, not ${JSON.stringify(currency)}`);
  const price: ToolPrice = inUsd
    ? { ...(perCall !== undefined && { perCallUsd: perCall }), ...(perToken !== undefined && { perTokenUsd: perToken }) }
    : { currency, ...(perCall !== undefined && { perCall }), ...(perToken !== undefined && { perToken }), rates: rates ?? [] };
  readToolPrice(price, 'tool price record');
  return price;
}

/** A price as an original record, whose numbers are JSON's: exact up to 15 significant digits. RangeError for a price that is wrong. */
export function toolPriceToRecord(price: ToolPrice): Required<ToolPriceRecord> {
  readToolPrice(price, 'tool price');
  if ('currency' in price)
    return { per_call: Number(price.perCall ?? 0), per_token: Number(price.perToken ?? 0), currency: price.currency };
  return { per_call: Number(price.perCallUsd ?? 0), per_token: Number(price.perTokenUsd ?? 0), currency: 'USD' };
}

function readToolPrice(price: ToolPrice, name: string): (at: number) => UsdPrice {
  if (typeof price === 'object' && price !== null && 'currency' in price) return readPriceAbroad(price, name);
  checkKeys(price, ['perCallUsd', 'perTokenUsd'], name);
  const { perCallUsd, perTokenUsd } = price;
  if (perCallUsd !== undefined) parseUsd(perCallUsd, `${name}.perCallUsd`); // a tenth decimal would be rounded away at every call
  const read = readAmounts(perCallUsd, perTokenUsd, [`${name}.perCallUsd`, `${name}.perTokenUsd`]);
  return () => read;
}

function readPriceAbroad(price: ToolPriceAbroad, name: string): (at: number) => UsdPrice {
  checkKeys(price, ['currency', 'perCall', 'perToken', 'rates'], name);
  checkText(price.currency, `${name}.currency`);
  const amounts = readAmounts(price.perCall, price.perToken, [`${name}.perCall`, `${name}.perToken`]);
  if (!Array.isArray(price.rates) || price.rates.length === 0) throw new RangeError(`${name}.rates must be a list of at least one rate`);
  const rates = price.rates.map((rate: CurrencyRate, index) => readRate(rate, `${name}.rates[${index}]`));
  const late = rates.findIndex(({ from }, index) => from <= (rates[index - 1]?.from ?? Number.NEGATIVE_INFINITY));
  if (late >= 0) throw new RangeError(`${name}.rates[${late}].from must be later than the one before`);
  return (at) => {
    const { usd } = (rates.findLast(({ from }) => at >= from) ?? rates[0]) as { usd: string };
    return { perCall: timesDecimal(amounts.perCall, usd, name), perToken: timesDecimal(amounts.perToken, usd, name) };
  };
}

function readRate(rate: CurrencyRate, name: string): { readonly from: number; readonly usd: string } {
  checkKeys(rate, ['from', 'usd'], name);
  const day = /^\d{4}-\d{2}-\d{2}$/.test(rate.from) ? Date.parse(rate.from) : Number.NaN;
  if (Number.isNaN(day)) throw new RangeError(`${name}.from must be a day such as '2026-01-31', not ${JSON.stringify(rate.from)}`);
  return { from: day, usd: amount(rate.usd, `${name}.usd`) };
}

function readAmounts(perCall: unknown, perToken: unknown, [callName, tokenName]: readonly [string, string]): UsdPrice {
  if (perCall === undefined && perToken === undefined) throw new RangeError(`${callName} or ${tokenName} must be given`);
  return { perCall: amount(perCall ?? 0, callName), perToken: amount(perToken ?? 0, tokenName) };
}

function amount(value: unknown, name: string): string {
  const text = plainDecimal(value as string | number, name);
  if (text.length <= LONGEST_DECIMAL) return text;
  throw new RangeError(`${name} must have at most ${LONGEST_DECIMAL} characters, not ${text.length}`);
}
