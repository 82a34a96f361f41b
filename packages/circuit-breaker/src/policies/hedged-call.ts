import type { Clock } from '../clock.ts';
import { isRefusal } from '../errors.ts';
import { Execution, type Pausable, type Protected, result } from '../execution.ts';
import { Countdown } from './countdown.ts';
import type { HedgeDelay } from './hedge-delay.ts';
import { HedgeLostError, stackless } from './policy-errors.ts';
import type { RetryBudget } from './retry-budget.ts';
import { discard } from './unwanted-value.ts';

/** The options of a hedge, checked and completed. */
export interface HedgeSettings {
  readonly delay: HedgeDelay;
  readonly maxHedges: number;
  readonly budget: RetryBudget | undefined;
  readonly clock: Clock;
}

/** What a hedged call adds to. */
export interface HedgeCounts {
  hedges: number;
  won: number;
  budgetExhausted: number;
}

/** One call with its hedges. While one of its attempts stops the clocks, no hedge falls due. */
export class HedgedCall<T> implements Pausable {
  readonly #settings: HedgeSettings;
  readonly #counts: HedgeCounts;
  readonly #fn: Protected<T>;
  readonly #parent: Execution;
  readonly #resolve: (value: T) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #inFlight = new Set<Execution>();
  readonly #startedAt: number;
  #started = 0;
  #countdown: Countdown | undefined;
  #pauses = 0;
  #everPaused = false;
  #failed = false;
  #error: unknown;
  #over = false;
  #winner: { readonly execution: Execution; readonly value: T } | undefined;

  constructor(
    settings: HedgeSettings,
    counts: HedgeCounts,
    call: { readonly fn: Protected<T>; readonly parent: Execution },
    resolve: (value: T) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#settings = settings;
    this.#counts = counts;
    this.#fn = call.fn;
    this.#parent = call.parent;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#startedAt = settings.delay.follows ? settings.clock.now() : 0;
    // Stays after a win: an abort has to reach what the winner opened. The execution around it ends with the call and takes it along.
    this.#parent.onAbort(this.#calledOff);
    this.#attempt();
  }

  pause(): void {
    this.#pauses += 1;
    this.#everPaused = true;
    this.#countdown?.pause();
  }

  resume(): void {
    this.#pauses -= 1;
    this.#countdown?.resume();
  }

  #attempt(): void {
    const execution = new Execution(this.#parent, this, this.#started);
    this.#started += 1;
    this.#inFlight.add(execution);
    if (this.#started <= this.#settings.maxHedges) this.#count();
    result(this.#fn, execution).then(
      (value) => this.#returned(execution, value),
      (error) => this.#threw(execution, error),
    );
  }

  #count(): void {
    this.#countdown = new Countdown(this.#settings.clock, this.#settings.delay.ms, () => this.#hedge());
    for (let i = 0; i < this.#pauses; i += 1) this.#countdown.pause();
  }

  /** Starts another attempt if one is left and the budget allows it; what is in flight goes on either way. */
  #hedge(): boolean {
    const { maxHedges, budget } = this.#settings;
    if (this.#started > maxHedges) return false;
    if (budget?.tryWithdraw() === false) {
      this.#counts.budgetExhausted += 1;
      return false;
    }
    this.#countdown?.clear();
    this.#counts.hedges += 1;
    this.#attempt();
    return true;
  }

  #returned(execution: Execution, value: T): void {
    if (this.#over) {
      if (value !== this.#winner?.value) discard(value);
      return;
    }
    this.#end();
    this.#winner = { execution, value };
    if (execution.hedge > 0) this.#counts.won += 1;
    this.#learn(execution);
    this.#inFlight.delete(execution);
    this.#resolve(value);
    if (this.#inFlight.size > 0) this.#abortAll(stackless(() => new HedgeLostError(execution.hedge)));
  }

  /** Tells the delay what the first attempt took so far, unless it failed or waited for a person. */
  #learn(won: Execution): void {
    const { delay, clock } = this.#settings;
    if (!delay.follows || this.#everPaused) return;
    const tookMs = clock.now() - this.#startedAt;
    if (won.hedge === 0) delay.learn(tookMs);
    else for (const { hedge } of this.#inFlight) if (hedge === 0) delay.learnAtLeast(tookMs);
  }

  #threw(execution: Execution, error: unknown): void {
    if (this.#over) return;
    this.#inFlight.delete(execution);
    // a refusal would hide from an outer breaker that another attempt really failed
    if (!this.#failed || !isRefusal(error) || isRefusal(this.#error)) this.#error = error;
    this.#failed = true;
    if (this.#hedge() || this.#inFlight.size > 0) return;
    this.#end();
    this.#parent.offAbort(this.#calledOff);
    this.#reject(this.#error);
  }

  readonly #calledOff = (reason: unknown): void => {
    if (this.#winner !== undefined) {
      this.#winner.execution.abort(reason);
      return;
    }
    this.#end();
    this.#reject(reason);
    this.#abortAll(reason);
  };

  #end(): void {
    this.#over = true;
    this.#countdown?.clear();
  }

  #abortAll(reason: unknown): void {
    for (const execution of this.#inFlight) execution.abort(reason);
    this.#inFlight.clear();
  }
}
