// A provider that has enough for now: every request is answered with 429.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';

const provider = createServer((_, response) => response.writeHead(429, { 'retry-after': '45' }).end('{}'));
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
const baseURL = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;

import { CircuitBreaker, isCircuitOpenError } from '@tidegate/circuit-breaker';
import { llmTraffic } from '@tidegate/circuit-breaker/classifiers';
import { breakerFetch } from '@tidegate/circuit-breaker/fetch';

const breaker = new CircuitBreaker({ name: 'openai', ...llmTraffic() });
const openai = new OpenAI({ baseURL, apiKey: 'key', fetch: breakerFetch({ breaker }), maxRetries: 0 });

for (let i = 0; i < 2; i++) {
  try {
    await openai.chat.completions.create({ model: 'gpt-5', messages: [{ role: 'user', content: 'hello' }] });
  } catch (error) {
    const refusal = (error as Error).cause; // the client puts what fetch throws there
    console.log(isCircuitOpenError(refusal) ? `come back in ${refusal.retryAfterMs} ms` : (error as Error).message);
    // 429 …
    // come back in 4… ms
  }
}
provider.close();
