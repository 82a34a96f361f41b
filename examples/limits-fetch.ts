// A provider that lets 20 requests through each second, 10 at once, and refuses the others.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';

let left = 10;
let at = performance.now();
let refused = 0;
const provider = createServer((_, response) => {
  left = Math.min(10, left + (performance.now() - at) / 50);
  at = performance.now();
  const status = left >= 1 ? 200 : 429;
  if (status === 200) left -= 1;
  else refused += 1;
  const headers = {
    'content-type': 'application/json',
    'x-ratelimit-limit-requests': '10',
    'x-ratelimit-remaining-requests': String(Math.floor(left)),
    'x-ratelimit-reset-requests': `${Math.ceil((10 - left) * 50)}ms`,
  };
  response.writeHead(status, headers).end(JSON.stringify({ choices: [{ message: { role: 'assistant', content: 'hello' } }] }));
});
await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve));
const baseURL = `http://127.0.0.1:${(provider.address() as AddressInfo).port}`;

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { limitFetch } from '@tidegate/rate-limit/fetch';

const limiter = new RateLimiter({ limits: [tokenBucket({ rate: per(100, 'second'), burst: 50 })] }); // what we allow ourselves
const openai = new OpenAI({ baseURL, apiKey: 'key', fetch: limitFetch({ limiter }), maxRetries: 0 });
const ask = () => openai.chat.completions.create({ model: 'gpt-5', messages: [{ role: 'user', content: 'hello' }] });

await ask(); // the first answer tells what the provider has left
const answers = await Promise.all(Array.from({ length: 30 }, ask));
console.log(`${answers.length} answers, ${refused} refused`); // 30 answers, 0 refused
provider.close();
