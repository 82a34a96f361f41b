import { memoryStore } from '../src/index.ts';
import { ledgerContract } from './ledger-contract.ts';

ledgerContract(
  'memoryStore',
  () => {
    const store = memoryStore();
    return () => store;
  },
  40,
);
