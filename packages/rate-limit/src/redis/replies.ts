import type { LimitReply } from '../store.ts';

/** What the script answered to a command. */
export interface Answered {
  /** 1 where it was done, 0 where not, -1 where a state is none of ours. */
  readonly done: number;
  readonly granted: number;
  readonly limits: LimitReply[];
  /** How many numbers it was. */
  readonly length: number;
}

/** What is left of a limit and the wait, and where asked for, in how many µs more fits, and all of it. */
export function limitReply(numbers: readonly unknown[], at: number, levels: boolean): LimitReply {
  return {
    left: Number(numbers[at]),
    waitUs: waitUs(numbers[at + 1]),
    moreInUs: levels ? Number(numbers[at + 2]) : 0,
    fullInUs: levels ? Number(numbers[at + 3]) : 0,
  };
}

/** -1 says that a cost never fits. */
export function waitUs(told: unknown): number {
  const wait = Number(told);
  return wait < 0 ? Number.POSITIVE_INFINITY : wait;
}
