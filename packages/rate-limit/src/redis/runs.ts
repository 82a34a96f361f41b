import type { Command, Demand, LimitReply } from '../store.ts';
import { type Answered, waitUs } from './replies.ts';

/** Takes of the same costs from the same states. */
interface Run {
  readonly states: readonly number[];
  readonly costs: readonly number[];
  times: number;
  /** How many of them were let through; -1 where a state is none of ours. */
  fits: number;
  /** For each limit what is left after those, and the wait of the others. */
  left: readonly number[];
  waits: readonly number[];
  handedOut: number;
}

/**
 * Plain takes by the same limits, in runs: how often the same take fits, one after the other, is one division. A run goes on as long as no
 * other take comes between that could see it: any, where takes have several states, and one of the same state, where they have one.
 */
export class Runs {
  readonly #runs: Run[] = [];
  readonly #of: Run[] = []; // for each take
  readonly #latest = new Map<number, Run>(); // state → its run, where takes have one

  /** `place` says where the state of a demand is to be found. */
  add({ demands }: Command, place: (demand: Demand) => number): void {
    const states = demands.map(place);
    const latest = states.length === 1 ? this.#latest.get(states[0] as number) : this.#runs.at(-1);
    if (latest !== undefined && demands.every(({ cost }, i) => cost === latest.costs[i] && states[i] === latest.states[i])) {
      latest.times += 1;
      this.#of.push(latest);
      return;
    }
    const run = { states, costs: demands.map(({ cost }) => cost), times: 1, fits: 0, left: [], waits: [], handedOut: 0 };
    this.#runs.push(run);
    this.#of.push(run);
    if (states.length === 1) this.#latest.set(states[0] as number, run);
  }

  /** How the script reads them: of each how many takes, and for each limit the state and the cost. */
  list(): number[] {
    const list: number[] = [];
    for (const { times, states, costs } of this.#runs) {
      list.push(times);
      for (const [i, state] of states.entries()) list.push(state, costs[i] as number);
    }
    return list;
  }

  /** Takes the script's answer, from `at` on. */
  answer(numbers: readonly unknown[], from: number): void {
    let at = from;
    for (const run of this.#runs) {
      run.fits = Number(numbers[at]);
      const places = run.states.map((_, i) => at + 1 + i * 2);
      run.left = places.map((place) => Number(numbers[place]));
      run.waits = places.map((place) => waitUs(numbers[place + 1]));
      at += 1 + run.states.length * 2;
    }
  }

  /** The answer to the take that was added so-and-so-manieth, each asked for once, in order. */
  reply(i: number): Answered {
    const run = this.#of[i] as Run;
    const before = run.fits - run.handedOut;
    run.handedOut += 1;
    const fits = before > 0;
    const limits: LimitReply[] = [];
    for (let limit = 0; limit < run.states.length; limit += 1) {
      const [left, cost] = [run.left[limit] as number, run.costs[limit] as number];
      limits.push({
        left: fits ? left + cost * (before - 1) : left,
        waitUs: fits ? 0 : (run.waits[limit] as number),
        moreInUs: 0,
        fullInUs: 0,
      });
    }
    return { done: run.fits < 0 ? -1 : fits ? 1 : 0, granted: 0, limits, length: 0 };
  }
}
