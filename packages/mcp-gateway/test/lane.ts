import { seededRandom } from '@tidegate/test-kit';
import type { TestContext } from 'vitest';

/** How many frames are mutated on each side in an ordinary run; a soak multiplies it by a hundred. */
export const frames = Math.round(10_000 * Number(process.env['TIDEGATE_RUNS'] ?? 1));

/** Whoever finds something names the seed; a soak takes a new one each time. */
export const seed = Number(process.env['TIDEGATE_SEED'] ?? 1);

/** Long enough for a full run on two busy cores, so that only a hang comes near it. */
export const patience = { timeout: Math.max(120_000, 3 * frames) };

/**
 * How much more heap may be used after the last frame than after the first tenth of them, in bytes: 5 %. A short run is over
 * before everything has been compiled and every pool filled, and is allowed 4 MB: 400 bytes a frame.
 */
export const growth = (first: number): number => (frames < 1_000_000 ? Math.max(4e6, first * 0.05) : first * 0.05);

declare module 'vitest' {
  interface TaskMeta {
    /** What a soak writes down beside the outcome. */
    figures?: Readonly<Record<string, number>>;
  }
}

/** Says what a run came to, for people and for the record. */
export function report(task: TestContext['task'], figures: Readonly<Record<string, number>>): void {
  const rounded = Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, Math.round(figure)]));
  task.meta.figures = rounded;
  console.log(`${task.name}: ${JSON.stringify({ seed, ...rounded })}`);
}

/** Mutates at least so many frames, many at a time: `step` mutates some of its lane and tells how many. */
export async function inLanes(
  total: number,
  lanes: number,
  salt: number,
  step: (lane: number, random: () => number) => Promise<number>,
): Promise<number> {
  let done = 0;
  const run = async (lane: number) => {
    const random = seededRandom(seed * 1_000_003 + salt * 101 + lane);
    while (done < total) {
      const mutated = await step(lane, random);
      done += mutated;
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
  return done;
}

/** The promise's value, or a failure that names what hung. */
export async function inTime<T>(promise: Promise<T>, ms: number, what: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hung for ${ms} ms: ${what()}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
