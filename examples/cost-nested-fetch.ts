// A provider that streams the answers of one model; another one is overloaded.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';

const usage = { prompt_tokens: 1_234, completion_tokens: 567, total_tokens: 1_801, prompt_tokens_details: { cached_tokens: 1_000 } };
const chunks = [{ choices: [{ index: 0, delta: { content: 'hello' }, finish_reason: 'stop' }] }, { choices: [], usage }];
const provider = createServer(async (request, response) => {
  if (!(await text(request)).includes('gpt-4o-mini')) return response.writeHead(503, { 'retry-after': '30' }).end();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const chunk of chunks) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  response.end('data: [DONE]\n\n');
});
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
const baseURL = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;

import { CircuitBreaker } from '@tidegate/circuit-breaker';
import { llmTraffic } from '@tidegate/circuit-breaker/classifiers';
import { breakerFetch } from '@tidegate/circuit-breaker/fetch';
import { CostTracker } from '@tidegate/cost-tracker';
import { meterFetch } from '@tidegate/cost-tracker/fetch';
import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { limitFetch } from '@tidegate/rate-limit/fetch';

const budget = { period: 'month' as const };
const tracker = new CostTracker({
  budgets: [
    { ...budget, name: 'acme', scope: { tenant: 'acme' }, limitUsd: '50' },
    { ...budget, name: 'trial', scope: { tenant: 'trial' }, limitUsd: '0.001' },
  ],
});
const breaker = new CircuitBreaker({ name: 'provider', ...llmTraffic() });
const limiter = new RateLimiter<string>({ key: (model) => model, limits: [tokenBucket({ name: 'model', rate: per(1, 'hour') })] });
const limited = limitFetch({ limiter, subject: ({ init }) => JSON.parse(String(init?.body)).model, maxWaitMs: 0 });
const openai = new OpenAI({
  ...{ baseURL, apiKey: 'key', maxRetries: 0 },
  fetch: meterFetch({ tracker, fetch: breakerFetch({ breaker, fetch: limited }) }),
});

async function ask(tenant: string, model: string): Promise<string> {
  let answer = '';
  await tracker.withScope({ tenant }, async () => {
    const stream = await openai.chat.completions.create({ model, messages: [{ role: 'user', content: 'hello' }], stream: true });
    for await (const { choices } of stream) answer += choices[0]?.delta.content ?? '';
  });
  return answer;
}

for (const call of ['acme gpt-4o-mini', 'acme gpt-4o-mini', 'trial gpt-4o-mini', 'acme gpt-4o', 'acme gpt-4o']) {
  const [tenant = '', model = ''] = call.split(' ');
  const answer = await ask(tenant, model).catch((error: Error) => error.cause ?? error); // the client puts what fetch throws there
  console.log(answer instanceof Error ? `${answer.name}: ${answer.message}` : answer);
  // hello
  // RateLimitError: …
  // BudgetExceededError: budget 'trial' has no room for … USD: 0 spent and 0 held of 0.001
  // Error: 503 status code (no body)
  // CircuitOpenError: …
}

const { spentUsd, reservedUsd } = await tracker.status('acme');
console.log({ spentUsd, reservedUsd }); // { spentUsd: '0.0004503', reservedUsd: '0' }
await tracker.close();
provider.close();
