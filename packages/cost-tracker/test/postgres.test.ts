import { startProxy, until } from '@tidegate/test-kit';
import type pg from 'pg';
import { describe, expect, test } from 'vitest';
import { CostTracker, type UsageStore } from '../src/index.ts';
import { type PostgresStoreOptions, postgresSchema, postgresStore } from '../src/postgres.ts';
import { always, call, dayMs, holdOf, hourMs, nano, noon, reportOf, scoped, windowOf } from './contract/calls.ts';
import { ledgerContract } from './ledger-contract.ts';
import { postgresOfTest } from './postgres-of-test.ts';

const { present, newLedger, newPool, newStore, meddling, server } = postgresOfTest({ args: ['-c', 'deadlock_timeout=50ms'] });

if (present) {
  const make = () => {
    const [pool, options] = [newPool({ max: 4 }), newLedger()];
    return () => postgresStore(pool, options);
  };
  ledgerContract('postgresStore', make, 3);
}

const acme = { dimensions: scoped({ tenant: 'acme' }), ...always };
const connectionLost = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
const serverError = (code: string, message: string) => Object.assign(new Error(message), { code, severity: 'ERROR' });
const saved = async (store: UsageStore) => (await store.readRows(acme, undefined, 1_000)).map(({ key }) => key.id);

describe.runIf(present)('the tables', () => {
  test('are made once by any number of processes that start at once, and no call is lost', async () => {
    const ledger = newLedger();
    const window = await windowOf();
    const stores = Array.from({ length: 8 }, () => newStore(newPool({ max: 2 }), ledger));
    const holds = stores.flatMap((store, s) =>
      Array.from({ length: 20 }, (_, i) => store.reserve(holdOf(`${s}-${i}`, '0.1'), [window], noon, 0)),
    );
    const admitted = (await Promise.all(holds)).filter((result) => result.admitted);
    expect(admitted).toHaveLength(110);
    expect(await stores[0]?.budgetState(window, noon)).toEqual({ spent: 0n, reserved: nano('11') });
  });

  test('refuse to change or delete a row of the ledger', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    await newStore(pool, ledger).saveUsage(reportOf('a', '1'), []);
    const table = `${ledger.prefix}usage`;
    for (const change of [`UPDATE ${table} SET amount_nano = 0`, `DELETE FROM ${table}`, `TRUNCATE ${table}`]) {
      await expect(pool.query(change)).rejects.toThrow('usage is append-only');
    }
  });

  test('of a newer version are left as they are', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    await newStore(pool, ledger).readBudgets();
    await pool.query(`INSERT INTO ${ledger.prefix}schema_version VALUES (2)`);
    await expect(newStore(pool, ledger).readBudgets()).rejects.toMatchObject({
      code: 'ERR_STORE_VERSION',
      message: `the usage ledger "public"."${ledger.prefix}usage" has schema version 2; this version of @tidegate/cost-tracker knows up to 1`,
    });
  });

  test('are made by whoever may, and who may not is told what to run and then needs only to use them', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const role = `${ledger.prefix}guest`;
    await pool.query(`CREATE ROLE ${role} LOGIN`);
    const guest = newPool({ user: role });
    const [asking, plain] = [newStore(guest, ledger), newStore(guest, { ...ledger, migrate: false })];
    await expect(asking.readBudgets()).rejects.toMatchObject({
      code: 'ERR_STORE_OPEN',
      message: expect.stringMatching(/are missing, and permission denied .*Run the SQL of postgresSchema\(\) as a role that may/),
    });
    await expect(plain.readBudgets()).rejects.toThrow('they are missing. Run the SQL of postgresSchema(), or leave out migrate: false');
    await pool.query(postgresSchema(ledger));
    await pool.query(postgresSchema(ledger));
    await pool.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`);
    const window = await windowOf();
    expect(await asking.reserve(holdOf('a', '1'), [window], noon, 0)).toEqual({ admitted: true });
    expect(await plain.saveUsage(reportOf('a', '1'), [window])).toMatchObject({ row: { correction: 0 } });
  });

  test('are those of the schema and prefix that are named, and no others', async () => {
    const [pool, { prefix }] = [newPool(), newLedger()];
    await pool.query(`CREATE SCHEMA "${prefix}Books"`);
    const [plain, own] = [newStore(pool, { prefix }), newStore(pool, { prefix, schema: `${prefix}Books` })];
    await plain.saveUsage(reportOf('a', '1'), []);
    await own.saveUsage(reportOf('b', '1'), []);
    expect([await saved(plain), await saved(own)]).toEqual([['a'], ['b']]);
    await expect(newStore(pool, { schema: `${prefix}none` }).readBudgets()).rejects.toThrow(`schema "${prefix}none" does not exist`);
  });

  test('that were dropped are made again at the use after the one that finds out', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(pool, ledger);
    await store.saveUsage(reportOf('a', '1'), []);
    const { rows } = await pool.query(`SELECT tablename FROM pg_tables WHERE tablename LIKE '${ledger.prefix}%'`);
    await pool.query(`DROP TABLE ${rows.map(({ tablename }) => `"${tablename}"`).join(', ')} CASCADE`);
    await pool.query(`DROP FUNCTION ${ledger.prefix}append_only`);
    await expect(store.saveUsage(reportOf('b', '1'), [])).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' });
    await store.saveUsage(reportOf('c', '1'), []);
    expect(await saved(store)).toEqual(['c']);
  });

  test('keep no counters of rolling budgets that nobody looks at any more', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(pool, ledger);
    const at = (instant: number) => windowOf({ period: { rollingMs: hourMs } }, instant);
    await store.saveUsage(reportOf('a', '3'), [await at(noon)]);
    for (let i = 0; i < 5; i++) await store.budgetState(await at(noon + i * dayMs), noon + i * dayMs);
    const { rows } = await pool.query(`SELECT count(*)::int AS n FROM ${ledger.prefix}budget_counter`);
    expect(rows[0].n).toBe(61);
    expect((await store.budgetState(await at(noon), noon)).spent).toBe(nano('3'));
  });

  test('keep the counters of a rolling budget that are still looked at', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(pool, ledger);
    const at = (instant: number) => windowOf({ period: { rollingMs: dayMs } }, instant);
    const ids = async () =>
      (await pool.query(`SELECT id::int AS id FROM ${ledger.prefix}budget_counter ORDER BY id`)).rows.map(({ id }) => id);
    await store.budgetState(await at(noon), noon);
    const first = await ids();
    const [, ...later] = [noon, ...Array.from({ length: 10 }, (_, i) => noon + (i + 1) * hourMs)];
    for (const instant of later) await store.budgetState(await at(instant), instant);
    // ten hours are 25 parts, and a part may be left for an hour longer
    expect((await ids()).filter((id) => first.includes(id)).length).toBeGreaterThanOrEqual(61 - 25);
    expect((await ids()).length).toBeLessThanOrEqual(61 + 4);
  });
});

describe.runIf(present)('alerts', () => {
  test('are claimed by one of many processes each time that they are due', async () => {
    const ledger = newLedger();
    const stores = Array.from({ length: 8 }, () => newStore(newPool(), ledger));
    const windows = await Promise.all(Array.from({ length: 10 }, (_, i) => windowOf({ name: `budget ${i}` })));
    await stores[0]?.saveUsage(reportOf('a', '20'), windows);
    for (let round = 0; round < 25; round++) {
      const claims = stores.map((store) => store.claimAlerts('mail', noon + round, noon + round + 1, 30));
      const claimed = (await Promise.all(claims)).flat();
      expect(new Set(claimed.map(({ id }) => id)).size).toBe(claimed.length);
      expect(claimed.every(({ attempts }) => attempts <= round)).toBe(true);
    }
  });

  test('that somebody claims after another claim has begun to look are not claimed by that one too', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(pool, ledger);
    await store.saveUsage(reportOf('a', '20'), [await windowOf()]);
    const [role, table] = [`${ledger.prefix}slow`, `${ledger.prefix}threshold_crossing`];
    // who has this role stops at the first row that it looks at
    await pool.query(`CREATE ROLE ${role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO ${role};
      ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY;
      CREATE POLICY stop ON ${table} TO ${role} USING (pg_advisory_xact_lock_shared(42) IS NOT NULL)`);
    const holder = await pool.connect();
    await holder.query('BEGIN; SELECT pg_advisory_xact_lock(42)');
    const slow = newStore(newPool({ user: role }), ledger).claimAlerts('mail', noon, noon + 1_000, 10);
    const waiting = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    await until(async () => (await pool.query(waiting)).rows[0].n > 0, { what: 'the slow claim to have begun' });
    const claimed = await store.claimAlerts('mail', noon, noon + 1_000, 10);
    holder.release(true);
    expect(claimed).toMatchObject([{ level: 'warning' }]);
    expect(await slow).toEqual([]);
  });
});

describe.runIf(present)('transactions', () => {
  test('are one for all calls of a turn, and take four round trips', async () => {
    const asked: string[] = [];
    const pool = meddling(newPool(), (text, run) => {
      asked.push(text.trim().split(' ')[0] as string);
      return run();
    });
    const store = newStore(pool, newLedger());
    const window = await windowOf();
    await store.budgetState(window, noon);
    asked.length = 0;
    await Promise.all(Array.from({ length: 300 }, (_, i) => store.reserve(holdOf(`${i}`, '0.01'), [window], noon, 0)));
    expect(asked).toEqual(['BEGIN', 'WITH', 'WITH', 'COMMIT']);
    await store.budgetState(window, noon);
    expect(asked.slice(4)).toEqual(['BEGIN', 'WITH', 'COMMIT']);
  });

  test('of many processes on many budgets never wait for each other in a circle, and add up', async () => {
    const ledger = newLedger();
    const stores = Array.from({ length: 6 }, () => newStore(newPool({ max: 2 }), ledger));
    const tenants = ['a', 'b', 'c', 'd'];
    const windows = new Map(
      await Promise.all(
        tenants.map(
          async (tenant) =>
            [
              tenant,
              [
                await windowOf({ name: tenant, scope: { tenant } }),
                await windowOf({ name: 'all', scope: { tool: 'search' }, limitUsd: '100' }),
              ],
            ] as const,
        ),
      ),
    );
    const spend = async (store: UsageStore, id: string, tenant: string) => {
      const own = windows.get(tenant) ?? [];
      const { admitted } = await store.reserve({ ...call(id, '0.5', { tenant }), expiresAt: noon + 1_000 }, own.toReversed(), noon, 0);
      if (admitted) await store.saveUsage(reportOf(id, '0.5', { tenant }), own);
      return admitted;
    };
    const done = stores.flatMap((store, s) =>
      Array.from({ length: 24 }, (_, i) => spend(store, `${s}-${i}`, tenants[(s + i) % 4] as string)),
    );
    expect((await Promise.all(done)).filter(Boolean)).toHaveLength(88);
    for (const tenant of tenants) {
      const [own, all] = windows.get(tenant) ?? [];
      expect(own && (await stores[0]?.budgetState(own, noon))).toEqual({ spent: nano('11'), reserved: 0n });
      expect(all && (await stores[0]?.budgetState(all, noon))).toEqual({ spent: nano('44'), reserved: 0n });
    }
  });

  test.each([
    ['whose isolation is serializable', { options: '-c default_transaction_isolation=serializable' }],
    [
      'that reads whole numbers as bigint',
      { types: { getTypeParser: () => (text: string) => (/^-?\d+$/.test(text) ? BigInt(text) : text) } },
    ],
    ['of one connection', { max: 1 }],
  ] as const)('are exact in a pool %s', async (_, config) => {
    const ledger = newLedger();
    const window = await windowOf();
    const stores = Array.from({ length: 4 }, () => newStore(newPool(config as pg.PoolConfig), ledger));
    const spend = async (id: number) => {
      const store = stores[id % 4] as UsageStore;
      await store.getMonthlyTotal(acme);
      const { admitted } = await store.reserve(holdOf(`${id}`, '1'), [window], noon, 0);
      if (admitted) await store.saveUsage(reportOf(`${id}`, '1'), [window]);
    };
    await Promise.all(Array.from({ length: 40 }, (_, id) => spend(id)));
    expect(await stores[0]?.budgetState(window, noon)).toEqual({ spent: nano('11'), reserved: 0n });
    expect(await stores[1]?.getMonthlyTotal(acme)).toBe(nano('11'));
  });

  test('fail for the call whose data is refused, and not for its neighbours', async () => {
    const store = newStore(newPool(), newLedger());
    const window = await windowOf();
    const most = 2n ** 63n - 1n;
    await store.saveUsage({ ...reportOf('most', '0', { tenant: 'acme' }), amount: most }, [window]);
    const reports = [reportOf('a', '0'), reportOf('too much', '1'), reportOf('b', '0'), { ...reportOf('c', '1'), amount: -1n }];
    const outcomes = await Promise.allSettled(reports.map((report) => store.saveUsage(report, [window])));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected']);
    expect(outcomes[1]).toMatchObject({ reason: { code: 'ERR_STORE_FAILED', message: expect.stringContaining('out of range') } });
    expect(await saved(store)).toEqual(['a', 'b', 'most']);
    expect(await store.getMonthlyTotal(acme)).toBe(most);
  });

  test('keep texts that Postgres itself cannot: NUL and halves of characters', async () => {
    const store = newStore(newPool(), newLedger());
    const tenants = ['a\0', 'a', 'a\ud800', 'a\udc00', 'a\u001b0000'];
    for (const [i, tenant] of tenants.entries()) {
      await store.saveUsage({ ...reportOf('same', `${i + 1}`, { tenant }), servedModel: tenant }, []);
    }
    for (const [i, tenant] of tenants.entries()) {
      const rows = await store.readRows({ dimensions: scoped({ tenant }), ...always }, undefined, 10);
      expect(rows.map(({ amount, servedModel, dimensions }) => [amount, servedModel, dimensions.tenant])).toEqual([
        [nano(`${i + 1}`), tenant, tenant],
      ]);
    }
  });

  test('are tried again where what stopped them may pass, and three times at most', async () => {
    const faults: Error[] = [];
    const pool = meddling(newPool(), (text, run) => {
      const fault = text.startsWith('WITH key') ? faults.shift() : undefined;
      return fault ? Promise.reject(fault) : run();
    });
    const store = newStore(pool, newLedger());
    const passing = () => [serverError('40001', 'could not serialize'), serverError('40P01', 'deadlock detected'), connectionLost()];
    for (const [i, fault] of [...passing(), serverError('26000', 'no such prepared statement')].entries()) {
      faults.push(fault, fault);
      expect(await store.saveUsage(reportOf(`${i}`, '1'), [])).toMatchObject({ row: { correction: 0 } });
    }
    faults.push(...passing());
    await expect(store.saveUsage(reportOf('lost', '1'), [])).rejects.toMatchObject({ code: 'ERR_STORE_FAILED' });
    faults.push(serverError('53100', 'could not extend file: No space left on device'));
    await expect(store.saveUsage(reportOf('full', '1'), [])).rejects.toThrow('No space left on device');
    expect(faults).toEqual([]);
    expect(await saved(store)).toEqual(['0', '1', '2', '3']);
  });

  test('need no prepared statements, as behind a pooler that has none', async () => {
    const pool = newPool();
    let named = 0;
    const pooler = {
      connect: async () => {
        const client = await pool.connect();
        const query = (statement: { name?: string; text: string; query_timeout: number }) => {
          if (statement.name === undefined) return client.query(statement);
          named += 1;
          return Promise.reject(serverError('26000', 'prepared statement does not exist'));
        };
        return { query, on: client.on.bind(client), off: client.off.bind(client), release: client.release.bind(client) };
      },
    };
    const store = newStore(pooler, newLedger());
    await store.saveUsage(reportOf('a', '1'), []);
    expect(await saved(store)).toEqual(['a']);
    expect(named).toBe(1);
  });
});

describe.runIf(present)('a commit whose answer is lost', () => {
  /** A pool whose next commit is lost: before the server has it, or only its answer. */
  function losing(when: { lost?: 'before' | 'after' | undefined }) {
    return meddling(newPool(), async (text, run) => {
      const lost = text === 'COMMIT' ? when.lost : undefined;
      if (lost === undefined) return run();
      when.lost = undefined;
      if (lost === 'after') await run();
      throw connectionLost();
    });
  }

  test.each(['before', 'after'] as const)(
    'is an error, and asking again under the same key counts once (lost %s it was done)',
    async (lost) => {
      const when: { lost?: 'before' | 'after' | undefined } = {};
      const store = newStore(losing(when), newLedger());
      const window = await windowOf();
      await store.budgetState(window, noon);
      const unknown = {
        code: 'ERR_STORE_FAILED',
        message: expect.stringContaining('is not known; asking again under the same key is safe'),
      };
      const twice = async <T>(ask: () => Promise<T>): Promise<T> => {
        when.lost = lost;
        await expect(ask()).rejects.toMatchObject(unknown);
        return ask();
      };
      expect(await twice(() => store.reserve(holdOf('a', '9'), [window], noon, 0))).toEqual({ admitted: true });
      expect(await store.budgetState(window, noon)).toEqual({ spent: 0n, reserved: nano('9') });
      const again = await twice(() => store.saveUsage(reportOf('a', '9.5'), [window]));
      expect(again.row?.amount).toBe(lost === 'after' ? undefined : nano('9.5'));
      await twice(() => store.release({ tenant: 'acme', id: 'a' }));
      expect(await store.budgetState(window, noon)).toEqual({ spent: nano('9.5'), reserved: 0n });
      expect(await saved(store)).toEqual(['a']);
      // the outbox knows of what the caller was not told
      expect(await store.claimAlerts('mail', noon, noon + 1, 10)).toMatchObject([{ level: 'warning' }]);
    },
  );
});

describe.runIf(present)('a server or a process that fails', () => {
  test('a server that was killed fails what is asked, and is asked again when it is back, with all that was acknowledged', {
    timeout: 60_000,
  }, async () => {
    const own = await server.another();
    const pool = newPool({ port: own.port, connectionTimeoutMillis: 2_000 });
    const store = newStore(pool, newLedger());
    const window = await windowOf();
    await store.reserve(holdOf('a', '1'), [window], noon, 0);
    await store.saveUsage(reportOf('b', '2'), [window]);
    await own.kill();
    const outcomes = await Promise.allSettled([
      store.saveUsage(reportOf('c', '1'), []),
      store.budgetState(window, noon),
      store.getUsageSummary(acme),
      store.claimAlerts('mail', noon, noon, 1),
    ]);
    expect(outcomes.map((each) => each.status === 'rejected' && each.reason.code)).toEqual(outcomes.map(() => 'ERR_STORE_FAILED'));
    await expect(newStore(pool, newLedger()).readBudgets()).rejects.toMatchObject({ code: 'ERR_STORE_OPEN' });
    await own.restart();
    const state = await until(() => store.budgetState(window, noon), { what: 'the server to be back', timeoutMs: 20_000 });
    expect(state).toEqual({ spent: nano('2'), reserved: nano('1') });
  });

  test('who holds the lock and stands still stops the others no longer than the limit', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    let stop = false;
    let goOn = (_: Error): void => {};
    const standing = meddling(pool, (text, run) => {
      if (!stop || !text.startsWith('WITH key')) return run();
      return new Promise((_, reject) => {
        goOn = reject;
      });
    });
    const [still, store] = [newStore(standing, { ...ledger, timeoutMs: 300 }), newStore(newPool(), ledger)];
    await still.budgetState(await windowOf(), noon);
    stop = true;
    const stopped = still.saveUsage(reportOf('a', '1'), []);
    const locks = "SELECT count(*)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND granted";
    await until(async () => (await pool.query(locks)).rows[0].n > 0, { what: 'the lock to be held' });
    expect(await store.saveUsage(reportOf('b', '1'), [])).toMatchObject({ row: { correction: 0 } });
    stop = false;
    goOn(connectionLost());
    expect(await stopped).toMatchObject({ row: { correction: 0 } });
    expect(await saved(store)).toEqual(['a', 'b']);
  });

  test('a lock that is never given up fails what waits for it, in bounded time', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(newPool(), { ...ledger, timeoutMs: 100 });
    await store.readBudgets();
    const holder = await pool.connect();
    await holder.query(`BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('tidegate ledger public.${ledger.prefix}', 0))`);
    const outcomes = await Promise.allSettled([store.saveUsage(reportOf('a', '1'), []), store.putBudget('a', '{}')]);
    expect(outcomes.map((each) => each.status === 'rejected' && each.reason.message)).toEqual([
      expect.stringContaining('lock timeout'),
      expect.stringContaining('lock timeout'),
    ]);
    expect(await saved(store)).toEqual([]);
    holder.release(true);
    await store.saveUsage(reportOf('b', '1'), []);
    expect(await saved(store)).toEqual(['b']);
  });

  test('a connection that went silent fails what was asked, and the next one is another', async () => {
    await using proxy = await startProxy({ port: server.port });
    const pool = newPool({ port: proxy.port, max: 2 });
    const store = newStore(pool, { ...newLedger(), timeoutMs: 200 });
    await store.saveUsage(reportOf('a', '1'), []);
    proxy.pause();
    await expect(store.saveUsage(reportOf('b', '1'), [])).rejects.toThrow(/timeout/i);
    proxy.cut();
    await proxy.heal();
    await until(() => store.saveUsage(reportOf('c', '1'), []), { what: 'another connection' });
    expect(await saved(store)).toEqual(expect.arrayContaining(['a', 'c']));
  });

  test('connections that the server ends while nothing is asked are no error', async () => {
    const pool = newPool();
    const store = newStore(pool, newLedger());
    for (const id of ['a', 'b']) {
      await store.saveUsage(reportOf(id, '1'), []);
      await newPool().query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      );
    }
    await store.saveUsage(reportOf('c', '1'), []);
    expect(await saved(store)).toEqual(['a', 'b', 'c']);
  });

  test('a database that may only be read answers reports, and fails what would write', async () => {
    const ledger = newLedger();
    await newStore(newPool(), ledger).saveUsage(reportOf('a', '1'), []);
    const store = newStore(newPool({ options: '-c default_transaction_read_only=on' }), ledger);
    expect(await store.getMonthlyTotal(acme)).toBe(nano('1'));
    await expect(store.saveUsage(reportOf('b', '1'), [])).rejects.toMatchObject({
      code: 'ERR_STORE_FAILED',
      message: /read-only transaction/,
    });
  });
});

describe.runIf(present)('a store', () => {
  test('that is closed has done what was asked, and leaves the pool open', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const store = newStore(pool, ledger);
    const asked = [store.saveUsage(reportOf('a', '1'), []), store.getMonthlyTotal(acme), store.putBudget('a', '{}')];
    let done = 0;
    for (const each of asked) void each.then(() => (done += 1));
    await store.close();
    expect(done).toBe(3);
    await expect(store.readBudgets()).rejects.toMatchObject({ code: 'ERR_CLOSED' });
    expect((await pool.query(`SELECT count(*)::int AS n FROM ${ledger.prefix}usage`)).rows).toEqual([{ n: 1 }]);
  });

  test('that nobody has used asks nothing', async () => {
    let asked = 0;
    const store = postgresStore({ connect: () => Promise.reject(new Error(`asked ${++asked}`)) });
    await store.close();
    expect(asked).toBe(0);
  });

  test('is one that a tracker takes', async () => {
    const [pool, ledger] = [newPool(), newLedger()];
    const budgets = [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '1', period: 'month' as const }];
    await using tracker = new CostTracker({ store: postgresStore(pool, ledger), budgets });
    const hold = await tracker.withScope({ tenant: 'acme' }, () => tracker.reserve({ kind: 'tool', name: 'search', amountUsd: '0.25' }));
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0', reservedUsd: '0.25' });
    await hold.settle({ amountUsd: '0.2', metadata: { note: 'kept' } });
    expect(await tracker.status('acme')).toMatchObject({ spentUsd: '0.2', reservedUsd: '0' });
  });
});

test.each<[unknown, PostgresStoreOptions, string]>([
  [{}, { table: 'usage' } as object, 'postgresStore options.table is unknown; known are schema, prefix, migrate, timeoutMs'],
  [{}, { schema: 'a"b' }, 'postgresStore options.schema must be 1 to 63 letters, digits and _, the first no digit, not "a\\"b"'],
  [
    {},
    { prefix: 'x'.repeat(31) },
    'postgresStore options.prefix must be 1 to 30 letters, digits and _, the first no digit, not "xxxxxxxxx',
  ],
  [{}, { prefix: 5 as never }, 'postgresStore options.prefix must be 1 to 30 letters, digits and _, the first no digit, not 5'],
  [{}, { migrate: 'no' as never }, 'postgresStore options.migrate must be true or false, not no'],
  [{}, { timeoutMs: 99 }, 'postgresStore options.timeoutMs must be a number from 100 to 600000, not 99'],
  [{}, {}, 'postgresStore pool must have the method connect'],
  [undefined, {}, 'postgresStore pool must have the method connect'],
])('a bad pool or option is refused: %j %j', (pool, options, message) => {
  expect(() => postgresStore(pool as never, options)).toThrow(RangeError);
  expect(() => postgresStore(pool as never, options)).toThrow(message);
});

test('the SQL for the tables takes only what names them', () => {
  expect(() => postgresSchema({ migrate: true } as object)).toThrow(
    new RangeError('postgresSchema options.migrate is unknown; known are schema, prefix'),
  );
  expect(postgresSchema({ schema: 'books', prefix: 'llm_' })).toContain('CREATE TABLE "books"."llm_usage"');
});
