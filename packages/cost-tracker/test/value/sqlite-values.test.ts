import { openLedgerFile } from '../../src/sqlite-file.ts';
import { SqliteValues, VALUE_TABLES } from '../../src/value/sqlite-values.ts';
import { valueContract } from './value-contract.ts';

valueContract('SQLite', async () => {
  const connection = await openLedgerFile(':memory:', 'normal');
  connection.exec(VALUE_TABLES);
  const values = new SqliteValues(connection);
  return {
    store: {
      saveValues: async (rows) => values.save(rows),
      aggregateValues: async (query) => values.aggregate(query),
      pruneValues: async (before, limit) => values.prune(before, limit),
    },
    close: async () => connection.close(),
  };
});
