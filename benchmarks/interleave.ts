/** What a row is: nothing can be cheaper than a limit; ours is compared with rivals. */
export type Kind = 'limit' | 'ours' | 'rival';

/** One way to do the work of a table. */
export interface Contender {
  readonly name: string;
  readonly kind: Kind;
  /** Does the work so many times, one after the other, and says how often it came out as it should: that must be every time. */
  readonly run: (calls: number) => number | Promise<number>;
}

/** What was measured of one contender: a number a round. */
export interface Row {
  readonly name: string;
  readonly kind: Kind;
  readonly rounds: readonly number[];
}

/** How long and how often is measured. */
export interface Pace {
  /** Rounds, each with every contender. */
  readonly rounds: number;
  /** Batches of one contender in a round; the fastest counts. */
  readonly batches: number;
  /** About how long a batch takes. Far below a time slice of the system, so that most batches are not interrupted. */
  readonly batchMs: number;
  /** Milliseconds from anywhere. */
  readonly now: () => number;
}

const usual: Pace = { rounds: 9, batches: 60, batchMs: 0.2, now: () => performance.now() };

/**
 * Nanoseconds a call of each contender in each round, by its fastest batch.
 *
 * Every round runs all contenders, each time beginning with the next one: what slows the machine for a while slows them all,
 * and none always runs in the heat that another left.
 */
export async function interleave(contenders: readonly Contender[], pace: Partial<Pace> = {}): Promise<Row[]> {
  const { rounds, batches, batchMs, now } = { ...usual, ...pace };
  const calls: number[] = [];
  for (const contender of contenders) calls.push(await callsPerBatch(contender, batchMs, now));
  const rows = contenders.map(({ name, kind }) => ({ name, kind, rounds: [] as number[] }));
  for (let round = 0; round < rounds; round += 1) {
    for (const at of rotated(contenders.length, round)) {
      const contender = contenders[at] as Contender;
      const perBatch = calls[at] as number;
      let best = Number.POSITIVE_INFINITY;
      for (let batch = 0; batch < batches; batch += 1) best = Math.min(best, await timed(contender, perBatch, now));
      rows[at]?.rounds.push((best / perBatch) * 1e6);
    }
  }
  return rows;
}

/** 0 to `length` − 1, beginning with another one each round. */
export function rotated(length: number, round: number): number[] {
  return Array.from({ length }, (_, i) => (i + round) % length);
}

/** Warms a contender up, and finds how many calls fill a batch. */
async function callsPerBatch(contender: Contender, batchMs: number, now: () => number): Promise<number> {
  let calls = 1;
  let ms = 0;
  for (let spent = 0; spent < 250 * batchMs || ms < batchMs; spent += ms) {
    ms = await timed(contender, calls, now);
    if (ms < batchMs) calls *= 2;
  }
  const best = Math.min(await timed(contender, calls, now), await timed(contender, calls, now), ms);
  return Math.max(1, Math.round((calls * batchMs) / best));
}

async function timed({ name, run }: Contender, calls: number, now: () => number): Promise<number> {
  const start = now();
  const done = run(calls);
  const right = typeof done === 'number' ? done : await done;
  const ms = now() - start;
  if (right !== calls) throw new Error(`'${name}' did its work ${right} of ${calls} times: nothing was measured`);
  return ms;
}

/** A number and how far it strayed. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The middle of numbers, and their ends. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new RangeError('there is no middle of nothing');
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] as number;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] as number;
  return { median: (lower + upper) / 2, min: sorted[0] as number, max: sorted.at(-1) as number };
}

/** How many times `base` a row is: of each round by itself, because what disturbs a round disturbs both. */
export function ratios(row: readonly number[], base: readonly number[]): number[] {
  if (row.length !== base.length) throw new RangeError(`${row.length} rounds cannot be compared with ${base.length}`);
  return row.map((value, round) => value / (base[round] as number));
}
