import assert from 'node:assert/strict';
import { systemClock } from '../clock.ts';
import type { Limit } from '../limit.ts';
import { memoryStore } from '../memory-store.ts';
import { per } from '../rate.ts';
import { callsAtOnce, concurrency } from '../rules/concurrency.ts';
import { slidingWindow } from '../rules/sliding-window.ts';
import { tokenBucket } from '../rules/token-bucket.ts';
import type { Command, Reply, Store, Take } from '../store.ts';
import { type Ask, Contractor, type OpenedStore } from './opened-store.ts';

const commands = 400;

/** Puts the same commands to a store and to {@link memoryStore} at the store's own times: every answer has to be the same. */
export async function againstMemory({ store, advance }: OpenedStore, seed: number): Promise<void> {
  const { calendarQuota } = await import('../calendar.ts');
  const limits: readonly Limit[] = [
    tokenBucket({ name: 'slow', rate: per(3, 'hour'), burst: 12 }),
    tokenBucket({ name: 'fast', rate: per(700, 'second'), burst: 9, debt: 4, reservationMs: 40 }),
    slidingWindow({ name: 'window', limit: 11, windowMs: 45, precision: 4 }),
    calendarQuota({ name: 'day', limit: 60, every: 'day', timeZone: 'Asia/Seoul' }),
    concurrency({ name: 'at once', limit: 3, leaseMs: 100 }),
  ];
  const contractor = new Contractor(twin(store));
  const commandOf = new Commands(limits, contractor, random(seed));
  for (let i = 0; i < commands; i += 1) {
    const command = commandOf.next(i);
    try {
      commandOf.told(command, await contractor.run(command));
      if (command.do !== 'take') await contractor.run({ ...command, do: 'take', charge: false, levels: true });
    } catch (error) {
      throw new Error(`command ${i} of seed ${seed} was answered otherwise than by the rules: ${JSON.stringify(command)}`, {
        cause: error,
      });
    }
    if (i % 8 === 7) await advance(commandOf.pauseMs());
  }
}

/** Does each command in both stores and compares. */
function twin(store: Store): Store {
  let now = 0;
  // in the middle of the µs, so that none is lost to rounding
  const clock = { ...systemClock, wall: () => (now + 0.5) / 1_000 };
  const reference = memoryStore({ clock });
  return {
    run: async (command, change) => {
      const reply = await store.run(command, change);
      now = reply.now;
      const expected = await reference.run(command, change);
      assert.deepEqual([reply.done, reply.granted], [expected.done, expected.granted]);
      if (command.do === 'take') assert.deepEqual(reply.limits, expected.limits);
      return reply;
    },
    close: async () => {},
  };
}

interface Reserved {
  readonly command: Take;
  readonly takenAt: number;
}

/** Makes commands by chance; knows what is reserved. */
class Commands {
  readonly #limits: readonly Limit[];
  readonly #contractor: Contractor;
  readonly #random: (below: number) => number;
  readonly #open: Reserved[] = [];

  constructor(limits: readonly Limit[], contractor: Contractor, random: (below: number) => number) {
    this.#limits = limits;
    this.#contractor = contractor;
    this.#random = random;
  }

  next(i: number): Command {
    const verb = this.#random(10);
    const reserved = this.#open[0];
    if (verb < 2 && reserved !== undefined) return this.#settle(reserved);
    if (verb === 2 && reserved !== undefined)
      return { do: 'renew', demands: reserved.command.demands, reservation: `${reserved.command.reservation}` };
    const demands = this.#asks().map((ask) => this.#contractor.demand(ask));
    if (verb === 3) return { do: 'refund', demands, id: `${demands[0]?.limit} ${i}` };
    if (verb === 5 && demands.length === 1 && demands[0]?.rule.kind === 'token-bucket') {
      return { do: 'lease', demands: [{ ...demands[0], reserved: 0 }], used: 0, takenAt: 0, id: `${demands[0].limit} ${i}` };
    }
    if (verb === 4 && this.#random(4) === 0) return { do: 'reset', demands };
    const reserve = demands.some(({ rule }) => rule.kind === 'concurrency') || this.#random(2) === 0;
    return { do: 'take', demands, charge: true, levels: true, ...(reserve ? { reservation: `${demands[0]?.limit} ${i}` } : {}) };
  }

  /** Remembers what was reserved. */
  told(command: Command, reply: Reply): void {
    if (command.do === 'take' && command.reservation !== undefined && reply.done) this.#open.push({ command, takenAt: reply.now });
  }

  pauseMs(): number {
    return 1 + this.#random(30);
  }

  #settle(reserved: Reserved): Command {
    this.#open.splice(this.#open.indexOf(reserved), 1);
    const demands = reserved.command.demands.map((demand) => ({ ...demand, reserved: demand.cost, cost: this.#random(demand.cost + 3) }));
    return { do: 'settle', demands, reservation: `${reserved.command.reservation}`, takenAt: reserved.takenAt };
  }

  #asks(): Ask[] {
    const chosen = this.#limits.filter(() => this.#random(2) === 0);
    const all = chosen.length === 0 ? this.#limits.slice(0, 1) : chosen;
    return all.map((limit) => [limit, limit.unit === callsAtOnce ? 1 : 1 + this.#random(6), `key ${this.#random(2)}`]);
  }
}

/** The generator of Park and Miller: the same numbers for the same seed everywhere. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}
