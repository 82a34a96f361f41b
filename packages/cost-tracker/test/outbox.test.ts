import { join } from 'node:path';
import { tempDir } from '@tidegate/test-kit';
import { afterAll } from 'vitest';
import { memoryStore } from '../src/index.ts';
import { sqliteStore } from '../src/sqlite.ts';
import { outboxContract } from './outbox-contract.ts';

const folder = tempDir();
afterAll(() => folder.remove());
let files = 0;

outboxContract('memoryStore', memoryStore);
outboxContract('sqliteStore', () => sqliteStore(join(folder.path, `outbox-${files++}.db`)));
