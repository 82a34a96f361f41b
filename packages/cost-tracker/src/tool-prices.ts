import { type NanoUsd, parseUsd } from './money.ts';
import { checkKeys } from './options.ts';
import type { UsageParts } from './usage.ts';

/** What one call of a tool costs. */
export interface ToolPrice {
  /** Price of a call, successful or not; at most nine decimals. */
  perCallUsd: string | number;
}

/** Looks up the price of a call of a tool that used so much: its own, else that of `'*'`, else 0. */
export type PriceOfTool = (tool: string, usage: UsageParts) => NanoUsd;

/** Checks a table of prices by exact tool name. */
export function readToolPrices(prices: Readonly<Record<string, ToolPrice>>): PriceOfTool {
  if (typeof prices !== 'object' || prices === null) throw new RangeError(`toolPrices must be an object, not ${String(prices)}`);
  const byTool = new Map(
    Object.entries(prices).map(([tool, price]) => {
      const name = `toolPrices['${tool}']`;
      checkKeys(price, ['perCallUsd'], name);
      return [tool, parseUsd(price.perCallUsd, `${name}.perCallUsd`)];
    }),
  );
  const otherwise = byTool.get('*') ?? 0n;
  return (tool) => byTool.get(tool) ?? otherwise;
}
