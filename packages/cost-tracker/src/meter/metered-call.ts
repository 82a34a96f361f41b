import type { CallOutcome } from '../call.ts';
import type { CostHold } from '../hold.ts';
import type { ReportedUsage } from '../usage/reported-usage.ts';
import { outputTokensOf, type UsageParts } from '../usage.ts';
import { likelyTokens } from './input-size.ts';
import { neverSent } from './never-sent.ts';

/** What an answer has told so far. */
export interface Seen {
  /** What the provider says of the call. */
  readonly reported: ReportedUsage;
  /** Whether that is all that it will say of the usage. */
  readonly final: boolean;
  /** Whether the answer tells of an error. */
  readonly failed: boolean;
  /** UTF-8 bytes of what the model was seen to write. */
  readonly receivedBytes: number;
  /** Whether the model goes on working after the answer. */
  readonly goesOn: boolean;
}

/** What a call may use, and how its ending is told. */
export interface CallFrame {
  /** What it is taken to have sent where nobody says it. */
  readonly likelyInputTokens: number;
  /** The most tokens that it may answer with. */
  readonly maxOutputTokens: number;
  /** Whether a call without any answer costs what it may have cost, or nothing. */
  readonly unanswered: 'estimate' | 'release';
  /** Milliseconds since the call was sent. */
  readonly sinceStart: () => number;
  /** Told what kept an ending from the ledger. */
  readonly onError: (error: unknown) => void;
}

/** One call of a model on its way through a meter. Whatever ends it first decides what it costs; what comes later changes nothing. */
export class MeteredCall {
  readonly #hold: CostHold;
  readonly #frame: CallFrame;
  #ending: Promise<void> | undefined;
  #forget: () => void = () => {};

  constructor(hold: CostHold, frame: CallFrame) {
    this.#hold = hold;
    this.#frame = frame;
  }

  /** The answer has come to its end. Resolves when the ledger knows, or has failed to. */
  ended(seen: Seen): Promise<void> {
    if (nothingDone(seen)) return this.release();
    return this.#end(() => this.#hold.settle(this.#outcome(seen, 'estimated')));
  }

  /** The answer was left before its end, or broke off. */
  left(seen: Seen, success: boolean): Promise<void> {
    return this.#end(() => this.#hold.settle({ ...this.#outcome(seen, 'partial'), success: success && !seen.failed }));
  }

  /** The provider refused the call; what it charged for that, if anything, stands in its answer. */
  refused(seen: Seen): Promise<void> {
    const { usage, amountUsd } = seen.reported;
    if (amountUsd === undefined && Object.keys(usage ?? {}).length === 0) return this.release();
    return this.#end(() => this.#hold.settle({ ...this.#outcome({ ...seen, final: true }, 'estimated'), success: false }));
  }

  /** No answer came. What was never sent costs nothing. */
  unanswered(error: unknown): Promise<void> {
    if (this.#frame.unanswered === 'release' || neverSent(error)) return this.release();
    return this.#end(() => this.#hold.settle({ ...this.#told({}), ...this.#most(), success: false }));
  }

  /** The call costs nothing. */
  release(): Promise<void> {
    return this.#end(() => this.#hold.release());
  }

  /** From now on an abort leaves the answer at once, whether somebody reads it or not. */
  leaveOn(signal: AbortSignal, leave: () => Promise<void>): void {
    if (this.#ending !== undefined) return;
    const onAbort = () => void leave();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#forget = () => signal.removeEventListener('abort', onAbort);
  }

  #end(how: () => Promise<void>): Promise<void> {
    this.#forget();
    this.#ending ??= how().catch((error: unknown) => {
      try {
        this.#frame.onError(error);
      } catch {
        // the answer is the caller's, whatever is said of the ledger
      }
    });
    return this.#ending;
  }

  #outcome(seen: Seen, otherwise: 'estimated' | 'partial'): CallOutcome {
    const { reported, final, failed } = seen;
    const told = { ...this.#told(reported), success: !failed };
    const known = final || reported.amountUsd !== undefined;
    if (known && (reported.usage !== undefined || reported.amountUsd !== undefined)) {
      return { ...told, ...(reported.usage !== undefined && { usage: reported.usage }) };
    }
    if (seen.goesOn) return { ...told, ...this.#most() };
    return { ...told, usage: this.#seenUsage(seen), usageIs: otherwise };
  }

  /** What the provider said so far, and at least as much output as was received of it. */
  #seenUsage({ reported, receivedBytes }: Seen): UsageParts {
    const said = reported.usage ?? { inputTokens: this.#frame.likelyInputTokens };
    const received = Math.min(likelyTokens(receivedBytes), this.#frame.maxOutputTokens);
    const more = Math.max(0, received - outputTokensOf(said));
    return { ...said, outputTokens: (said.outputTokens ?? 0) + more };
  }

  #most(): CallOutcome {
    const { likelyInputTokens, maxOutputTokens } = this.#frame;
    return { usage: { inputTokens: likelyInputTokens, outputTokens: maxOutputTokens }, usageIs: 'estimated' };
  }

  #told({ servedModel, serviceTier, region, amountUsd, responseId, usageProblem }: ReportedUsage): CallOutcome {
    const metadata = { ...(responseId !== undefined && { responseId }), ...(usageProblem !== undefined && { usageProblem }) };
    return {
      durationMs: Math.max(0, this.#frame.sinceStart()),
      ...(servedModel !== undefined && { servedModel }),
      ...(serviceTier !== undefined && { serviceTier }),
      ...(region !== undefined && { region }),
      ...(amountUsd !== undefined && { amountUsd }),
      ...(Object.keys(metadata).length > 0 && { metadata }),
    };
  }
}

/** An answer that is an error and nothing else was not worked for. */
function nothingDone({ failed, reported, receivedBytes }: Seen): boolean {
  return failed && receivedBytes === 0 && reported.usage === undefined && reported.amountUsd === undefined;
}
