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
}

interface Waiting extends Sent {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Gathers the commands of one turn of the event loop, and those that come while others are under way, into one round trip.
 *
 * One round trip is under way at a time, so that commands happen in the order given. Where it fails, all its commands fail; an `Error`
 * among the replies fails one.
 */
export class Coalescer {
  readonly #send: SendBatch;
  readonly #most: number;
  #waiting: Waiting[] = [];
  #busy = false;

  constructor(send: SendBatch, { most }: CoalescerOptions) {
    this.#send = send;
    this.#most = most;
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
    if (this.#busy || this.#waiting.length === 0) return;
    this.#busy = true;
    setImmediate(() => void this.#deliver(this.#waiting.splice(0, this.#most)));
  }

  async #deliver(batch: readonly Waiting[]): Promise<void> {
    try {
      const replies = batch.length === 0 ? [] : await this.#send(batch);
      for (const [i, { resolve, reject }] of batch.entries()) {
        const reply = replies[i];
        if (reply === undefined) reject(new Error(`the store answered ${replies.length} of ${batch.length} commands`));
        else if (reply instanceof Error) reject(reply);
        else resolve(reply);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    } finally {
      this.#busy = false;
      this.#plan();
    }
  }
}
