import { seededRandom } from '@tidegate/test-kit';
import { expect, type TestContext } from 'vitest';
import { usedHeap } from './heap.ts';

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
const growth = (first: number): number => (frames < 1_000_000 ? Math.max(4e6, first * 0.05) : first * 0.05);

declare module 'vitest' {
  interface TaskMeta {
    /** What a soak writes down beside the outcome. */
    figures?: Readonly<Record<string, number | readonly number[]>>;
  }
}

/** What a run came to. */
export interface Mutation {
  /** How many frames were mutated. */
  readonly done: number;
  readonly seconds: number;
  /** The bytes of heap in use after each tenth of the frames. */
  readonly heaps: readonly number[];
}

type Step = (lane: number) => Promise<number>;

/** Mutates {@link frames}, many at a time: `step` mutates some of its lane and tells how many. */
export async function mutate(lanes: number, step: Step): Promise<Mutation> {
  const begun = performance.now();
  const heaps: number[] = [];
  let done = 0;
  for (let tenth = 0; tenth < 10; tenth += 1) {
    done += await inLanes(frames / 10, lanes, step);
    heaps.push(await usedHeap());
  }
  return { done, seconds: (performance.now() - begun) / 1_000, heaps };
}

async function inLanes(total: number, lanes: number, step: Step): Promise<number> {
  let done = 0;
  const run = async (lane: number) => {
    while (done < total) {
      const mutated = await step(lane);
      done += mutated;
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, lane) => run(lane)));
  return done;
}

/** The numbers of one lane, the same for the same seed. */
export const randomOf = (lane: number): (() => number) => seededRandom(seed * 1_000_003 + lane);

/** Says what a run came to, for people and for the record, and whether it is what it has to be. */
export function judge(task: TestContext['task'], { done, seconds, heaps }: Mutation, others: Readonly<Record<string, number>> = {}): void {
  const heapMb = heaps.map((bytes) => Math.round(bytes / 10_000) / 100);
  task.meta.figures = { frames: done, seconds: Math.round(seconds), heapMb, ...others };
  console.log(`${task.name}: seed ${seed}, ${JSON.stringify(task.meta.figures)}`);
  expect(done).toBeGreaterThanOrEqual(frames);
  const [first = 0] = heaps;
  expect((heaps.at(-1) ?? 0) - first).toBeLessThan(growth(first));
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
