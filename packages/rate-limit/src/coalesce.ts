import type { Change, Command, Reply } from './store.ts';

/** A command on its way to a store. */
export interface Sent {
  readonly command: Command;
  readonly change: Change;
}

/** Does commands in the order given, all in one round trip; answers each. */
export type SendBatch = (batch: readonly Sent[]) => Promise<readonly (Reply | Error)[]>;

/** How commands are gathered. */
export interface CoalescerOptions {
  /** Commands in one round trip. */
  readonly most: number;
  /** Round trips under way at once. @defaultValue `1` */
  readonly atOnce?: number;
}

interface Waiting extends Sent {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers the commands of one turn of the event loop, and those that come while others are under way, into one round trip.
 *
 * Commands with a key in common are sent in the order given: one whose key is under way waits, and so does every later one with a key
 * of its own. Where a round trip fails, all its commands fail; an `Error` among the replies fails one.
 */
export class Coalescer {
  readonly #send: SendBatch;
  readonly #most: number;
  readonly #atOnce: number;
  readonly #underWay = new Set<readonly Waiting[]>();
  #waiting: Waiting[] = [];
  #due = false;

  constructor(send: SendBatch, { most, atOnce = 1 }: CoalescerOptions) {
    this.#send = send;
    this.#most = most;
    this.#atOnce = atOnce;
  }

  /** Sends the command with those of its turn. */
  run(command: Command, change: Change): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, change, resolve, reject });
      this.#plan();
    });
  }

  /** Fails what waits; what is under way ends as it will. */
  close(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  #plan(): void {
    if (this.#due || this.#waiting.length === 0 || this.#underWay.size >= this.#atOnce) return;
    this.#due = true;
    setImmediate(() => {
      this.#due = false;
      const batch = this.#underWay.size === 0 ? this.#waiting.splice(0, this.#most) : this.#free();
      if (batch.length > 0) void this.#deliver(batch);
      if (batch.length === this.#most) this.#plan();
    });
  }

  async #deliver(batch: Waiting[]): Promise<void> {
    this.#underWay.add(batch);
    try {
      const replies = await this.#send(batch);
      for (const [i, { resolve, reject }] of batch.entries()) {
        const reply = replies[i];
        if (reply === undefined) reject(new Error(`the store answered ${replies.length} of ${batch.length} commands`));
        else if (reply instanceof Error) reject(reply);
        else resolve(reply);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#underWay.delete(batch);
      this.#plan();
    }
  }

  /** Takes out the commands that have no key in common with one under way, nor with an earlier one that has to wait. */
  #free(): Waiting[] {
    const taken = new Set([...this.#underWay].flat().flatMap(keysOf));
    const free: Waiting[] = [];
    this.#waiting = this.#waiting.filter((waiting) => {
      const keys = keysOf(waiting);
      const goes = free.length < this.#most && !keys.some((key) => taken.has(key));
      if (goes) free.push(waiting);
      else for (const key of keys) taken.add(key);
      return !goes;
    });
    return free;
  }
}

function keysOf({ command }: Sent): string[] {
  return command.demands.map(({ limit, key }) => `${limit}|${key}`);
}
