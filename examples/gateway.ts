import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// what the example finds in a service of yours: the server on the PATH, a token, a folder; and an end, so that it can be tested
process.env['PATH'] += delimiter + fileURLToPath(new URL('./node_modules/.bin', import.meta.url));
process.env['TIDEGATE_TOKEN'] = 'a long random text';
process.env['PORT'] = '0';
process.chdir(mkdtempSync(join(tmpdir(), 'tidegate-example-')));
setTimeout(() => process.exit(), 2_000);

import { createGateway } from '@tidegate/mcp-gateway';
import { serve } from '@tidegate/mcp-gateway/node';

const gateway = await createGateway({
  mcpServers: {
    files: { command: 'mcp-server-filesystem', args: ['.'] },
    search: { url: 'http://127.0.0.1:9001/mcp', fallbackUrl: 'http://127.0.0.1:9002/mcp' },
  },
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the gateway looks it up
  tokens: [{ token: '${env:TIDEGATE_TOKEN}', tenant: 'acme' }],
  limits: [{ perMinute: 60, perHour: 1_000, burst: 10 }],
  budgets: [{ scope: { tenant: 'acme' }, limitUsd: '50', period: 'month' }],
});
gateway.on('circuit', ({ server, to }) => console.log(`${server} is ${to}`));
console.log((await serve(gateway, { port: Number(process.env['PORT'] ?? 7300) })).url); // http://127.0.0.1:…/mcp
