// A store that cannot be reached, for the route that shows it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const { sharedStore } = await import('@tidegate/rate-limit/stores');
const down = sharedStore({ run: () => Promise.reject(new Error('connection refused')), close: async () => {} });

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { addressKey, clientAddress, nodeLimit } from '@tidegate/rate-limit/http';

const key = (user: string) => user;
const client = clientAddress(); // behind a proxy: { trustedProxies: ['10.0.0.0/8'] }
const subject = (request: Parameters<typeof client>[0]) => addressKey(client(request));

const limits = [tokenBucket<string>({ name: 'minute', rate: per(3, 'minute') })];
const tokens = [tokenBucket<string>({ name: 'tokens', unit: 'tokens', rate: per(1_000, 'minute') })];
const limit = {
  '/': nodeLimit({ limiter: new RateLimiter({ key, limits }), subject, headers: ['draft-11', 'legacy'] }),
  '/chat': nodeLimit({
    limiter: new RateLimiter({ key, limits: tokens }),
    subject,
    cost: ({ headers }) => ({ tokens: Number(headers['x-max-tokens'] ?? 400) }), // reserved, and made exact when the response has ended
    settle: (_, response) => ({ tokens: response.statusCode === 200 ? 100 : 0 }),
  }),
  '/shared': nodeLimit({ limiter: new RateLimiter({ key, limits, store: down }), subject }),
};

const server = createServer(async (request, response) => {
  const route = limit[request.url as keyof typeof limit] ?? limit['/'];
  if (await route(request, response)) response.end('hello\n');
});
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`); // http://127.0.0.1:…
  if (!process.argv.includes('--stay')) server.close();
});
