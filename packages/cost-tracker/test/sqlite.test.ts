import { join } from 'node:path';
import { tempDir } from '@tidegate/test-kit';
import { afterAll } from 'vitest';
import { sqliteStore } from '../src/sqlite.ts';
import { ledgerContract } from './ledger-contract.ts';

const folder = tempDir();
afterAll(() => folder.remove());

let files = 0;
const nextFile = () => join(folder.path, `usage-${files++}.db`);

ledgerContract('sqliteStore', () => sqliteStore(nextFile()));
ledgerContract("sqliteStore synchronous 'full'", () => sqliteStore(nextFile(), { synchronous: 'full' }));
