import { timesDecimal } from '../money.ts';
import type { PriceRequest } from '../price-book.ts';
import type { CataloguePrices } from './catalogue.ts';
import { coversInstant, coversModel, type ReadOverride, type Variant, type Variants } from './price-override.ts';
import type { PartGroup, Rates } from './rates.ts';

/** Where the prices of a group of parts come from, and what they are multiplied by. */
export interface PriceSource {
  readonly rates: Rates;
  readonly factor: string;
}

const standardTiers = new Set(['', 'default', 'standard', 'auto', 'on_demand', 'on-demand', 'unspecified']);
const noRegions = new Set(['', 'global', 'default', 'not_available']);

/** What a call has that is priced apart. A provider may tell a batch as a service tier. */
export function variantsOf({
  serviceTier = '',
  batch = false,
  region = '',
}: Pick<PriceRequest, 'serviceTier' | 'batch' | 'region'>): Variants {
  const [tier, place] = [serviceTier.toLowerCase(), region.toLowerCase()];
  const isBatch = batch || tier === 'batch';
  return {
    ...(!standardTiers.has(tier) && tier !== 'batch' && { serviceTier: tier }),
    ...(isBatch && { batch: 'batch' }),
    ...(!noRegions.has(place) && { region: place }),
  };
}

/** Overrides in layers, the stronger first. */
export type RuleLayers = readonly (readonly ReadOverride[])[];

/** The rules about a model. */
export function rulesOf(layers: RuleLayers, provider: string | undefined, model: string): RuleLayers {
  return layers.map((layer) => layer.filter((override) => coversModel(override, provider, model)));
}

/** The rules that hold at an instant. */
export function rulesAt(layers: RuleLayers, instant: number): RuleLayers {
  return layers.map((layer) => layer.filter((override) => coversInstant(override, instant)));
}

/** A call as rules are asked about it. */
export interface RuledCall {
  readonly inputTokens: number;
  readonly variants: Variants;
}

/**
 * The prices of a group for such a call by the rules that hold for it; none where nothing is known of them, or not for its tier, batch or
 * region. Within a layer the rule that names more of what the call has wins, and of those the last.
 */
export function sourceOf(
  layers: RuleLayers,
  group: PartGroup,
  call: RuledCall,
  prices: CataloguePrices | undefined,
): PriceSource | undefined {
  const { own, discount } = basis(layers, group, call.variants);
  const rates = own === undefined ? prices?.ratesAt(call.inputTokens) : ratesOf(own, call.inputTokens);
  if (rates === undefined) return undefined;
  // what is counted by the piece costs the same in every tier, batch and region
  if (group !== 'input' && group !== 'output') return { rates, factor: '1' };
  const factor = factorOf(layers, without(call.variants, own?.variants ?? {}), discount);
  return factor === undefined ? undefined : { rates, factor };
}

/** The strongest prices of a group, and the discounts that are stronger. */
function basis(layers: RuleLayers, group: PartGroup, call: Variants) {
  let discount = '1';
  for (const layer of layers) {
    const own = best([layer], (override) => override.groups.has(group) && fits(override, call));
    if (own !== undefined) return { own, discount };
    const off = best([layer], ({ multiplier, variants }) => multiplier !== undefined && Object.keys(variants).length === 0);
    if (off?.multiplier !== undefined) discount = timesDecimal(discount, off.multiplier, 'multiplier');
  }
  return { own: undefined, discount };
}

function fits({ variants }: ReadOverride, call: Variants): boolean {
  return (Object.keys(variants) as Variant[]).every((variant) => matchesVariant(variant, variants[variant], call[variant]));
}

function matchesVariant(variant: Variant, asked: string | undefined, has: string | undefined): boolean {
  return has !== undefined && (asked === has || (variant === 'region' && asked === '*'));
}

function best(layers: RuleLayers, wanted: (override: ReadOverride) => boolean): ReadOverride | undefined {
  for (const layer of layers) {
    const found = layer.filter(wanted);
    const most = Math.max(...found.map(weight));
    const winner = found.findLast((override) => weight(override) === most);
    if (winner !== undefined) return winner;
  }
  return undefined;
}

function weight({ variants }: ReadOverride): number {
  return Object.keys(variants).length;
}

/** Every variant that the prices do not already have needs a factor; one that nobody knows makes the price unknown. */
function factorOf(layers: RuleLayers, variants: Variants, discount: string): string | undefined {
  const left = { ...variants };
  let factor = discount;
  while (Object.keys(left).length > 0) {
    const rule = best(layers, (override) => override.multiplier !== undefined && weight(override) > 0 && fits(override, left));
    if (rule?.multiplier === undefined) return undefined;
    factor = timesDecimal(factor, rule.multiplier, 'multiplier');
    for (const variant of Object.keys(rule.variants) as Variant[]) delete left[variant];
  }
  return factor;
}

function without(variants: Variants, covered: Variants): Variants {
  return Object.fromEntries(Object.entries(variants).filter(([variant]) => covered[variant as Variant] === undefined));
}

function ratesOf({ tiers }: ReadOverride, inputTokens: number): Rates {
  return tiers.findLast(({ above }) => inputTokens > above)?.rates ?? {};
}
