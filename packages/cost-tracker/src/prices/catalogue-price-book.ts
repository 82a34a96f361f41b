import { resolve } from 'node:path';
import { type ListenerErrorEvent, Listeners } from '../events.ts';
import { sumUsd } from '../money.ts';
import { checkKeys, checkMethods, checkNumber, checkText } from '../options.ts';
import type { PriceBook, Priced, PriceLine, PriceRequest } from '../price-book.ts';
import { checkUsage, inputTokensOf, type UsagePart, type UsageParts } from '../usage.ts';
import { builtInOverrides } from './built-in-overrides.ts';
import { type Catalogue, type CataloguePrices, catalogueDate, catalogueVersion, loadCatalogue, shortHash } from './catalogue.ts';
import { FollowedOverrides } from './followed-overrides.ts';
import { type PriceClock, systemClock } from './price-clock.ts';
import type { PriceFileError } from './price-file-error.ts';
import { type PriceOverride, type ReadOverride, readOverride } from './price-override.ts';
import { type PriceSource, type RuledCall, type RuleLayers, rulesAt, rulesOf, sourceOf, variantsOf } from './price-rules.ts';
import { groupOf, type PartGroup, rateOf, timesRate } from './rates.ts';

/** What a price book is made of. */
export interface PriceBookOptions {
  /** Prices of your own; they win over the catalogue, and the last that fits over those before it. @defaultValue none */
  readonly overrides?: readonly PriceOverride[];
  /**
   * A JSON file `{ "overrides": [ … ] }` (comments and trailing commas allowed), relative to the folder the process was started in. What
   * it says wins over `overrides` and is followed while the process runs. @defaultValue none
   */
  readonly overridesFile?: string;
  /** How often the file is looked at, in milliseconds: 1 to 2 147 483 647, or `false` for never. @defaultValue `1_000` */
  readonly pollIntervalMs?: number | false;
  /** @defaultValue the system's clock, read through the globals */
  readonly clock?: PriceClock;
}

/** What a price book tells its listeners. */
export interface PriceBookEvents {
  /**
   * The bundled catalogue is more than 45 days old: prices may have changed. Told once, at the first price after that; where nobody
   * listens, the process is warned (`process.emitWarning`, code `TIDEGATE_CATALOGUE_OLD`).
   */
  'catalogue-old': {
    /** When the catalogue was published, ISO 8601. */
    readonly publishedAt: string;
    /** How long ago that is, in whole days. */
    readonly ageDays: number;
    /** Version of the package that it comes with. */
    readonly version: string;
  };
  /** The file of overrides was read anew and holds. */
  reloaded: {
    /** How many overrides it has. */
    readonly overrides: number;
    /** What stands for them in the version of a price. */
    readonly hash: string;
  };
  /** The file of overrides is wrong or gone: those read before stay. Told once for the same error, until the file holds again. */
  refused: {
    /** What is wrong with it. */
    readonly error: PriceFileError;
  };
  /** A listener threw. */
  'listener-error': ListenerErrorEvent;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const OLD_AFTER_DAYS = 45;
const DAY_MS = 86_400_000;
// More models than a program calls, and few enough to keep
const MOST_KNOWN = 1_000;
const LATEST_INSTANT = 8.64e15;
// Google's APIs name a model as a resource
const RESOURCE = /^(.*\/)?models\//;

const builtIn = builtInOverrides.map((override, index) => readOverride(override, `built-in override ${index}`));
const builtInHash = shortHash(JSON.stringify(builtInOverrides));

/**
 * Prices by the catalogue of `@pydantic/genai-prices`, by what this package adds to it, and by overrides of your own, which win.
 *
 * Amounts are exact: decimals are multiplied and added without floats and rounded once, half to even. Prices are those of the call's
 * date and time; above a tier's limit the whole call costs the tier's price. Nothing is ever priced at 0 because it is unknown: a model,
 * a service tier, a batch, a region or something counted by the piece without a known price makes the whole call unpriced. Tokens of a
 * kind without a price of its own (a cache, audio, images, reasoning) cost what plain input and output cost; a cache write for an hour of
 * a Claude model twice the input.
 *
 * The `version` of a price names the package, the provider's data in it, what this package adds, and your overrides, each as a hash;
 * `~planned` stands for a price that was only announced when the catalogue was published.
 */
export class CataloguePriceBook implements PriceBook {
  readonly #clock: PriceClock;
  readonly #listeners = new Listeners<PriceBookEvents>();
  readonly #given: readonly ReadOverride[];
  readonly #givenText: string;
  readonly #file: FollowedOverrides | undefined;
  readonly #known = new Map<string, KnownModel>();
  #rules: RuleLayers = [];
  #ownVersion = '';
  #toldOld = false;
  #catalogue: Catalogue | undefined;
  #loading: Promise<Catalogue> | undefined;

  /** @internal */
  constructor(options: PriceBookOptions = {}) {
    checkKeys(options, ['overrides', 'overridesFile', 'pollIntervalMs', 'clock'], 'price book options');
    const { overrides = [], overridesFile, pollIntervalMs = 1_000, clock = systemClock } = options;
    if (!Array.isArray(overrides)) throw new RangeError(`overrides must be a list, not ${String(overrides)}`);
    const everyMs = pollIntervalMs === false ? undefined : Math.ceil(checkNumber(pollIntervalMs, 1, LONGEST_TIMER_MS, 'pollIntervalMs'));
    this.#clock = checkMethods(clock, ['wall', 'setTimeout', 'clearTimeout'], 'clock');
    this.#given = overrides.map((override: PriceOverride, index) => readOverride(override, `overrides[${index}]`));
    this.#givenText = overrides.length === 0 ? '' : JSON.stringify(overrides);
    this.#take([], '');
    if (overridesFile !== undefined) this.#file = this.#follow(resolve(checkText(overridesFile, 'overridesFile')), everyMs);
  }

  /**
   * The price of a call. At once where the catalogue has been imported, else when it has.
   *
   * @throws RangeError for a request that is wrong, and for an amount above 1 000 000 000 USD.
   */
  price(request: PriceRequest): Priced | undefined | Promise<Priced | undefined> {
    const usage = checkUsage(request.usage, 'usage');
    checkText(request.model, 'model');
    checkNumber(request.at, 0, LATEST_INSTANT, 'at');
    this.#tellOld();
    if (this.#catalogue !== undefined) return this.#price(this.#catalogue, request, usage);
    this.#loading ??= this.#load();
    return this.#loading.then((catalogue) => this.#price(catalogue, request, usage));
  }

  /** Calls `listener` at each event of that name; the returned function removes it. A listener that throws changes nothing. */
  on<E extends keyof PriceBookEvents>(event: E, listener: (event: PriceBookEvents[E]) => void): () => void {
    return this.#listeners.add(event, listener);
  }

  /**
   * Reads the file of overrides now, as at a signal where nobody looks at it. Does nothing without a file.
   *
   * @throws {@link PriceFileError} where the file is refused; the overrides read before stay.
   */
  async reload(): Promise<void> {
    await this.#file?.reload();
  }

  /** Looks at the file no longer; the prices go on as they are. */
  async close(): Promise<void> {
    await this.#file?.close();
  }

  /** As {@link CataloguePriceBook.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #load(): Promise<Catalogue> {
    try {
      this.#catalogue = await loadCatalogue();
      return this.#catalogue;
    } catch (error) {
      this.#loading = undefined; // the next price tries again
      throw error;
    }
  }

  #follow(path: string, everyMs: number | undefined): FollowedOverrides {
    let first = true;
    return new FollowedOverrides(path, everyMs, this.#clock, {
      reloaded: (overrides, bytes) => {
        const hash = this.#take(overrides, Buffer.from(bytes).toString());
        if (!first) this.#listeners.emit('reloaded', { overrides: overrides.length, hash });
        first = false;
      },
      refused: (error) => this.#listeners.emit('refused', { error }),
    });
  }

  #take(fromFile: readonly ReadOverride[], text: string): string {
    this.#rules = [fromFile, this.#given, builtIn];
    this.#known.clear();
    const hash = text === '' && this.#givenText === '' ? '' : shortHash(`${this.#givenText}\n${text}`);
    this.#ownVersion = `+tidegate:${builtInHash}${hash && `+overrides:${hash}`}`;
    return hash;
  }

  #tellOld(): void {
    const ageDays = Math.floor((this.#clock.wall() - catalogueDate) / DAY_MS);
    if (this.#toldOld || ageDays <= OLD_AFTER_DAYS) return;
    this.#toldOld = true;
    const publishedAt = new Date(catalogueDate).toISOString();
    if (this.#listeners.emit('catalogue-old', { publishedAt, ageDays, version: catalogueVersion })) return;
    process.emitWarning(`the bundled prices of models are of ${publishedAt.slice(0, 10)}, ${ageDays} days old`, {
      type: 'PriceBookWarning',
      code: 'TIDEGATE_CATALOGUE_OLD',
      detail: 'Update @tidegate/cost-tracker, or give prices of your own in overrides.',
    });
  }

  #price(catalogue: Catalogue, request: PriceRequest, usage: UsageParts): Priced | undefined {
    const { provider, model, rules } = this.#find(catalogue, request);
    const prices = model?.at(request.at);
    const call = { inputTokens: inputTokensOf(usage), variants: variantsOf(request) };
    const lines = linesOf(rulesAt(rules, request.at), call, request.model, prices, usage);
    if (lines === undefined) return undefined;
    return {
      amount: sumUsd(lines, 'the price'),
      lines,
      version: (prices?.version ?? `genai-prices@${catalogueVersion}`) + this.#ownVersion,
      provider: provider ?? '',
    };
  }

  #find(catalogue: Catalogue, { provider, model }: PriceRequest): KnownModel {
    const key = `${provider ?? ''}\0${model}`;
    const known = this.#known.get(key);
    if (known?.model?.isCurrent() === true) return known;
    const name = model.replace(RESOURCE, '');
    const found = catalogue.find(provider, name);
    const fresh = { ...found, rules: rulesOf(this.#rules, found.provider, name) };
    if (this.#known.size >= MOST_KNOWN) this.#known.clear();
    this.#known.set(key, fresh);
    return fresh;
  }
}

/** What looking a model up has found. */
interface KnownModel extends ReturnType<Catalogue['find']> {
  readonly rules: RuleLayers;
}

function linesOf(
  rules: RuleLayers,
  call: RuledCall,
  model: string,
  prices: CataloguePrices | undefined,
  usage: UsageParts,
): PriceLine[] | undefined {
  const sources = new Map<PartGroup, PriceSource | undefined>();
  const sourceFor = (part: UsagePart) => {
    const group = groupOf(part);
    if (!sources.has(group)) sources.set(group, sourceOf(rules, group, call, prices));
    return sources.get(group);
  };
  if (sourceFor('inputTokens') === undefined && sourceFor('outputTokens') === undefined) return undefined;
  const lines: PriceLine[] = [];
  // a price of the request itself is owed also where nobody counted the request
  for (const [part, quantity] of Object.entries({ requests: 1, ...usage }) as [UsagePart, number][]) {
    const source = sourceFor(part);
    const rate = source && rateOf(part, source.rates, model);
    if (source !== undefined && rate !== undefined) lines.push({ part, quantity, ...timesRate(rate, source.factor) });
    else if (part !== 'requests') return undefined;
  }
  return lines;
}
