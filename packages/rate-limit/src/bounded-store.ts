import type { Clock } from './clock.ts';
import type { Change, Command, Reply, Store } from './store.ts';

/** After so many asks in a row without an answer the store is left alone, but for one ask in each `askAgainMs`. */
const patience = 3;
const askAgainMs = 500;

/** One that waits for an answer. */
class Ask {
  readonly until: number;
  readonly resolve: (reply: Reply | undefined) => void;
  answered = false;

  constructor(until: number, resolve: (reply: Reply | undefined) => void) {
    this.until = until;
    this.resolve = resolve;
  }
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
  #asks: Ask[] = []; // in the order of their deadlines
  #first = 0; // before it all are answered
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
      const ask = new Ask(now + this.#timeoutMs, resolve);
      this.#watch(ask);
      this.#run(command, change).then(
        (reply) => {
          if (isReply(reply, command)) this.#answer(ask, reply, late);
          else this.#refuse(ask, new TypeError(`the store answered ${JSON.stringify(reply)} to ${command.do}`));
        },
        (error) => this.#refuse(ask, error),
      );
    });
  }

  /** Stops waiting for answers; what is asked still gets none in time. */
  close(): void {
    this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const ask of this.#asks.splice(0)) this.#expire(ask);
    this.#first = 0;
  }

  #run(command: Command, change: Change): Promise<Reply> {
    try {
      return Promise.resolve(this.#store.run(command, change));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #answer(ask: Ask, reply: Reply, late: (reply: Reply) => void): void {
    if (ask.answered) {
      late(reply);
      return;
    }
    ask.answered = true;
    if (this.#failures > 0) this.#recover();
    ask.resolve(reply);
  }

  #refuse(ask: Ask, error: unknown): void {
    if (ask.answered) return;
    ask.answered = true;
    this.#fail(error);
    ask.resolve(undefined);
  }

  #watch(ask: Ask): void {
    this.#asks.push(ask);
    this.#forgetAnswered();
    if (this.#timer === undefined) this.#setTimer(this.#timeoutMs);
  }

  /** Answers come about in the order of the asks, so few are kept longer than they wait. */
  #forgetAnswered(): void {
    while (this.#asks[this.#first]?.answered) this.#first += 1;
    if (this.#first < 1_024 || this.#first * 2 < this.#asks.length) return;
    this.#asks = this.#asks.slice(this.#first);
    this.#first = 0;
  }

  #setTimer(ms: number): void {
    this.#timer = this.#clock.setTimeout(() => this.#expireDue(), Math.max(1, Math.ceil(ms)));
  }

  #expireDue(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let ask = this.#asks[this.#first]; ask !== undefined && (ask.answered || ask.until <= now); ask = this.#asks[this.#first]) {
      this.#first += 1;
      this.#expire(ask);
    }
    this.#forgetAnswered();
    const first = this.#asks[this.#first];
    if (first !== undefined) this.#setTimer(first.until - now);
  }

  #expire(ask: Ask): void {
    this.#refuse(ask, new Error(`the store did not answer within ${this.#timeoutMs} ms`));
  }

  #fail(error: unknown): void {
    this.#failures += 1;
    if (this.#failures === patience) this.#askAgainAt = this.#clock.now() + askAgainMs;
    this.#health.failed(error);
  }

  #recover(): void {
    this.#failures = 0;
    this.#health.recovered();
  }
}

/** A store of others may answer anything; what has no meaning is no answer. */
function isReply(reply: Reply | undefined, { demands }: Command): boolean {
  if (typeof reply?.done !== 'boolean' || !(reply.now >= 0) || reply.limits?.length !== demands.length) return false;
  for (const { waitUs, left } of reply.limits) if (!(waitUs >= 0 && left >= 0)) return false;
  return true;
}
