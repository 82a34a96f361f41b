import { MemoryValues } from '../../src/value/memory-values.ts';
import { valueContract } from './value-contract.ts';

valueContract('memory', async () => {
  const values = new MemoryValues();
  return {
    store: {
      saveValues: async (rows) => values.save(rows),
      aggregateValues: async (query) => values.aggregate(query),
      pruneValues: async (before, limit) => values.prune(before, limit),
    },
    close: async () => {},
  };
});
