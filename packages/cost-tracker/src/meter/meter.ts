import type { CostTracker } from '../cost-tracker.ts';
import { checkKeys, checkMethods, checkNumber, checkOneOf } from '../options.ts';
import { type InputSize, readAllowance, sizeOfInput, type TokenAllowance } from './input-size.ts';
import { MeteredCall } from './metered-call.ts';

/** Where durations are measured. */
export interface MeterClock {
  /** Milliseconds since any instant, that only grow. */
  now(): number;
}

/** What every meter takes; `Call` is what its functions are told of a call. */
export interface MeterOptions<Call> {
  /** Whose budgets calls must fit into, and whose ledger they are written to. */
  tracker: Pick<CostTracker, 'reserve'>;
  /**
   * Who is paid, as the price book names it, such as `'openai'`.
   * @defaultValue by where the call goes, if that is known; else found by the model's name
   */
  provider?: string | ((call: Call) => string | undefined);
  /**
   * The most tokens that a call sends, where you know it better: a tokenizer's count is often a quarter of the bytes. What it throws the
   * caller gets; `undefined` leaves the count to the meter.
   * @defaultValue a token for every byte of text, and what `allowance` says for the rest
   */
  inputTokens?: (call: Call) => number | undefined | Promise<number | undefined>;
  /** Tokens set aside for what is no text. */
  allowance?: TokenAllowance;
  /** Tokens reserved for the answer of a call that names no limit itself. Nobody keeps the model to it. @defaultValue `16_384` */
  maxOutputTokens?: number;
  /**
   * Where the budgets have no room for all that a call may answer, it may answer less, down to so many tokens. With it the limit that was
   * admitted is written into every call that named none or a higher one.
   * @defaultValue calls are sent as they are, or refused
   */
  minOutputTokens?: number;
  /**
   * What a call costs that was sent and never answered, because the connection or the caller broke it off: the provider may have
   * worked for it, so it counts as an estimate with all the output it may have had; or nothing. What was never sent costs nothing.
   * @defaultValue `'estimate'`
   */
  unanswered?: 'estimate' | 'release';
  /**
   * Told when the end of a call could not be written to the ledger; its hold counts until it expires.
   * @defaultValue warns the process (`process.emitWarning`, code `TIDEGATE_NOT_SETTLED`)
   */
  onError?: (error: unknown) => void;
  /** Where durations are measured. @defaultValue the global `performance` */
  clock?: MeterClock;
}

/** The keys of {@link MeterOptions}. */
export const METER_KEYS = [
  ...['tracker', 'provider', 'inputTokens', 'allowance', 'maxOutputTokens', 'minOutputTokens', 'unanswered', 'onError', 'clock'],
];

/** A call that wants to be made. */
export interface Demand<Call> {
  /** What the functions among the options are told. */
  readonly call: Call;
  readonly model: string;
  /** Who is paid, where the options do not say. */
  readonly provider: string | undefined;
  readonly serviceTier?: string | undefined;
  readonly region?: string | undefined;
  /** What is sent, in whatever shape. */
  readonly sent: Readonly<Record<string, unknown>>;
  readonly output: OutputLimit;
  readonly idempotencyKey?: string | undefined;
  readonly signal: AbortSignal | undefined;
}

/** What a call may answer. */
export interface OutputLimit {
  /** Tokens of one answer, where the call says it. */
  readonly each: number | undefined;
  /** How many answers it wants. */
  readonly answers: number;
  /** No provider takes a lower limit. */
  readonly least: number;
}

/** A call that was admitted. */
export interface Started {
  readonly metered: MeteredCall;
  /** The limit for one answer, to be written into the call; none where it is to be sent as it is. */
  readonly limitEach: number | undefined;
}

const MOST_TOKENS = 1_000_000_000;
const MAX_OUTPUT = 16_384;
const systemClock: MeterClock = { now: () => performance.now() };

/** Reserves for calls before they are made; see {@link MeterOptions}. */
export class Meter<Call> {
  readonly #options: MeterOptions<Call>;
  readonly #maxOutput: number;
  readonly #minOutput: number | undefined;
  readonly #clock: MeterClock;

  constructor(owner: string, options: MeterOptions<Call>, more: readonly string[] = []) {
    checkKeys(options, [...METER_KEYS, ...more], owner);
    checkMethods(options.tracker, ['reserve'], `${owner}: tracker`);
    const { maxOutputTokens, minOutputTokens, provider, unanswered = 'estimate' } = options;
    for (const name of ['inputTokens', 'onError'] as const) checkFunction(options[name], `${owner}: ${name}`);
    if (typeof provider !== 'string') checkFunction(provider, `${owner}: provider`);
    checkOneOf(unanswered, ['estimate', 'release'], `${owner}: unanswered`);
    readAllowance(options.allowance ?? {});
    this.#options = options;
    this.#maxOutput = tokens(maxOutputTokens ?? MAX_OUTPUT, `${owner}: maxOutputTokens`);
    this.#minOutput = minOutputTokens === undefined ? undefined : tokens(minOutputTokens, `${owner}: minOutputTokens`);
    this.#clock = checkMethods(options.clock ?? systemClock, ['now'], `${owner}: clock`);
  }

  /** Sets aside what the call may cost, or throws the refusal. */
  async start(demand: Demand<Call>): Promise<Started> {
    const { output, signal } = demand;
    const input = await this.#input(demand);
    const each = Math.min(output.each ?? this.#maxOutput, Math.floor(MOST_TOKENS / output.answers));
    const least = this.#minOutput === undefined ? each : Math.min(each, Math.max(this.#minOutput, output.least));
    const most = { maxInputTokens: input.most, maxOutputTokens: each * output.answers, minOutputTokens: least * output.answers };
    const wanted = { kind: 'llm' as const, model: demand.model, ...most, ...this.#optional(demand) };
    const hold = await this.#options.tracker.reserve(wanted, signal === undefined ? {} : { signal });
    const admitted = Math.floor((hold.maxOutputTokens ?? each * output.answers) / output.answers);
    const startedAt = this.#clock.now();
    const metered = new MeteredCall(hold, {
      likelyInputTokens: input.likely,
      maxOutputTokens: admitted * output.answers,
      unanswered: this.#options.unanswered ?? 'estimate',
      sinceStart: () => this.#clock.now() - startedAt,
      onError: this.#options.onError ?? warn,
    });
    const isLower = this.#minOutput !== undefined && (output.each === undefined || admitted < output.each);
    return { metered, limitEach: isLower ? admitted : undefined };
  }

  async #input({ call, sent, model }: Demand<Call>): Promise<InputSize> {
    const counted = await this.#options.inputTokens?.(call);
    if (counted !== undefined) {
      const exact = tokens(counted, 'what inputTokens returns');
      return { most: exact, likely: exact };
    }
    return sizeOfInput(sent, model, this.#options.allowance ?? {});
  }

  #optional({ call, provider, serviceTier, region, idempotencyKey }: Demand<Call>) {
    const { provider: chosen } = this.#options;
    const paid = (typeof chosen === 'function' ? chosen(call) : chosen) ?? provider;
    return {
      ...(paid !== undefined && { provider: paid }),
      ...(serviceTier !== undefined && { serviceTier }),
      ...(region !== undefined && { region }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    };
  }
}

/** A count of tokens. */
function tokens(value: number, name: string): number {
  return Math.floor(checkNumber(value, 0, MOST_TOKENS, name));
}

function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw new RangeError(`${name} must be a function, not ${String(value)}`);
}

function warn(error: unknown): void {
  process.emitWarning(`what a call of a model cost could not be written down: ${String(error)}`, { code: 'TIDEGATE_NOT_SETTLED' });
}
