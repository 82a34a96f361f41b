import { againstMemory } from './contract/against-memory.ts';
import { countCases } from './contract/count-cases.ts';
import type { OpenedStore } from './contract/opened-store.ts';
import { type Case, timeCases } from './contract/time-cases.ts';

export type { OpenedStore } from './contract/opened-store.ts';

/** One promise of a `Store`, to be run as a test. */
export interface StoreContractCase {
  /** What the store promises. */
  readonly name: string;
  /** Rejects with an `AssertionError` where the store does not keep it. */
  run(): Promise<void>;
}

const seeds = [1, 20_261_120];

/**
 * The tests that every store has to pass, for any test runner. Each takes below two seconds of the store's time, and uses keys of its own.
 *
 * @param open opens the same store once more: what is taken through one handle is taken for all. `advance` lets time pass for the store
 * itself; for one whose clock cannot be moved it waits.
 * @example
 * for (const { name, run } of storeContract(open)) test(name, run);
 */
export function storeContract(open: () => Promise<OpenedStore>): readonly StoreContractCase[] {
  const differential = seeds.map((seed): Case => [`answers as the rules do, seed ${seed}`, (opened) => againstMemory(opened, seed)]);
  return [...countCases, ...timeCases, ...differential].map(([name, run]) => ({ name, run: () => opened(open, run) }));
}

/** Runs a case with as many handles as it wants, and closes them. */
async function opened(open: () => Promise<OpenedStore>, run: Case[1]): Promise<void> {
  const all: OpenedStore[] = [];
  const another = async () => {
    const handle = await open();
    all.push(handle);
    return handle;
  };
  try {
    await run(await another(), another);
  } finally {
    for (const handle of all) await handle.close?.();
  }
}
