import type { Change, Command, Demand, Reply } from '../store.ts';
import { Batch } from './batch.ts';
import type { Connection } from './client.ts';

/** So many commands at most go in one call, so that the server is not held up by one of them. */
const mostCommands = 512;

/** Gathers the commands of one turn of the event loop and sends them in one call; in a cluster in one for each slot. */
export class Batches {
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #hashTag: ((keys: readonly string[]) => string) | undefined;
  readonly #open = new Map<string, Batch>();
  readonly #time: () => number;
  #flushing = false;
  #offset = performance.timeOrigin * 1_000; // from this process's clock to the server's, in µs

  /** `time` says by what time in µs to decide instead of the server's, or 0. */
  constructor(connection: Connection, prefix: string, hashTag: ((keys: readonly string[]) => string) | undefined, time: () => number) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#hashTag = hashTag;
    this.#time = time;
  }

  /** @throws RangeError where a cluster needs a hash tag */
  run(command: Command, change: Change): Promise<Reply> {
    const tag = this.#tag(command.demands);
    return new Promise((resolve, reject) => {
      this.#batchFor(tag, command.demands, change).add(command, change, tag, { resolve, reject });
      if (this.#flushing) return;
      this.#flushing = true;
      setImmediate(() => this.#flush());
    });
  }

  /** What the keys of a decision have in common; undefined where each is by itself. */
  #tag(demands: readonly Demand[]): string | undefined {
    if (this.#hashTag !== undefined) return this.#hashTag(demands.map(({ key }) => key));
    if (!this.#connection.cluster) return undefined;
    const [first, ...others] = demands;
    if (others.every(({ key }) => key === first?.key)) return undefined;
    throw new RangeError(
      'redisStore: in a cluster, limits that go by several keys need the option hashTag, which says what the keys have in common',
    );
  }

  /** The open batch; a new one where it is full, or has a limit under another rule or change. */
  #batchFor(tag: string | undefined, demands: readonly Demand[], change: Change): Batch {
    const slot = this.#connection.cluster ? (tag ?? (demands[0]?.key as string)) : '';
    const open = this.#open.get(slot);
    if (open !== undefined && open.size < mostCommands && open.takes(demands, change)) return open;
    if (open !== undefined) this.#send(open);
    const batch = new Batch(this.#prefix);
    this.#open.set(slot, batch);
    return batch;
  }

  #flush(): void {
    this.#flushing = false;
    const batches = [...this.#open.values()];
    this.#open.clear();
    for (const batch of batches) this.#send(batch);
  }

  #send(batch: Batch): void {
    this.#ask(batch, this.#offset + performance.now() * 1_000, 3).catch((error) => batch.fail(error));
  }

  /** Asks anew where the server's clock turns out to be in another period of the calendar than was thought. */
  async #ask(batch: Batch, now: number, tries: number): Promise<void> {
    const { keys, argument } = batch.call(now, this.#time());
    const numbers = (await this.#connection.run(keys, argument)) as readonly unknown[];
    if (!Array.isArray(numbers) || numbers.length === 0) throw new Error(`the store answered ${JSON.stringify(numbers)}`);
    const told = Number(numbers[0]);
    this.#offset = told - performance.now() * 1_000;
    if (batch.answer(numbers)) return;
    if (tries === 0) throw new Error('the clock of the store changes faster than it can be followed');
    return this.#ask(batch, told, tries - 1);
  }
}
