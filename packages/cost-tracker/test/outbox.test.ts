import { join } from 'node:path';
import { tempDir } from '@tidegate/test-kit';
import { afterAll, describe } from 'vitest';
import { memoryStore } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';
import { outboxContract } from './outbox-contract.ts';
import { postgresOfTest } from './postgres-of-test.ts';

const folder = tempDir();
afterAll(() => folder.remove());
let files = 0;

outboxContract('memoryStore', memoryStore);
outboxContract('sqliteStore', () => sqliteStore(join(folder.path, `outbox-${files++}.db`)));

const postgres = postgresOfTest();
describe.runIf(postgres.present)('in Postgres', () =>
  outboxContract('postgresStore', () => postgres.newStore(postgres.newPool(), postgres.newLedger())),
);
