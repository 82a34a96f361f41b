import { plainDecimal } from '../money.ts';
import { checkKeys, checkText } from '../options.ts';
import { type CountedPart, countedParts, type InputPart, inputParts, type OutputPart, outputParts, type UsagePart } from '../usage.ts';
import { groupOf, type PartGroup, type Rate, type Rates, type RateTier } from './rates.ts';

/** Prices of tokens, in USD per million of them, as decimals. */
export type TokenPrices = Readonly<Partial<Record<InputPart | OutputPart, string | number>>>;

/** Prices of what is counted by the piece, in USD per thousand, as decimals. */
export type CountedPrices = Readonly<Partial<Record<CountedPart, string | number>>>;

/** Prices of a call that is sent more than so many tokens; they are those of the whole call. */
export interface PriceTier {
  /** Above so many tokens of input, those from a cache included. */
  readonly aboveInputTokens: number;
  /** The prices from there on, of the same sides (input, output) as those below. */
  readonly perMillionUsd: TokenPrices;
}

/** A part of every day, also over midnight. UTC. */
export interface TimeOfDay {
  /** When it begins, such as `'16:30'`. */
  readonly from: string;
  /** The first minute after it. */
  readonly to: string;
}

/** Prices or a factor that apply to some calls, and win over the catalogue. */
export interface PriceOverride {
  /** The provider, as the catalogue names it. @defaultValue any */
  readonly provider?: string;
  /** The model's name; `*` stands for any characters. Case does not matter. */
  readonly model: string;
  /** From when on: a day, which begins at midnight UTC, or an instant, ISO 8601. @defaultValue since ever */
  readonly from?: string;
  /** Before when: a day or an instant, as `from`. @defaultValue for ever */
  readonly to?: string;
  /** At what time of the day, UTC: `{ from: '16:30', to: '00:30' }`. @defaultValue all day */
  readonly timeOfDay?: TimeOfDay;
  /** Only calls of this service tier. @defaultValue calls of the standard tier; others with their factor */
  readonly serviceTier?: string;
  /** Only calls of a batch. @defaultValue calls outside; those inside with their factor */
  readonly batch?: true;
  /** Only calls that ran there; `*` is anywhere but `global`. @defaultValue calls that ran anywhere; a region with its factor */
  readonly region?: string;
  /**
   * Prices of tokens. They replace those of every side (input, output) that they name: what is not named of it costs what is more general,
   * down to `inputTokens` and `outputTokens`, one of which each side needs.
   */
  readonly perMillionUsd?: TokenPrices;
  /** Prices above so many tokens of input. */
  readonly tiers?: readonly PriceTier[];
  /** Prices of what is counted by the piece, one by one. */
  readonly perThousandUsd?: CountedPrices;
  /**
   * Instead of prices: what the prices of tokens are multiplied by. With a service tier, a batch or a region it is what that costs;
   * without, a discount on the catalogue.
   */
  readonly multiplier?: string | number;
}

/** What is asked of a price besides its model and date. `batch` is `'batch'`, so that all are texts. */
export type Variant = 'serviceTier' | 'batch' | 'region';

/** What a call has of each; absent where it is the standard. */
export type Variants = Readonly<Partial<Record<Variant, string>>>;

/** An override after the checks. */
export interface ReadOverride {
  readonly provider: string | undefined;
  readonly model: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly timeOfDay: readonly [from: number, to: number] | undefined;
  readonly variants: Variants;
  readonly tiers: readonly RateTier[];
  readonly groups: ReadonlySet<PartGroup>;
  readonly multiplier: string | undefined;
}

const KEYS = [
  'provider',
  'model',
  'from',
  'to',
  'timeOfDay',
  'serviceTier',
  'batch',
  'region',
  'perMillionUsd',
  'tiers',
  'perThousandUsd',
  'multiplier',
];
const PER_MILLION = 1_000_000;
const PER_THOUSAND = 1_000;
// Longer than any price, and short enough that a product of some of them stays readable.
const LONGEST_DECIMAL = 24;

/** A wrong override: which member, and what is wrong. */
export class OverrideProblem extends RangeError {
  readonly path: readonly string[];

  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}

/** Checks an override. `name` says which in the message; the path in the error is within the override. */
export function readOverride(override: PriceOverride, name: string): ReadOverride {
  const unknown = Object.keys(override ?? {}).find((key) => !KEYS.includes(key));
  at(unknown === undefined ? [] : [unknown], () => checkKeys(override, KEYS, name));
  const { multiplier } = override;
  const prices = readPrices(override, name);
  if ((multiplier !== undefined) === prices.groups.size > 0) {
    throw new OverrideProblem([], `${name} must have either prices (perMillionUsd, perThousandUsd) or a multiplier`);
  }
  const [from, to] = [
    instant(override, 'from', name) ?? Number.NEGATIVE_INFINITY,
    instant(override, 'to', name) ?? Number.POSITIVE_INFINITY,
  ];
  if (from >= to) throw new OverrideProblem(['to'], `${name}.to must be after from (${override.from}), not ${override.to}`);
  return {
    ...prices,
    ...{ from, to, provider: readWord(override, 'provider', name), variants: readVariants(override, name) },
    model: at(['model'], () => glob(checkText(override.model, `${name}.model`))),
    timeOfDay: override.timeOfDay === undefined ? undefined : readTimeOfDay(override.timeOfDay, `${name}.timeOfDay`),
    multiplier: multiplier === undefined ? undefined : at(['multiplier'], () => decimal(multiplier, `${name}.multiplier`)),
  };
}

function readVariants(override: PriceOverride, name: string): Variants {
  const { batch } = override;
  if (batch !== undefined && batch !== true) throw new OverrideProblem(['batch'], `${name}.batch must be true, not ${String(batch)}`);
  const [serviceTier, region] = [readWord(override, 'serviceTier', name), readWord(override, 'region', name)];
  return {
    ...(serviceTier !== undefined && { serviceTier }),
    ...(batch === true && { batch: 'batch' }),
    ...(region !== undefined && { region }),
  };
}

function readWord(override: PriceOverride, member: 'provider' | 'serviceTier' | 'region', name: string): string | undefined {
  const value = override[member];
  return value === undefined ? undefined : at([member], () => checkText(value, `${name}.${member}`).toLowerCase());
}

/** Whether an override is about a model. */
export function coversModel({ provider, model }: ReadOverride, whose: string | undefined, name: string): boolean {
  return (provider === undefined || provider === whose?.toLowerCase()) && matches(model, name.toLowerCase());
}

/** Whether an override holds at an instant. */
export function coversInstant({ from, to, timeOfDay }: ReadOverride, instantMs: number): boolean {
  if (instantMs < from || instantMs >= to) return false;
  if (timeOfDay === undefined) return true;
  const [begin, end] = timeOfDay;
  const now = instantMs % DAY_MS;
  return begin <= end ? now >= begin && now < end : now >= begin || now < end;
}

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

function readPrices(override: PriceOverride, name: string): Pick<ReadOverride, 'tiers' | 'groups'> {
  const { perMillionUsd = {}, perThousandUsd = {}, tiers = [] } = override;
  const counted = readRates(perThousandUsd, countedParts, PER_THOUSAND, ['perThousandUsd'], name);
  const base = readRates(perMillionUsd, [...inputParts, ...outputParts], PER_MILLION, ['perMillionUsd'], name);
  const sides = sidesOf(base, ['perMillionUsd'], name);
  if (!Array.isArray(tiers)) throw new OverrideProblem(['tiers'], `${name}.tiers must be a list`);
  const above = tiers.map((tier: PriceTier, index) => {
    const path = ['tiers', String(index)];
    const tierName = `${name}.tiers[${index}]`;
    at(path, () => checkKeys(tier, ['aboveInputTokens', 'perMillionUsd'], tierName));
    if (!Number.isSafeInteger(tier.aboveInputTokens) || tier.aboveInputTokens < 0) {
      throw new OverrideProblem(
        [...path, 'aboveInputTokens'],
        `${tierName}.aboveInputTokens must be a whole number of at least 0, not ${String(tier.aboveInputTokens)}`,
      );
    }
    const rates = readRates(tier.perMillionUsd, [...inputParts, ...outputParts], PER_MILLION, [...path, 'perMillionUsd'], tierName);
    if (sidesOf(rates, [...path, 'perMillionUsd'], tierName).join() !== sides.join()) {
      throw new OverrideProblem(
        [...path, 'perMillionUsd'],
        `${tierName} must price the same sides as ${name}.perMillionUsd: ${sides.join(' and ') || 'none'}`,
      );
    }
    return { above: tier.aboveInputTokens, rates: { ...rates, ...counted } };
  });
  const sorted = [{ above: -1, rates: { ...base, ...counted } }, ...above].sort((a, b) => a.above - b.above);
  return { tiers: sorted, groups: new Set([...sides, ...(Object.keys(counted) as UsagePart[])]) };
}

function readRates(prices: object, parts: readonly UsagePart[], per: number, path: readonly string[], name: string): Rates {
  const shown = `${name}.${path.at(-1)}`;
  at(path, () => checkKeys(prices, parts, shown));
  const rates: Partial<Record<UsagePart, Rate>> = {};
  for (const [part, usd] of Object.entries(prices)) {
    rates[part as UsagePart] = { usd: at([...path, part], () => decimal(usd, `${shown}.${part}`)), per };
  }
  return rates;
}

/** A side that is priced needs the price that everything unnamed of it falls back to. */
function sidesOf(rates: Rates, path: readonly string[], name: string): PartGroup[] {
  const sides = [...new Set((Object.keys(rates) as UsagePart[]).map(groupOf))].sort();
  for (const side of sides) {
    const base = side === 'input' ? 'inputTokens' : 'outputTokens';
    if (rates[base] === undefined)
      throw new OverrideProblem(path, `${name}.${path.at(-1)} prices ${side} without ${base}, which the rest of it falls back to`);
  }
  return sides;
}

function decimal(value: unknown, name: string): string {
  const text = plainDecimal(value as string | number, name);
  if (text.length <= LONGEST_DECIMAL) return text;
  throw new RangeError(`${name} must have at most ${LONGEST_DECIMAL} characters, not ${text.length}`);
}

function instant(override: PriceOverride, member: 'from' | 'to', name: string): number | undefined {
  const value = override[member];
  if (value === undefined) return undefined;
  const valid = typeof value === 'string' && /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/.test(value);
  const parsed = valid ? Date.parse(value) : Number.NaN;
  // a day that no month has rolls over in silence
  if (!Number.isNaN(parsed) && new Date(`${String(value).slice(0, 10)}T00:00Z`).toISOString().startsWith(String(value).slice(0, 10)))
    return parsed;
  throw new OverrideProblem(
    [member],
    `${name}.${member} must be a day or an instant with its offset, such as '2026-01-31' or '2026-01-31T16:00Z', not ${JSON.stringify(value)}`,
  );
}

function readTimeOfDay(value: TimeOfDay, name: string): readonly [number, number] {
  at(['timeOfDay'], () => checkKeys(value, ['from', 'to'], name));
  return [minutes(value.from, 'from', name), minutes(value.to, 'to', name)];
}

function minutes(value: unknown, member: string, name: string): number {
  const [, hour, minute] = (typeof value === 'string' && /^([01]\d|2[0-3]):([0-5]\d)$/.exec(value)) || [];
  if (hour !== undefined) return (Number(hour) * 60 + Number(minute)) * MINUTE_MS;
  throw new OverrideProblem(['timeOfDay', member], `${name}.${member} must be a time such as '16:30', not ${JSON.stringify(value)}`);
}

/** The texts between the stars. */
function glob(pattern: string): readonly string[] {
  return pattern.toLowerCase().split(/\*+/);
}

/** Goes through the name once: a name of a thousand characters and a pattern of a hundred stars are no work. */
function matches([first = '', ...rest]: readonly string[], name: string): boolean {
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let from = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return name.length - last.length >= from && name.endsWith(last);
}

function at<T>(path: readonly string[], check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof OverrideProblem || !(error instanceof RangeError)) throw error;
    throw new OverrideProblem(path, error.message);
  }
}
