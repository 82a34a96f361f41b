import { ManualClock } from '@tidegate/test-kit';
import { describe, expect, test } from 'vitest';
import { type OpenedStore, storeContract } from '../src/contract.ts';
import type { Command, Store } from '../src/index.ts';
import { memoryStore } from '../src/stores.ts';

/** A store on a clock of its own, behind `spoil`. */
function opener(spoil: (store: Store, clock: ManualClock) => Store = (store) => store): () => Promise<OpenedStore> {
  const clock = new ManualClock();
  const store = spoil(memoryStore({ clock }), clock);
  return async () => ({ store, advance: (ms) => clock.advance(ms) });
}

describe('the memory store', () => {
  for (const { name, run } of storeContract(opener())) test(name, run);
});

test('every handle is closed, also where a case fails', async () => {
  let open = 0;
  const clock = new ManualClock();
  const cases = storeContract(async () => {
    open += 1;
    const close = async () => {
      open -= 1;
    };
    const store: Store = { run: () => Promise.reject(new Error('down')), close: async () => {} };
    return { store, advance: (ms) => clock.advance(ms), close };
  });
  for (const { run } of cases) await expect(run()).rejects.toThrow();
  expect(open).toBe(0);
});

/** Which promises a store breaks. */
async function broken(spoil: (store: Store, clock: ManualClock) => Store): Promise<string[]> {
  const names: string[] = [];
  for (const { name, run } of storeContract(opener(spoil))) {
    await run().catch(() => names.push(name));
  }
  return names;
}

const around =
  (change: (command: Command, run: (command: Command) => ReturnType<Store['run']>) => ReturnType<Store['run']>) =>
  (store: Store): Store => ({
    run: (command, version) => change(command, (changed) => store.run(changed, version)),
    close: () => store.close(),
  });

describe('a hostile store fails', () => {
  test('that loses every 10th write', async () => {
    let writes = 0;
    const failed = await broken(
      around((command, run) => {
        if (command.do !== 'take' || !command.charge) return run(command);
        writes += 1;
        return run(writes % 10 === 0 ? { ...command, charge: false } : command);
      }),
    );
    expect(failed).toContain('loses no write that it acknowledged, one after the other through two handles');
    expect(failed).toContain('admits exactly the burst of many takes at once, through two handles');
    expect(failed).toContain('answers as the rules do, seed 1');
  });

  test('that forgets what is reserved', async () => {
    const failed = await broken(
      around((command, run) => {
        if (command.do !== 'take') return run(command);
        const { reservation: _, ...forgotten } = command;
        return run(forgotten);
      }),
    );
    expect(failed).toContain('keeps what is reserved as used until it is settled, and then gives back what was not');
    expect(failed).toContain('lets no more run at once than the limit, and another for each that ends');
    expect(failed).toContain('ends a lease that is not renewed, keeps one that is, and says which');
  });

  test('that takes limit by limit', async () => {
    const failed = await broken(
      around(async (command, run) => {
        if (command.do !== 'take') return run(command);
        const replies = await Promise.all(command.demands.map((demand) => run({ ...command, demands: [demand] })));
        const [first] = replies;
        if (first === undefined) throw new Error('no demands');
        return { ...first, done: replies.every(({ done }) => done), limits: replies.flatMap(({ limits }) => limits) };
      }),
    );
    expect(failed).toContain('takes from all limits or from none');
  });

  test('that goes by the clock of its caller', async () => {
    const failed = await broken((_store, clock) => {
      const theirs = { now: () => clock.now(), wall: () => Date.now(), setTimeout: () => 0, clearTimeout: () => {} };
      return memoryStore({ clock: theirs });
    });
    expect(failed).toContain('goes by its own time, not by that of its callers');
  });

  test('that reads, waits, and then writes', async () => {
    const failed = await broken(
      around(async (command, run) => {
        if (command.do !== 'take' || !command.charge) return run(command);
        const seen = await run({ ...command, charge: false });
        await Promise.resolve();
        if (!seen.done) return seen;
        await run(command);
        return seen;
      }),
    );
    expect(failed).toContain('admits exactly the burst of many takes at once, through two handles');
  });

  test('that refunds what is sent twice twice, or resets all keys', async () => {
    let sent = 0;
    const twice = around((command, run) => {
      sent += 1;
      return run(command.do === 'refund' ? { ...command, id: `${sent}` } : command);
    });
    expect(await broken(twice)).toContain('gives back no more than was used, and a refund that is sent twice once');
    const all = (store: Store): Store => ({
      run: (command, change) => {
        const unkeyed = command.demands.map((demand) => ({ ...demand, key: '' }));
        return store.run({ ...command, demands: unkeyed } as Command, change);
      },
      close: () => store.close(),
    });
    expect(await broken(all)).toContain('forgets on reset what one key has used, and only that');
  });

  test('that does not keep the time of its limits, or the versions', async () => {
    const early = around(async (command, run) => {
      const reply = await run(command);
      return { ...reply, limits: reply.limits.map((limit) => ({ ...limit, waitUs: Math.floor(limit.waitUs / 2) })) };
    });
    expect(await broken(early)).toContain('refuses a token bucket until the promised instant, and admits at it');
    const unversioned = (store: Store): Store => ({
      run: (command) => store.run(command, { version: 0, carry: 'used' }),
      close: () => store.close(),
    });
    expect(await broken(unversioned)).toContain('carries what was used to changed limits as told, once a version');
  });
});
