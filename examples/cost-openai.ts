// A provider that answers every question with the same usage.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';

const usage = { prompt_tokens: 1_234, completion_tokens: 567, total_tokens: 1_801, prompt_tokens_details: { cached_tokens: 1_000 } };
const choices = [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }];
const provider = createServer((_, response) =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ model: 'gpt-4o-mini-2024-07-18', choices, usage })),
);
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
process.env['OPENAI_API_KEY'] = 'key';
process.env['OPENAI_BASE_URL'] = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;
const ask = (client: OpenAI, content: string) =>
  client.chat.completions.create({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }] });

import { CostTracker } from '@tidegate/cost-tracker';
import { meterFetch } from '@tidegate/cost-tracker/fetch';
import { sqliteStore } from '@tidegate/cost-tracker/sqlite';

const tracker = new CostTracker({
  store: sqliteStore(':memory:'), // or a file such as 'usage.db', which several processes may share
  budgets: [{ name: 'acme', scope: { tenant: 'acme' }, limitUsd: '50', period: 'month', timeZone: 'Asia/Seoul' }],
});
const openai = new OpenAI({ fetch: meterFetch({ tracker }) }); // nothing changes where it is called

await tracker.withScope({ tenant: 'acme', user: 'mina' }, () => ask(openai, 'hello'));
const { level, spentUsd, headroomUsd } = await tracker.status('acme');
console.log({ level, spentUsd, headroomUsd }); // { level: 'ok', spentUsd: '0.0004503', headroomUsd: '49.9995497' }
await tracker.close();
provider.close();
