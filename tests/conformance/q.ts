import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';
import { startHttpFixture, stdioFixtureCommand } from './processes.ts';
import { runServerSuite } from './suite.ts';

const [, , era, transport, req] = process.argv as unknown as [string, string, 'legacy' | 'modern', string, '2025-11-25' | '2026-07-28'];
const http = transport === 'http' ? await startHttpFixture(era) : undefined;
const server = http ? { url: http.url } : stdioFixtureCommand(era);
const g = await createGateway({
  mcpServers: { f: { ...server, prefix: '' } as never },
  limits: [],
  dataDir: mkdtempSync(join(tmpdir(), 'q-')),
});
g.on('fault', (e) => console.log('FAULT', e));
g.on('frame', (e) => console.log('FRAME', JSON.stringify(e).slice(0, 300)));
g.on('server', (e) => console.log(JSON.stringify(e)));
const s = await serve(g, { port: 0 });
await g.warmUp();
const r = await runServerSuite({ url: s.url, requirements: req });
console.log(era, transport, req, r.passed, r.failed);
for (const x of r.scored) if (x.status !== 'passed') console.log(' -', x.scenario, x.status, x.failures.join(' | ').slice(0, 700));
await s.close();
await http?.[Symbol.asyncDispose]();
