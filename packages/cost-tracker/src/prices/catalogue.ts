import { createHash } from 'node:crypto';
import type { ConditionalPrice, ModelInfo, ModelPrice, Provider, TimeOfDateConstraint } from '@pydantic/genai-prices';
import { plainDecimal } from '../money.ts';
import type { UsagePart } from '../usage.ts';
import type { Rate, Rates, RateTier } from './rates.ts';

/** The version of `@pydantic/genai-prices` that this package is made for, and pins. */
export const catalogueVersion = '0.1.8';

/** When that version was published: what it says of later days is a plan. */
export const catalogueDate = Date.UTC(2026, 8, 23, 10, 11, 4);

/** A model that the catalogue has. */
export interface CatalogueModel {
  /** What it costs at an instant. */
  at(instant: number): CataloguePrices;
  /** Whether the catalogue still says so: the program may have given it newer data. */
  isCurrent(): boolean;
}

/** What a model costs at an instant. */
export interface CataloguePrices {
  /** Which prices: the provider's data as a hash, and whether they were a plan when they were published. */
  readonly version: string;
  /** The rates of a call that is sent so many tokens. */
  ratesAt(inputTokens: number): Rates;
}

/** Looks models up. */
export interface Catalogue {
  /** Whose model that is, also where only its name tells it. */
  find(provider: string | undefined, model: string): { readonly provider: string | undefined; readonly model: CatalogueModel | undefined };
}

const PER_MILLION = 1_000_000;
const PER_THOUSAND = 1_000;

/** Price keys of the catalogue; what it sells by seconds, pages and pixels is no part of a usage here. */
const keys: readonly (readonly [key: string, part: UsagePart, per: number])[] = [
  ['input_mtok', 'inputTokens', PER_MILLION],
  ['cache_read_mtok', 'cacheReadTokens', PER_MILLION],
  ['cache_write_mtok', 'cacheWriteTokens', PER_MILLION],
  ['cache_write_1h_mtok', 'cacheWrite1hTokens', PER_MILLION],
  ['input_audio_mtok', 'inputAudioTokens', PER_MILLION],
  ['cache_audio_read_mtok', 'cacheReadAudioTokens', PER_MILLION],
  ['input_image_mtok', 'inputImageTokens', PER_MILLION],
  ['input_video_mtok', 'inputVideoTokens', PER_MILLION],
  ['output_mtok', 'outputTokens', PER_MILLION],
  ['output_reasoning_mtok', 'reasoningTokens', PER_MILLION],
  ['output_audio_mtok', 'outputAudioTokens', PER_MILLION],
  ['output_image_mtok', 'outputImageTokens', PER_MILLION],
  ['requests_kcount', 'requests', PER_THOUSAND],
  ['web_searches_kcount', 'webSearches', PER_THOUSAND],
  ['storage_searches_kcount', 'fileSearches', PER_THOUSAND],
  ['code_executions_kcount', 'codeExecutions', PER_THOUSAND],
];

/**
 * Imports the catalogue. Its data and its matching of models are used, not its arithmetic: that is done in floats.
 *
 * Where the program itself gives the package newer data (`updatePrices`), those are used, and the hash in the version is another one.
 */
export async function loadCatalogue(): Promise<Catalogue> {
  const { calcPrice, findProvider } = await import('@pydantic/genai-prices');
  return {
    find: (provider, model) => {
      // an empty usage costs nothing and cannot be contradictory: what is asked for is the entry
      const found = calcPrice({}, model, provider === undefined ? {} : { providerId: provider });
      if (found === null) {
        const whose = findProvider(provider === undefined ? { modelId: model.toLowerCase() } : { providerId: provider });
        return { provider: whose?.id ?? provider, model: undefined };
      }
      const isCurrent = () => findProvider({ providerId: found.provider.id }) === found.provider;
      return { provider: found.provider.id, model: { isCurrent, at: (instant) => catalogued(found.provider, found.model, instant) } };
    },
  };
}

function catalogued(provider: Provider, model: ModelInfo, instant: number): CataloguePrices {
  const { prices, planned } = pricesAt(model, instant);
  return {
    version: `genai-prices@${catalogueVersion}/${provider.id}:${hashOf(provider)}${planned ? '~planned' : ''}`,
    ratesAt: (inputTokens) => tiersOf(prices).findLast(({ above }) => inputTokens > above)?.rates ?? {},
  };
}

const hashes = new WeakMap<Provider, string>();

function hashOf(provider: Provider): string {
  const known = hashes.get(provider) ?? shortHash(JSON.stringify(provider.models));
  hashes.set(provider, known);
  return known;
}

/** Twelve hexadecimal digits of a SHA-256. */
export function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/**
 * The prices of a model at an instant. A price by the hour belongs to the dated price it stands behind: the catalogue cannot say both in
 * one place and applies it to every day.
 */
export function pricesAt({ prices }: Pick<ModelInfo, 'prices'>, at: number): { readonly prices: ModelPrice; readonly planned: boolean } {
  if (!Array.isArray(prices)) return { prices, planned: false };
  const dated = prices.findLastIndex((price) => !isOfHour(price) && at >= startOf(price));
  const later = prices.slice(dated + 1);
  const next = later.findIndex((price) => !isOfHour(price));
  const ofHour = later.slice(0, next < 0 ? later.length : next).findLast((price) => isOfHour(price) && coversTime(price.constraint, at));
  const found = ofHour ?? prices[dated];
  return { prices: found?.prices ?? {}, planned: prices[dated] !== undefined && startOf(prices[dated]) > catalogueDate };
}

function isOfHour(price: ConditionalPrice): price is ConditionalPrice & { readonly constraint: TimeOfDateConstraint } {
  return price.constraint?.type === 'time_of_date';
}

function startOf({ constraint }: ConditionalPrice): number {
  return constraint?.type === 'start_date' ? Date.parse(constraint.start_date) : Number.NEGATIVE_INFINITY;
}

const DAY_MS = 86_400_000;

/** From `start_time` on and before `end_time`, also over midnight. */
function coversTime({ start_time, end_time }: { readonly start_time: string; readonly end_time: string }, at: number): boolean {
  const [now, start, end] = [at, Date.parse(`1970-01-02T${start_time}`), Date.parse(`1970-01-02T${end_time}`)].map(
    (instant) => ((instant % DAY_MS) + DAY_MS) % DAY_MS,
  ) as [number, number, number];
  return start <= end ? now >= start && now < end : now >= start || now < end;
}

const tiered = new WeakMap<ModelPrice, readonly RateTier[]>();

/** The rates below and above every tier's start. A tier is the price of the whole call: there is no cheaper part below. */
function tiersOf(prices: ModelPrice): readonly RateTier[] {
  const known = tiered.get(prices);
  if (known !== undefined) return known;
  const starts = Object.values(prices).flatMap((price) => (typeof price === 'object' ? price.tiers.map(({ start }) => start) : []));
  const tiers = [-1, ...new Set(starts.sort((a, b) => a - b))].map((above) => ({ above, rates: ratesAbove(prices, above) }));
  tiered.set(prices, tiers);
  return tiers;
}

function ratesAbove(prices: ModelPrice, above: number): Rates {
  const rates: Partial<Record<UsagePart, Rate>> = {};
  for (const [key, part, per] of keys) {
    const price = prices[key];
    if (price === undefined) continue;
    const usd = typeof price === 'number' ? price : (price.tiers.findLast(({ start }) => start <= above)?.price ?? price.base);
    rates[part] = { usd: plainDecimal(usd, key), per };
  }
  return rates;
}
