import type { Contender } from './interleave.ts';

/** How many callers there are. */
export const callers = 64;

/** The work of {@link callers} in one process that each wait for their answer before they ask again, over so many keys. */
export function closedLoop(keys: number, ask: (key: string) => Promise<boolean>): Contender['run'] {
  let next = 0;
  return async (calls) => {
    let left = calls;
    let right = 0;
    const caller = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        next = (next + 7_919) % keys;
        if (await ask(`tenant-${next}`)) right += 1;
      }
    };
    await Promise.all(Array.from({ length: Math.min(callers, calls) }, caller));
    return right;
  };
}
