/** Counts a ledger with SQL of its own, sharing no code with the package: `count-ledger.ts <file>` prints JSON. */
interface Database {
  prepare(sql: string): { get(): unknown; all(): unknown[] };
}
type Driver = { DatabaseSync: new (path: string, options: { readOnly: boolean }) => Database };

const builtin = process.getBuiltinModule('node:sqlite' as 'node:path') as unknown as Driver | undefined;
const { DatabaseSync } = builtin ?? ((await import('@photostructure/sqlite')) as unknown as Driver);
const database = new DatabaseSync(process.argv[2] ?? '', { readOnly: true });

console.log(
  JSON.stringify({
    rows: database.prepare('SELECT count(*) AS n, coalesce(sum(amount_nano), 0) AS nano FROM usage').get(),
    ids: database
      .prepare('SELECT dedupe_key FROM usage')
      .all()
      .map((row) => (row as { dedupe_key: string }).dedupe_key),
    holds: database.prepare('SELECT count(*) AS n, coalesce(sum(amount_nano), 0) AS nano FROM hold').get(),
    counters: database.prepare('SELECT spent_nano AS spent, reserved_nano AS reserved FROM budget_counter').all(),
    integrity: database.prepare('PRAGMA integrity_check').get(),
  }),
);
