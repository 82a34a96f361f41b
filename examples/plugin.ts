import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

process.chdir(mkdtempSync(join(tmpdir(), 'tidegate-example-')));

import { createGateway, type Plugin } from '@tidegate/mcp-gateway';

const tides: Plugin = {
  name: 'tides',
  version: '1.0.0',
  tools: [
    {
      name: 'next_high',
      description: 'When the next high tide is.',
      inputSchema: { type: 'object', properties: { port: { type: 'string' } }, required: ['port'] },
      run: ({ port }, { tenant_id }) => `${tenant_id}: high tide at ${port} at 16:20`,
    },
  ],
};
const gateway = await createGateway({ mcpServers: {}, prices: { '*': { perCallUsd: '0.01' } } }, { plugins: [tides] });
const answer = await gateway.callTool({ tenant: 'acme', role: 'member' }, 'tides__next_high', { port: '부산' });
console.log('result' in answer && answer.result['content']); // [ { type: 'text', text: 'acme: high tide at 부산 at 16:20' } ]
await gateway.close();
