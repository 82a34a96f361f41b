import pg from 'pg';

/** Counts a ledger with SQL of its own, sharing no code with the package: `count-ledger.ts <file or URL of Postgres>` prints JSON. */
type Read = (sql: string) => Promise<Record<string, unknown>[]>;
type Driver = { DatabaseSync: new (path: string, options: { readOnly: boolean }) => { prepare(sql: string): { all(): unknown[] } } };

const ledger = process.argv[2] ?? '';
const { read, prefix, integrity, end } = ledger.startsWith('postgres:') ? await postgres() : await sqlite();

console.log(
  JSON.stringify({
    rows: numbers(await read(`SELECT tenant, count(*) AS n, sum(amount_nano) AS nano FROM ${prefix}usage GROUP BY tenant ORDER BY tenant`)),
    ids: (await read(`SELECT tenant, dedupe_key FROM ${prefix}usage`)).map(({ tenant, dedupe_key }) => `${tenant} ${dedupe_key}`),
    holds: numbers(await read(`SELECT count(*) AS n, coalesce(sum(amount_nano), 0) AS nano FROM ${prefix}hold`))[0],
    counters: numbers(
      await read(`SELECT tenant, spent_nano AS spent, reserved_nano AS reserved FROM ${prefix}budget_counter ORDER BY tenant`),
    ),
    rollup: numbers(
      await read(`SELECT span_ms AS span, sum(calls) AS n, sum(total_nano) AS nano FROM ${prefix}usage_rollup GROUP BY span_ms`),
    ),
    crossings: (await read(`SELECT id FROM ${prefix}threshold_crossing ORDER BY id`)).map(({ id }) => id),
    integrity: await integrity(),
  }),
);
await end();

/** Whole numbers come as text from some drivers. */
function numbers(rows: Record<string, unknown>[]): Record<string, unknown>[] {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, name === 'tenant' ? value : Number(value)])),
  );
}

async function sqlite() {
  const builtin = process.getBuiltinModule('node:sqlite' as 'node:path') as unknown as Driver | undefined;
  const { DatabaseSync } = builtin ?? ((await import('@photostructure/sqlite')) as unknown as Driver);
  const database = new DatabaseSync(ledger, { readOnly: true });
  const read: Read = async (sql) => database.prepare(sql).all() as Record<string, unknown>[];
  return { read, prefix: '', integrity: async () => (await read('PRAGMA integrity_check'))[0]?.['integrity_check'], end: async () => {} };
}

async function postgres() {
  const client = new pg.Client({ connectionString: ledger });
  await client.connect();
  const read: Read = async (sql) => (await client.query(sql)).rows;
  return { read, prefix: 'tidegate_', integrity: async () => 'ok', end: () => client.end() };
}
