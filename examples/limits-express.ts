// A store that cannot be reached, for the route that shows it.
import type { AddressInfo } from 'node:net';
import express from 'express';

const { sharedStore } = await import('@tidegate/rate-limit/stores');
const down = sharedStore({ run: () => Promise.reject(new Error('connection refused')), close: async () => {} });

import { per, RateLimiter, tokenBucket } from '@tidegate/rate-limit';
import { expressLimit } from '@tidegate/rate-limit/express';
import { type AddressSource, addressKey, clientAddress } from '@tidegate/rate-limit/http';

const key = (user: string) => user;
const client = clientAddress(); // behind a proxy: { trustedProxies: ['10.0.0.0/8'] }
const subject = (request: AddressSource) => addressKey(client(request));

const limits = [tokenBucket<string>({ name: 'minute', rate: per(3, 'minute') })];
const limiter = new RateLimiter({ key, limits });
const chat = new RateLimiter({ key, limits: [tokenBucket<string>({ name: 'tokens', unit: 'tokens', rate: per(1_000, 'minute') })] });
const shared = new RateLimiter({ key, limits, store: down });

const app = express();
app.get('/', expressLimit({ limiter, subject, headers: ['draft-11', 'legacy'] }));
app.get(
  '/chat',
  expressLimit({
    limiter: chat,
    subject,
    cost: ({ headers }) => ({ tokens: Number(headers['x-max-tokens'] ?? 400) }), // reserved, and made exact when the response has ended
    settle: (_, response) => ({ tokens: response.statusCode === 200 ? 100 : 0 }),
  }),
);
app.get('/shared', expressLimit({ limiter: shared, subject }));
app.use((_request, response) => void response.send('hello\n'));

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`); // http://127.0.0.1:…
  if (!process.argv.includes('--stay')) server.close();
});
