import type { Clock } from './clock.ts';
import type { Change, Command, Reply, Store } from './store.ts';

/** After so many asks in a row without an answer the store is left alone, but for one ask in each `askAgainMs`. */
const patience = 3;
const askAgainMs = 500;

interface Ask {
  readonly until: number;
  readonly giveUp: () => void;
  answered: boolean;
}

/** Who wants to know how the store is. */
export interface Health {
  failed(error: unknown): void;
  recovered(): void;
}

/** Asks a store, and knows within a bounded time that it got no answer. One timer for all that are waited for. */
export class BoundedStore {
  readonly #store: Store;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  readonly #health: Health;
  readonly #asks: Ask[] = []; // in the order of their deadlines
  #timer: unknown;
  #failures = 0;
  #askAgainAt = 0;

  constructor(store: Store, timeoutMs: number, clock: Clock, health: Health) {
    this.#store = store;
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
    this.#health = health;
  }

  /** In how many ms the store will be asked again; at least 1. */
  get askAgainInMs(): number {
    return Math.max(1, Math.ceil(this.#askAgainAt - this.#clock.now()));
  }

  /**
   * The store's reply; undefined where there is none in time, or the store is left alone. A reply that comes after that is handed to
   * `late`.
   */
  ask(command: Command, change: Change, late: (reply: Reply) => void): Promise<Reply | undefined> {
    const now = this.#clock.now();
    if (this.#failures >= patience) {
      if (now < this.#askAgainAt) return Promise.resolve(undefined);
      this.#askAgainAt = now + askAgainMs;
    }
    return new Promise((resolve) => {
      const ask: Ask = {
        until: now + this.#timeoutMs,
        giveUp: () => {
          this.#fail(new Error(`the store did not answer within ${this.#timeoutMs} ms`));
          resolve(undefined);
        },
        answered: false,
      };
      this.#watch(ask);
      this.#run(command, change).then(
        (reply) => {
          if (ask.answered) return late(reply);
          ask.answered = true;
          this.#succeed();
          resolve(reply);
        },
        (error: unknown) => {
          if (ask.answered) return;
          ask.answered = true;
          this.#fail(error);
          resolve(undefined);
        },
      );
    });
  }

  /** Stops waiting for answers; what is asked still gets none in time. */
  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const ask of this.#asks.splice(0)) this.#expire(ask);
  }

  async #run(command: Command, change: Change): Promise<Reply> {
    return this.#store.run(command, change);
  }

  #watch(ask: Ask): void {
    this.#asks.push(ask);
    if (this.#timer === undefined) this.#setTimer(this.#timeoutMs);
    // answered ones are dropped from the front as others come, so that a busy limiter keeps no long list
    while (this.#asks.length > 1 && this.#asks[0]?.answered) this.#asks.shift();
  }

  #setTimer(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => this.#expireDue(), Math.max(1, Math.ceil(ms)));
  }

  #expireDue(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    let first = this.#asks[0];
    while (first !== undefined && (first.answered || first.until <= now)) {
      this.#asks.shift();
      this.#expire(first);
      first = this.#asks[0];
    }
    if (first !== undefined) this.#setTimer(first.until - now);
  }

  #expire(ask: Ask): void {
    if (ask.answered) return;
    ask.answered = true;
    ask.giveUp();
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    if (this.#failures === patience) this.#askAgainAt = this.#clock.now() + askAgainMs;
    this.#health.failed(error);
  }

  #succeed(): void {
    const failed = this.#failures > 0;
    this.#failures = 0;
    if (failed) this.#health.recovered();
  }
}
