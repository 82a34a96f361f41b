import { timesDecimal } from '../money.ts';
import { inputParts, outputParts, type UsagePart } from '../usage.ts';

/** What `per` of a part cost. */
export interface Rate {
  /** A plain decimal. */
  readonly usd: string;
  readonly per: number;
}

/** What parts cost, where that is said. */
export type Rates = Readonly<Partial<Record<UsagePart, Rate>>>;

/** Rates of a call that is sent more than so many tokens. */
export interface RateTier {
  readonly above: number;
  readonly rates: Rates;
}

/** Parts that are priced together, because what one of them costs may be said of another. */
export type PartGroup = 'input' | 'output' | UsagePart;

/** The group of a part: its side, or a counted part alone. */
export function groupOf(part: UsagePart): PartGroup {
  if ((inputParts as readonly UsagePart[]).includes(part)) return 'input';
  return (outputParts as readonly UsagePart[]).includes(part) ? 'output' : part;
}

/** Tokens of a modality, a cache or a kind that has no price of its own cost what the more general ones cost. */
const moreGeneral: Readonly<Partial<Record<UsagePart, readonly UsagePart[]>>> = {
  cacheReadTokens: ['inputTokens'],
  cacheWriteTokens: ['inputTokens'],
  cacheWrite1hTokens: ['cacheWriteTokens', 'inputTokens'],
  inputAudioTokens: ['inputTokens'],
  cacheReadAudioTokens: ['cacheReadTokens', 'inputAudioTokens', 'inputTokens'],
  inputImageTokens: ['inputTokens'],
  inputVideoTokens: ['inputTokens'],
  reasoningTokens: ['outputTokens'],
  outputAudioTokens: ['outputTokens'],
  outputImageTokens: ['outputTokens'],
};

// https://platform.claude.com/docs/en/build-with-claude/prompt-caching: "1-hour cache write tokens are 2 times the base input tokens price"
const CLAUDE_HOUR = '2';

/**
 * The rate of a part; none where nothing is said of it or of what is more general. Counted parts have nothing more general, and so has
 * what a provider sells by the second or page.
 */
export function rateOf(part: UsagePart, rates: Rates, model: string): Rate | undefined {
  const own = rates[part];
  if (own !== undefined) return own;
  const input = rates.inputTokens;
  if (part === 'cacheWrite1hTokens' && input !== undefined && /claude/i.test(model)) return timesRate(input, CLAUDE_HOUR);
  const general = moreGeneral[part]?.find((each) => rates[each] !== undefined);
  return general === undefined ? undefined : rates[general];
}

/** A rate and a factor. */
export function timesRate(rate: Rate, factor: string): Rate {
  const { usd, per } = rate;
  return factor === '1' ? rate : { usd: timesDecimal(usd, factor, 'price'), per };
}
