import type { ManualClock } from '@tidegate/test-kit';
import { backendOf } from '../src/backend.ts';
import type { Change, Command, Reply, SharedStore, Store } from '../src/index.ts';
import { memoryStore, sharedStore } from '../src/stores.ts';

/** A store in memory that can be told to fail, to hang, or to answer late. */
export class FaultyStore implements SharedStore {
  readonly #memory: Store;
  readonly #clock: ManualClock;
  /** What it does with the next commands; `late` is in ms. */
  mode: 'well' | 'fails' | 'hangs' | { readonly late: number } = 'well';
  /** What it was asked to do, in order. */
  readonly asked: Command[] = [];
  /** Whether it says of every lease that it has ended. */
  losesLeases = false;

  constructor(clock: ManualClock) {
    this.#clock = clock;
    this.#memory = memoryStore({ clock });
  }

  get [backendOf](): SharedStore[typeof backendOf] {
    return sharedStore(this)[backendOf];
  }

  async run(command: Command, change: Change): Promise<Reply> {
    this.asked.push(command);
    const { mode } = this;
    if (mode === 'fails') throw new Error('down');
    if (mode === 'hangs') return new Promise(() => {});
    if (typeof mode === 'object') await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, mode.late));
    const reply = await this.#memory.run(command, change);
    return command.do === 'renew' && this.losesLeases ? { ...reply, done: false } : reply;
  }

  close(): Promise<void> {
    return this.#memory.close();
  }
}
