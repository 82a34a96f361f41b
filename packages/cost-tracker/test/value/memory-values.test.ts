import { memoryStore } from '../../src/index.ts';
import { valueContract } from './value-contract.ts';

valueContract('memoryStore', async () => {
  const store = memoryStore();
  return { store, close: () => store.close() };
});
